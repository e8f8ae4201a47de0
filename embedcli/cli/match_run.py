"""The runs of `match`: two inputs in, what goes together out, and what is said of it."""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from embedcli.cli.work import Work
from embedcli.errors import InputError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from embedcli.cli.match_parts import How
    from embedcli.cli.work import Typed
    from embedcli.datatypes import Record
    from embedcli.reports import Match
    from embedcli.tasks.dedupe import RecordVectors
    from embedcli.tasks.match import MatchSettings
    from embedcli.tasks.match_comm import Status
    from embedcli.tasks.match_drift import DriftSettings
    from embedcli.tasks.match_join import Gathered
    from embedcli.tasks.match_pairs import Pair
    from embedcli.tasks.pool import Pool
    from embedcli.tasks.vectorize import Vectorizer
    from embedcli.write.matches import MatchForm

_MATCH_FACTS = ("left", "right", "score", "margin", "cosine", "characters")
_COMM_FACTS = ("status", "left", "right", "score")


@dataclass
class MatchWork(Work):
    """A run of `match` over two inputs, of which `typed` is the left one.

    Attributes:
        right: The other one; None where there is one input, of pairs.
        own_vectors: Whether records bring their vectors, of whatever model.
        form: Of the output.
    """

    whole: str = "match compares records"
    right: "Typed | None" = None
    own_vectors: bool = False
    form: "MatchForm" = "jsonl"

    @cached_property
    def encoder(self) -> "Vectorizer":
        """The encoder of both inputs: that of an index where one of them is one."""
        from embedcli.index.file import stored_identity

        inputs = [each for each in (self.typed, self.right) if each is not None]
        identity = next((stored_identity(each.source) for each in inputs if each.source is not None), None)
        # Files have their vectors in the user's cache, whatever the other input is.
        typed = next((each for each in inputs if each.inputs.reads_files), self.typed)
        return replace(self, typed=typed).vectorizer(identity)

    @cached_property
    def maker(self) -> "RecordVectors":
        """What makes the vectors of both inputs."""
        from embedcli.tasks.carried import CarriedVectors

        return CarriedVectors() if self.own_vectors else self.encoder

    @property
    def is_lookup(self) -> bool:
        """Whether that takes no longer than reading."""
        return self.own_vectors or self.encoder.is_lookup

    def new_pool(self) -> "Pool":
        """Return an empty pool that is closed with the run."""
        return self.pool(self.maker, is_lookup=self.is_lookup)

    def right_records(self) -> "Iterator[Record]":
        """Return the records of the right input."""
        assert self.right is not None
        return replace(self, typed=self.right, heads=[]).records()

    def gathered(self, records: "Iterable[Record]", settings: "MatchSettings") -> "Gathered":
        """Return one input as a whole."""
        from embedcli.tasks.match_join import Gathered

        return Gathered(self.new_pool(), records, settings)


def join(work: MatchWork, settings: "MatchSettings", how: "How", *, are_same: bool) -> int:
    """Run a join; return how many records were matched, or for `anti` how many were not.

    Raises:
        UsageError: One input is to be matched with itself, one to one.
    """
    from embedcli.tasks.match_join import join as join_stream
    from embedcli.tasks.match_join import join_whole

    if are_same and settings.one_to_one:
        raise UsageError("--one-to-one: LEFT and RIGHT are the same", hint="embedcli dedupe finds copies")
    # An input that is there twice is read once.
    right = work.gathered(work.records() if are_same else work.right_records(), settings)
    if are_same:
        matched = join_whole(right, right, settings)
    elif settings.ratio or settings.one_to_one:
        matched = join_whole(work.gathered(work.records(), settings), right, settings)
    else:
        matched = join_stream(work.records(), work.maker, right, settings, is_lookup=work.is_lookup)
    found, left = _write_joined(work, matched, how)
    work.run.measured |= {"matched": found, "unmatched": left - found}
    work.run.notice(f"{found} of {left} records have a match among {len(right.rows)}")
    if right.pool.unknown:
        work.run.notice(
            f"{right.pool.unknown} texts on the right were left out: the model knows no word of them"
        )
    return left - found if how == "anti" else found


def _write_joined(
    work: MatchWork, matched: "Iterable[tuple[Record, list[Match]]]", how: "How"
) -> tuple[int, int]:
    """Write what a join gives; return how many records have a match, and how many could."""
    from embedcli.write.matches import MatchWriter
    from embedcli.write.target import open_output

    counts = work.run.counts
    found = left = 0
    with open_output(work.output) as output:
        writer = None if how == "anti" else MatchWriter(output, work.form, _MATCH_FACTS)
        is_begun = False
        for record, matches in matched:
            if not is_begun:
                _begin(work, output, how)
                is_begun = True
            left += not record.is_blank
            found += bool(matches)
            if writer is None:
                if not matches:
                    output.write(record.raw)
                    counts.written += 1
                continue
            for match in matches:
                writer.write(_match_facts(record, match), record, match.record)
            if not matches and how == "left":
                writer.write((record.id, *(None,) * (len(_MATCH_FACTS) - 1)), record, None)
            counts.written += len(matches) or how == "left"
        if not is_begun:
            work.run.stop_if_nothing_was_read()
            _begin(work, output, how)
    return found, left


def _begin(work: MatchWork, output: Any, how: "How") -> None:
    """Write what stands before records that are written as they are."""
    for head in work.heads if how == "anti" else ():
        output.write(head.content)


def _match_facts(record: "Record", match: "Match") -> tuple[Any, ...]:
    return (record.id, match.record.id, match.score, match.margin, match.cosine, match.characters)


