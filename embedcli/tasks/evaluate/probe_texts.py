"""Sentences for the probes of `eval stress`, made of ordinary words; all written for this purpose."""

from __future__ import annotations

import random
from typing import Final, NamedTuple

from embedcli.tasks.evaluate.unrelated_words import KINDS

_SCENES: Final = (
    "The {a} stood beside the {b} until the evening.",
    "Nobody in the {p} had ever repaired a {a} like this one.",
    "She carried the {a} and the {b} from the {p} to the market.",
    "On Monday the {a} was sold together with a {b}.",
    "A painting of a {a} hung above the old {b}.",
    "The children found a {a} behind the {p}.",
    "He wrote a long letter about the {a} and its price.",
    "After the storm only the {a} was left of the {p}.",
    "Two visitors asked for a {a}, but there was only a {b}.",
    "The {p} was built by a man who collected every {a} he saw.",
    "They cleaned the {a} with warm water and put it near the {b}.",
    "In winter the {a} is kept in a room of the {p}.",
    "Her brother borrowed the {b} and brought back a {a}.",
    "The guide told a story of a {a} that was lost for years.",
    "It took three days to move the {a} into the {p}.",
    "A small crowd gathered around the {a} at noon.",
)
"""Sentences with two things and a place."""

_ACTS: Final = (
    ("thanked", "was thanked by"),
    ("followed", "was followed by"),
    ("helped", "was helped by"),
    ("criticised", "was criticised by"),
    ("interviewed", "was interviewed by"),
    ("rescued", "was rescued by"),
    ("deceived", "was deceived by"),
    ("praised", "was praised by"),
    ("hired", "was hired by"),
    ("ignored", "was ignored by"),
)
_PEOPLE: Final = (
    *("teacher", "lawyer", "farmer", "doctor", "painter", "sailor", "baker", "judge"),
    *("nurse", "singer", "driver", "editor", "tailor", "pilot", "waiter", "gardener"),
)

_STATES: Final = (
    ("is broken", "no longer works", "is not broken"),
    ("is expensive", "costs a lot of money", "is not expensive"),
    ("is new", "was made only recently", "is not new"),
    ("is heavy", "weighs a great deal", "is not heavy"),
    ("is dangerous", "can hurt people", "is not dangerous"),
    ("is clean", "has no dirt on it", "is not clean"),
    ("is quiet", "makes hardly any noise", "is not quiet"),
    ("is popular", "pleases many people", "is not popular"),
    ("is empty", "has nothing in it", "is not empty"),
    ("was stolen", "was taken by thieves", "was not stolen"),
    ("has arrived", "is finally here", "has not arrived"),
    ("is useful", "helps with the work", "is not useful"),
)
_AMOUNTS: Final = (
    "The bill comes to {n} euros.",
    "The village has {n} inhabitants.",
    "They counted {n} birds on the lake.",
    "The tower is {n} feet high.",
    "The order is for {n} boxes.",
    "The distance is {n} kilometres.",
)
_SECRETS: Final = (
    ("The password of the {a} club is {w}.", "What is the password of the {a} club?"),
    ("The owner of the blue {a} is called {w}.", "Who owns the blue {a}?"),
    ("The museum of {a}s closes at {w}.", "When does the museum of {a}s close?"),
)
_ANSWERS: Final = ("Marigold", "Thornton", "seven", "Caraway", "Ellsworth", "nine", "Juniper", "Whitlock")


class Choice(NamedTuple):
    """A text, one that says the same, and one that does not."""

    text: str
    same: str
    other: str


def documents(count: int, sentences: int, seed: int) -> list[str]:
    """Return texts of some sentences each, no sentence twice in a text."""
    chance = random.Random(f"documents {seed}")  # noqa: S311  (nothing secret)
    things = [word for kind, words in KINDS.items() if kind != "buildings" for word in words]
    made = []
    for _ in range(count):
        place = chance.choice(KINDS["buildings"])
        scenes = chance.sample(_SCENES, min(sentences, len(_SCENES)))
        scenes += chance.choices(_SCENES, k=sentences - len(scenes))
        filled = (scene.format(a=chance.choice(things), b=chance.choice(things), p=place) for scene in scenes)
        made.append(" ".join(filled))
    return made


def role_choices(count: int, seed: int) -> list[Choice]:
    """Return who did what to whom, in the active voice, and two passives of the same words: one is right."""
    chance = random.Random(f"roles {seed}")  # noqa: S311  (nothing secret)
    made = []
    for _ in range(count):
        (active, passive), (one, other) = chance.choice(_ACTS), chance.sample(_PEOPLE, 2)
        made.append(
            Choice(
                f"The {one} {active} the {other}.",
                f"The {other} {passive} the {one}.",
                f"The {one} {passive} the {other}.",
            )
        )
    return made


def negation_choices(count: int, seed: int) -> list[Choice]:
    """Return a statement, the same in other words, and its negation."""
    chance = random.Random(f"negation {seed}")  # noqa: S311  (nothing secret)
    things = [*KINDS["tools"], *KINDS["devices"], *KINDS["vehicles"], *KINDS["furniture"]]
    every = [(thing, state) for thing in things for state in _STATES]
    return [
        Choice(*(f"The {thing} {form}." for form in state))
        for thing, state in chance.sample(every, min(count, len(every)))
    ]


def number_choices(count: int, seed: int) -> list[Choice]:
    """Return an amount, nearly the same amount, and a far larger or smaller one; no number comes twice."""
    chance = random.Random(f"numbers {seed}")  # noqa: S311  (nothing secret)
    taken: set[int] = set()
    made: list[Choice] = []
    while len(made) < count:
        amount = chance.randrange(200, 9_000)
        near = round(amount * chance.choice((0.97, 0.98, 1.02, 1.03)))
        far = round(amount * chance.choice((0.1, 0.2, 6, 9)))
        if {amount, near, far} & taken or len({amount, near, far}) < 3:
            continue
        taken |= {amount, near, far}
        form = chance.choice(_AMOUNTS)
        made.append(Choice(*(form.format(n=number) for number in (amount, near, far))))
    return made


def needles(count: int, seed: int) -> list[tuple[str, str]]:
    """Return sentences that say something, each with the question that it answers; no question twice."""
    chance = random.Random(f"needles {seed}")  # noqa: S311  (nothing secret)
    things = [word for kind in ("instruments", "landscape", "shapes", "clothes") for word in KINDS[kind]]
    every = [(thing, form) for thing in things for form in _SECRETS]
    return [
        (form[0].format(a=thing, w=chance.choice(_ANSWERS)), form[1].format(a=thing))
        for thing, form in chance.sample(every, min(count, len(every)))
    ]
