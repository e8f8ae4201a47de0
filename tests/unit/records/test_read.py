"""Real files and streams: what they are taken for, how they are opened, and how they fail."""

from __future__ import annotations

import gzip
import io
import os
import subprocess
import sys
import textwrap
import threading
import time
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given
from record_helpers import Trickle, read, read_bytes, read_file

from embedcli.datatypes import Counts, Source
from embedcli.errors import UsageError
from embedcli.records.read import read_records
from embedcli.records.settings import ReadSettings
from tests.conftest import bare_environment
from tests.strategies import block_sizes, stream_bytes

JSONL = b'{"text":"a"}\n'
CSV = b"text\na\n"


@pytest.mark.parametrize(
    ("name", "data", "form"),
    [
        ("a.jsonl", JSONL, "jsonl"),
        ("a.NDJSON", JSONL, "jsonl"),
        ("a.csv", CSV, "csv"),
        ("a.tsv", CSV, "tsv"),
        ("a.txt", b"a\n", "lines"),
        ("a", b"a\n", "lines"),
        ("a.json", JSONL, "jsonl"),
        ("a.txt", b"\n \r\n" + JSONL, "jsonl"),
        ("a.log", b'{"vector":[1]}\n', "jsonl"),
        ("a.log", b'{"other":1}\n' + JSONL, "lines"),
        ("a.log", b"{ no json\n" + JSONL, "lines"),
        ("a.log", b"[1]\n" + JSONL, "lines"),
        ("a.log", JSONL.replace(b"\n", b"\r") * 2, "jsonl"),
    ],
)
@pytest.mark.parametrize("packed", [False, True])
def test_a_named_file_goes_by_its_name_and_then_by_its_first_line(tmp_path, name, data, form, packed):
    path = tmp_path / (name + (".gz" if packed else ""))
    path.write_bytes(gzip.compress(data) if packed else data)
    outcome = read_file(path)
    assert outcome.reader.format == form
    assert "a" in outcome.texts or outcome.records
    # A walk takes every file for text.
    for text_as in ("lines", "whole"):
        walked = read_file(path, named=False, text_as=text_as)
        assert walked.reader.format == text_as
        assert walked.raw == data
    assert read_file(path, named=False, format=form).reader.format == form


@pytest.mark.parametrize("size", [1, 4, None])
def test_standard_input_is_lines_unless_its_first_line_is_a_record(size):
    assert read_bytes(b" \n" + JSONL, size).reader.format == "jsonl"
    assert read_bytes(b" \n" + JSONL, size).texts == ["", "a"]
    assert read_bytes(b"a\n" + JSONL, size, named_text_as="whole").reader.format == "lines"
    assert read_bytes(JSONL, size, format="lines").texts == ['{"text":"a"}']
    assert read_bytes(b'{"title":"b"}', size, text_fields=("title",)).texts == ["b"]
    assert read_bytes(b'{"title":"b"}', size).texts == ['{"title":"b"}']


def test_looking_at_the_first_line_has_an_end():
    outcome = read_bytes(b"\n" * 600 + JSONL, 7, max_record_bytes=50)
    assert outcome.reader.format == "lines"
    assert len(outcome.records) == 601
    outcome = read_bytes(b'{"text":"' + b"x" * 600 + b'"}\nb\n', 7, max_record_bytes=50)
    assert outcome.texts == ["b"]


@given(stream_bytes, block_sizes)
def test_the_size_of_reads_does_not_matter(data, size):
    for form in ("auto", "lines", "whole", "csv", "jsonl"):
        one = read_bytes(data, format=form, header=False, columns=() if form == "auto" else ("1",))
        many = read_bytes(data, size, format=form, header=False, columns=() if form == "auto" else ("1",))
        assert (one.records, one.problems, one.counts) == (many.records, many.problems, many.counts)


def test_a_slow_stream_is_read_as_it_comes():
    class Stream(io.RawIOBase):
        reads = 0

        def read(self, size=-1):
            del size
            self.reads += 1
            return b"line\n" if self.reads < 5 else b""

    stream = Stream()
    records = read_records(Source(None), ReadSettings(), Counts(), print, stream)
    assert next(records).text == "line"
    assert stream.reads == 1


def test_without_standard_input_there_is_nothing_to_read():
    with pytest.raises(UsageError, match="no standard input"):
        list(read_records(Source(None), ReadSettings(), Counts(), print))


