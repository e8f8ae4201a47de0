"""A collection to measure search with, made of the descriptions of Debian packages.

    /usr/lib/apt/apt-helper cat-file /var/lib/apt/lists/*_main_i18n_Translation-en* | python benchmarks/packages.py packages/
    python benchmarks/quality.py --retrieval packages/ --modes

Documents are 12,000 long descriptions, queries the one-line summaries of 600 of them; the right answer to a summary
is its own description. Descriptions that are short, or begin as another one does, are left out. Writes `corpus.jsonl`,
`queries.jsonl` and `qrels.tsv`, as `quality.py` reads them.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import sys
from pathlib import Path

DOCUMENTS = 12_000
QUERIES = 600
SHORTEST_CHARS = 200
FAMILY_CHARS = 60
"""Descriptions of packages from one source often differ in their last lines alone."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    packages = descriptions(sys.stdin.read())
    random.Random(1).shuffle(packages)
    packages = packages[:DOCUMENTS]
    asked = list(enumerate(packages[:QUERIES]))
    write(folder / "corpus.jsonl", [{"_id": name, "title": "", "text": text} for name, _, text in packages])
    write(folder / "queries.jsonl", [{"_id": f"q{number}", "text": title} for number, (_, title, _) in asked])
    (folder / "qrels.tsv").write_text("".join(f"q{number}\t{name}\t1\n" for number, (name, _, _) in asked))
    print(f"{folder}: {len(packages)} documents, {len(asked)} queries")


def descriptions(translations: str) -> list[tuple[str, str, str]]:
    """Return name, summary and description of each package, in the order of the file."""
    seen: set[str] = set()
    found = []
    for stanza in translations.split("\n\n"):
        match = re.match(r"Package: (\S+)\n.*?Description-en: (.*?)\n(.*)", stanza, re.DOTALL)
        if match is None:
            continue
        name, title = match[1], match[2]
        text = " ".join(" ".join(line for line in match[3].split("\n") if line.strip() != ".").split())
        if len(text) < SHORTEST_CHARS or not seen.isdisjoint((text, title, text[:FAMILY_CHARS])):
            continue
        seen |= {text, title, text[:FAMILY_CHARS]}
        found.append((name, title, text))
    return found


def write(path: Path, rows: list[dict[str, str]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


if __name__ == "__main__":
    main()
