"""The graph of approximate neighbours: its answers, its file, and what a bad file must not do.

Whatever loads a file that may be bad runs in a process of its own, so that a native crash is a failure here.
"""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import xxhash
from hypothesis import given, settings
from hypothesis import strategies as st

from embedcli.errors import MissingExtraError, OutputError, UsageError, VectorError
from embedcli.index.hnsw import Graph, build_graph, load_graph, save_graph, unique_rows
from embedcli.index.hnsw_file import Unusable, read_graph_header, update_ef_search
from embedcli.index.hnsw_format import GraphHeader, GraphKey, GraphSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

hnswlib = pytest.importorskip("hnswlib")

KEY = GraphKey("0123abcd", 7)
COUNT, DIM, M = 60, 8, 4
SMALL = GraphSettings(m=M, ef_construction=20)

WORKER = """
import json, resource, sys
from pathlib import Path
import numpy as np
from embedcli.index.hnsw import load_graph
from embedcli.index.hnsw_file import Unusable, read_graph_header
from embedcli.index.hnsw_format import GraphKey

folder = Path(sys.argv[1])
vectors = np.load(folder / "vectors.npy")
resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))
answers = []
for path in sorted(folder.glob("*.hnsw")):
    header = read_graph_header(path)
    count = len(vectors) if isinstance(header, Unusable) else header.count
    graph = load_graph(path, GraphKey("0123abcd", 7), [vectors], count=count, dim=vectors.shape[1])
    if isinstance(graph, Unusable):
        answers.append([graph.cause, graph.reason])
        continue
    for k in (1, 5, len(vectors)):
        rows, _ = graph.search(vectors, k)
        assert rows.min() >= -1 and rows.max() < len(vectors)
    answers.append(["loaded", ""])
print(json.dumps(answers))
"""


def unit(rows: np.ndarray) -> np.ndarray:
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def random_rows(count: int, dim: int = DIM, seed: int = 0) -> np.ndarray:
    return unit(np.random.default_rng(seed).normal(size=(count, dim)))


