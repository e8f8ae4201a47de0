"""The run of `classify`: a head and records in, answers out."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple, cast

from embedcli.cli.classify_learn import LearningWork
from embedcli.errors import UsageError

if TYPE_CHECKING:
    from typing import BinaryIO

    from embedcli.cli.classify_sink import Sink
    from embedcli.tasks.classify import AnswerSettings, Classifier
    from embedcli.tasks.gold import Tally
    from embedcli.tasks.train import Trained

HUB_ROWS = 16_384
"""Texts that show which labels are hubs, spread evenly where there are more."""


class Deciding(NamedTuple):
    """What is an answer, and what is written.

    Attributes:
        settings: Which scores are answers.
        target: The share of answers that is to be right; None for what `settings` say.
        taxonomy: A file with distances.
        hub_correct: Whether labels that are near to everything lose.
        counts: Whether counts are written instead of records.
        gold: The field with the right label, where a report is written instead.
        as_json: Whether these are JSON.
        prefix: Before the names of new fields.
    """

    settings: "AnswerSettings"
    target: float | None
    taxonomy: str | None
    hub_correct: bool
    counts: bool
    gold: str | None
    as_json: bool
    prefix: str


@dataclass
class ClassifyWork(LearningWork):
    """A run of `classify`, once there is a head."""

    def classify(self, trained: "Trained", deciding: Deciding) -> None:
        """Read the records, answer them, and write what was asked for."""
        from embedcli.cli.classify_sink import Sink
        from embedcli.tasks.classify import LabelStream
        from embedcli.tasks.gold import GoldTally, Tally
        from embedcli.tasks.passing import WatchedStream
        from embedcli.write.target import open_output

        classifier = self._classifier(trained, deciding)
        assert self.vectors is not None  # opened before
        tally, gold = Tally(), GoldTally(many=trained.many) if deciding.gold is not None else None
        with open_output(self.output) as output:
            sink = Sink(self, classifier, deciding, tally, gold, output)
            if deciding.hub_correct:
                self._with_all(classifier, sink)
            else:
                stream = LabelStream(classifier, self.vectors, sink.take, sink.flush)
                inputs = self.typed.inputs
                if inputs.stdin is not None:
                    watched = cast("BinaryIO", WatchedStream(inputs.stdin, stream.flush))
                    self.typed = self.typed._replace(inputs=replace(inputs, stdin=watched))
                stream.run(self.records())
            self.run.stop_if_nothing_was_read()
            sink.finish()
        self._tell(tally, sink)

    def _classifier(self, trained: "Trained", deciding: Deciding) -> "Classifier":
        from embedcli.tasks.classify import Classifier
        from embedcli.vectors.heads import DirectionHead

        if deciding.hub_correct and not isinstance(trained.head, DirectionHead):
            raise UsageError("--hub-correct is about cosines", hint="labels without examples, or --head mean")
        settings = self._settings(trained, deciding)
        taxonomy = None
        if deciding.taxonomy is not None:
            from embedcli.cli.classify_parts import lines_of
            from embedcli.tasks.taxonomy import read_taxonomy

            taxonomy = read_taxonomy(lines_of("--taxonomy", deciding.taxonomy), trained.labels)
        return Classifier(trained.labels, trained.head, settings, taxonomy=taxonomy)

    def _settings(self, trained: "Trained", deciding: Deciding) -> "AnswerSettings":
        """Return which scores are answers, by what was typed or by the examples held out."""
        settings, held_out = deciding.settings, trained.held_out
        if settings.many != trained.many and trained.examples:
            which = "several labels" if trained.many else "one label"
            hint = "--multi" if trained.many else "leave --multi out, or learn with --multi --save"
            raise UsageError(f"the head was learnt for {which} a record", hint=hint)
        if settings.many and settings.min_score is None:
            if held_out is None or held_out.cut is None:
                raise UsageError(
                    "--multi: no example could be held out to say from which score on", hint="--min-score"
                )
            return replace(settings, min_score=held_out.cut)
        if deciding.target is None:
            return settings
        from embedcli.vectors.abstain import choose_margin

        if held_out is None:
            raise UsageError(
                "--abstain: no example could be held out, so nothing says what is unsure",
                hint="two examples of a label are needed, better five; or --min-margin",
            )
        bar = choose_margin(held_out.margins, held_out.right, deciding.target)
        short = "" if bar.accuracy >= deciding.target else f"; {deciding.target:g} is out of reach"
        self.run.measured |= {"min_margin": bar.value, "expected_accuracy": round(bar.accuracy, 6)}
        self.run.notice(
            f"answers from a margin of {bar.value:.4f} on: of the examples held out {bar.answered:.1%},"
            f" {bar.accuracy:.1%} of them right{short}"
        )
        return replace(settings, min_margin=bar.value)

    def _with_all(self, classifier: "Classifier", sink: "Sink") -> None:
        """Answer all records once all are known."""
        import numpy as np

        from embedcli.tasks.classify import BLOCK_RECORDS, Answer
        from embedcli.tasks.pool import NO_ROW
        from embedcli.vectors.heads import DirectionHead
        from embedcli.vectors.hubs import hub_penalties

        assert isinstance(classifier.head, DirectionHead)  # checked before
        pool = self.pool(
            self.vectors, is_lookup=self.vectorizer_used is None or self.vectorizer_used.is_lookup
        )
        vectors = pool.gather(self.records())
        answers: list[Answer] = []
        if len(vectors):
            some = np.linspace(0, len(vectors) - 1, min(HUB_ROWS, len(vectors))).astype(np.intp)
            penalties = hub_penalties(classifier.head.directions, vectors[some], self.jobs)
            corrected = replace(classifier, penalties=penalties)
            for start in range(0, len(vectors), BLOCK_RECORDS):
                answers += corrected.answers(vectors[start : start + BLOCK_RECORDS])
        for number, row in enumerate(pool.rows.tolist()):
            sink.take(pool.spool.record(number), Answer() if row == NO_ROW else answers[row])

    def _tell(self, tally: "Tally", sink: "Sink") -> None:
        """Say what came of it."""
        run, answered = self.run, tally.with_vector - tally.open
        run.measured |= {"answered": answered, "open": tally.open, "unknown": tally.unknown}
        run.notice(
            f"labelled {answered} of {run.counts.read} records"
            + (f"; {tally.open} left open" if tally.open else "")
            + (f"; {tally.blank} blank" if tally.blank else "")
            + (f"; {tally.unknown} without a word that the model knows" if tally.unknown else "")
        )
        if sink.replaced:
            run.notice(f"fields of {sink.replaced} records were replaced; --prefix NAME_ keeps both")
