"""What combining questions finds: packages with two properties, or with one and without another.

    /usr/lib/apt/apt-helper cat-file /var/lib/apt/lists/*_main_binary-amd64_Packages* | python benchmarks/sets.py packages/

`packages/` is from `packages.py`; standard input has the tags that Debian's maintainers gave to packages. Each pair
of properties that enough packages share is asked for in several ways; printed is the mean precision of the first 20
hits. Not every package has all tags that it deserves: the figures compare ways to ask, no more.
"""

from __future__ import annotations

import argparse
import itertools
import json
import random
import re
import statistics
import sys
import tempfile
from pathlib import Path

from quality import run

TOP_K = 20
LEAST_SHARED = 15
"""Packages that have both properties of a pair."""
PARTED = 60
"""Pairs of which one property is wanted and the other not."""

PROPERTIES = {
    "admin::filesystem": "file systems",
    "culture::japanese": "Japanese language",
    "devel::lang:c++": "C++ library",
    "devel::lang:java": "Java library",
    "devel::lang:perl": "Perl",
    "game::puzzle": "puzzle",
    "implemented-in::java": "Java",
    "implemented-in::lisp": "Lisp",
    "implemented-in::perl": "a Perl module",
    "implemented-in::python": "written in Python",
    "interface::commandline": "command line tool",
    "interface::daemon": "daemon running in the background",
    "made-of::font": "fonts",
    "network::client": "a network client",
    "network::server": "a network server",
    "protocol::http": "HTTP and web",
    "protocol::ssl": "SSL and TLS",
    "role::documentation": "documentation and manuals",
    "role::plugin": "plugin",
    "security::cryptography": "cryptography and encryption",
    "suite::emacs": "Emacs",
    "suite::kde": "KDE desktop",
    "uitoolkit::gtk": "GTK and GNOME",
    "uitoolkit::qt": "Qt toolkit",
    "use::converting": "converting between formats",
    "use::downloading": "downloading files",
    "use::gameplaying": "a game to play",
    "use::learning": "education and learning",
    "use::monitor": "monitoring",
    "works-with-format::xml": "XML documents",
    "works-with::audio": "sound and music",
    "works-with::db": "databases",
    "works-with::image": "images and pictures",
    "works-with::mail": "electronic mail",
    "works-with::text": "text processing",
    "works-with::video": "video",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model", default="default")
    arguments = parser.parse_args()
    tags = package_tags(sys.stdin.read())
    rows = [json.loads(line) for line in (arguments.folder / "corpus.jsonl").open(encoding="utf-8")]
    rows = [row for row in rows if row["_id"] in tags]
    having = {name: {row["_id"] for row in rows if name in tags[row["_id"]]} for name in PROPERTIES}
    with tempfile.TemporaryDirectory() as work:
        corpus, index = Path(work) / "corpus.jsonl", Path(work) / "x.emb"
        corpus.write_text("".join(json.dumps(row) + "\n" for row in rows))
        run("index", "build", "-q", "-i", index, corpus, "-m", arguments.model, "--on-long", "pool")
        print(f"{len(rows)} packages with tags")
        shared = [
            (first, second)
            for first, second in itertools.combinations(PROPERTIES, 2)
            if LEAST_SHARED
            <= len(having[first] & having[second])
            < 0.6 * min(len(having[first]), len(having[second]))
        ]
        print(f"\nboth, {len(shared)} pairs: precision of the first {TOP_K}")
        wanted = [having[first] & having[second] for first, second in shared]
        asked = [(PROPERTIES[first], PROPERTIES[second]) for first, second in shared]
        show("one text: A B", plain(index, [f"{first} {second}" for first, second in asked]), wanted)
        show("A alone", plain(index, [first for first, _ in asked]), wanted)
        show("A --and B", [hits(index, first, "--and", second)[0] for first, second in asked], wanted)
        parted = [
            (first, second)
            for first, second in itertools.permutations(PROPERTIES, 2)
            if len(having[first]) >= 40
            and 10 <= len(having[first] & having[second]) <= 0.6 * len(having[first])
        ]
        parted = random.Random(1).sample(parted, min(PARTED, len(parted)))
        print(f"\none without the other, {len(parted)} pairs: precision of the first {TOP_K}")
        wanted = [having[first] - having[second] for first, second in parted]
        asked = [(PROPERTIES[first], PROPERTIES[second]) for first, second in parted]
        show(
            "one text: A but not B",
            plain(index, [f"{first} but not {second}" for first, second in asked]),
            wanted,
        )
        show("A alone", plain(index, [first for first, _ in asked]), wanted)
        show("A --not B", [hits(index, first, "--not", second)[0] for first, second in asked], wanted)


def show(way: str, found: list[list[str]], wanted: list[set[str]]) -> None:
    """Print the mean precision of the hits of all pairs."""
    values = [sum(name in own for name in names) / TOP_K for names, own in zip(found, wanted, strict=True)]
    print(f"  {way:22} {statistics.fmean(values):.3f}")


def plain(index: Path, texts: list[str]) -> list[list[str]]:
    """Return the ids of the hits of each text, all asked in one process."""
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as asked:
        asked.write("".join(f"{text}\n" for text in texts))
        asked.flush()
        return hits(index, "--queries", asked.name, count=len(texts))


def hits(index: Path, *question: str, count: int = 1) -> list[list[str]]:
    """Return the ids of the hits of each of so many questions."""
    out = run("search", *question, "-i", index, "--mode", "dense", "-n", TOP_K, "--json", "--no-collapse")
    found = [json.loads(line)["id"] for line in out.splitlines()]
    return [found[number * TOP_K : (number + 1) * TOP_K] for number in range(count)]


def package_tags(packages: str) -> dict[str, set[str]]:
    """Return the tags of each package that has any."""
    tags = {}
    for stanza in packages.split("\n\n"):
        name = re.match(r"Package: (\S+)", stanza)
        listed = re.search(r"^Tag: (.*?)(?=^\S|\Z)", stanza, re.DOTALL | re.MULTILINE)
        if name and listed:
            tags[name[1]] = set(re.findall(r"[\w+-]+::[\w+:-]+", listed[1]))
    return tags


if __name__ == "__main__":
    main()
