"""What `classify` goes by: labels, examples or a saved head, and the model that their vectors are from."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from embedcli.cli.work import Work
from embedcli.errors import UsageError

if TYPE_CHECKING:
    from embedcli.cli.classify_parts import Learning
    from embedcli.datatypes import Vectors
    from embedcli.index.meta import Identity
    from embedcli.tasks.dedupe import RecordVectors
    from embedcli.tasks.head_file import HeadSource
    from embedcli.tasks.label_set import LabelSet
    from embedcli.tasks.train import Trained
    from embedcli.tasks.vectorize import Vectorizer

CLASSIFICATION = "classification"
"""The task whose prompt goes before every text, where a model has one for it."""


@dataclass
class LearningWork(Work):
    """A run that learns labels.

    Attributes:
        vectors: Makes the vectors; None until `learn`.
        vectorizer_used: The same, where texts are encoded.
    """

    whole: str = "classify gives each record one answer"
    vectors: "RecordVectors | None" = None
    vectorizer_used: "Vectorizer | None" = None

    def learn(self, learning: "Learning") -> "tuple[Trained, HeadSource]":
        """Return a head from labels, examples or a file, and what its vectors are from."""
        from embedcli.tasks.head_file import check_source, read_head, source_of

        if learning.load is not None:
            trained, saved = read_head(learning.load)
            self.open_vectors(saved)
            check_source(saved, source_of(self.vectorizer_used, saved.dim))
            self.run.notice(f"{learning.load}: {len(trained.labels)} labels, {trained.how}")
            return trained, saved
        from embedcli.cli.classify_parts import read_labels

        named = read_labels(learning)
        self.open_vectors(None)
        trained = (
            self._from_names(named) if learning.examples is None else self._from_examples(learning, named)
        )
        return trained, source_of(self.vectorizer_used, trained.head.dim)

    def open_vectors(self, saved: "HeadSource | None") -> None:
        """Open what makes vectors: an encoder, or those that are ready."""
        if self.typed.carries_vectors:
            from embedcli.tasks.carried import CarriedVectors

            self.vectors = CarriedVectors()
            return
        identity = None
        if saved is not None and self.typed.source is None:
            if not saved.model:
                raise UsageError(f"the head takes {saved.name}", hint="--vectors FILE.npy, or --vectors own")
            identity = _identity(saved)
        made = self.vectorizer(identity)
        prompt = self.encoding.prompt
        if prompt is None and saved is not None:
            prompt = saved.prompt
        elif prompt is None and self.typed.source is None:
            prompt = made.model.manifest.prompts.get(CLASSIFICATION)
        if prompt is not None and prompt != made.prompt:
            made = made.with_settings(replace(made.settings, prompt=prompt))
        self.vectors = self.vectorizer_used = made

    def _label_vectors(self, named: "LabelSet") -> "Vectors":
        """Return the direction of each label: in the role of a query, where one prompt is not for all."""
        from embedcli.tasks.label_set import label_vectors

        made = self.vectorizer_used
        if made is None:
            assert self.vectors is not None  # opened before
            return label_vectors(named, self.vectors)
        return label_vectors(named, made.with_settings(replace(made.settings, role="query")))

    def _from_names(self, named: "LabelSet | None") -> "Trained":
        from embedcli.tasks.train import Trained
        from embedcli.vectors.heads import DirectionHead

        assert named is not None  # there is a source of labels
        return Trained(named.labels, DirectionHead(self._label_vectors(named)), "by their names")

    def _from_examples(self, learning: "Learning", named: "LabelSet | None") -> "Trained":
        from embedcli.cli.classify_parts import read_example_records
        from embedcli.tasks.label_set import name_labels
        from embedcli.tasks.labelled import read_labelled
        from embedcli.tasks.train import train

        assert learning.examples is not None  # asked for
        assert self.vectors is not None  # opened before
        settings = learning.settings
        records = read_example_records(learning.examples, self.typed.reading)
        labelled = read_labelled(
            records,
            learning.field,
            self.vectors,
            labels=None if named is None else named.labels,
            many=settings.many,
        )
        if labelled.passed:
            self.run.notice(f"{labelled.passed} examples passed over: without a label, or without a word")
        names: Vectors | None = None
        if self.vectorizer_used is not None and settings.kind != "knn":
            names = self._label_vectors(named or name_labels(labelled.labels, learning.template))
        trained = train(labelled, names, settings)
        self._tell_trained(trained)
        return trained

    def _tell_trained(self, trained: "Trained") -> None:
        """Say what was learnt, and what to expect."""
        run, held_out = self.run, trained.held_out
        said = f"learnt {len(trained.labels)} labels from {trained.examples} examples: {trained.how}"
        run.measured["examples"] = trained.examples
        if held_out is None:
            run.notice(f"{said}; none could be held out, so what to expect is not known")
            return
        run.measured["held_out_accuracy"] = round(held_out.accuracy, 6)
        about = f"{held_out.accuracy:.1%} of {len(held_out.right)} held out are right"
        if held_out.f1 is not None:
            about = (
                f"scores from {held_out.cut:.4f} on: F1 {held_out.f1:.3f} of {len(held_out.right)} held out"
            )
        run.notice(f"{said}; {about}")

    def save(self, path: str, trained: "Trained", source: "HeadSource") -> None:
        """Write a head."""
        from embedcli.tasks.head_file import head_bytes
        from embedcli.write.target import open_output

        with open_output(path) as output:
            output.write(head_bytes(trained, source))


def _identity(saved: "HeadSource") -> "Identity":
    """Return a head's source as what an encoder is opened by."""
    from embedcli.index.meta import Identity

    about = (saved.model, saved.variant, saved.fingerprint, saved.pooling)
    return Identity(*about, query_prompt="", document_prompt=saved.prompt, max_tokens=0, dim=saved.dim)
