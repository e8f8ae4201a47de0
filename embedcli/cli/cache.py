"""`embedcli cache`: the user's vector cache and the optimized graphs beside it."""

import sys

import typer

from embedcli.cli import options

cache_app = typer.Typer(no_args_is_help=True, help="Show or clear the vector cache.", rich_markup_mode=None)


@cache_app.command()
def status(cache: options.CacheFile = None, as_json: options.AsJson = False) -> None:
    """Show where the vector cache is and how large it is."""
    import json

    from embedcli.cli.resolve import cache_path, graphs_folder
    from embedcli.index.cache import MAX_BYTES, VectorCache

    path = cache_path(cache)
    graphs = graphs_folder()
    facts: dict[str, object] = {"path": None if path is None else str(path), "entries": 0, "bytes": 0}
    if path is not None and path.exists():
        store = VectorCache(path)
        entries, size = store.info()
        store.close()
        facts |= {"entries": entries, "bytes": size}
    facts |= {
        "max_bytes": MAX_BYTES,
        "graphs_path": str(graphs),
        "graphs_bytes": sum(file.stat().st_size for file in graphs.glob("*.onnx")),
    }
    if as_json:
        typer.echo(json.dumps(facts))
        return
    typer.echo(
        f"vectors: {facts['path'] or 'off'}\n"
        f"         {facts['entries']} vectors, {facts['bytes']} bytes of at most {MAX_BYTES}\n"
        f"graphs:  {graphs}\n"
        f"         {facts['graphs_bytes']} bytes"
    )


@cache_app.command()
def clear(cache: options.CacheFile = None, quiet: options.Quiet = False) -> None:
    """Remove all cached vectors and optimized graphs; they are made again when they are needed."""
    from embedcli.cli.resolve import cache_path, graphs_folder
    from embedcli.index.cache import VectorCache

    path = cache_path(cache)
    entries = 0
    if path is not None and path.exists():
        store = VectorCache(path)
        entries = store.info().entries
        store.clear()
    graphs = list(graphs_folder().glob("*.onnx"))
    for graph in graphs:
        graph.unlink(missing_ok=True)
    if not quiet:
        print(f"embedcli: removed {entries} vectors and {len(graphs)} graphs", file=sys.stderr)
