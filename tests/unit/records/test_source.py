"""Paths to sources: what a walk finds, and what does not exist."""

from __future__ import annotations

import io
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from embedcli.datatypes import Source
from embedcli.errors import MissingPathError, UsageError
from embedcli.records.glob import compile_glob, matches
from embedcli.records.settings import ReadSettings
from embedcli.records.source import find_sources, read_path_list
from tests.conftest import REPOSITORY, without_privileges


@pytest.fixture(autouse=True)
def in_a_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def make(*names, data=b"x\n"):
    for name in names:
        path = Path(os.fsdecode(name))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


def found(*paths, **settings):
    problems = []
    sources = list(find_sources(paths or ["."], ReadSettings(**settings), problems.append))
    assert problems == []
    return [source.path for source in sources]


def test_sources_come_in_the_order_of_the_paths_and_sorted_within_a_folder():
    make("b/z", "b/a/1", "b/é", b"b/\xff", "b/Z", "b/a-", "b/\U0001f600", "a.txt")
    names = ["b/Z", "b/a-", "b/a/1", "b/z", "b/é", "b/\U0001f600", os.fsdecode(b"b/\xff")]
    assert found("b", "a.txt", "-") == [*names, "a.txt", None]
    assert found("./a.txt", "b/a") == ["./a.txt", "b/a/1"]
    assert found() == ["a.txt", *names]
    sources = list(find_sources(["b", "a.txt", "-"], ReadSettings(), print))
    assert sources[0] == Source("b/Z", root="b", named=False)
    assert sources[-2:] == [Source("a.txt", root="a.txt", named=True), Source(None)]


def test_a_missing_path_is_told_before_anything_is_found():
    make("a")
    Path("loop").symlink_to("loop")
    Path("dangling").symlink_to("nowhere")
    for path, reason in [
        ("gone", "gone: no such file or directory"),
        ("", ": no such file or directory"),
        ("dangling", "dangling: broken link to nowhere"),
        ("loop", "loop: too many levels of symbolic links"),
        ("a/b", "a/b: not a directory"),
        ("a\0b", "a\0b: embedded null byte"),
        ("x" * 300, f"{'x' * 300}: file name too long"),
    ]:
        with pytest.raises(MissingPathError) as caught:
            # The call itself raises: nothing was asked for yet.
            find_sources(["a", path], ReadSettings(), print)
        assert str(caught.value) == reason
        assert caught.value.path == path


def test_standard_input_is_named_once():
    with pytest.raises(UsageError, match="only once"):
        find_sources(["-", "-"], ReadSettings(), print)


def test_links_are_followed_only_where_they_are_named():
    make("real/a", "other/b")
    Path("real/to_file").symlink_to("a")
    Path("real/to_folder").symlink_to("../other")
    Path("real/up").symlink_to("..")
    Path("real/dangling").symlink_to("nowhere")
    assert found("real") == ["real/a"]
    assert found("real/to_file", "real/to_folder") == ["real/to_file", "real/to_folder/b"]


def test_only_regular_files_are_walked_and_fifos_read_when_named(tmp_path):
    make("d/a")
    os.mkfifo("d/fifo")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("d/s")
        assert found("d") == ["d/a"]
    assert found("d/fifo", "/dev/null") == ["d/fifo", "/dev/null"]


def test_ignore_files_are_honoured_as_ripgrep_does():
    make("d/a.log", "d/b.txt", "d/c.tmp", "d/deep/e.own", "d/deep/f.tmp")
    Path("d/.gitignore").write_text("*.log\n")
    Path("d/.ignore").write_text("*.tmp\n!f.tmp\n")
    Path("d/.embedcliignore").write_text("*.own\n")
    assert found("d") == ["d/a.log", "d/b.txt", "d/deep/f.tmp"], "no repository, so .gitignore says nothing"
    Path("d/.git").mkdir()
    assert found("d") == ["d/b.txt", "d/deep/f.tmp"]
    assert found("d/deep") == ["d/deep/f.tmp"], "ignore files above the root count too"
    everything = ["d/a.log", "d/b.txt", "d/c.tmp", "d/deep/e.own", "d/deep/f.tmp"]
    assert found("d", respect_ignore_files=False) == everything
    assert found("d/a.log", "d/deep/e.own") == ["d/a.log", "d/deep/e.own"], "what is named is read"


def test_hidden_files_only_on_demand_and_the_index_never():
    make("d/.hidden", "d/.conf/x", "d/.embedcli/index.emb", "d/e/.embedcli/y", "d/a")
    assert found("d") == ["d/a"]
    assert found("d", hidden=True) == ["d/.conf/x", "d/.hidden", "d/a"]
    assert found("d", hidden=True, respect_ignore_files=False) == ["d/.conf/x", "d/.hidden", "d/a"]