def test_closing_early_closes_the_file(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes(b"a\nb\n")
    descriptors = Path("/proc/self/fd")
    before = len(list(descriptors.iterdir()))
    records = read_records(Source(str(path)), ReadSettings(), Counts(), print)
    next(records)
    assert len(list(descriptors.iterdir())) == before + 1
    records.close()
    assert len(list(descriptors.iterdir())) == before
    assert list(records) == []


@pytest.mark.parametrize(
    "name", [b"line\nbreak", b"[bold]x", b"\xff\xfe caf\xe9", b"-dash", b"tab\t", b"x" * 255]
)
def test_names_of_every_kind_are_read(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    Path(os.fsdecode(name)).write_bytes(b"a\n")
    outcome = read(Source(os.fsdecode(name)))
    assert outcome.texts == ["a"]
    assert os.fsencode(outcome.ids[0]) == name + b":1"


def test_a_fifo_is_read_when_it_is_named(tmp_path):
    path = tmp_path / "fifo"
    os.mkfifo(path)
    writer = threading.Thread(target=path.write_bytes, args=(b"a\nb\0\nc",))
    writer.start()
    outcome = read_file(path)
    writer.join()
    assert outcome.records == []
    assert not outcome.problems[0].is_error
    writer = threading.Thread(target=path.write_bytes, args=(b"a\nb",))
    writer.start()
    assert read_file(path).ids == [f"{path}:1", f"{path}:2"]
    writer.join()


def test_a_walked_file_that_became_a_fifo_does_not_hang(tmp_path):
    path = tmp_path / "fifo"
    os.mkfifo(path)
    outcome = read_file(path, named=False)
    assert outcome.complaints == [(str(path), "is no regular file any more")]
    assert outcome.counts.skipped == 1


@pytest.mark.parametrize("named", [True, False])
def test_what_cannot_be_read_is_an_error_and_no_exception(tmp_path, named):
    for path, reason in [
        ("/proc/self/mem", "input/output error"),
        (tmp_path / "gone", "no such file or directory"),
        (tmp_path, "is a directory" if named else "is no regular file any more"),
    ]:
        outcome = read_file(path, named=named)
        assert outcome.complaints == [(str(path), reason)]
        assert outcome.problems[0].is_error
        assert outcome.counts.skipped == 1


def test_a_stream_that_breaks_gives_what_came_before():
    class Broken(Trickle):
        def read(self, size=-1):
            block = super().read(size)
            if not block:
                raise OSError(5, "Input/output error")
            return block

    for form, texts in (("lines", ["a", "b"]), ("whole", []), ("csv", ["a", "b"]), ("null", [])):
        data = b"text\na\nb\nbroken off" if form == "csv" else b"a\nb\nbroken off"
        outcome = read(Source(None), Broken(data, 4), format=form)
        assert outcome.texts == texts
        assert outcome.complaints == [("-", "input/output error")]


def test_an_error_of_the_listener_is_not_taken_for_one_of_the_file(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes(b"\0")

    def listener(_problem):
        raise BrokenPipeError

    with pytest.raises(BrokenPipeError):
        list(read_records(Source(str(path)), ReadSettings(), Counts(), listener))


def packed_lines():
    return gzip.compress(b"".join(b"line %d\n" % number for number in range(200_000)))


@pytest.mark.parametrize("kind", ["cut", "flipped", "checksum", "not packed", "rest"])
def test_damaged_gzip_gives_the_records_before_the_damage(tmp_path, kind):
    data = bytearray(packed_lines())
    if kind == "cut":
        del data[len(data) // 2 :]
    elif kind == "flipped":
        data[len(data) // 2 : len(data) // 2 + 20] = b"\xff" * 20
    elif kind == "checksum":
        data[-6] ^= 1
    elif kind == "rest":
        data += b"garbage"
    else:
        data = bytearray(b"plain\n")
    path = tmp_path / "lines.txt.gz"
    path.write_bytes(data)
    outcome = read_file(path)
    (problem,) = outcome.problems
    assert (problem.where, problem.is_error) == (str(path), True)
    if kind == "not packed":
        assert "not a gzip" in problem.reason.lower()
        assert outcome.records == []
    else:
        assert len(outcome.records) > 50_000
        assert all(record.text.startswith("line ") for record in outcome.records[:1000])


def test_gzip_of_several_members_and_with_nul(tmp_path):
    path = tmp_path / "a.gz"
    path.write_bytes(gzip.compress(b"a\nb") + gzip.compress(b"c\n"))
    assert read_file(path).texts == ["a", "bc"]
    path.write_bytes(gzip.compress(b"a\n" * 500_000 + b"\0"))
    outcome = read_file(path)
    assert (outcome.records, [p.is_error for p in outcome.problems]) == ([], [False])


def test_a_command_turns_a_file_into_text(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("-a b.pdf").write_bytes(b"x\0y\n")
    Path("b.txt").write_bytes(b"as it is\n")
    tool = tmp_path / "tool"
    tool.write_text('#!/bin/sh\necho "$1|$2|$3"; tr -d "\\0"; cat "$2"|tr -d "\\0"\n')
    tool.chmod(0o755)
    pre = {"pre": f"{tool} 'one word'", "pre_glob": "*.pdf"}
    assert read(Source("-a b.pdf"), **pre).texts == ["one word|./-a b.pdf|", "xy", "xy"]
    assert read(Source("b.txt"), **pre).texts == ["as it is"]
    assert read(Source("b.txt"), pre=f"{tool} p").texts == ["p|b.txt|", "as it is", "as it is"]
    assert read(Source(None), io.BytesIO(b"stdin\n"), pre="false").texts == ["stdin"]


def test_a_command_is_run_without_a_shell_and_gz_is_left_to_it(tmp_path):
    path = tmp_path / "a.csv.gz"
    path.write_bytes(gzip.compress(CSV))
    assert read_file(path, pre="zcat").texts == ["text", "a"]
    (outcome,) = read_file(path, pre="echo $HOME; echo").texts
    assert outcome == f"$HOME; echo {path}"


def test_a_command_that_fails_is_an_error_with_its_last_words(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes(b"a\n")
    script = "print('one'); print('half', end=''); import sys; sys.stdout.flush(); sys.exit('first\\n\\nlast words\\n')"
    outcome = read_file(path, pre=f'{sys.executable} -c "{script}"')
    assert outcome.texts == ["one"]
    assert outcome.complaints == [(str(path), f"{sys.executable} failed: last words")]
    assert outcome.problems[0].is_error
    assert read_file(path, pre="false").complaints == [(str(path), "false failed: exit code 1")]
    assert read_file(path, pre="false", format="whole").records == []


@pytest.mark.parametrize("pre", ["", "no-such-command-anywhere", "'open", "/etc/passwd"])
def test_a_command_that_cannot_be_run_stops_everything(tmp_path, pre):
    path = tmp_path / "a.txt"
    path.write_bytes(b"a\n")
    with pytest.raises(UsageError, match="--pre"):
        read_file(path, pre=pre)


def test_a_command_with_much_to_say_does_not_block_and_is_stopped_early(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes(b"a\n")
    noisy = "import sys; sys.stderr.write('x' * 1_000_000); print('done')"
    assert read_file(path, pre=f'{sys.executable} -c "{noisy}"').texts == ["done"]
    records = read_records(Source(str(path)), ReadSettings(pre="yes"), Counts(), print)
    assert next(records).text == str(path)
    records.close()
    slow = "import time; print(1, flush=True); time.sleep(300)"
    records = read_records(
        Source(str(path)), ReadSettings(pre=f'{sys.executable} -c "{slow}"'), Counts(), print
    )
    assert next(records).text == "1"
    start = time.monotonic()
    records.close()
    assert time.monotonic() - start < 30


def test_what_a_command_gives_with_nul_is_binary(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes(b"a\0\n")
    outcome = read_file(path, pre="cat")
    # `cat FILE` opens the file itself.
    assert (outcome.records, [p.is_error for p in outcome.problems]) == ([], [False])


def test_a_line_of_many_megabytes_costs_little_memory(tmp_path):
    path = tmp_path / "long"
    with path.open("wb") as file:
        file.write(b"first\n")
        for _ in range(40):
            file.write(b"x" * 1_000_000)
        file.write(b"\nlast\n")
    for form in ("lines", "jsonl", "csv", "auto"):
        tracemalloc.start()
        outcome = read_file(path, format=form, max_record_bytes=1_000_000, header=False, columns=("1",))
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 8_000_000
        if form != "jsonl":
            assert outcome.texts == ["first", "last"]
        assert "40000001 bytes" in outcome.problems[-1 if form != "jsonl" else 1].reason


def test_many_short_lines_take_constant_memory():
    code = textwrap.dedent("""
        import resource, sys
        from embedcli.datatypes import Counts, Source
        from embedcli.records.read import read_records
        from embedcli.records.settings import ReadSettings
        def peak():
            return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        counts = Counts()
        records = read_records(Source(None), ReadSettings(), counts, print, sys.stdin.buffer)
        for _ in range(10_000):
            next(records)
        before = peak()
        for _ in records: pass
        print(counts.read, peak() - before)
    """)
    line = b'{"text":"a", "n": 1}\n'
    done = subprocess.run(
        [sys.executable, "-c", code],
        input=line * 300_000,
        capture_output=True,
        check=True,
        cwd=Path(__file__).parents[3],
        env=bare_environment(),
    )
    count, grown_kib = map(int, done.stdout.split())
    assert count == 300_000
    assert grown_kib < 4096


def test_importing_the_readers_loads_nothing_heavy():
    code = (
        "import sys; from embedcli.records import read, source, chunk, fingerprint, settings, walk, tables, parquet\n"
        "print([name for name in ('numpy', 'ignore', 'orjson', 'pyarrow', 'sqlite3', 'subprocess') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        check=True,
        cwd=Path(__file__).parents[3],
        env=bare_environment(),
    )
    assert done.stdout == b"[]\n"
