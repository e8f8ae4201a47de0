"""A small test collection that no single vector can rank: each pair of documents answers a question.

Source: O. Weller, M. Boratko, I. Naim, J. Lee, "On the theoretical limitations of embedding-based retrieval",
2025: the set LIMIT, of which this is a smaller one with words of its own.
"""

from __future__ import annotations

import random
from itertools import combinations
from typing import TYPE_CHECKING, Final, NamedTuple

from embedcli.tasks.evaluate.unrelated_words import KINDS
from embedcli.write.objects import dump

if TYPE_CHECKING:
    from pathlib import Path

DOCUMENTS: Final = 30
"""With 435 pairs, each with a thing of its own; a document then likes 29 things."""

_PEOPLE: Final = tuple(
    str.split(
        "Ada Bruno Clara Dmitri Elsa Farid Greta Hugo Ines Jonas Kaya Liam Maren Nadia Oskar Petra "
        "Quentin Rosa Sven Tilda Umberto Vera Wanda Xaver Yasmin Zoltan Amir Bettina Cosmo Delia"
    )
)

_LIKED: Final = tuple(
    str.split(
        "otters badgers camels zebras lions tigers leopards giraffes beavers squirrels hedgehogs walruses "
        "dolphins whales sharks octopuses lobsters penguins ostriches pelicans owls falcons parrots swans "
        "cranes storks ravens turtles lizards crocodiles frogs salamanders butterflies beetles bees "
        "spiders snails goats donkeys ponies tulips orchids daisies lilies roses sunflowers violets "
        "daffodils peonies poppies ferns mosses cacti bamboo oaks maples birches willows cedars pines "
        "palms elms ivy clover lavender jasmine thistles nettles reeds heather apples pears plums "
        "cherries peaches apricots grapes figs dates lemons limes oranges melons bananas mangoes "
        "pineapples raspberries strawberries blueberries walnuts almonds hazelnuts chestnuts olives "
        "tomatoes cucumbers carrots radishes turnips beetroot spinach lettuce cabbage broccoli asparagus "
        "pumpkins peppers onions garlic leeks mushrooms lentils chickpeas rice noodles pizza pancakes "
        "waffles omelettes soup cheese yoghurt butter honey jam chocolate liquorice marzipan cinnamon "
        "ginger saffron vanilla nutmeg mustard vinegar coffee tea lemonade cider cocoa pretzels "
        "croissants sausages bacon salmon trout herring mussels chess checkers dominoes poker bridges "
        "football tennis golf hockey cricket rugby rowing sailing surfing diving swimming skating skiing "
        "climbing hiking cycling archery fencing boxing wrestling judo yoga ballet jazz opera knitting "
        "sewing embroidery pottery weaving origami calligraphy photography gardening fishing camping "
        "juggling magic puppetry poetry novels comics riddles crosswords karaoke astronomy geology botany "
        "chemistry algebra diamonds rubies emeralds sapphires opals pearls amber jade marble granite "
        "velvet silk linen wool leather"
    )
)
"""Animals, plants, food, pastimes, stones and stuffs."""


METRICS: Final = ("recall@2", "recall@10", "MRR@10")
"""Two documents answer a question: the first two places could hold them."""

CAPACITY: Final = (
    "one vector has too few numbers to put every pair of documents first; words do not have this limit"
)


class Question(NamedTuple):
    """What somebody likes, and the two who do."""

    thing: str
    answers: tuple[str, str]


class LimitSet(NamedTuple):
    """Documents by id, and questions."""

    documents: dict[str, str]
    questions: list[Question]


def things() -> list[str]:
    """Return all that can be liked: no two have a word in common."""
    plurals = [f"{word}s" for kind in KINDS.values() for word in kind]
    return list(dict.fromkeys([*plurals, *_LIKED]))


def make_limit(seed: int, count: int = DOCUMENTS) -> LimitSet:
    """Return a set in which each pair of documents, and no other one, likes one thing.

    Args:
        seed: Of who likes what, and in which order it stands.
        count: Documents, at least 2 and at most `DOCUMENTS`.
    """
    chance = random.Random(f"limit {seed}")  # noqa: S311  (nothing secret)
    pairs = list(combinations(_PEOPLE[:count], 2))
    liked: dict[str, list[str]] = {name: [] for name in _PEOPLE[:count]}
    questions = []
    for thing, pair in zip(chance.sample(things(), len(pairs)), pairs, strict=True):
        questions.append(Question(thing, pair))
        for name in pair:
            liked[name].append(thing)
    for own in liked.values():
        chance.shuffle(own)
    chance.shuffle(questions)
    return LimitSet({name: f"{name} likes {', '.join(own)}." for name, own in liked.items()}, questions)


def write_limit(made: LimitSet, folder: Path) -> None:
    """Write a set as a test collection: `corpus.jsonl`, `queries.jsonl` and `qrels.tsv`."""
    corpus = [dump({"_id": name, "text": text}) for name, text in made.documents.items()]
    queries = [
        dump({"_id": str(number), "text": f"Who likes {question.thing}?"})
        for number, question in enumerate(made.questions, start=1)
    ]
    judged = [
        f"{number}\t{name}\t1".encode()
        for number, question in enumerate(made.questions, start=1)
        for name in question.answers
    ]
    lines = {
        "corpus.jsonl": corpus,
        "queries.jsonl": queries,
        "qrels.tsv": [b"query-id\tcorpus-id\tscore", *judged],
    }
    for file, own in lines.items():
        (folder / file).write_bytes(b"\n".join(own) + b"\n")


def count_documents(folder: str) -> int:
    """Return how many documents a test collection has. Linear."""
    from embedcli.datatypes import Counts
    from embedcli.records.judgements import find_collection
    from embedcli.tasks.inputs import Inputs

    inputs = Inputs([find_collection(folder).corpus], {"text_fields": ("title", "text")})
    return sum(not record.is_blank for record in inputs.records(Counts(), lambda _problem: None))


def chance_recall(documents: int) -> dict[str, float]:
    """Return what a random order gives, exactly: any document is among the first k with the same chance."""
    depths = (int(metric.partition("@")[2]) for metric in METRICS if metric.startswith("recall"))
    return {f"recall@{depth}": min(1.0, depth / documents) for depth in depths}