def test_includes_narrow_and_never_widen():
    make("d/a.md", "d/b.txt", "d/.c.md", "d/docs/x.md", "d/docs/y.rst", "d/node/z.md", "d/docs/in/w.md")
    Path("d/.ignore").write_text("node\n")
    markdown = ["d/a.md", "d/docs/in/w.md", "d/docs/x.md"]
    assert found("d", include=("*.md",)) == markdown
    assert found("d", include=("**",)) == [
        "d/a.md",
        "d/b.txt",
        "d/docs/in/w.md",
        "d/docs/x.md",
        "d/docs/y.rst",
    ]
    assert found("d", include=("/docs/*.md", "*.txt")) == ["d/b.txt", "d/docs/x.md"]
    assert found("d", include=("docs/",)) == ["d/docs/in/w.md", "d/docs/x.md", "d/docs/y.rst"]
    assert found("d", include=("docs/**/*.md",)) == ["d/docs/in/w.md", "d/docs/x.md"]
    assert found("d", include=("*.md",), exclude=("docs/in", "a.*")) == ["d/docs/x.md"]
    assert found("d", exclude=("/docs",)) == ["d/a.md", "d/b.txt"]
    assert found("d/docs", exclude=("/docs",), include=("*.rst",)) == ["d/docs/y.rst"]


@pytest.mark.parametrize(
    ("glob", "yes", "no"),
    [
        ("*.md", ["a.md", "x/a.md", ".md", "a.md/in"], ["a.mdx", "md"]),
        ("a?c", ["abc", "x/abc"], ["ac", "a/c"]),
        ("[a-c]x", ["bx"], ["dx", "/x"]),
        ("[!a]x", ["bx"], ["ax", "a/x/y"]),
        ("a[!b]c", ["adc"], ["a/c", "abc"]),
        ("[]x]", ["]", "x"], ["a"]),
        ("[[x]", ["[", "x"], ["a"]),
        ("a/b", ["a/b", "a/b/c"], ["x/a/b", "a/bc"]),
        ("/a", ["a", "a/b"], ["x/a"]),
        ("**/a", ["a", "x/a", "x/y/a"], ["xa"]),
        ("a/**", ["a/b", "a/b/c"], ["a", "ab"]),
        ("a/**/b", ["a/b", "a/x/b", "a/x/y/b"], ["ab", "a/xb"]),
        ("*.{md,t{x,s}t}", ["a.md", "a.txt", "a.tst"], ["a.tt", "a.{md"]),
        (r"\{a\*", ["{a*"], ["{ab"]),
        ("a,b", ["a,b"], ["a"]),
        ("line\nbreak*", ["line\nbreak\n"], ["line"]),
        ("a.b", ["a.b"], ["axb"]),
    ],
)
def test_globs_mean_what_gitignore_says(glob, yes, no):
    pattern = compile_glob(glob)
    assert [path for path in yes if not matches(pattern, path)] == []
    assert [path for path in no if matches(pattern, path)] == []


def test_wrong_globs_are_refused():
    make("d/a")
    for settings in (
        {"include": ("{a",)},
        {"include": ("a}",)},
        {"include": ("[b-a]",)},
        {"exclude": ("{a",)},
    ):
        with pytest.raises(UsageError, match="glob"):
            found("d", **settings)


def test_large_files_are_left_out_of_a_walk_and_read_when_named():
    make("d/small", data=b"x" * 10)
    make("d/large", data=b"x" * 11)
    assert found("d", max_filesize_bytes=10) == ["d/small"]
    assert found("d/large", max_filesize_bytes=10) == ["d/large"]


def test_a_folder_that_cannot_be_read_is_a_problem_and_no_end():
    make("d/open/a", "d/closed/b")
    code = (
        "from embedcli.records.source import find_sources; from embedcli.records.settings import ReadSettings\n"
        "print([s.path for s in find_sources(['d'], ReadSettings(), print)])"
    )
    Path("d/closed").chmod(0)
    done = subprocess.run(
        [*without_privileges(), sys.executable, "-c", code],
        capture_output=True,
        check=True,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
    )
    Path("d/closed").chmod(0o755)
    lines = done.stdout.decode().splitlines()
    assert lines == [
        "Problem(where='d/closed', reason='Permission denied', is_error=True, hint='')",
        "['d/open/a']",
    ]


def test_lists_of_paths_are_parted_by_line_or_by_nul():
    assert read_path_list(io.BytesIO(b"a b\n\n\xff\nlast"), null=False) == ["a b", "\udcff", "last"]
    assert read_path_list(io.BytesIO(b"a\nb\0\0c\0"), null=True) == ["a\nb", "c"]
    assert read_path_list(io.BytesIO(b""), null=True) == []
