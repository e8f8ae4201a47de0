"""Ordinary things that have nothing to do with each other, and sentences to put them into.

Words of two kinds of things stand in for the targets of an association test: what they reach is what any two
kinds of things reach.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    import random
    from collections.abc import Sequence

KINDS: Final[dict[str, tuple[str, ...]]] = {
    kind: tuple(words.split())
    for kind, words in {
        "furniture": "chair table sofa stool desk cupboard wardrobe drawer cabinet armchair footstool"
        " lantern sideboard dresser bookcase ottoman bunk hammock counter worktop",
        "stationery": "pencil pen eraser ruler stapler notebook envelope folder binder crayon marker stamp"
        " notepad sharpener clipboard highlighter postcard staple label calendar",
        "tools": "hammer screwdriver pulley chisel drill ladder shovel rake saw trowel spanner mallet"
        " clamp file crowbar plane hoe wheelbarrow pickaxe bucket",
        "kitchen": "kettle saucepan spoon fork bowl plate mug ladle whisk colander grater tray jug"
        " teapot spatula toaster oven cutter peeler blender",
        "clothes": "shirt coat sock glove hat jacket sweater belt skirt boot sandal slipper apron"
        " cardigan raincoat vest blouse cap robe mitten",
        "buildings": "bridge tower warehouse station theatre museum garage barn barrack cottage stadium"
        " office workshop tunnel harbour hangar pavilion cinema shed terminal",
        "vehicles": "truck tractor bicycle scooter van tram gondola canoe wagon trailer tanker helicopter"
        " glider kayak yacht taxi caravan sledge raft barge",
        "shapes": "circle square triangle rectangle cube cylinder cone pyramid spiral oval hexagon"
        " octagon pentagon sphere line curve angle arc grid dot",
        "instruments": "violin trumpet flute cello guitar banjo clarinet oboe harp drum trombone organ tuba"
        " accordion mandolin bassoon recorder bugle ukulele xylophone",
        "containers": "barrel crate basket jar bottle carton tin tub suitcase trunk sack pail urn vial"
        " casket canister hamper flask keg purse",
        "landscape": "hill river meadow island lagoon canyon plateau desert lake pond creek cape glacier"
        " dune ridge cave cliff swamp waterfall fjord",
        "devices": "computer printer scanner monitor keyboard router camera radio speaker projector"
        " antenna calculator thermostat microphone telescope headphone sensor modem charger"
        " tripod",
    }.items()
}
"""Nouns with regular plurals. Written for this purpose."""

ALONE: Final = "\0"
"""The frame of a word that stands alone."""

_WORD: Final = re.compile(r"[\w'-]+")
_ARTICLE: Final = re.compile(r"\b([Aa])n? $")
_PLURAL: Final = re.compile(r"\b(are|were|these|those|they|have)\b", re.IGNORECASE)
_MOST_CHARS: Final = 2_000


class Frames(NamedTuple):
    """What the texts of a group have in common.

    Attributes:
        frames: Sentences with `ALONE` in the place of the word.
        words: How many words were put into them.
    """

    frames: tuple[str, ...]
    words: int


def frames_of(texts: Sequence[str]) -> Frames:
    """Return the sentences that words were put into; texts without such have the frame `ALONE`.

    A frame is a text without one of its words, and several texts have it; `a` and `an` count as one.
    O(characters x words of a text).
    """
    places = [_frames_of_text(text[:_MOST_CHARS]) for text in texts]
    counted = Counter(frame for frames in places for frame in frames)
    chosen = Counter(max(frames, key=counted.__getitem__) for frames in places if frames)
    most = max(chosen.values(), default=0)
    frames = tuple(frame for frame, count in chosen.items() if 2 * count > most)
    if most < 2 or frames == (ALONE,):
        return Frames((ALONE,), len(texts))
    return Frames(frames, most)


def _frames_of_text(text: str) -> list[str]:
    found = []
    for word in _WORD.finditer(text):
        before = _ARTICLE.sub(r"\1 ", text[: word.start()])
        found.append(before + ALONE + text[word.end() :])
    return found


def put_into(frame: str, word: str) -> str:
    """Return a frame with a word in it, in the plural and with `an` where that is due."""
    before, _, after = frame.partition(ALONE)
    filled = f"{word}s" if _PLURAL.search(frame) else word
    if _ARTICLE.search(before) and filled[0] in "aeiou":
        before = _ARTICLE.sub(r"\1n ", before)
    return before + (filled if before or not after else filled.capitalize()) + after


def two_kinds(counts: tuple[int, int], chance: random.Random) -> tuple[list[str], list[str]]:
    """Return words of two unrelated groups: of one kind each where that has enough words, else of several.

    Args:
        counts: How many of each; fewer where there are no more.
        chance: Chooses.
    """
    kinds = list(KINDS)
    chance.shuffle(kinds)
    # The other group needs a kind too.
    first = _words_of(kinds, counts[0], spare=1)
    second = _words_of(kinds, counts[1], spare=0)
    return (
        chance.sample(first, min(counts[0], len(first))),
        chance.sample(second, min(counts[1], len(second))),
    )


def _words_of(kinds: list[str], count: int, spare: int) -> list[str]:
    """Return the words of the last kinds, at least `count` where there are enough; these are taken away."""
    words: list[str] = []
    while len(kinds) > spare and len(words) < count:
        words += KINDS[kinds.pop()]
    return words