def clustered_rows(count: int, dim: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return unit(rng.normal(size=(50, dim))[rng.integers(0, 50, count)] + 0.4 * rng.normal(size=(count, dim)))


def loaded(path: Path, vectors: np.ndarray, key: GraphKey = KEY) -> Graph:
    graph = load_graph(path, key, [vectors], count=len(vectors), dim=vectors.shape[1])
    assert isinstance(graph, Graph), graph
    return graph


def refused(path: Path, key: GraphKey = KEY, count: int = COUNT, dim: int = DIM) -> Unusable:
    """Return why a file is refused; no vectors may be asked for."""

    def no_vectors() -> Iterable[np.ndarray]:
        raise AssertionError("vectors were asked for")
        yield

    graph = load_graph(path, key, no_vectors(), count=count, dim=dim)
    assert isinstance(graph, Unusable)
    return graph


class Parts:
    """A file taken apart, to be changed and written again with right hashes."""

    def __init__(self, content: bytes) -> None:
        magic, length = struct.unpack_from("<8sI", content)
        assert magic == b"emb-hnsw"
        self.header: dict[str, Any] = json.loads(content[12 : 12 + length])
        count, m, lists = (self.header[name] for name in ("count", "m", "upper_lists"))
        arrays = content[12 + length + 8 :]
        self.links = np.frombuffer(arrays, "<u4", count * (1 + 2 * m)).reshape(count, -1).copy()
        self.levels = np.frombuffer(arrays, np.uint8, count, self.links.nbytes).copy()
        rest = np.frombuffer(arrays[self.links.nbytes + count :], "<u4")
        self.upper = rest.reshape(lists, 1 + m).copy()

    def written(self, header: bytes | None = None) -> bytes:
        payload = self.links.tobytes() + self.levels.tobytes() + self.upper.tobytes()
        if header is None:
            self.header["payload_hash"] = xxhash.xxh3_128_hexdigest(payload)
            header = json.dumps(self.header, sort_keys=True).encode()
        start = struct.pack("<8sI", b"emb-hnsw", len(header)) + header
        return start + struct.pack("<Q", xxhash.xxh3_64_intdigest(start)) + payload

    def level_of_lists(self) -> np.ndarray:
        return np.concatenate([np.arange(1, level + 1) for level in self.levels])


@pytest.fixture(scope="module")
def vectors() -> np.ndarray:
    return random_rows(COUNT)


@pytest.fixture(scope="module")
def content(vectors: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("small") / "x.hnsw"
    save_graph(build_graph(vectors, SMALL), path, KEY, ef_search=30)
    return path.read_bytes()


def answers(folder: Path, vectors: np.ndarray, files: list[bytes]) -> list[list[str]]:
    """Return, for each file, what another process said that tried to load it and to search in it."""
    np.save(folder / "vectors.npy", vectors)
    for number, file in enumerate(files):
        (folder / f"{number:05}.hnsw").write_bytes(file)
    done = subprocess.run(
        [sys.executable, "-c", WORKER, str(folder)], capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, (done.returncode, done.stderr)
    found: list[list[str]] = json.loads(done.stdout)
    assert len(found) == len(files)
    return found


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_loaded_graph_gives_the_answers_of_the_one_that_was_saved(tmp_path: Path, jobs: int) -> None:
    path = tmp_path / "x.hnsw"
    vectors, queries = clustered_rows(3000, 16), random_rows(300, 16, seed=1)
    graph = build_graph(vectors, GraphSettings(m=8, ef_construction=50, jobs=jobs))
    save_graph(graph, path, KEY, ef_search=40)
    blocks = [vectors[:1], vectors[1:1], vectors[1:2000], vectors[2000:]]
    again = load_graph(path, KEY, iter(blocks), count=3000, dim=16)
    assert isinstance(again, Graph)
    assert (again.settings, again.count, again.dim, again.ef_search) == (graph.settings, 3000, 16, 40)
    for k, ef in ((1, 1), (10, 10), (10, 100), (50, 5)):
        for mine, theirs in zip(graph.search(queries, k, ef), again.search(queries, k, ef, 2), strict=True):
            assert mine.tobytes() == theirs.tobytes()
    nearest, similarities = again.search(vectors, 1, 100)
    assert np.mean(nearest[:, 0] == np.arange(3000)) > 0.99
    assert np.abs(similarities - 1).max() < 0.02
    once_more = tmp_path / "y.hnsw"
    save_graph(again, once_more, KEY)
    assert once_more.read_bytes() == path.read_bytes()


def test_rows_that_came_in_any_order_are_saved_by_their_numbers(tmp_path: Path) -> None:
    vectors = clustered_rows(500, DIM)
    order = np.random.default_rng(3).permutation(500)
    native = hnswlib.Index("ip", DIM)
    native.init_index(500, M=M, ef_construction=50)
    native.add_items(vectors[order], order, num_threads=1)
    graph = Graph(native, GraphSettings(m=M, ef_construction=50), DIM, 500, 50)
    save_graph(graph, tmp_path / "x.hnsw", KEY)
    again = loaded(tmp_path / "x.hnsw", vectors)
    for mine, theirs in zip(graph.search(vectors, 10), again.search(vectors, 10), strict=True):
        assert mine.tobytes() == theirs.tobytes()
    parts = Parts((tmp_path / "x.hnsw").read_bytes())
    for lists in (parts.links, parts.upper):
        assert not (lists[:, 1:] * (np.arange(lists.shape[1] - 1) >= lists[:, :1])).any()


def test_one_thread_builds_the_same_bytes_each_time(tmp_path: Path) -> None:
    vectors = clustered_rows(2500, DIM)
    files = []
    for name in ("a", "b"):
        done: list[int] = []
        graph = build_graph(vectors, GraphSettings(), done.append)
        assert done == [1000, 2000, 2500]
        save_graph(graph, tmp_path / name, KEY)
        files.append((tmp_path / name).read_bytes())
    assert files[0] == files[1]
    parts = Parts(files[0])
    save_graph(build_graph(vectors, GraphSettings(seed=101)), tmp_path / "c", KEY)
    assert Parts((tmp_path / "c").read_bytes()).levels.tobytes() != parts.levels.tobytes()
    save_graph(build_graph(vectors, GraphSettings(ef_construction=20)), tmp_path / "c", KEY)
    assert Parts((tmp_path / "c").read_bytes()).links.tobytes() != parts.links.tobytes()


def test_nearly_all_true_neighbours_are_found(tmp_path: Path) -> None:
    vectors, queries = clustered_rows(5000, 32), clustered_rows(200, 32, seed=0)
    save_graph(build_graph(vectors, GraphSettings()), tmp_path / "x", KEY, ef_search=64)
    rows, similarities = loaded(tmp_path / "x", vectors).search(queries, 10)
    products = queries @ vectors.T
    exact = np.argsort(-products, axis=1)[:, :10]
    recall = np.mean([len(set(a) & set(b)) / 10 for a, b in zip(rows.tolist(), exact.tolist(), strict=True)])
    assert recall >= 0.95
    assert np.abs(similarities - np.take_along_axis(products, rows, axis=1)).max() < 1e-5
    assert (np.diff(similarities, axis=1) <= 0).all()


def test_more_candidates_find_more() -> None:
    vectors, queries = random_rows(3000, 32), random_rows(100, 32, seed=1)
    exact = np.argsort(-(queries @ vectors.T), axis=1)[:, :10]
    graph = build_graph(vectors, GraphSettings(m=4, ef_construction=20))
    assert graph.ef_search == 20
    found = [
        sum(len(set(a) & set(b)) for a, b in zip(graph.search(queries, 10, ef)[0], exact, strict=True))
        for ef in (1, 20, None, 80, 320, 1 << 70)
    ]
    assert found[0] < found[1] == found[2] < found[3] < found[4] < found[5]
    assert found[5] > 950


@settings(max_examples=60)
@given(
    st.integers(0, 40), st.integers(1, 9), st.integers(2, 6), st.integers(1, 45), st.integers(0, 2**32 - 1)
)
def test_any_graph_comes_back(count: int, dim: int, m: int, k: int, seed: int) -> None:
    vectors = random_rows(count, dim, seed=seed)
    graph = build_graph(vectors, GraphSettings(m=m, ef_construction=10, seed=seed))
    with tempfile.TemporaryDirectory() as folder:
        save_graph(graph, Path(folder) / "x", KEY)
        again = loaded(Path(folder) / "x", vectors)
    rows, similarities = again.search(vectors, k)
    assert graph.search(vectors, k)[0].tobytes() == rows.tobytes()
    assert rows.shape == similarities.shape == (count, k)
    for query, found, scores in zip(vectors, rows, similarities, strict=True):
        real = found[found >= 0]
        assert 1 <= len(real) <= min(k, count)
        assert len(set(real.tolist())) == len(real)
        assert (found[len(real) :] == -1).all()
        assert np.isneginf(scores[len(real) :]).all()
        assert np.abs(scores[: len(real)] - vectors[real] @ query).max() < 1e-5


def test_more_neighbours_than_rows_are_padded(vectors: np.ndarray) -> None:
    rows, similarities = build_graph(vectors, SMALL).search(vectors[:3], COUNT + 2, ef=1)
    assert (np.sort(rows[:, :COUNT], axis=1) == np.arange(COUNT)).all()
    assert (rows[:, COUNT:] == -1).all()
    assert np.isneginf(similarities[:, COUNT:]).all()


def test_a_row_that_nothing_leads_to_is_missing_and_the_others_are_there(
    tmp_path: Path, vectors: np.ndarray, content: bytes
) -> None:
    parts = Parts(content)
    lost = int(np.flatnonzero(parts.levels == 0)[0])
    for one in parts.links:
        kept = [row for row in one[1 : 1 + one[0]] if row != lost]
        one[:] = [len(kept), *kept, *[0] * (2 * M - len(kept))]
    path = tmp_path / "x.hnsw"
    path.write_bytes(parts.written())
    queries = random_rows(300, seed=5)
    rows, similarities = loaded(path, vectors).search(queries, COUNT, jobs=2)
    others = np.delete(np.arange(COUNT), lost)
    assert (np.sort(rows[:, :-1], axis=1) == others).all()
    assert (rows[:, -1] == -1).all()
    assert np.isneginf(similarities[:, -1]).all()
    assert (rows[:, :-1] == others[np.argsort(-(queries @ vectors[others].T), axis=1)]).mean() > 0.99


def test_an_empty_graph_finds_nothing(tmp_path: Path) -> None:
    path = tmp_path / "x.hnsw"
    save_graph(build_graph(np.empty((0, DIM), np.float32), SMALL), path, KEY)
    graph = loaded(path, np.empty((0, DIM), np.float32))
    rows, similarities = graph.search(random_rows(4), 3)
    assert rows.tolist() == [[-1] * 3] * 4
    assert np.isneginf(similarities).all()
    assert graph.search(random_rows(0), 3)[0].shape == (0, 3)


def test_float16_vectors_do_as_well(tmp_path: Path) -> None:
    half = random_rows(200).astype(np.float16)
    graph = build_graph(half, SMALL)
    save_graph(graph, tmp_path / "x.hnsw", KEY)
    again = loaded(tmp_path / "x.hnsw", half)
    expected = build_graph(half.astype(np.float32), SMALL).search(random_rows(50, seed=2), 10)
    for mine, theirs in zip(expected, again.search(random_rows(50, seed=2), 10), strict=True):
        assert mine.tobytes() == theirs.tobytes()


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_numbers_are_refused(tmp_path: Path, content: bytes, bad: float) -> None:
    vectors = random_rows(COUNT)
    graph = build_graph(vectors, SMALL)
    vectors[41, 3] = bad
    with pytest.raises(VectorError, match="vector 42 holds"):
        build_graph(vectors, SMALL)
    with pytest.raises(VectorError, match="vector 2 holds"):
        graph.search(vectors[40:42], 1)
    path = tmp_path / "x.hnsw"
    path.write_bytes(content)
    with pytest.raises(VectorError, match="vector 42 holds"):
        load_graph(path, KEY, [vectors[:20], vectors[20:]], count=COUNT, dim=DIM)


def test_vectors_of_another_shape_are_refused(tmp_path: Path, content: bytes, vectors: np.ndarray) -> None:
    graph = build_graph(vectors, SMALL)
    for queries in (vectors[:, :7], vectors[0], np.empty((1, DIM + 1), np.float32)):
        with pytest.raises(VectorError, match="dimension 8 does not fit"):
            graph.search(queries, 1)
    with pytest.raises(VectorError, match="as rows"):
        build_graph(vectors[0], SMALL)
    path = tmp_path / "x.hnsw"
    path.write_bytes(content)
    for blocks, message in (
        ([vectors[:-1]], "59 vectors instead of the 60"),
        ([vectors, vectors[:1]], "more vectors than the 60"),
        ([vectors[:, :7]], "dimension 8 does not fit"),
    ):
        with pytest.raises(VectorError, match=message):
            load_graph(path, KEY, blocks, count=COUNT, dim=DIM)


@pytest.mark.parametrize(
    "wrong",
    [{"m": 1}, {"m": 257}, {"ef_construction": 0}, {"seed": -1}, {"seed": 1 << 32}, {"jobs": 0}, {"m": 4.0}],
)
def test_settings_out_of_range_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=f"^{next(iter(wrong))} must be a whole number from"):
        GraphSettings(**wrong)


@pytest.mark.parametrize("numbers", [(0, 1, 1), (1, 0, 1), (1, 1, 0)])
def test_searches_for_less_than_one_are_refused(vectors: np.ndarray, numbers: tuple[int, int, int]) -> None:
    with pytest.raises(UsageError, match="at least 1"):
        build_graph(vectors, SMALL).search(vectors, *numbers)


def test_without_hnswlib_the_extra_is_named(
    tmp_path: Path, content: bytes, vectors: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "x.hnsw"
    path.write_bytes(content)
    monkeypatch.setitem(sys.modules, "hnswlib", None)
    for call in (
        lambda: build_graph(vectors, SMALL),
        lambda: load_graph(path, KEY, [vectors], count=COUNT, dim=DIM),
    ):
        with pytest.raises(MissingExtraError, match="needs the extra 'ann'"):
            call()
    path.write_bytes(content[:-1])
    assert refused(path).cause == "damaged"


def test_every_changed_byte_is_noticed(tmp_path: Path, content: bytes, vectors: np.ndarray) -> None:
    rng = np.random.default_rng(0)
    files = [content]
    for offset in range(len(content)):
        changed = bytearray(content)
        changed[offset] ^= int(rng.integers(1, 256))
        files.append(bytes(changed))
    assert len(files) > 1000
    found = answers(tmp_path, vectors, files)
    assert found[0] == ["loaded", ""]
    assert {answer for answer, _ in found[1:]} == {"damaged"}


def test_files_of_another_length_are_refused(tmp_path: Path, content: bytes, vectors: np.ndarray) -> None:
    files = [content[:length] for length in range(0, len(content), 7)]
    files += [content[:-1], content + b"\0", content + content, b"\0" * len(content)]
    found = answers(tmp_path, vectors, files)
    assert {answer for answer, _ in found} == {"damaged"}
    assert found[0][1] == "it is not a graph"
    assert found[-3][1] == f"it has {len(content) + 1} bytes, its header says {len(content)}"
    assert found[-1][1] == "it is not a graph"


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    assert refused(tmp_path / "x.hnsw") == Unusable("there is none", "missing")
    assert read_graph_header(tmp_path / "x.hnsw") == Unusable("there is none", "missing")
    assert update_ef_search(tmp_path / "x.hnsw", 9) == Unusable("there is none", "missing")
    assert refused(tmp_path) == Unusable("it cannot be read: Is a directory", "damaged")
    os.mkfifo(tmp_path / "fifo")
    assert refused(tmp_path / "fifo") == Unusable("it is not a regular file", "damaged")


def test_a_graph_of_something_else_is_stale(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.hnsw"
    path.write_bytes(content)
    commit = refused(path, KEY._replace(commit=8))
    assert commit == Unusable("it is of commit 7, the index is at 8", "stale")
    assert refused(path, KEY._replace(content="0123abce")) == Unusable(
        "it was built from other vectors", "stale"
    )
    reason = "it is of 60 vectors of dimension 8, the index has 61 of 8"
    assert refused(path, count=61) == Unusable(reason, "stale")
    assert refused(path, dim=9).cause == "stale"
    for name, value in (("format", 2), ("space", "l2")):
        parts = Parts(content)
        parts.header[name] = value
        path.write_bytes(parts.written())
        assert refused(path) == Unusable("it is of another format version", "stale")


def change_header(**fields: Any) -> Callable[[Parts], None]:
    return lambda parts: parts.header.update(fields)


def link_too_far(parts: Parts) -> None:
    parts.links[5, 1] = COUNT


def unused_link_too_far(parts: Parts) -> None:
    row = int(np.argmin(parts.links[:, 0]))
    assert parts.links[row, 0] < 2 * M
    parts.links[row, 2 * M] = 0xFFFFFFFF


def upper_link_too_far(parts: Parts) -> None:
    parts.upper[0, 1] = COUNT


def too_many_links(parts: Parts) -> None:
    parts.links[5, 0] = 2 * M + 1


def deleted_mark(parts: Parts) -> None:
    parts.links[5, 0] |= 1 << 16


def too_many_upper_links(parts: Parts) -> None:
    parts.upper[0, 0] = M + 1


def level_too_high(parts: Parts) -> None:
    parts.levels[5] = parts.header["max_level"] + 1


def level_moved(parts: Parts) -> None:
    entry = parts.header["entry_point"]
    other = next(row for row in range(COUNT) if row != entry and parts.levels[row] == 1)
    parts.levels[other] = 2


def all_levels_lower(parts: Parts) -> None:
    parts.levels[:] = 0


def link_to_lower_level(parts: Parts) -> None:
    number = int(np.flatnonzero(parts.level_of_lists() == 1)[0])
    parts.upper[number, :2] = 1, np.flatnonzero(parts.levels == 0)[0]


def link_to_lower_upper_level(parts: Parts) -> None:
    number = int(np.flatnonzero(parts.level_of_lists() == 2)[0])
    parts.upper[number, :2] = 1, np.flatnonzero(parts.levels == 1)[0]


def entry_on_lower_level(parts: Parts) -> None:
    parts.header["entry_point"] = int(np.argmin(parts.levels))


def one_list_less(parts: Parts) -> None:
    parts.upper = parts.upper[:-1]
    parts.header["upper_lists"] -= 1


HOSTILE: dict[str, tuple[Callable[[Parts], None], str]] = {
    "link id": (link_too_far, "a link leads to a row that does not exist"),
    "unused link id": (unused_link_too_far, "a link leads to a row that does not exist"),
    "upper link id": (upper_link_too_far, "a link leads to a row that does not exist"),
    "link count": (too_many_links, "more links than there is room for"),
    "deleted mark": (deleted_mark, "more links than there is room for"),
    "upper link count": (too_many_upper_links, "more links than there is room for"),
    "level": (level_too_high, "its highest level is not"),
    "level sum": (level_moved, "upper lists are not as many"),
    "no levels": (all_levels_lower, "its highest level is not"),
    "lower level": (link_to_lower_level, "a row that is not on that level"),
    "lower upper level": (link_to_lower_upper_level, "a row that is not on that level"),
    "entry point": (entry_on_lower_level, "its entry point is not on the highest level"),
    "entry point outside": (change_header(entry_point=COUNT), "its header is not one"),
    "negative entry point": (change_header(entry_point=-1), "its header is not one"),
    "list missing": (one_list_less, "upper lists are not as many"),
    "huge count": (change_header(count=(1 << 31) - 1), "bytes, its header says"),
    "count beyond ids": (change_header(count=1 << 31), "its header is not one"),
    "negative count": (change_header(count=-60), "its header is not one"),
    "no rows": (change_header(count=0, entry_point=0), "its header is not one"),
    "huge upper lists": (change_header(upper_lists=COUNT * 64), "bytes, its header says"),
    "max level": (change_header(max_level=65), "its header is not one"),
    "other max level": (change_header(max_level=64), "its highest level is not"),
    "m of 1": (change_header(m=1), "its header is not one"),
    "huge m": (change_header(m=1 << 40), "its header is not one"),
    "other m": (change_header(m=M + 1), "bytes, its header says"),
    "huge dim": (change_header(dim=1 << 40), "its header is not one"),
    "ef_search of 0": (change_header(ef_search=0), "its header is not one"),
    "huge ef_construction": (change_header(ef_construction=1 << 62), "its header is not one"),
    "text for a number": (change_header(seed="100"), "its header is not one"),
    "true for a number": (change_header(seed=True), "its header is not one"),
    "fraction": (change_header(commit=7.0), "its header is not one"),
    "not a number": (change_header(commit=float("nan")), "its header is not one"),
    "unknown field": (change_header(extra=1), "its header is not one"),
    "missing field": (lambda parts: parts.header.pop("content"), "its header is not one"),
}
HEADERS = [
    b"",
    b"[]",
    b"7",
    b'"x"',
    b"{",
    b"\xff",
    b"[" * 65536,
    b'{"format": ' + b"9" * 5000 + b"}",
    b"null",
]


def test_right_hashes_do_not_make_a_hostile_file_good(
    tmp_path: Path, content: bytes, vectors: np.ndarray
) -> None:
    files = [Parts(content).written()]
    assert files[0] == content
    for change, _ in HOSTILE.values():
        parts = Parts(content)
        change(parts)
        files.append(parts.written())
    files += [Parts(content).written(header) for header in HEADERS]
    files.append(Parts(content).written(b" " * 65537))
    found = answers(tmp_path, vectors, files)
    assert found[0] == ["loaded", ""]
    for (name, (_, reason)), (cause, why) in zip(HOSTILE.items(), found[1 : 1 + len(HOSTILE)], strict=True):
        assert cause == "damaged", name
        assert reason in why, (name, why)
    others = found[1 + len(HOSTILE) :]
    assert others[:-1] == [["damaged", "its header is not one"]] * len(HEADERS)
    assert others[-1] == ["damaged", "its header is too long"]


def test_no_random_change_under_right_hashes_crashes(
    tmp_path: Path, content: bytes, vectors: np.ndarray
) -> None:
    rng = np.random.default_rng(11)
    files = []
    for _ in range(600):
        parts = Parts(content)
        for _ in range(int(rng.integers(1, 4))):
            array = (parts.links, parts.upper, parts.levels)[rng.integers(3)].reshape(-1)
            words = [0, 1, M, 2 * M, COUNT - 1, COUNT, 255, 1 << 16, (1 << 31) - 1, 1 << 31, (1 << 32) - 1]
            value = int(rng.choice(words)) if rng.random() < 0.5 else int(rng.integers(COUNT))
            array[rng.integers(array.size)] = value & (255 if array.dtype == np.uint8 else 0xFFFFFFFF)
        if rng.random() < 0.2:
            parts.header["entry_point"] = int(rng.integers(COUNT))
        files.append(parts.written())
    found = [cause for cause, _ in answers(tmp_path, vectors, files)]
    # Both happen: links that lead elsewhere are not wrong.
    assert 50 < found.count("loaded") < 550
    assert found.count("loaded") + found.count("damaged") == 600


def test_vectors_are_in_memory_twice_at_most(tmp_path: Path, content: bytes) -> None:
    count, dim, m = 50_000, 384, 16
    parts = Parts(content)
    parts.links = np.zeros((count, 1 + 2 * m), "<u4")
    parts.levels, parts.upper = np.zeros(count, np.uint8), np.empty((0, 1 + m), "<u4")
    parts.header |= {"count": count, "dim": dim, "m": m, "max_level": 0, "entry_point": 0, "upper_lists": 0}
    (tmp_path / "x.hnsw").write_bytes(parts.written())
    script = """
import sys
from pathlib import Path
import numpy as np
from embedcli.index.hnsw import Graph, load_graph
from embedcli.index.hnsw_format import GraphKey
import hnswlib

def peak():
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM")) << 10

def blocks():
    for _ in range(50):
        block = np.zeros((1000, 384), np.float16)
        block[:, 0] = 1
        yield block

before = peak()
graph = load_graph(Path(sys.argv[1]), GraphKey("0123abcd", 7), blocks(), count=50000, dim=384)
assert isinstance(graph, Graph), graph
print((peak() - before) / (50000 * 384 * 4))
"""
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "x.hnsw")], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert 1.5 < float(done.stdout) < 2.6


def test_a_full_disk_leaves_the_old_file(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.hnsw"
    path.write_bytes(content)
    path.chmod(0o640)
    script = """
import resource, signal, sys
from pathlib import Path
import numpy as np
from embedcli.errors import OutputError
from embedcli.index.hnsw import build_graph, save_graph
from embedcli.index.hnsw_file import update_ef_search
from embedcli.index.hnsw_format import GraphKey, GraphSettings

path = Path(sys.argv[1])
graph = build_graph(np.eye(50, dtype=np.float32), GraphSettings())
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
_, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
for write in (lambda: save_graph(graph, path, GraphKey("ff", 8)), lambda: update_ef_search(path, 77)):
    try:
        write()
    except OutputError as error:
        print(error)
# What measures coverage writes its own file at the end.
resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
"""
    done = subprocess.run(
        [sys.executable, "-c", script, str(path)], capture_output=True, text=True, check=False
    )
    assert done.stderr == ""
    assert done.stdout.splitlines() == [f"cannot write to {path}: File too large"] * 2
    assert path.read_bytes() == content
    assert [entry.name for entry in tmp_path.iterdir()] == ["x.hnsw"]


def test_a_folder_that_is_not_there_is_named(tmp_path: Path, vectors: np.ndarray) -> None:
    path = tmp_path / "none" / "x.hnsw"
    with pytest.raises(OutputError, match="x.hnsw: No such file"):
        save_graph(build_graph(vectors, SMALL), path, KEY)


def test_a_replaced_file_keeps_its_permissions(tmp_path: Path, vectors: np.ndarray) -> None:
    path = tmp_path / "x.hnsw"
    graph = build_graph(vectors, SMALL)
    save_graph(graph, path, KEY)
    umask = os.umask(0)
    os.umask(umask)
    assert path.stat().st_mode & 0o777 == 0o666 & ~umask
    path.chmod(0o600)
    save_graph(graph, path, KEY._replace(commit=8))
    assert path.stat().st_mode & 0o777 == 0o600
    assert loaded(path, vectors, KEY._replace(commit=8)).count == COUNT
    assert [entry.name for entry in tmp_path.iterdir()] == ["x.hnsw"]


def test_ef_search_is_stored_and_nothing_else_changes(
    tmp_path: Path, content: bytes, vectors: np.ndarray
) -> None:
    path = tmp_path / "x.hnsw"
    path.write_bytes(content)
    before = read_graph_header(path)
    assert isinstance(before, GraphHeader)
    assert (before.ef_search, before.key, before.settings) == (30, KEY, SMALL)
    assert update_ef_search(path, 123456) is None
    after = read_graph_header(path)
    assert isinstance(after, GraphHeader)
    assert after.ef_search == 123456
    assert Parts(path.read_bytes()).links.tobytes() == Parts(content).links.tobytes()
    assert loaded(path, vectors).ef_search == 123456
    assert update_ef_search(path, 30) is None
    assert path.read_bytes() == content
    for wrong in (0, -1, 1 << 21):
        with pytest.raises(UsageError, match="ef_search must be"):
            update_ef_search(path, wrong)
    damaged = bytearray(content)
    damaged[-1] ^= 1
    path.write_bytes(damaged)
    assert update_ef_search(path, 31) is None
    assert refused(path) == Unusable("its checksum does not match", "damaged")
    path.write_bytes(content[:-1])
    assert update_ef_search(path, 31) == refused(path)
    assert [entry.name for entry in tmp_path.iterdir()] == ["x.hnsw"]


def test_a_graph_can_be_interrupted_between_batches() -> None:
    seen: list[int] = []

    def stop(done: int) -> None:
        seen.append(done)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build_graph(random_rows(2500), SMALL, stop)
    assert seen == [1000]


@given(st.lists(st.one_of(st.integers(0, 5), st.integers(0, 2**64 - 1))))
def test_rows_are_grouped_in_order_of_first_appearance(hashes: list[int]) -> None:
    first, group = unique_rows(np.array(hashes, dtype=np.uint64))
    numbers: dict[int, int] = {}
    for value in hashes:
        numbers.setdefault(value, len(numbers))
    assert first.tolist() == [hashes.index(value) for value in numbers]
    assert group.tolist() == [numbers[value] for value in hashes]
