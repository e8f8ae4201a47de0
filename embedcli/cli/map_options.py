"""The options of `map` alone."""

from typing import Annotated, TypeAlias

import typer

Layout: TypeAlias = Annotated[
    str,
    typer.Option(
        "--layout",
        metavar="HOW",
        help="tsne keeps neighbours together, best with the extra map; pca is a plain shadow and quick;"
        " auto: tsne, but for a handful of texts.",
    ),
]
To: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--to",
        metavar="FORM",
        help="html, svg, png, ascii or jsonl. Default: by the name of --output; without one, ascii on a"
        " terminal, else html.",
        show_default=False,
    ),
]
Ascii: TypeAlias = Annotated[bool, typer.Option("--ascii", help="A picture for the terminal: --to ascii.")]
AsJson: TypeAlias = Annotated[
    bool, typer.Option("--json", help="Records with x, y, cluster and cluster_name: --to jsonl.")
]
Svg: TypeAlias = Annotated[
    str | None, typer.Option("--svg", metavar="FILE", help="Write a picture for documents there too.")
]
Png: TypeAlias = Annotated[
    str | None, typer.Option("--png", metavar="FILE", help="Likewise in pixels; needs the extra map.")
]
ColorBy: TypeAlias = Annotated[
    str | None,
    typer.Option("--color-by", metavar="FIELD", help="Colour points by this field, not by region."),
]
Hover: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--hover",
        metavar="FIELD",
        help="Keep this field for hovering and colouring; repeatable. Default: the first eight.",
        show_default=False,
    ),
]
Title: TypeAlias = Annotated[
    str | None, typer.Option("--title", metavar="TEXT", help="Above the map. Default: what was read.")
]
Seed: TypeAlias = Annotated[
    int, typer.Option("--seed", metavar="N", min=0, help="Of what is left to chance in the layout.")
]
