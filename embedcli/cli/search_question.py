"""Questions that are more than one text: `--like`, `--and`, `--not`, `--hyde`, `--prf`, `--fuse-queries`."""

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from embedcli.cli.run import Run
    from embedcli.cli.search_index import IndexSearch
    from embedcli.datatypes import Hit, Record, SearchMode, Vectors
    from embedcli.tasks.rank_sparse import SparseSide
    from embedcli.tasks.ranking import Ranking
    from embedcli.tasks.search import SearchSettings
    from embedcli.tasks.sets import Examples, SetQuestion
    from embedcli.tasks.vectorize import Vectorizer
    from embedcli.vectors.set_query import SetQuery


ABOUT_FIELDS = ("text_fields", "columns", "header", "id_field")
"""What was said about reading that holds for examples, too."""


class Question(NamedTuple):
    """What is asked beside the text of a question.

    Attributes:
        sets: Parts that are combined; None for a plain question.
        drafts: Drafted answers; None for none.
        feedback: How many of the first hits the question is moved towards; None for not at all.
        as_one: What several questions that are one are called; None where each has hits of its own.
        label: What the question is called in the output; None for its text.
        text: The words that are wanted, where parts are combined; None for a plain question.
        has_files: Whether something of it was read from a file.
    """

    sets: "SetQuestion | None" = None
    drafts: "tuple[Record, ...] | None" = None
    feedback: int | None = None
    as_one: str | None = None
    label: str | None = None
    text: str | None = None
    has_files: bool = False

    @property
    def by_vectors_alone(self) -> str | None:
        """The option that leaves words aside; None where there is none."""
        if self.sets is None:
            return None
        return "--and" if self.sets.also else "--not" if self.sets.without else "--like"

    @property
    def depth(self) -> int:
        """Hits of each question that are needed to make one list of them; 0 where each has its own."""
        if self.as_one is None:
            return 0
        from embedcli.tasks.ranking import POOL

        return POOL

    def check_has_vectors(self, mode: "SearchMode") -> None:
        """Refuse what moves a vector where none ranks.

        Args:
            mode: What ranks.

        Raises:
            UsageError: Something does.
        """
        from embedcli.errors import UsageError

        if self.drafts is not None or self.feedback is not None:
            option = "--prf" if self.drafts is None else "--hyde"
            raise UsageError(f"{option} moves a question's vector, and --mode {mode} looks at none")

    def vectors(self, asked: "Sequence[Record]", queries: "Vectorizer") -> "Vectors | list[SetQuery]":
        """Return what is compared: a vector a question, shape (q, dim), or the one that is made of parts.

        Args:
            asked: The questions.
            queries: The encoder in the role of a query.

        Raises:
            UsageError: There is nothing to look for.
        """
        from embedcli.tasks.feedback import with_drafts
        from embedcli.tasks.search import query_vectors
        from embedcli.tasks.sets import set_query

        if self.sets is not None:
            return [set_query(self.sets, queries, self._documents(queries))]
        vectors = query_vectors(asked, queries)
        if self.drafts is None:
            return vectors
        return with_drafts(vectors, self.drafts, self._documents(queries))

    def on_index(
        self,
        index: "IndexSearch",
        asked: "Sequence[Record]",
        vectors: "Vectors | list[SetQuery]",
        vectorizer: "Vectorizer",
        wanted: "SearchSettings",
        ranking: "Ranking",
        run: "Run",
        sparse: "SparseSide | None",
    ) -> "list[list[Hit]]":
        """Return the hits in an index for each question."""
        from embedcli.tasks.feedback import with_feedback
        from embedcli.tasks.search import SearchSettings

        if isinstance(vectors, list):
            return [index.by_set(query, vectorizer, wanted, run) for query in vectors]
        if self.feedback is not None:
            first = SearchSettings(self.feedback, by="chunk")
            found = index.by_vectors(asked, vectors, vectorizer, first, ranking, run, sparse)
            vectors = with_feedback(vectors, found, self._documents(vectorizer))
        return index.by_vectors(asked, vectors, vectorizer, wanted, ranking, run, sparse)

    def _documents(self, queries: "Vectorizer") -> "Vectorizer":
        from embedcli.tasks.vectorize import VectorSettings

        settings = queries.settings
        return queries.with_settings(VectorSettings("document", dim=settings.dim, normalize=True))

    def answers(
        self,
        asked: "Sequence[Record]",
        found: "list[list[Hit]]",
        settings: "SearchSettings",
        *,
        looks_again: bool,
    ) -> "tuple[list[Record], list[list[Hit]]]":
        """Return the questions, as one if they are meant so, and their hits.

        Args:
            asked: The questions.
            found: What was found for each.
            settings: How hits are put together.
            looks_again: Whether what was found are single chunks; if not, they are put together already.
        """
        from embedcli.tasks.answers import put_together
        from embedcli.tasks.feedback import fuse_rankings

        if self.as_one is not None:
            one = asked[0]._replace(id=self.as_one, text=" ".join(record.text for record in asked))
            return [one], [fuse_rankings(asked, found, settings)]
        return list(asked), [put_together(hits, settings) for hits in found] if looks_again else found

    def centers(self, vectors: "Vectors | list[SetQuery]") -> "Vectors":
        """Return one vector for each question as it is in the end: the middle of what is wanted."""
        import numpy as np

        if isinstance(vectors, list):
            return np.stack([query.center for query in vectors])
        return vectors if self.as_one is None else vectors.mean(axis=0, keepdims=True)


