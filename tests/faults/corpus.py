"""A dozen small files before and after an update, and which answers are right in between."""

from __future__ import annotations

from collections import defaultdict
from typing import Any, NamedTuple

QUERY = "bread"
EVERY_CHUNK = ("-n", 1000, "--by", "chunk", "--no-collapse", "--json")
"""What shows each chunk of the corpus by itself."""
SEARCH_ALL = ("search", QUERY, "-i", "store/x.emb", *EVERY_CHUNK)

_TAIL = "Everybody in the village has known that for years, and nobody has ever asked why it is so."


def _file(*sentences: str) -> str:
    """Return a file with a paragraph for each sentence, long enough to be a chunk of its own."""
    return "\n\n".join(f"{sentence} {_TAIL}" for sentence in sentences) + "\n"


OLD = {
    "bread.md": _file("Mix flour and water.", "Rest the dough over night.", "Bake it hot."),
    "tax.txt": _file("The tax is due on the tenth of March.", "Late payment costs interest."),
    "disk.txt": _file("The disk was full of old log files.", "Restart the process that holds them."),
    "garden/roses.txt": _file("Cut roses back in early spring.", "Water them in the morning."),
    "garden/beans.txt": _file("Beans need a pole to climb.", "They are sown in May."),
    "garden/apples.txt": _file("Apples are picked in autumn.", "Keep them cool and dark."),
    "music.txt": _file("The choir meets on Tuesday.", "Bring the score of the requiem."),
    "train.txt": _file("The night train leaves at ten.", "Seats must be booked ahead."),
    "dog.txt": _file("My dog sleeps all day.", "At night it barks at the moon."),
    "cat.txt": _file("The cat has three kittens."),
    "war.txt": _file("The siege lasted for two years.", "Nobody had expected that."),
    "sea.txt": _file("The ferry does not sail in a storm.", "Tickets stay valid."),
}

NEW = {
    **{name: text for name, text in OLD.items() if name not in ("cat.txt", "train.txt", "war.txt")},
    "tax.txt": _file("The tax is due on the first of April.", "Paying late costs a fine."),
    "disk.txt": OLD["disk.txt"] + "\n" + _file("A quota keeps the log folder small from now on."),
    "garden/beans.txt": _file("Beans are sown in June."),
    "moved/train.txt": OLD["train.txt"],
    "kitchen.txt": _file("The knife is blunt.", "Sharpen it on a wet stone."),
    "window.txt": _file("A broken window in the kitchen."),
}
"""Three files edited, two removed, one moved, two added."""


class Shown(NamedTuple):
    """What a search says of one chunk."""

    path: str
    line: int
    text: str
    cosine: float


Content = frozenset[Shown]
"""Everything an index answers to one query."""


def content_of(hits: list[dict[str, Any]]) -> Content:
    """Return what the hits of a search say; no chunk is shown twice."""
    shown = [Shown(hit["path"], hit["line"], hit["text"], hit["cosine"]) for hit in hits]
    assert len(set(shown)) == len(shown)
    return frozenset(shown)


def by_path(content: Content) -> dict[str, Content]:
    """Return the content of each file."""
    files: dict[str, set[Shown]] = defaultdict(set)
    for shown in content:
        files[shown.path].add(shown)
    return {path: frozenset(chunks) for path, chunks in files.items()}


def assert_between(found: Content, old: Content, new: Content) -> None:
    """Check that what is shown of each file is all of its old version or all of its new one.

    A build commits whole files, and it removes what vanished last: by then everything else is new, so that
    a file that moved is found under one of its names at any moment.
    """
    before, after, now = by_path(old), by_path(new), by_path(found)
    for path in before | after | now:
        versions = (before.get(path, frozenset()), after.get(path, frozenset()))
        assert now.get(path, frozenset()) in versions, f"{path}: a mixture: {sorted(now[path])}"
    vanished = before.keys() - after.keys()
    if vanished - now.keys():
        assert found == new, "something was removed before the rest was there"
