"""Where answers go: records with fields added, or counts and comparisons at the end."""

from typing import TYPE_CHECKING, Any

from embedcli.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable

    from embedcli.cli.classify_run import ClassifyWork, Deciding
    from embedcli.datatypes import Record
    from embedcli.tasks.classify import Answer, Classifier
    from embedcli.tasks.gold import GoldTally, Tally
    from embedcli.write.added_fields import AddedFields
    from embedcli.write.target import Output


_NAMED = 5
"""Labels that a message names."""


class Sink:
    """Takes answers: writes records, or counts."""

    def __init__(
        self,
        work: "ClassifyWork",
        classifier: "Classifier",
        deciding: "Deciding",
        tally: "Tally",
        gold: "GoldTally | None",
        output: "Output",
    ) -> None:
        from embedcli.write.added_fields import AddedFields

        self.replaced = 0
        self._work, self._classifier, self._deciding = work, classifier, deciding
        self._tally, self._gold, self._output = tally, gold, output
        self._lists = deciding.settings.many or deciding.settings.top_k is not None
        self._names = [
            deciding.prefix + name for name in ("label", "score", "margin", *["labels"] * self._lists)
        ]
        self._added: AddedFields | None = None
        if not deciding.counts and gold is None:
            self._added = AddedFields(output, self._names)
        self._fields: tuple[str, ...] = ()
        self._is_table = self._has_begun = False

    def take(self, record: "Record", answer: "Answer") -> None:
        """Take the next record."""
        many = self._deciding.settings.many
        self._tally.add(answer, is_blank=record.is_blank, many=many)
        if self._gold is not None:
            self._compare(self._gold, record, answer)
        if self._added is None:
            return
        self._begin(self._added)
        self.replaced += not self._is_table and any(name in record.fields for name in self._names)
        values: list[Any] = [answer.label, answer.score, answer.margin]
        if self._lists:
            values.append(None if answer.score is None else [each._asdict() for each in answer.labels])
        self._added.write(record, values)
        self._work.run.counts.written += 1

    def flush(self) -> None:
        """Hand on what is written."""
        if self._added is not None:
            self._added.flush()

    def finish(self) -> None:
        """Write what is written at the end."""
        from embedcli.write.label_report import write_counts, write_gold

        as_json = self._deciding.as_json
        if self._gold is not None:
            self._write_gold(self._gold, write_gold, as_json=as_json)
        elif self._added is None:
            write_counts(self._tally.counts(self._classifier.labels), self._output, as_json=as_json)
        else:
            self._begin(self._added)

    def _begin(self, added: "AddedFields") -> None:
        """Write what stands before the first record, once it is known."""
        if self._has_begun:
            return
        self._has_begun = True
        for head in self._work.heads:
            self._is_table = head.delimiter is not None
            try:
                added.head(head)
            except InputError as error:
                raise InputError(str(error), hint="--prefix NAME_ gives the new ones other names") from error

    def _compare(self, gold: "GoldTally", record: "Record", answer: "Answer") -> None:
        from embedcli.tasks.labelled import labels_of

        own = labels_of(record, self._deciding.gold or "")
        self._fields = self._fields or tuple(record.fields)
        gold.add(own, answer)

    def _write_gold(self, gold: "GoldTally", write: "Callable[..., None]", *, as_json: bool) -> None:
        from embedcli.tasks.labelled import missing_field

        if not gold.has_field and self._work.run.counts.read:
            raise missing_field("--gold", self._deciding.gold or "", self._fields)
        report = gold.report()
        theirs = [each.label for each in report.labels if each.gold]
        if theirs and not {*theirs} & {*self._classifier.labels}:
            self._work.run.notice(
                f"--gold: none of its labels ({', '.join(theirs[:_NAMED])}) is one that records are given;"
                " the same names are needed for both"
            )
        self._work.run.measured |= {"accuracy": report.accuracy, "macro_f1": report.macro_f1}
        if gold.without:
            self._work.run.notice(f"{gold.without} records have no label to compare with")
        write(report, self._output, as_json=as_json)
