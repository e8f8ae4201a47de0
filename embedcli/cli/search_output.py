"""How hits are written: which of `search`'s forms was asked for."""

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from embedcli.cli.run import Run
    from embedcli.datatypes import Hit
    from embedcli.tasks.inputs import Inputs
    from embedcli.write.hits import HitStyle


def hit_style(color: str) -> "HitStyle":
    """Return how lines are shown on standard output, with `--color` as it was typed."""
    from embedcli.cli.terminal import terminal_width, wants_color
    from embedcli.write.hits import HitStyle

    on_terminal = sys.stdout is not None and sys.stdout.isatty()
    return HitStyle(wants_color(color, sys.stdout), on_terminal, terminal_width())


def say_alike(found: "list[list[Hit]]", run: "Run") -> None:
    """Say how many texts are no hits because they say what a hit says."""
    alike = sum(hit.alike for hits in found for hit in hits)
    if alike:
        run.notice(f"{alike} more say what a hit says already; --no-collapse shows them")


class Show:
    """How hits are written."""

    def __init__(
        self,
        color: str,
        *,
        as_json: bool,
        as_trec: bool,
        names_only: bool,
        counts_only: bool,
        lines_before: int,
        lines_after: int,
        name_end: bytes,
        explain: bool = False,
        many: bool = False,
    ) -> None:
        """Check what was asked for.

        Raises:
            UsageError: Two forms at once, or lines around the hits of many queries.
        """
        from embedcli.errors import UsageError
        from embedcli.tasks.inputs import SeenLines

        if as_json + as_trec + names_only + counts_only > 1:
            raise UsageError("--json, --trec, -l and -c exclude each other")
        self._style = hit_style(color)
        self._as_trec = as_trec
        self._as_json, self._names_only, self._counts_only = as_json, names_only, counts_only
        self._explain = explain
        if explain and (as_trec or names_only or counts_only or lines_before or lines_after):
            raise UsageError("--explain shows each hit; --trec, -l, -c, -A, -B and -C do not")
        if many and (lines_before or lines_after):
            raise UsageError("-A, -B and -C show the lines around the hits of one query, not of --queries")
        self._before, self._after, self._name_end = lines_before, lines_after, name_end
        self.seen = SeenLines()

    @property
    def needs_lines(self) -> bool:
        """Whether lines around hits are wanted."""
        return bool(self._before or self._after)

    def write(self, queries: list[str], found: "list[list[Hit]]", inputs: "Inputs") -> None:
        """Write the hits of all queries; with several, each line of text begins with its query's id."""
        from embedcli.datatypes import STDIN_NAME
        from embedcli.tasks.inputs import lines_around
        from embedcli.write import hits as write
        from embedcli.write.target import open_output

        every = [hit for hits in found for hit in hits]
        if self._as_trec:
            # Before the first line is written.
            write.check_trec([*queries, *(hit.id for hit in every)])
        with open_output(None) as output:
            if self._names_only:
                write.write_paths(every, output, STDIN_NAME, self._name_end)
            elif self._counts_only:
                write.write_counts(every, output, STDIN_NAME)
            elif self.needs_lines:
                around = lines_around(every, self._before, self._after, inputs.options, self.seen)
                write.write_hits_with_context(every, around, output, self._style)
            else:
                for query, hits in zip(queries, found, strict=True):
                    if self._as_trec:
                        write.write_hits_trec(hits, query, output)
                    elif self._as_json:
                        write.write_hits_json(hits, query, output, explain=self._explain)
                    else:
                        asked = query if len(queries) > 1 else None
                        write.write_hits_text(hits, output, self._style, asked, explain=self._explain)