def read_question(
    query: str | None,
    like: list[str] | None,
    also: list[str] | None,
    without: list[str] | None,
    hyde: str | None,
    prf: int | None,
    *,
    queries: str | None,
    as_one: bool,
    on_index: bool,
    named: list[str],
    second_look: str | None,
    by_chance: bool,
    read: "Mapping[str, Any]",
) -> Question:
    """Return what was asked, checked.

    Args:
        query: From the command line.
        like: From `--like`; the next four likewise.
        also: From `--and`.
        without: From `--not`.
        hyde: From `--hyde`.
        prf: From `--prf`.
        queries: From `--queries`.
        as_one: Whether the questions there are one.
        on_index: Whether an index is searched.
        named: The paths that are searched.
        second_look: The option that looks at hits again, if there is one.
        by_chance: Whether the lowest score is to be found: `--min-score auto`.
        read: What was said about reading.

    Raises:
        UsageError: Two options contradict each other, or a file has nothing in it.
    """
    from embedcli.datatypes import STDIN_NAME
    from embedcli.errors import UsageError
    from embedcli.tasks.sets import SetQuestion

    has_sets = bool(like or also or without)
    for option, value in (("--like, --and and --not", has_sets), ("--hyde", hyde)):
        if value and queries is not None:
            raise UsageError(f"{option} make one question; --queries brings many")
    if has_sets:
        other = "--hyde" if hyde is not None else "--prf" if prf is not None else second_look
        _check_sets(other, by_chance=by_chance)
    if prf is not None and not on_index:
        raise UsageError("--prf asks twice, which only an index can answer", hint="-i FILE")
    if as_one and queries is None:
        raise UsageError("--fuse-queries makes the questions of --queries one", hint="--queries FILE")
    # As `--like` has it, or the name alone.
    hyde = None if hyde is None else hyde.removeprefix("@")
    parts = (*(like or ()), *(also or ()), *(without or ()))
    files = [value for value in (*parts, f"@{hyde}") if value.startswith("@")]
    if files.count(f"@{STDIN_NAME}") + named.count(STDIN_NAME) > 1:
        raise UsageError("standard input can be read once")
    reading = {key: read[key] for key in ABOUT_FIELDS if key in read}
    sets = None
    if has_sets:
        own = [] if query is None else [_text(query)]
        sets = SetQuestion(
            (*own, *(_examples(value, reading) for value in like or ())),
            tuple(_examples(value, reading) for value in also or ()),
            tuple(_examples(value, reading) for value in without or ()),
        )
    drafts = None if hyde is None else tuple(file_records("--hyde", hyde, reading))
    wanted = [] if query is None else [query]
    words = [*wanted]
    for option, values in (("--like", like), ("--and", also), ("--not", without)):
        words += [f"{option} {value}" for value in values or ()]
    if not has_sets:
        as_file = queries if as_one else None
        return Question(None, drafts, prf, as_file, has_files=drafts is not None)
    wanted += [value for value in (*(like or ()), *(also or ())) if not value.startswith("@")]
    has_files = any(value.startswith("@") for value in parts)
    return Question(sets, label=" ".join(words), text=" ".join(wanted), has_files=has_files)


def _check_sets(other: str | None, *, by_chance: bool) -> None:
    """Refuse what goes with one text alone."""
    from embedcli.errors import UsageError

    if other is not None:
        raise UsageError(f"{other} goes with a question in words, not with --like, --and and --not")
    if by_chance:
        raise UsageError(
            "--min-score auto is about one cosine; --like, --and and --not combine several",
            hint="--min-score NUMBER, after a look at some hits",
        )


def _text(text: str) -> "Examples":
    from embedcli.datatypes import Record
    from embedcli.tasks.sets import Examples

    return Examples(text, (Record("1", text),), is_question=True)


def _examples(value: str, reading: "Mapping[str, Any]") -> "Examples":
    """Return a text, or the records of a file whose name stands behind `@`."""
    from embedcli.tasks.sets import Examples

    if not value.startswith("@"):
        return _text(value)
    return Examples(value, tuple(file_records("an example", value[1:], reading)), is_question=False)


def file_records(
    option: str,
    file: str,
    reading: "Mapping[str, Any]",
    *,
    hint: str = "--field and --column are about examples, too",
) -> "list[Record]":
    """Return the records of a file, a text file as one.

    Args:
        option: What the file was given to, for messages.
        file: Its path.
        reading: How it is read.
        hint: Said where a record cannot be read; empty for what the problem itself says.

    Raises:
        UsageError: There is none in it, or it could not be read whole.
    """
    from pathlib import Path

    from embedcli.cli.resolve import stdin_bytes
    from embedcli.datatypes import Counts, Problem
    from embedcli.errors import UsageError
    from embedcli.tasks.inputs import Inputs

    if not file or Path(file).is_dir():
        raise UsageError(f"{option}: {file or '@'} is no file", hint="@FILE, or a text")

    def stop(problem: Problem) -> None:
        raise UsageError(f"{option}: {problem.where}: {problem.reason}", hint=hint or problem.hint)

    options = {**dict.fromkeys(("text_as", "named_text_as", "stdin_text_as"), "whole"), **reading}
    found = list(Inputs([file], options, stdin_bytes()).records(Counts(), stop))
    if all(record.is_blank for record in found):
        raise UsageError(f"{file}: no text in it")
    return found
