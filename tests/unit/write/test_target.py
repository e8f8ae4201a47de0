"""An output is whole or not there, and what goes wrong is the project's own error."""

from __future__ import annotations

import io
import os
import stat
import sys
from pathlib import Path

import pytest

from embedcli.errors import OutputClosedError, OutputError
from embedcli.write.target import Output, open_output


def names(folder):
    return [child.name for child in folder.iterdir()]


@pytest.fixture
def umask():
    old = os.umask(0o027)
    yield 0o027
    os.umask(old)


def test_a_new_file_is_written_whole_with_the_permissions_of_the_umask(tmp_path, umask):
    path = tmp_path / "out"
    with open_output(str(path)) as output:
        output.write(b"one ")
        assert not path.exists()
        output.write(b"two")
    assert path.read_bytes() == b"one two"
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert names(tmp_path) == ["out"]


def test_a_replaced_file_keeps_its_permissions(tmp_path, umask):
    path = tmp_path / "out"
    path.write_bytes(b"old")
    path.chmod(0o604)
    with open_output(str(path)) as output:
        output.write(b"new")
        assert path.read_bytes() == b"old"
    assert path.read_bytes() == b"new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o604


def write_half(path, error):
    with open_output(str(path)) as output:
        output.write(b"half")
        output.flush()
        raise error


@pytest.mark.parametrize("error", [ValueError(), KeyboardInterrupt(), OutputClosedError("gone")])
@pytest.mark.parametrize("existed", [True, False])
def test_a_body_that_raises_leaves_what_was_there(tmp_path, error, existed):
    path = tmp_path / "out"
    if existed:
        path.write_bytes(b"old")
    with pytest.raises(type(error)):
        write_half(path, error)
    assert [child.read_bytes() for child in tmp_path.iterdir()] == ([b"old"] if existed else [])


@pytest.mark.parametrize("exists", [True, False])
def test_the_file_behind_a_link_is_written(tmp_path, exists):
    (tmp_path / "there").mkdir()
    real, link = tmp_path / "there" / "real", tmp_path / "link"
    link.symlink_to("there/real")
    if exists:
        real.write_bytes(b"old")
    with open_output(str(link)) as output:
        output.write(b"new")
    assert link.is_symlink()
    assert real.read_bytes() == b"new"
    assert names(tmp_path / "there") == ["real"]


@pytest.mark.parametrize("name", ["表" * 85, "x" * 255, os.fsdecode(b"\xff\xfe")])
def test_names_of_any_length_and_bytes(tmp_path, name):
    with open_output(str(tmp_path / name)) as output:
        output.write(b"new")
    assert names(tmp_path) == [name]


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("gone/out", "the folder does not exist"),
        ("file/out", "the folder does not exist"),
        ("folder", "Is a directory"),
    ],
)
def test_places_that_cannot_be_written(tmp_path, name, reason):
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_bytes(b"")
    path = str(tmp_path / name)
    with pytest.raises(OutputError) as caught, open_output(path):
        raise AssertionError("the body must not run")
    assert str(caught.value) == f"cannot write to {path}: {reason}"


def test_a_folder_that_is_not_there_is_no_file_name(tmp_path):
    with pytest.raises(OutputError), open_output(f"{tmp_path}/new/"):
        pass
    assert names(tmp_path) == []


def test_a_file_that_may_not_be_written_is_not_replaced(tmp_path, monkeypatch):
    path = tmp_path / "out"
    path.write_bytes(b"old")
    # The tests may run as a user to whom everything is permitted.
    monkeypatch.setattr(os, "access", lambda found, mode: not (mode == os.W_OK and found == path))
    with pytest.raises(OutputError, match="Permission denied"), open_output(str(path)) as output:
        output.write(b"new")
    assert [child.read_bytes() for child in tmp_path.iterdir()] == [b"old"]


def test_a_full_device():
    with (
        pytest.raises(OutputError, match=r"^cannot write to /dev/full: No space left on device$"),
        open_output("/dev/full") as output,
    ):
        output.write(b"x")
    with pytest.raises(OutputError, match="No space left"), open_output("/dev/full") as output:
        output.write(b"x" * 1_000_000)


def test_devices_and_fifos_are_written_directly(tmp_path):
    with open_output("/dev/null") as output:
        output.write(b"x")
    assert stat.S_ISCHR(Path("/dev/null").stat().st_mode)
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    try:
        with open_output(str(fifo)) as output:
            output.write(b"through")
        assert os.read(reader, 100) == b"through"
    finally:
        os.close(reader)
    assert stat.S_ISFIFO(fifo.stat().st_mode)


def standard_output(monkeypatch, handle):
    stream = io.TextIOWrapper(os.fdopen(handle, "wb"))
    monkeypatch.setattr(sys, "stdout", stream)
    return stream


@pytest.mark.parametrize("path", [None, "-", "/dev/stdout", "/dev/fd/1"])
def test_standard_output_is_added_to_and_left_open(tmp_path, monkeypatch, path):
    handle = os.open(tmp_path / "out", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.write(handle, b"before ")
    with standard_output(monkeypatch, handle) as stream:
        with open_output(path) as output:
            output.write(b"new")
            assert not output.can_be_patched()
        assert (tmp_path / "out").read_bytes() == b"before new"
        assert not stream.closed


def test_standard_output_full_or_closed(monkeypatch):
    stream = standard_output(monkeypatch, os.open("/dev/full", os.O_WRONLY))
    expected = r"^cannot write to standard output: No space left on device$"
    with pytest.raises(OutputError, match=expected), open_output(None) as output:
        output.write(b"x")
    with pytest.raises(OSError):
        stream.close()
    monkeypatch.setattr(sys, "stdout", None)
    with pytest.raises(OutputError, match="it is closed"), open_output(None):
        pass


def test_a_reader_that_has_gone(monkeypatch):
    reader, writer = os.pipe()
    os.close(reader)
    stream = standard_output(monkeypatch, writer)
    with pytest.raises(OutputClosedError), open_output(None) as output:
        output.write(b"x")
    with pytest.raises(BrokenPipeError):
        stream.close()


def test_patch_writes_over_the_beginning_and_goes_back_to_the_end():
    stream = io.BytesIO()
    output = Output(stream, "x")
    output.write(b"12345")
    output.patch(b"ab")
    output.write(b"6")
    assert stream.getvalue() == b"ab3456"


def test_errors_of_the_body_are_not_taken_for_errors_of_the_output(tmp_path):
    with pytest.raises(FileNotFoundError), open_output(str(tmp_path / "out")):
        (tmp_path / "input").read_bytes()
