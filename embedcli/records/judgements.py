"""What was judged relevant to which query, what a system found, and the folder of a test collection.

Qrels and runs come from elsewhere: what is not as it should be ends the run with its file and line, since a
judgement that is left out changes every figure.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from embedcli.datatypes import Counts, Source
from embedcli.errors import InputError, MissingPathError
from embedcli.records.objects import parse_object
from embedcli.records.read import read_records
from embedcli.records.reading import BadRecordError
from embedcli.records.settings import ReadSettings

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping
    from typing import Final

    from embedcli.datatypes import Json, Problem, Record

Judgements: TypeAlias = "dict[str, dict[str, float]]"
"""The grade of each judged document, by the id of the query and that of the document."""
Found: TypeAlias = "dict[str, dict[str, float]]"
"""The score of each document that a system found, likewise."""

MAX_ROWS: Final = 20_000_000
"""Judgements of a file, or documents of a run: some 3 GB of memory."""

MAX_GRADE: Final = 1_000_000
"""Grades are small numbers; a larger one is another column."""

_MAX_LINE_BYTES: Final = 1 << 16
_SHOWN: Final = 60
_QRELS_HINT: Final = (
    "four columns as TREC has them: QUERY 0 DOCUMENT GRADE; three with tabs, as BEIR: QUERY DOCUMENT GRADE;"
    " or JSON objects with query-id, corpus-id and score"
)
_RUN_HINT: Final = "six columns as TREC has them: QUERY Q0 DOCUMENT RANK SCORE NAME"
_QRELS_NAMES: Final = ("qrels.tsv", "qrels/test.tsv", "qrels.jsonl")


class TestCollection(NamedTuple):
    """The files of a test collection.

    Attributes:
        corpus: JSONL: `_id`, `title`, `text`.
        queries: JSONL: `_id`, `text`.
        judgements: See `read_judgements`.
    """

    corpus: str
    queries: str
    judgements: str


class _Row(NamedTuple):
    query: str
    document: str
    number: float


def find_collection(folder: str, queries: str | None = None, judgements: str | None = None) -> TestCollection:
    """Return the files of a folder as BEIR has them.

    Args:
        folder: With `corpus.jsonl`, `queries.jsonl`, and `qrels.tsv`, `qrels/test.tsv` or `qrels.jsonl`.
        queries: Another file of queries.
        judgements: Another file of judgements.

    Raises:
        MissingPathError: There is no such folder or file.
        InputError: It is none, or lacks one of them.
    """
    place = Path(folder)
    if not place.exists():
        raise MissingPathError(folder)
    if not place.is_dir():
        raise InputError(f"{folder}: no folder", hint="a folder with corpus.jsonl, queries.jsonl and qrels")
    corpus = _in_folder(place, ("corpus.jsonl", "corpus.jsonl.gz"), "")
    queries = queries or _in_folder(place, ("queries.jsonl", "queries.jsonl.gz"), "--queries FILE")
    judgements = judgements or _in_folder(place, _QRELS_NAMES, "--qrels FILE")
    return TestCollection(corpus, queries, judgements)


def collection_files(folder: str) -> list[str]:
    """Return the paths of all that `find_collection` may read in a folder."""
    names = ("corpus.jsonl", "corpus.jsonl.gz", "queries.jsonl", "queries.jsonl.gz", *_QRELS_NAMES)
    return [str(Path(folder) / name) for name in names]


def _in_folder(folder: Path, names: tuple[str, ...], hint: str) -> str:
    for name in names:
        if (folder / name).is_file():
            return str(folder / name)
    raise InputError(f"{folder}: no {' or '.join(names)} in it", hint=hint and f"{hint} names it")


def read_judgements(path: str) -> Judgements:
    """Return the judgements of a file. O(lines) in memory.

    Four columns (TREC) or three (BEIR, a header or none), parted by tabs or white space; or JSON objects with
    `query-id`, `corpus-id` and `score`. What the first line is, all lines are.

    Raises:
        MissingPathError: There is no such file.
        InputError: It cannot be read, has no judgement, or a line is none; a document has two grades.
    """
    judged: Judgements = {}
    is_json, columns = False, 0
    for count, (place, text) in enumerate(_lines(path)):
        if not columns:
            is_json = text.lstrip().startswith("{")
            columns = 3 if is_json else len(_cells(text, (3, 4)))
            if not is_json and columns == 3 and _number(_cells(text, (3,))[-1]) is None:
                continue
        row = _of_object(text, place) if is_json else _of_cells(text, columns, place)
        if not abs(row.number) <= MAX_GRADE:
            raise InputError(f"{place}: the grade {row.number:g} is no small number", hint=_QRELS_HINT)
        _put(judged, row, place, count)
    if not judged:
        raise InputError(f"{path}: no judgements in it", hint=_QRELS_HINT)
    return judged


def read_run(path: str, wanted: Collection[str] | Mapping[str, object]) -> Found:
    """Return what a run of TREC's form found for some queries; what it calls the rank is not looked at.

    O(lines of these queries) in memory.

    Args:
        path: Six columns: query, `Q0`, document, rank, score, name of the run.
        wanted: Ids of the queries; others are passed over.

    Raises:
        MissingPathError: There is no such file.
        InputError: It cannot be read, a line is none of a run, or a document is there twice.
    """
    found: Found = {}
    for count, (place, text) in enumerate(_lines(path)):
        cells = _cells(text, (6,))
        score = _number(cells[4]) if len(cells) == 6 else None
        if score is None:
            raise InputError(f"{place}: no line of a run: {text[:_SHOWN]!r}", hint=_RUN_HINT)
        if cells[0] in wanted:
            _put(found, _Row(cells[0], cells[2], score), place, count, may_repeat=False)
    if not found:
        raise InputError(
            f"{path}: finds nothing for any judged query", hint="are the ids those of the qrels?"
        )
    return found


def _lines(path: str) -> Iterator[tuple[str, str]]:
    """Yield the place and the text of each line that is not blank.

    Raises:
        MissingPathError: There is no such file.
        InputError: A part of it cannot be read.
    """
    if not Path(path).exists():
        raise MissingPathError(path)
    if Path(path).is_dir():
        raise InputError(f"{path}: a folder, where a file is needed")

    def refuse(problem: Problem) -> None:
        raise InputError(f"{problem.where}: {problem.reason}", hint=problem.hint)

    counts = Counts()
    settings = ReadSettings(format="lines", max_record_bytes=_MAX_LINE_BYTES)
    record: Record
    for record in read_records(Source(path, path), settings, counts, refuse):
        if counts.replaced:
            raise InputError(f"{path}:{record.line}: not UTF-8")
        if record.text.strip():
            yield f"{path}:{record.line}", record.text


def _cells(text: str, columns: tuple[int, ...]) -> list[str]:
    """Return the cells of a line: between tabs where that makes as many as there should be, else words."""
    cells = [cell.strip() for cell in text.split("\t")]
    return cells if len(cells) in columns and all(cells) else text.split()


def _of_cells(text: str, columns: int, place: str) -> _Row:
    cells = _cells(text, (columns,))
    grade = _number(cells[-1])
    if columns not in (3, 4) or len(cells) != columns or grade is None:
        raise InputError(f"{place}: no judgement: {text[:_SHOWN]!r}", hint=_QRELS_HINT)
    return _Row(cells[0], cells[-2], grade)


def _of_object(text: str, place: str) -> _Row:
    try:
        value = parse_object(text)
    except BadRecordError as error:
        raise InputError(f"{place}: {error.reason}", hint=_QRELS_HINT) from error
    query, document = _id(value.get("query-id")), _id(value.get("corpus-id"))
    grade = value.get("score")
    if query is None or document is None or isinstance(grade, bool) or not isinstance(grade, int | float):
        raise InputError(f"{place}: no judgement: {text[:_SHOWN]!r}", hint=_QRELS_HINT)
    return _Row(query, document, float(grade) if abs(grade) <= MAX_GRADE else math.inf)


def _id(value: Json) -> str | None:
    if isinstance(value, str):
        return value or None
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else None


def _number(text: str) -> float | None:
    """Return a finite number, or None."""
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _put(
    rows: dict[str, dict[str, float]], row: _Row, place: str, count: int, *, may_repeat: bool = True
) -> None:
    """Add a row.

    Raises:
        InputError: There are too many, or it contradicts an earlier one.
    """
    if count >= MAX_ROWS:
        raise InputError(f"{place}: more than {MAX_ROWS} lines")
    own = rows.setdefault(row.query, {})
    if row.document in own and not (may_repeat and own[row.document] == row.number):
        raise InputError(f"{place}: query {row.query} has document {row.document[:_SHOWN]} twice")
    own[row.document] = row.number
