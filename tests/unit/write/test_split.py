"""Files of a split: names that are safe whatever is in them, and folders that nobody else loses anything in."""

from __future__ import annotations

import os
import unicodedata
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from embedcli.errors import InputError, OutputError
from embedcli.write import split
from embedcli.write.split import LIST_NAME, SplitFile, check_folder, file_name, write_split
from embedcli.write.target import Output


@pytest.mark.parametrize(
    ("cluster", "name", "largest", "extension", "expected"),
    [
        (3, "card, lost, stolen", 20, ".csv", "003-card-lost-stolen.csv"),
        (3, "top up, card", 2000, ".jsonl", "0003-top-up-card.jsonl"),
        (3, "../../etc/passwd", 3, ".csv", "003-etc-passwd.csv"),
        (3, "..", 3, ".txt", "003.txt"),
        (3, "信用卡, Überweisung", 3, ".tsv", "003-信用卡-Überweisung.tsv"),
        (3, "a\0b\n-c\u202e", 3, ".md", "003-a-b-c.md"),
        (3, "l'école", 3, "./../x", "003-l-école.txt"),
        (None, "what ever", 3, ".csv", "noise.csv"),
    ],
)
def test_names(cluster: int | None, name: str, largest: int, extension: str, expected: str) -> None:
    assert file_name(cluster, name, largest, extension) == expected


@given(st.integers(0, 10**6), st.text(max_size=200), st.text(max_size=12))
@example(7, "/" * 200, "." * 12)
@example(7, "\u0301" * 200, ".csv")
@settings(max_examples=200)
def test_names_are_plain_short_and_different(cluster: int, name: str, extension: str) -> None:
    found = file_name(cluster, name, 10**6, extension)
    assert len(os.fsencode(found)) <= 7 + 1 + 60 + 11
    assert Path(found).name == found
    assert found[0].isdecimal()
    assert all(char in "-." or char.isalnum() or unicodedata.category(char)[0] == "M" for char in found)
    assert found.startswith(f"{cluster:07}")
    assert found != file_name(cluster + 1, name, 10**6, extension)


def files(**contents: bytes) -> list[SplitFile]:
    def writer(content: bytes):
        return lambda output: output.write(content)

    return [SplitFile(f"{name}.txt", writer(content)) for name, content in contents.items()]


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != LIST_NAME}


def test_a_split_replaces_an_earlier_one(tmp_path: Path) -> None:
    folder = tmp_path / "topics"
    assert write_split(str(folder), files(one=b"1\n", two=b"2\n")) == 2
    assert contents(folder) == {"one.txt": b"1\n", "two.txt": b"2\n"}
    (folder / "two.txt").unlink()
    assert write_split(str(folder), files(two=b"22\n", three=b"3\n")) == 2
    assert contents(folder) == {"two.txt": b"22\n", "three.txt": b"3\n"}
    assert write_split(str(folder), []) == 0
    assert contents(folder) == {}


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("mine.txt", b"x", "'mine.txt' is in it"),
        ("one.txt", b"edited", "'one.txt' was changed"),
        ("sub/", b"", "'sub' is in it"),
    ],
)
def test_what_others_put_there_is_not_touched(tmp_path: Path, name: str, content: bytes, said: str) -> None:
    write_split(str(tmp_path), files(one=b"1"))
    if name.endswith("/"):
        (tmp_path / name).mkdir()
    else:
        (tmp_path / name).write_bytes(content)
    before = sorted(tmp_path.iterdir())
    for attempt in (lambda: check_folder(str(tmp_path)), lambda: write_split(str(tmp_path), files(two=b"2"))):
        with pytest.raises(InputError, match=said):
            attempt()
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize(
    "said",
    [b"", b"[]", b'{"version": 2, "files": {}}', b'{"version": 1, "files": {"one.txt": 3}}', b"[" * 10**5],
)
def test_a_list_that_is_none_is_refused(tmp_path: Path, said: bytes) -> None:
    (tmp_path / LIST_NAME).write_bytes(said)
    with pytest.raises(InputError, match="is not what an earlier split wrote"):
        write_split(str(tmp_path), files(one=b"1"))


def test_a_link_in_the_place_of_a_file_is_not_followed(tmp_path: Path) -> None:
    folder, other = tmp_path / "topics", tmp_path / "other.txt"
    write_split(str(folder), files(one=b"1"))
    other.write_bytes(b"1")
    (folder / "one.txt").unlink()
    (folder / "one.txt").symlink_to(other)
    with pytest.raises(InputError):
        write_split(str(folder), files(one=b"2"))
    assert other.read_bytes() == b"1"


def test_no_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    for path in ("file", "no/folder"):
        with pytest.raises(OutputError):
            write_split(str(tmp_path / path), files(one=b"1"))
    with pytest.raises(OutputError):
        check_folder(str(tmp_path / "file"))


@pytest.mark.parametrize("exists", [True, False])
def test_a_failure_leaves_what_was_there(tmp_path: Path, exists: bool) -> None:
    folder = tmp_path / "topics"
    if exists:
        write_split(str(folder), files(one=b"1"))

    def fail(output: Output) -> None:
        output.write(b"half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_split(str(folder), [*files(one=b"new"), SplitFile("two.txt", fail)])
    assert folder.exists() is exists
    if exists:
        assert contents(folder) == {"one.txt": b"1"}


@pytest.mark.parametrize("stop_after", range(5))
def test_killed_at_any_rename_it_can_be_done_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stop_after: int
) -> None:
    write_split(str(tmp_path), files(one=b"1", two=b"2", gone=b"0"))
    new = {"one.txt": b"11", "two.txt": b"22", "three.txt": b"33"}
    rename, left = Path.rename, iter(range(stop_after))

    def rename_some(self: Path, target: Path) -> Path:
        if next(left, None) is None:
            # As a kill does: nothing is cleaned up.
            monkeypatch.setattr(Path, "unlink", lambda *_args, **_kwargs: None)
            raise KeyboardInterrupt
        return rename(self, target)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "rename", rename_some)
        with pytest.raises(KeyboardInterrupt):
            write_split(str(tmp_path), files(one=b"11", two=b"22", three=b"33"))
        patched.undo()
    monkeypatch.undo()
    old = {"one.txt": b"1", "two.txt": b"2", "gone.txt": b"0"}
    for name, content in contents(tmp_path).items():
        assert name.endswith(".tmp") or content in (old.get(name), new.get(name))
    write_split(str(tmp_path), files(one=b"11", two=b"22", three=b"33"))
    assert contents(tmp_path) == new


def test_two_runs_do_not_mix(tmp_path: Path) -> None:
    with split._locked(tmp_path, "topics"), pytest.raises(OutputError, match="another run is writing there"):
        write_split(str(tmp_path), files(one=b"1"))
    assert write_split(str(tmp_path), files(one=b"1")) == 1
