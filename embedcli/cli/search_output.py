"""How hits are written: which of `search`'s forms was asked for."""

import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from embedcli.cli.run import Run
    from embedcli.datatypes import Hit, MarkedSpans, Record, Vectors
    from embedcli.tasks.inputs import Inputs
    from embedcli.tasks.vectorize import Vectorizer
    from embedcli.write.hits import HitStyle
    from embedcli.write.links import LinkBase


def hit_style(color: str, *, null: bool = False) -> "HitStyle":
    """Return how lines are shown on standard output, with `--color` as it was typed."""
    from embedcli.cli.terminal import terminal_width, wants_color
    from embedcli.write.hits import HitStyle

    on_terminal = sys.stdout is not None and sys.stdout.isatty()
    colored = wants_color(color, sys.stdout)
    links = _link_base() if on_terminal and colored and os.environ.get("TERM") != "dumb" else None
    return HitStyle(colored, on_terminal, None if null else terminal_width(), links, null)


def _link_base() -> "LinkBase | None":
    from pathlib import Path

    from embedcli.write.links import LinkBase

    try:
        return LinkBase(os.uname().nodename, str(Path.cwd()))
    except OSError:
        # The working directory is gone.
        return None


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
        null: bool,
        list_named: bool,
        explain: bool = False,
        many: bool = False,
        expression: str | None = None,
        quiet: bool = False,
    ) -> None:
        """Check what was asked for.

        Args:
            color: From `--color`.
            as_json: From `--json`; the next three likewise.
            as_trec: A run for evaluation tools.
            names_only: Names of files.
            counts_only: Hits of each file.
            lines_before: Lines shown before a hit.
            lines_after: Lines shown after it.
            null: From `-0`.
            list_named: Whether there is a list of paths, whose separator `-0` is then: hits stay lines.
            explain: From `--explain`.
            many: Whether there are many queries.
            expression: From `--lexical-query`.
            quiet: Whether nothing will be written.

        Raises:
            UsageError: Two forms at once, or lines around the hits of many queries.
        """
        from embedcli.errors import UsageError
        from embedcli.tasks.inputs import SeenLines

        forms = as_json + as_trec + names_only + counts_only
        if forms > 1:
            raise UsageError("--json, --trec, -l and -c exclude each other")
        if forms and (lines_before or lines_after):
            raise UsageError("-A, -B and -C show lines; --json, --trec, -l and -c do not")
        if null and not list_named and (as_json or as_trec or lines_before or lines_after):
            raise UsageError(
                "-0 ends each hit with NUL; --json, --trec, -A, -B and -C print lines",
                hint="--format null reads records that end with NUL",
            )
        self._end = b"\0" if null and not list_named else b"\n"
        self._style = hit_style(color, null=null and not list_named)
        self._as_trec = as_trec
        self._as_json, self._names_only, self._counts_only = as_json, names_only, counts_only
        self._explain, self._expression, self._quiet, self._many = explain, expression, quiet, many
        if explain and (as_trec or names_only or counts_only or lines_before or lines_after):
            raise UsageError("--explain shows each hit; --trec, -l, -c, -A, -B and -C do not")
        if many and (lines_before or lines_after):
            raise UsageError("-A, -B and -C show the lines around the hits of one query, not of --queries")
        self._before, self._after, self._name_end = lines_before, lines_after, b"\0" if null else b"\n"
        self.seen = SeenLines()
        self._starts: list[list[int]] = []

    @property
    def needs_lines(self) -> bool:
        """Whether lines around hits are wanted."""
        return bool(self._before or self._after)

    @property
    def _as_lines(self) -> bool:
        others = (self._as_json, self._as_trec, self._names_only, self._counts_only, self.needs_lines)
        return not any((*others, self._quiet))

    def choose(
        self,
        asked: "Sequence[Record]",
        found: "list[list[Hit]]",
        vectors: "Vectors | None" = None,
        vectorizer: "Vectorizer | None" = None,
    ) -> None:
        """Choose what is shown first of hits that are longer than their line; only a terminal's lines end.

        Args:
            asked: The queries.
            found: The hits of each.
            vectors: Of the queries; None where words are compared.
            vectorizer: The encoder that they are from.
        """
        from embedcli.tasks.best_sentence import LongHit, best_sentences
        from embedcli.write.hits import is_clipped

        if not self._as_lines or self._style.width is None:
            return
        self._starts = [[0] * len(hits) for hits in found]
        places = [
            (number, place)
            for number, (record, hits) in enumerate(zip(asked, found, strict=True))
            for place, hit in enumerate(hits)
            if is_clipped(hit, self._style, record.id if self._many else None)
        ]
        long = [LongHit(number, found[number][place].text or "") for number, place in places]
        for (number, place), start in zip(
            places, best_sentences(asked, long, vectors, vectorizer), strict=True
        ):
            self._starts[number][place] = start

    def write(
        self, queries: list[str], found: "list[list[Hit]]", inputs: "Inputs", asked: "Sequence[Record]"
    ) -> None:
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
                write.write_counts(every, output, STDIN_NAME, self._end)
            elif self.needs_lines:
                around = lines_around(every, self._before, self._after, inputs.options, self.seen)
                marks = self._marks(asked[0].text, every)
                write.write_hits_with_context(every, around, output, self._style, marks=marks)
            else:
                for number, (query, hits) in enumerate(zip(queries, found, strict=True)):
                    if self._as_trec:
                        write.write_hits_trec(hits, query, output)
                    elif self._as_json:
                        write.write_hits_json(hits, query, output, explain=self._explain)
                    else:
                        write.write_hits_text(
                            hits,
                            output,
                            self._style,
                            query if self._many else None,
                            explain=self._explain,
                            marks=self._marks(asked[number].text, hits),
                            starts=self._starts[number] if self._starts else (),
                        )

    def _marks(self, question: str, hits: "Sequence[Hit]") -> "MarkedSpans | None":
        """Return what finds the words of a question; None where nothing has a colour."""
        if not self._style.color or not hits:
            return None
        from embedcli.index.word_marks import WordMarks

        return WordMarks(question, self._expression).spans
