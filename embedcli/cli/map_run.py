"""The run of `map`: records in, a layout, pictures out, and what is said of them."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from embedcli.cli.map_targets import Target
from embedcli.cli.work import Work
from embedcli.datatypes import STDIN_NAME, Record

if TYPE_CHECKING:
    from embedcli.tasks.map import Layout, MapSettings
    from embedcli.tasks.map_fields import FieldNames
    from embedcli.tasks.pool import Pool
    from embedcli.vectors.paint import Paint
    from embedcli.vectors.picture import Picture
    from embedcli.write.target import Output

_NAMED = 3
"""Paths that a title names."""
_MANY = 20_000


@dataclass
class MapWork(Work):
    """A run of `map`.

    Attributes:
        targets: What is written.
        title: Above the map; None for what was read.
        color_by: The field that colours points; None for their regions.
        hover: Fields that were asked for.
        color: Whether a terminal's picture has colours.
    """

    whole: str = "map draws records"
    targets: tuple[Target, ...] = ()
    title: str | None = None
    color_by: str | None = None
    hover: tuple[str, ...] = ()
    color: str = "auto"

    def draw(self, settings: "MapSettings") -> None:
        """Read, lay out, write, and say what came of it."""
        from embedcli.tasks.map import draw_map, lay_out
        from embedcli.tasks.map_fields import FieldNames
        from embedcli.write.map_png import need_pillow

        if any(target.form == "png" for target in self.targets):
            need_pillow()
        read = self.typed.inputs.settings
        names = FieldNames(read.columns or read.text_fields, read.id_field)
        made_by, pool = self._encoder()
        vectors = pool.gather(names.watch(self.records()))
        self.run.stop_if_nothing_was_read()
        fields = self._fields(names)
        if len(vectors) > _MANY and settings.layout != "pca":
            self.run.notice(f"laying out {len(vectors):,} texts, which takes a while")
        layout = lay_out(vectors, settings, self.jobs)
        picture = draw_map(pool, layout, settings)
        footer = self._footer(picture, layout, settings, len(vectors), made_by)
        for target in self.targets:
            self._write(target, pool, picture, fields, footer)
        self._tell(pool, picture, layout)

    def _encoder(self) -> "tuple[str, Pool]":
        """Return what makes the vectors, for people, and an empty pool."""
        if self.typed.carries_vectors:
            return "vectors that were given", self.pool()
        vectorizer = self.vectorizer()
        return f"model {vectorizer.model.manifest.name}", self.pool(
            vectorizer, is_lookup=vectorizer.is_lookup
        )

    def _fields(self, names: "FieldNames") -> tuple[str, ...]:
        fields, left = names.chosen(self.hover, self.color_by)
        if left and any(target.form == "html" for target in self.targets):
            self.run.notice(
                f"the page has {len(fields)} fields of {len(fields) + left}; --hover FIELD chooses"
            )
        return fields

    def _footer(
        self, picture: "Picture", layout: "Layout", settings: "MapSettings", texts: int, made_by: str
    ) -> tuple[str, ...]:
        from importlib.metadata import version

        from embedcli.vectors.layout import TRUST_NEIGHBORS

        lines = [f"{len(picture.points):,} texts", made_by, f"{layout.name}, seed {settings.seed}"]
        if layout.trust is not None:
            from embedcli.vectors.trust import TRUST_ROWS

            on = f" on {TRUST_ROWS:,} of them" if texts > TRUST_ROWS else ""
            lines.append(f"trustworthiness@{TRUST_NEIGHBORS} {layout.trust:.3f}{on}")
        return (*lines, f"embedcli {version('embedcli')}")

    def _write(
        self,
        target: Target,
        pool: "Pool",
        picture: "Picture",
        fields: tuple[str, ...],
        footer: tuple[str, ...],
    ) -> None:
        """Write one picture."""
        from embedcli.write.target import open_output

        with open_output(target.path) as output:
            if target.form == "html":
                from embedcli.write.map_page import PageAbout, write_page

                about = PageAbout(self._title(), footer, fields, self.color_by)
                write_page(output, picture, _records(pool, picture), about)
            elif target.form == "jsonl":
                self._write_records(output, pool, picture)
            elif target.form == "ascii":
                output.write(self._text(picture).encode("utf-8", "replace"))
            else:
                from embedcli.write.map_figure import figure
                from embedcli.write.map_png import write_png
                from embedcli.write.map_svg import write_svg

                drawn = figure(picture, self._paint(pool, picture), self._title(), " · ".join(footer))
                (write_svg if target.form == "svg" else write_png)(output, drawn)

    def _write_records(self, output: "Output", pool: "Pool", picture: "Picture") -> None:
        """Write all records as objects, in input order, with null for those that are on no map."""
        from embedcli.write.objects import object_line

        places = dict(
            zip(
                picture.numbers.tolist(),
                zip(picture.points.tolist(), picture.top_of.tolist(), strict=True),
                strict=True,
            )
        )
        for number in range(len(pool.spool)):
            point, region = places.get(number, ((None, None), None))
            x, y = (None if value is None else round(value, 6) for value in point)
            name = None if region is None else picture.regions[0][region].name
            more = {"x": x, "y": y, "cluster": region, "cluster_name": name}
            output.write(object_line(pool.spool.record(number), more))
            self.run.counts.written += 1

    def _text(self, picture: "Picture") -> str:
        import shutil
        import sys

        from embedcli.cli.terminal import wants_color
        from embedcli.write.map_text import draw_text

        size = shutil.get_terminal_size()
        colored = wants_color(self.color, sys.stdout if self.output is None else None)
        # A line stays for what is said of it, and one for the prompt.
        return draw_text(picture, max(1, size.columns), max(1, size.lines - 2), color=colored)

    def _paint(self, pool: "Pool", picture: "Picture") -> "Paint":
        from embedcli.vectors.paint import Paint, paint

        if self.color_by is None:
            return Paint(picture.top_of.tolist(), ())
        return paint([record.fields.get(self.color_by) for record in _records(pool, picture)])

    def _title(self) -> str:
        if self.title is not None:
            return self.title
        typed = self.typed
        if typed.source is not None:
            return typed.source.name
        names = ["standard input" if path == STDIN_NAME else Path(path).name for path in typed.inputs.paths]
        more = [f"{len(names) - _NAMED} more"] * (len(names) > _NAMED)
        return ", ".join([*names[:_NAMED], *more])

    def _tell(self, pool: "Pool", picture: "Picture", layout: "Layout") -> None:
        """Say what is on the map, and what is not."""
        run = self.run
        run.measured |= {"points": len(picture.points), "regions": sum(map(len, picture.regions))}
        trust = ""
        if layout.trust is not None:
            run.measured["trustworthiness"] = layout.trust
            trust = f"; trustworthiness@10 {layout.trust:.3f}"
        run.notice(f"a map of {len(picture.points)} of {run.counts.read} records by {layout.name}{trust}")
        if pool.blank:
            run.notice(f"blank records left out: {pool.blank}")
        if pool.unknown:
            run.notice(f"texts left out, since the model knows no word of them: {pool.unknown}")
        if not layout.has_extra:
            run.notice("pip install 'embedcli[map]' lays texts out closer to their neighbours")


def _records(pool: "Pool", picture: "Picture") -> Iterator[Record]:
    """Yield the record of each point."""
    for number in picture.numbers.tolist():
        yield pool.spool.record(number)
