"""Hashes of texts and files."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedcli.records.fingerprint import file_hash, text_hash


@given(st.text(st.characters(), max_size=5), st.text(st.characters(), max_size=5))
def test_texts_have_one_hash_exactly_if_they_are_equal(one, other):
    assert (text_hash(one) == text_hash(other)) is (one == other)
    assert len(text_hash(one)) == 16


def test_hashes_never_change():
    # Indexes hold them.
    assert text_hash("héllo").hex() == "249a5c7589499a8866064c0d58459744"
    assert text_hash("\ud800") != text_hash("?")


@pytest.mark.parametrize("size", [0, 1, (1 << 20) - 1, 1 << 20, (2 << 20) + 1])
def test_a_file_has_the_hash_of_its_bytes(tmp_path, size):
    path = tmp_path / "file"
    path.write_bytes(b"x" * size)
    assert file_hash(path) == hashlib.blake2b(b"x" * size, digest_size=16).digest()


def test_a_file_that_cannot_be_read_raises(tmp_path):
    with pytest.raises(FileNotFoundError):
        file_hash(tmp_path / "gone")
