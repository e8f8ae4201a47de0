"""`embedcli doctor`: what this installation is and what it can do here."""

from typing import Any

import typer

from embedcli.cli import options


def doctor(as_json: options.AsJson = False) -> None:
    """Report versions, CPU, devices, models and folders, and what is wrong with them.

    Exit code 2 if something that embedcli needs does not work.
    """
    import json

    facts, faults = _examine()
    if as_json:
        typer.echo(json.dumps({**facts, "faults": faults}))
    else:
        width = max(len(key) for key in facts)
        for key, value in facts.items():
            shown = ", ".join(map(str, value)) if isinstance(value, list) else value
            typer.echo(f"{key:{width}}  {shown}")
        for fault in faults:
            typer.echo(f"fault: {fault}")
    raise typer.Exit(2 if faults else 0)


def _examine() -> tuple[dict[str, Any], list[str]]:
    """Return what there is, and what is wrong with it."""
    import os
    import platform
    import sqlite3
    from importlib import metadata

    from embedcli.cli.config import config_path
    from embedcli.cli.resolve import cache_path, graphs_folder, models_folders, open_model
    from embedcli.encode.catalog import iter_models, shipped_folder
    from embedcli.encode.manifest import verify_files
    from embedcli.encode.processors import usable_cpus
    from embedcli.errors import EmbedcliError

    installed = {dist.metadata["Name"]: dist.version for dist in metadata.distributions()}
    names = ("embedcli", "typer", "rich", "numpy", "onnxruntime", "onnxruntime-gpu", "tokenizers", "hnswlib")
    facts: dict[str, Any] = {name: installed[name] for name in names if name in installed}
    faults: list[str] = []
    facts |= {
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        "platform": platform.platform(),
        "cpus": usable_cpus(),
    }
    if "onnxruntime" in installed and "onnxruntime-gpu" in installed:
        faults.append(
            "onnxruntime and onnxruntime-gpu are both installed and overwrite each other: remove one"
        )
    try:
        import onnxruntime

        facts["providers"] = onnxruntime.get_available_providers()
    except ImportError as error:
        faults.append(f"onnxruntime cannot be imported: {error}")
    cache = cache_path(os.environ.get("EMBEDCLI_CACHE"))
    facts |= {
        "config": f"{config_path()}{'' if config_path().exists() else ' (none)'}",
        "cache": "off" if cache is None else str(cache),
        "graphs": str(graphs_folder()),
        "models": [str(folder) for folder in (*models_folders(), shipped_folder())],
    }
    known = []
    try:
        for model in iter_models(models_folders()):
            known.append(model.manifest.name)
            verify_files(model.folder, model.manifest)
        open_model(os.environ.get("EMBEDCLI_MODEL"))
    except EmbedcliError as error:
        faults.append(str(error))
    facts["known models"] = known
    return facts, faults
