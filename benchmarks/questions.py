"""Twenty questions to three collections that people have: a project's docs, man pages, and mails.

    python benchmarks/questions.py man/ mail/ [--keep indexes/]

The questions were written before anything was searched for, and before the man pages and the mails were looked at:
all that was known of the collections is in `COLLECTIONS`. What answers them was found afterwards by reading and
with grep. Three questions that the mails do not answer were replaced after a look at the list of their subjects:
`EXPORT_SYMBOL_GPL`, "laptop does not wake up after sleep", "change the colours of the message list in emacs".

Prints for each collection, and for all, how many questions have a right hit first and among the first five, by what
ranks, and which have none. The indexes are built with default settings; `--keep` keeps them for another run.

How the folders were made, on Debian 12:

    apt-get download coreutils curl findutils gawk git-man grep openssh-client openssh-server rsync sed \
        systemd systemd-timesyncd tar
    for each: dpkg-deb -x PACKAGE unpacked/
    for each file of unpacked/usr/share/man/man[1-8] that is no mere reference (.so):
        MANWIDTH=80 man -l -Tutf8 FILE | col -bx > man/NAME.txt
    apt-get source --download-only notmuch
    test/corpora/lkml as mail/lkml, test/corpora/default as mail/notmuch
"""

from __future__ import annotations

import argparse
import fnmatch
import json
import re
import tempfile
from pathlib import Path
from typing import NamedTuple

from min_score import run

COLLECTIONS = {
    "docs": "README.md and docs/*.md of this project",
    "man": "the man pages of coreutils, curl, findutils, gawk, git, grep, openssh, rsync, sed, systemd and tar",
    "mail": "the mails that notmuch is tested with: two mailing lists, the Linux kernel's and notmuch's own",
}


class Question(NamedTuple):
    """A question as a user types it and what answers it: `pattern`, in the text of a hit from a file like `file`."""

    collection: str
    text: str
    file: str
    pattern: str


QUESTIONS = (
    Question(
        "docs",
        "does it send my files to some server",
        "*.md",
        r"no server, no account and no network|Only `models add` and `models sync` ever use a network",
    ),
    Question("docs", "what does --fuse rrf do", "docs/*.md", r"1 / \(60 \+ its rank\)|rrf \(by rank\)"),
    Question("docs", "exit code 75", "*.md", r"\b75 \| another run is writing"),
    Question(
        "docs",
        "only search in files that changed last week",
        "docs/*.md",
        r"--since`.{0,40}(7d, 12h|`7d`)|only files changed since",
    ),
    Question(
        "docs",
        "my computer lost power while it was indexing, is the index broken now",
        "*.md",
        r"killed `index build` goes on|stopped or killed goes on|a killed run left is rolled back",
    ),
    Question(
        "docs",
        "under which licence may I use the model that comes with it",
        "README.md",
        r"all-MiniLM-L6-v2, under the Apache License 2\.0",
    ),
    Question(
        "docs",
        "convert a huggingface modle to onnx",
        "*.md",
        r"`models export FOLDER -o DIR`|without an ONNX graph is exported|models export weights/|a published ONNX graph",
    ),
    Question(
        "man",
        "undo my last commit but keep the changes",
        "git-*.1.txt",
        r"--soft HEAD\^|--soft\s+Does not touch",
    ),
    Question(
        "man",
        "copy only files that are newer than the ones at the destination",
        "*.1.txt",
        r"copy only when the SOURCE file is\s+newer|--update, -u\s+This\s+forces",
    ),
    Question(
        "man", "ProxyJump", "*.txt", r"Specifies one or more jump proxies|shortcut to specify a ProxyJump"
    ),
    Question(
        "man",
        "how do I delete all empty folders below here",
        "*.1.txt",
        r"-empty File is empty and is either|rmdir - remove empty directories",
    ),
    Question("man", "exit status 124", "*.1.txt", r"\b124\s+if\b"),
    Question(
        "man", "tar exclud files matching a patern", "tar.1.txt", r"Exclude\s+files\s+matching\s+PATTERN"
    ),
    Question(
        "man",
        "start a service again when it crashes",
        "systemd.service.5.txt",
        r"Restart=\s+Configures whether the service shall be restarted",
    ),
    Question(
        "mail",
        "can I keep my mail in mbox files or does every message need its own file",
        "notmuch/*",
        r"maildir or mh archives are perfect",
    ),
    Question("mail", "does it build on FreeBSD", "notmuch/*", r"preliminary compile which worked out fine"),
    Question("mail", "X86_UP_IOAPIC", "lkml/*", r"X86_UP_IOAPIC"),
    Question(
        "mail",
        "bluetooth stopped working with the new kernel",
        "lkml/*",
        r"bluetooth is just not functioning",
    ),
    Question("mail", "aplied your patch, thanks", "lkml/*", r"(?im)^>* *applied( now)?[.,]"),
    Question("mail", "can I use it on a Mac", "notmuch/*", r"Mac OS X"),
)

