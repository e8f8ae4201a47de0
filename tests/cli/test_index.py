"""`embedcli index` and `search` on an index, as real processes."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Program, without_privileges

Write = Callable[..., Path]

DOCS = {
    "docs/bread.md": "# Bread\n\nMix flour and water, rest the dough over night and bake it hot.\n",
    "docs/servers/disk.txt": "The disk was full, because old log files were never deleted from it in all these years.\n\n"
    "Restart the process that still holds the deleted file open, then the space comes back.\n",
    "docs/tax.txt": "The quarterly tax payment is due on the tenth of March, June and September.\n",
}


@pytest.fixture
def docs(write: Write) -> None:
    for name, text in DOCS.items():
        write(name, text)


def build(program: Program, *arguments: object, **options: Any) -> dict[str, Any]:
    """Build, and return the counts."""
    program("index", "build", *arguments, "--stats-json", "s.json", **options).ok()
    return json.loads((program.folder / "s.json").read_text())


def best(program: Program, query: str, *arguments: object) -> dict[str, Any]:
    return program("search", query, "-n", 1, "--json", *arguments).ok().objects[0]


def test_build_search_and_status(program: Program, docs: None) -> None:
    counts = build(program, "docs")
    assert (counts["files_added"], counts["encoded"]) == (3, 4)
    hit = best(program, "no space left, because old logs were kept for years", "-i", "docs")
    assert (hit["path"], hit["line"]) == ("docs/servers/disk.txt", 1)
    assert hit["id"] == "servers/disk.txt", "ids are relative to the root"
    second = best(program, "reboot the program with the removed file", "-i", "docs/.embedcli/index.emb")
    assert (second["line"], second["chunk"]) == (3, 2)
    facts = json.loads(program("index", "status", "-i", "docs", "--json").ok().out)
    assert (facts["sources"], facts["chunks"], facts["deleted"], facts["partial"]) == (3, 4, 0, 0)
    assert facts["roots"] == ["docs"]
    assert facts["chunking"] == ["paragraphs for text files, none for JSONL and CSV; split when long"]
    assert list((program.folder / "docs/.embedcli").iterdir()) == [
        program.folder / "docs/.embedcli/index.emb"
    ]


def test_the_nearest_index_is_found_from_below_and_paths_are_relative_to_here(
    program: Program, docs: None
) -> None:
    build(program, "docs")
    done = program("search", "bake", "-n", 1, "--json", cwd=program.folder / "docs/servers").ok()
    assert done.objects[0]["path"] == "../bread.md"
    assert program("search", "bake").code == 1, "above it there is none: standard input, which is empty"


def test_nothing_changed_nothing_is_encoded_and_one_edit_is_one_chunk(
    program: Program, docs: None, write: Write
) -> None:
    build(program, "docs")
    again = build(program, "-i", "docs")
    assert (again["encoded"], again["files_unchanged"]) == (0, 3)
    write(
        "docs/servers/disk.txt",
        DOCS["docs/servers/disk.txt"]
        + "\nA quota keeps the log folder small from now on, whatever happens.\n",
    )
    edited = build(program, "-i", "docs")
    assert (edited["encoded"], edited["files_changed"], edited["files_unchanged"]) == (1, 1, 2)
    assert best(program, "limit the size of logs", "-i", "docs")["line"] == 5


def test_a_file_touched_or_moved_is_not_encoded_again(program: Program, docs: None) -> None:
    build(program, "docs")
    os.utime(program.folder / "docs/tax.txt")
    assert build(program, "docs")["encoded"] == 0
    (program.folder / "docs/tax.txt").rename(program.folder / "docs/money.txt")
    moved = build(program, "docs")
    assert (moved["encoded"], moved["files_removed"], moved["files_added"]) == (0, 1, 1)
    assert best(program, "when is the tax due", "-i", "docs")["path"] == "docs/money.txt"


def test_same_size_and_time_but_other_content_is_noticed(program: Program, docs: None) -> None:
    path = program.folder / "docs/tax.txt"
    build(program, "docs")
    before = path.stat()
    path.write_text(DOCS["docs/tax.txt"].replace("March", "April"))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert build(program, "docs")["encoded"] == 1


def test_vanished_files_are_removed_but_not_a_large_part_of_the_index(program: Program, write: Write) -> None:
    for number in range(150):
        write(f"docs/{number}.txt", f"This is note number {number}, and it stands alone in its file.\n")
    build(program, "docs")
    (program.folder / "docs/7.txt").unlink()
    assert build(program, "docs")["files_removed"] == 1
    shutil.rmtree(program.folder / "docs", ignore_errors=True)
    write("docs/1.txt", "This is note number 1, and it stands alone in its file.\n")
    gone = program("index", "build", "docs", "-i", "x.emb")
    assert gone.code == 0, "the index went with the folder; this one is new"


def test_the_shrink_guard(program: Program, write: Write) -> None:
    for number in range(150):
        write(f"docs/{number}.txt", f"This is note number {number}, and it stands alone in its file.\n")
    build(program, "-i", "x.emb", "docs")
    for number in range(1, 150):
        (program.folder / f"docs/{number}.txt").unlink()
    stopped = program("index", "build", "-i", "x.emb")
    assert stopped.code == 2
    assert "would drop 149 of 150 chunks" in stopped.err
    assert "hint: --allow-shrink" in stopped.err
    assert json.loads(program("index", "status", "-i", "x.emb", "--json").out)["chunks"] == 150
    assert build(program, "-i", "x.emb", "--allow-shrink")["files_removed"] == 149
    shutil.rmtree(program.folder / "docs")
    missing = program("index", "build", "-i", "x.emb")
    assert missing.code == 3
    assert "docs: no such file" in missing.err, "an unmounted root is named"
    assert json.loads(program("index", "status", "-i", "x.emb", "--json").out)["chunks"] == 1, "and kept"
    assert program("index", "build", "-i", "x.emb", "docs").code == 2, "but not when it is named here"


def test_a_file_that_cannot_be_read_is_kept_and_named(program: Program, docs: None) -> None:
    before = without_privileges()
    build(program, "-i", "x.emb", "docs")
    (program.folder / "docs/tax.txt").chmod(0)
    done = program("index", "build", "-i", "x.emb", before=before)
    assert done.code == 3
    assert "docs/tax.txt" in done.err
    (program.folder / "docs/tax.txt").chmod(0o644)
    (program.folder / "docs/servers").chmod(0)
    done = program("index", "build", "-i", "x.emb", before=before)
    (program.folder / "docs/servers").chmod(0o755)
    assert done.code == 3
    assert best(program, "disk full", "-i", "x.emb")["path"] == "docs/servers/disk.txt", (
        "unreadable is not vanished"
    )


def test_binary_hidden_and_ignored_files_are_left_out(program: Program, docs: None, write: Write) -> None:
    write("docs/picture.png", b"\x89PNG\r\n\x1a\n\0\0\0")
    write("docs/.hidden.txt", "secret\n")
    write("docs/.ignore", "drafts/\n")
    write("docs/drafts/a.txt", "draft\n")
    counts = build(program, "-i", "x.emb", "docs")
    assert counts["files_added"] == 4
    facts = json.loads(program("index", "status", "-i", "x.emb", "--json", "-v").ok().out)
    assert (facts["sources"], facts["skipped"]) == (3, 1)
    assert facts["left_out"][0]["path"] == "docs/picture.png"
    quiet = program("index", "build", "-i", "x.emb", "-q").ok()
    assert quiet.err == ""


def test_a_root_keeps_its_settings(program: Program, docs: None) -> None:
    build(program, "-i", "x.emb", "docs", "--chunking", "lines", "--include", "*.txt")
    counts = build(program, "-i", "x.emb")
    assert (counts["files_unchanged"], counts["encoded"]) == (2, 0)
    changed = build(program, "-i", "x.emb", "--chunking", "none")
    assert changed["files_changed"] == 2
    assert json.loads(program("index", "status", "-i", "x.emb", "--json").out)["chunks"] == 2


def test_jsonl_records_keep_ids_and_fields_and_only_changed_ones_are_encoded(
    program: Program, write: Write
) -> None:
    rows = [
        {"id": f"t{number}", "title": f"Ticket {number}", "body": f"About subject {number}."}
        for number in range(20)
    ]

    def store() -> None:
        write("t.jsonl", "".join(json.dumps(row) + "\n" for row in rows))

    store()
    options = ("-i", "t.emb", "t.jsonl", "--field", "title", "--field", "body")
    assert build(program, *options)["encoded"] == 20
    rows[3]["body"] = "A broken window in the kitchen."
    rows.insert(0, {"id": "new", "title": "New", "body": "The first one now."})
    rows.remove(next(row for row in rows if row["id"] == "t9"))
    store()
    counts = build(program, *options)
    assert (counts["encoded"], counts["chunks_dropped"]) == (2, 2)
    hit = best(program, "shattered glass", "-i", "t.emb")
    assert (hit["id"], hit["line"], hit["body"]) == ("t3", 5, "A broken window in the kitchen.")


def test_records_from_standard_input_are_added_and_replaced(program: Program) -> None:
    def send(*rows: dict[str, str], more: tuple[str, ...] = ()) -> dict[str, Any]:
        return build(
            program, "-i", "x.emb", "-", *more, stdin="".join(json.dumps(row) + "\n" for row in rows).encode()
        )

    send({"id": "a", "text": "my dog"}, {"id": "b", "text": "a tax form"})
    send({"id": "b", "text": "a loaf of bread"}, {"id": "c", "text": "a fast car"})
    texts = {hit["text"] for hit in program("search", "anything", "-i", "x.emb", "--json").ok().objects}
    assert texts == {"my dog", "a loaf of bread", "a fast car"}
    send({"id": "c", "text": "a fast car"}, more=("--prune",))
    texts = {hit["text"] for hit in program("search", "anything", "-i", "x.emb", "--json").ok().objects}
    assert texts == {"a fast car"}


def test_vectors_that_come_along_are_stored(program: Program, write: Write) -> None:
    write("a.txt", "my dog\na tax form\n")
    done = program.shell("embedcli embed a.txt | embedcli index build -i x.emb - --stats-json s.json").ok()
    assert done.out == b""
    assert json.loads((program.folder / "s.json").read_text())["encoded"] == 0
    assert best(program, "puppy", "-i", "x.emb")["text"] == "my dog"


def test_an_index_moves_with_its_folder_and_opens_read_only(program: Program, docs: None) -> None:
    build(program, "docs")
    (program.folder / "docs").rename(program.folder / "moved")
    assert best(program, "bake", "-i", "moved")["path"] == "moved/bread.md"
    for path in (program.folder / "moved/.embedcli/index.emb", program.folder / "moved/.embedcli"):
        path.chmod(0o555 if path.is_dir() else 0o444)
    done = program("search", "bake", "-i", "moved", "-n", 1, before=without_privileges())
    (program.folder / "moved/.embedcli").chmod(0o755)
    assert done.ok().lines


def test_no_text_keeps_no_text(program: Program, docs: None) -> None:
    build(program, "-i", "x.emb", "docs", "--no-text")
    assert b"tenth of March" not in (program.folder / "x.emb").read_bytes()
    hit = best(program, "when is the tax due", "-i", "x.emb")
    assert (hit["path"], hit["text"]) == ("docs/tax.txt", None)


def test_another_model_or_dimension_is_refused_with_both_named(
    program: Program, docs: None, write: Write
) -> None:
    build(program, "-i", "x.emb", "docs")
    for command in (
        ("search", "bake", "-i", "x.emb", "--dim", "100"),
        ("index", "build", "-i", "x.emb", "--dim", "100"),
    ):
        done = program(*command)
        assert done.code == 2
        assert "built with dim 384, this run has 100" in done.err
    write("x.emb", "not an index")
    done = program("search", "bake", "-i", "x.emb")
    assert done.code == 2
    assert "x.emb: not an embedcli index" in done.err
    assert program("search", "bake", "-i", "none.emb").code == 2


def test_a_damaged_index_is_named_and_not_answered_from(program: Program, docs: None) -> None:
    build(program, "-i", "x.emb", "docs")
    path = program.folder / "x.emb"
    content = path.read_bytes()
    at = content.index(b"tenth of March")
    path.write_bytes(content[:at] + b"fifth" + content[at + 5 :])
    done = program("search", "when is the tax due", "-i", "x.emb")
    assert done.code == 2
    assert "damaged: row" in done.err
    assert done.out == b""


def test_a_killed_build_goes_on_inside_the_file(program: Program, write: Write) -> None:
    paragraphs = [
        f"Paragraph {number} tells of {number} things that nobody had told before, at some length and with care."
        for number in range(3000)
    ]
    write("docs/large.txt", "\n\n".join(paragraphs) + "\n")
    process = program.start("index", "build", "-i", "x.emb", "docs", "-q")
    path = program.folder / "x.emb"
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.05)
        if path.with_name("x.emb-wal").exists() and path.with_name("x.emb-wal").stat().st_size > 1_000_000:
            break
    process.kill()
    process.wait()
    status = json.loads(program("index", "status", "-i", "x.emb", "--json").ok().out)
    assert status["partial"] == 1
    assert status["chunks"] == 0, "a record shows when it is complete"
    counts = build(program, "-i", "x.emb")
    assert 0 < counts["encoded"] < 3000
    assert counts["encoded"] + counts["cached"] == 3000
    assert json.loads(program("index", "status", "-i", "x.emb", "--json").out)["chunks"] == 3000


def wait_for_cpu_seconds(process: subprocess.Popen[bytes], seconds: float) -> None:
    """Wait until a process has worked that long, by its own CPU time, or has ended."""
    ticks = seconds * os.sysconf("SC_CLK_TCK")
    while process.poll() is None:
        fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
        if int(fields[11]) + int(fields[12]) >= ticks:
            return
        time.sleep(0.05)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_build_commits_first(program: Program, write: Write, number: int, code: int) -> None:
    for document in range(3000):
        write(
            f"docs/{document:04}.txt",
            f"Document {document} is about subject {document} and nothing else. " * 5,
        )
    process = program.start("index", "build", "-i", "x.emb", "docs", "-q")
    # Texts are short, so that by then some batches are encoded, on a slow machine too, and many more are not.
    wait_for_cpu_seconds(process, 6)
    process.send_signal(number)
    start = time.monotonic()
    assert process.wait(timeout=20) == code
    assert time.monotonic() - start < 10
    status = json.loads(program("index", "status", "-i", "x.emb", "--json").ok().out)
    assert 0 < status["chunks"] < 3000
    assert not (program.folder / "x.emb-wal").exists()
    assert not (program.folder / "x.emb.lock").exists()
    counts = build(program, "-i", "x.emb")
    assert counts["encoded"] == 3000 - status["chunks"]


def test_a_second_writer_is_exit_75_and_readers_go_on(program: Program, write: Write) -> None:
    write("docs/a.txt", "my dog\n")
    build(program, "-i", "x.emb", "docs")
    for document in range(200):
        write(
            f"docs/{document}.txt", f"Document {document} is about subject {document} and nothing else. " * 10
        )
    process = program.start("index", "build", "-i", "x.emb", "docs", "-q")
    try:
        deadline = time.monotonic() + 30
        while not (program.folder / "x.emb.lock").exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        second = program("index", "build", "-i", "x.emb", "docs")
        assert second.code == 75
        assert f"pid {process.pid}, since" in second.err
        assert best(program, "puppy", "-i", "x.emb")["text"] == "my dog"
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=30)


def test_a_bad_record_is_named_on_every_run_and_the_others_go_on(program: Program, write: Write) -> None:
    write("t.jsonl", '{"id": "a", "text": "my dog"}\n{broken\n{"id": "b", "text": "a tax form"}\n')
    first = program("index", "build", "-i", "x.emb", "t.jsonl")
    assert first.code == 3
    assert "t.jsonl:2" in first.err
    write("t.jsonl", '{"id": "a", "text": "my dog"}\n{broken\n')
    second = program("index", "build", "-i", "x.emb", "t.jsonl", "--stats-json", "s.json")
    assert (second.code, "t.jsonl:2" in second.err) == (3, True)
    assert json.loads((program.folder / "s.json").read_text())["encoded"] == 0
    assert [hit["id"] for hit in program("search", "x", "-i", "x.emb", "--json").ok().objects] == ["a"]


def test_an_index_in_its_own_root_does_not_index_itself(program: Program, docs: None) -> None:
    for files in (3, 0):
        assert build(program, "-i", "docs/x.emb", "docs")["files_added"] == files


def test_an_index_without_text_stays_without_text(program: Program, docs: None, write: Write) -> None:
    build(program, "-i", "x.emb", "docs", "--no-text")
    write("docs/new.txt", "A sentence that must not be kept.\n")
    build(program, "-i", "x.emb")
    assert b"must not be kept" not in (program.folder / "x.emb").read_bytes()


def test_an_index_taken_out_of_its_folder_never_names_another_one(program: Program, docs: None) -> None:
    build(program, "docs")
    shutil.copy(program.folder / "docs/.embedcli/index.emb", program.folder / "copy.emb")
    refused = program("index", "build", "-i", "copy.emb")
    assert refused.code == 2
    assert "copy.emb: taken out of its folder" in refused.err
    found = program("search", "bake", "-i", "copy.emb", "-n", 1, "--json").ok()
    assert found.objects[0]["path"] == "bread.md", "relative to where it was"
    assert "taken out of its folder" in found.err
    program("index", "status", "-i", "copy.emb").ok()


def test_a_refresh_treats_long_texts_as_its_root_says(program: Program, write: Write) -> None:
    write("docs/a.txt", "short\n")
    build(program, "-i", "x.emb", "docs", "--chunking", "none", "--on-long", "truncate")
    write("docs/a.txt", "words about bread. " * 200 + "words about war. " * 200)
    build(program, "-i", "x.emb")
    write("a.txt", "words about bread. " * 200 + "words about war. " * 200)
    options = ("--on-long", "truncate", "--format", "whole")
    wanted = program("search", "bread", "a.txt", "--json", *options).ok().objects[0]["cosine"]
    pooled = (
        program("search", "bread", "a.txt", "--json", "--on-long", "pool", "--format", "whole").ok().objects
    )
    found = best(program, "bread", "-i", "x.emb")["cosine"]
    assert abs(found - wanted) < 1e-3
    assert abs(found - pooled[0]["cosine"]) > 0.01


def test_a_root_keeps_its_limit_for_records(program: Program, write: Write) -> None:
    write("docs/a.txt", "short\n")
    build(program, "-i", "x.emb", "docs", "--max-record-bytes", "1K")
    write("docs/b.txt", "a file of more than a kilobyte. " * 100)
    refreshed = program("index", "build", "-i", "x.emb")
    assert refreshed.code == 3
    assert "docs/b.txt" in refreshed.err
