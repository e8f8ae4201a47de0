"""Arrays come back as they went; nothing else is taken for them."""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from embedcli.errors import InputError, MissingPathError
from embedcli.index.array_file import array_file, read_array_file

if TYPE_CHECKING:
    from pathlib import Path

ABOUT = {"names": ["größe", "b"], "k": 3, "share": 0.25}
ARRAYS = {"rows": np.arange(12, dtype=np.float32).reshape(3, 4), "ids": np.array([7, 1], dtype=np.int64)}


def test_what_was_written_is_read(tmp_path: Path) -> None:
    path = tmp_path / "state"
    path.write_bytes(array_file("cluster-state", 1, ABOUT, ARRAYS))
    about, arrays = read_array_file(path, "cluster-state", 1)
    assert about == ABOUT
    assert arrays.keys() == ARRAYS.keys()
    for name, array in ARRAYS.items():
        assert arrays[name].dtype == array.dtype
        np.testing.assert_array_equal(arrays[name], array)


@settings(max_examples=80, deadline=None)
@given(place=st.integers(0, 10**6), flip=st.integers(1, 255))
def test_no_changed_byte_goes_unnoticed(
    tmp_path_factory: pytest.TempPathFactory, place: int, flip: int
) -> None:
    content = bytearray(array_file("head", 1, ABOUT, ARRAYS))
    content[place % len(content)] ^= flip
    path = tmp_path_factory.mktemp("damaged") / "f"
    path.write_bytes(content)
    try:
        about, arrays = read_array_file(path, "head", 1)
    except InputError:
        return
    # A byte that says nothing, such as a blank between two parts of the header.
    assert about == ABOUT
    assert all((arrays[name] == array).all() for name, array in ARRAYS.items())


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "no head file"),
        (b"not a file of ours at all, just text", "no head file"),
        (pickle.dumps({"a": 1}), "no head file"),
        (array_file("cluster-state", 1, ABOUT, ARRAYS), "a cluster-state file, not a head file"),
        (array_file("head", 2, ABOUT, ARRAYS), "of version 2, and this reads 1"),
        (array_file("head", 1, ABOUT, ARRAYS)[:-3], "no head file"),
    ],
)
def test_other_files_are_refused(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "f"
    path.write_bytes(content)
    with pytest.raises(InputError, match=said):
        read_array_file(path, "head", 1)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(MissingPathError, match="nowhere: no such file"):
        read_array_file(tmp_path / "nowhere", "head", 1)
    with pytest.raises(InputError):
        read_array_file(tmp_path, "head", 1)