MODES = (
    ("--mode", "lexical"),
    ("--mode", "dense"),
    ("--mode", "hybrid"),
    ("--mode", "hybrid", "--rerank", "maxsim"),
    ("--mode", "hybrid", "--min-score", "auto"),
)
TOP_K = 5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("man", type=Path)
    parser.add_argument("mail", type=Path)
    parser.add_argument("--keep", type=Path, metavar="FOLDER")
    arguments = parser.parse_args()
    project = Path(__file__).resolve().parent.parent
    named = {
        "docs": [project / "README.md", project / "docs"],
        "man": [arguments.man],
        "mail": [arguments.mail],
    }
    with tempfile.TemporaryDirectory() as scratch:
        work = Path(scratch)
        indexes = arguments.keep or work
        indexes.mkdir(parents=True, exist_ok=True)
        ranks = {}
        for name, paths in named.items():
            index = indexes / f"{name}.emb"
            run("index", "build", *paths, "-i", index, "-q")
            chunks = json.loads(run("index", "status", "-i", index, "--json"))["chunks"]
            print(f"{name}: {COLLECTIONS[name]}; {chunks} chunks")
            for mode in MODES:
                ranks[name, mode] = first_right(name, index, work, mode)
    show(ranks)


def first_right(name: str, index: Path, work: Path, mode: tuple[str, ...]) -> list[int | None]:
    """Return the rank of the first right hit to each question of a collection, None where there is none."""
    own = [question for question in QUESTIONS if question.collection == name]
    asked = work / "asked.txt"
    asked.write_text("".join(question.text + "\n" for question in own))
    found: list[int | None] = [None] * len(own)
    for line in run("search", "--queries", asked, "-i", index, *mode, "-n", TOP_K, "--json").splitlines():
        hit = json.loads(line)
        place = int(hit["query"]) - 1
        question = own[place]
        in_file = fnmatch.fnmatchcase(f"/{hit['path']}", f"*/{question.file}")
        if found[place] is None and in_file and re.search(question.pattern, hit["text"]):
            found[place] = hit["rank"]
    return found


def show(ranks: dict[tuple[str, tuple[str, ...]], list[int | None]]) -> None:
    """Print how many questions have a right hit first and among the first five, and which have none."""
    print(f"{'':40}" + "".join(f"{name:>12}" for name in (*COLLECTIONS, "all")) + "   hits at 1, at 5, of")
    for mode in MODES:
        cells = [ranks[name, mode] for name in COLLECTIONS]
        cells.append([rank for cell in cells for rank in cell])
        print(
            f"{' '.join(mode):40}"
            + "".join(f"{cell.count(1):4}{len(cell) - cell.count(None):4}{len(cell):4}" for cell in cells)
        )
    for mode in MODES:
        print(f"not among the first {TOP_K}, {' '.join(mode)}:")
        for name in COLLECTIONS:
            own = [question.text for question in QUESTIONS if question.collection == name]
            for text, rank in zip(own, ranks[name, mode], strict=True):
                if rank is None:
                    print(f"    {name}: {text}")


if __name__ == "__main__":
    main()