def compare(work: MatchWork, settings: "MatchSettings", statuses: "frozenset[Status]") -> int:
    """Run `--comm`; return how many differences there are among what is asked for."""
    from embedcli.tasks.match_comm import Comparison, Status
    from embedcli.write.matches import MatchWriter
    from embedcli.write.target import open_output

    comparison = Comparison()
    work.stack.callback(comparison.close)
    comparison.read(work.records(), work.right_records())
    work.run.stop_if_nothing_was_read()
    counted: dict[Status, int] = dict.fromkeys(("same", "reworded", "only_left", "only_right"), 0)
    with open_output(work.output) as output:
        writer = MatchWriter(output, work.form, _COMM_FACTS)
        for each in comparison.compare(work.new_pool, settings):
            counted[each.status] += 1
            if each.status in statuses:
                ids = (record and record.id for record in (each.left, each.right))
                score = None if each.match is None else each.match.score
                writer.write((each.status, *ids, score), each.left, each.right)
                work.run.counts.written += 1
    work.run.measured.update(counted.items())
    work.run.notice(", ".join(f"{count} {status.replace('_', ' ')}" for status, count in counted.items()))
    return sum(count for status, count in counted.items() if status != "same" and status in statuses)


def measure_drift(work: MatchWork, settings: "DriftSettings", max_p: float, *, as_json: bool) -> bool:
    """Run `--drift`; return whether chance does not explain the difference."""
    from embedcli.cli.terminal import terminal_width
    from embedcli.tasks.match import MatchSettings
    from embedcli.tasks.match_drift import drift
    from embedcli.write.drift import write_drift, write_drift_object
    from embedcli.write.target import open_output

    by_vectors = MatchSettings(blend=0)
    left = work.gathered(work.records(), by_vectors)
    right = work.gathered(work.right_records(), by_vectors)
    work.run.stop_if_nothing_was_read()
    found = drift(left, right, settings)
    if found.p is None:
        raise InputError("--drift: one of the inputs holds nothing, so there is nothing to compare")
    with open_output(work.output) as output:
        if as_json:
            write_drift_object(found, output)
        else:
            write_drift(found, output, terminal_width())
    work.run.counts.written = len(found.changed)
    work.run.measured |= {"energy": found.energy or 0.0, "p": found.p}
    differs = found.p <= max_p
    verdict = "they differ" if differs else "chance explains it"
    work.run.notice(
        f"{found.left} and {found.right} records: {verdict} (p = {found.p:.3f}, --max-p {max_p:g})"
    )
    return differs


def typed_pairs(work: Work, names: tuple[str, ...]) -> "Iterator[Pair]":
    """Return the pairs of texts in what is read.

    Args:
        work: Its input is read from here on as records of two texts.
        names: The two fields or columns; empty for the default.
    """
    from embedcli.tasks.match_pairs import PAIR_COLUMNS, PAIR_FIELDS, read_pairs

    reading = work.typed.inputs
    about = {"text_fields": names or PAIR_FIELDS, "columns": names or PAIR_COLUMNS}
    inputs = replace(reading, options={**reading.options, **about})
    work.typed = work.typed._replace(inputs=inputs)
    return read_pairs(work.records(), inputs, names, work.run.counts, work.run.on_problem)


def score_pairs(work: MatchWork, settings: "MatchSettings", names: tuple[str, ...]) -> int:
    """Run `--pairs`; return how many pairs have a score."""
    from embedcli.tasks.match_pairs import score_pairs as score
    from embedcli.write.added_fields import AddedFields
    from embedcli.write.target import open_output

    run = work.run
    pairs = typed_pairs(work, names)
    scored = 0
    with open_output(work.output) as output:
        added = AddedFields(output, ("score", "cosine", "characters") if settings.blend else ("score",))
        is_begun = False
        for pair, found in score(pairs, work.encoder, settings):
            if not is_begun:
                _begin_added(work, added)
                is_begun = True
            values = (None,) * 3 if found is None else tuple(found)
            added.write(pair.record, values if settings.blend else values[:1])
            scored += found is not None
            run.counts.written += 1
        if not is_begun:
            run.stop_if_nothing_was_read()
            _begin_added(work, added)
    run.measured["scored"] = scored
    return scored


def _begin_added(work: MatchWork, added: Any) -> None:
    for head in work.heads:
        added.head(head)


def score_strings(work: MatchWork, texts: list[str], settings: "MatchSettings", *, as_json: bool) -> float:
    """Run `--string`; return the score of the two texts.

    Raises:
        UsageError: There are not two, one is blank, or the model knows no word of it.
    """
    from embedcli.datatypes import Record
    from embedcli.tasks.match_pairs import PAIR_FIELDS, Pair
    from embedcli.tasks.match_pairs import score_pairs as score
    from embedcli.write.objects import dump
    from embedcli.write.target import open_output

    if len(texts) != 2:
        raise UsageError(f"--string: two texts are compared, not {len(texts)}")
    _, found = next(score([Pair(Record("", ""), *texts)], work.encoder, settings))
    if found is None:
        blank = any(not text.strip() for text in texts)
        raise UsageError("--string: " + ("a text is blank" if blank else "the model knows no word of a text"))
    work.run.counts.read = 2
    work.run.counts.written = 1
    with open_output(work.output) as output:
        if as_json:
            output.write(dump({**dict(zip(PAIR_FIELDS, texts, strict=True)), **found._asdict()}) + b"\n")
        else:
            output.write(f"{found.score:.4f}\n".encode())
    return found.score
