"""Association tests of an encoder, each beside what unrelated words reach: `eval bias`."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from embedcli.errors import InputError, MissingPathError
from embedcli.reports import Measurement

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from embedcli.datatypes import Vectors

CONTROLS: Final = 200
"""Pairs of unrelated groups: the end of the band stands on ten of them."""

CONTROL_SHARE: Final = 0.95
MAX_BYTES: Final = 16 << 20
MAX_TEXTS: Final = 20_000
_GROUPS: Final = ("targ1", "targ2", "attr1", "attr2")

CAUTION: Final = (
    "a d beyond its control says that the encoder ties these words to these attributes more than unrelated"
    " words; one within it shows nothing, and no d shows that an encoder is fair"
)


class Group(NamedTuple):
    """Texts of one category."""

    name: str
    texts: tuple[str, ...]


class AssociationTest(NamedTuple):
    """Two groups of targets and two of attributes."""

    name: str
    targets: tuple[Group, Group]
    attributes: tuple[Group, Group]

    @property
    def question(self) -> str:
        """What is asked, in words."""
        first, second = (
            " or ".join(group.name for group in pair) for pair in (self.targets, self.attributes)
        )
        return f"{first}: nearer to {second}?"


class BiasFound(NamedTuple):
    """What came of a test.

    Attributes:
        measurements: Effect, the control's bound, and both p-values.
        unknown: Texts without a vector, left out.
    """

    measurements: list[Measurement]
    unknown: int


def read_tests(path: str) -> list[AssociationTest]:
    """Return the tests of a file: JSON objects with `targ1`, `targ2`, `attr1` and `attr2`.

    Each of these has `category` and `examples`, as the files of May et al. have them.

    Raises:
        MissingPathError: There is no such file.
        InputError: It holds something else.
    """
    try:
        with Path(path).open("rb") as stream:
            content = stream.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise MissingPathError(path) from None
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from error
    if len(content) > MAX_BYTES:
        raise InputError(f"{path}: more than {MAX_BYTES >> 20} MiB are no association test")
    text = content.decode("utf-8-sig", "replace")
    decoder, place, found = json.JSONDecoder(), 0, []
    while (place := place + len(text[place:]) - len(text[place:].lstrip())) < len(text):
        line = text.count("\n", 0, place) + 1
        try:
            value, place = decoder.raw_decode(text, place)
        except json.JSONDecodeError as error:
            raise InputError(f"{path}:{error.lineno}: no JSON: {error.msg}") from error
        except RecursionError as error:
            raise InputError(f"{path}:{line}: no association test") from error
        found.append((line, value))
    if not found:
        raise InputError(f"{path}: empty")
    stem = Path(path).name.split(".")[0]
    names = [stem] if len(found) == 1 else [f"{stem}-{number}" for number in range(1, len(found) + 1)]
    return [_test(name, value, f"{path}:{line}") for name, (line, value) in zip(names, found, strict=True)]


def _test(name: str, value: Any, where: str) -> AssociationTest:
    """Return a test made of a JSON value.

    Raises:
        InputError: It is none.
    """
    groups = []
    for key in _GROUPS:
        group: Any = value.get(key) if isinstance(value, dict) else None
        group = group if isinstance(group, dict) else {}
        texts = group.get("examples")
        if not isinstance(texts, list) or not all(isinstance(text, str) and text.strip() for text in texts):
            raise InputError(
                f"{where}: no association test: {key} has no list of examples",
                hint='{"targ1": {"category": "flowers", "examples": ["rose", …]}, "targ2": …, "attr1": …, …}',
            )
        if not 2 <= len(texts) <= MAX_TEXTS:
            raise InputError(f"{where}: {key} has {len(texts)} examples, not 2 to {MAX_TEXTS}")
        groups.append(Group(str(group.get("category") or key), tuple(texts)))
    return AssociationTest(name, (groups[0], groups[1]), (groups[2], groups[3]))


def measure_bias(
    test: AssociationTest, encode: Callable[[Sequence[str]], Vectors], seed: int, controls: int = CONTROLS
) -> BiasFound:
    """Return how strong an association is, beside what unrelated words reach with the same attributes.

    Args:
        test: Two groups of targets, two of attributes.
        encode: Gives unit vectors, shape (n, dim), or zero rows for texts that it knows nothing of.
        seed: Of what is drawn.
        controls: Pairs of unrelated groups.

    Raises:
        InputError: A group has fewer than two texts with a vector.
    """
    import numpy as np

    from embedcli.vectors.association import associate, leanings

    found = [encode(group.texts) for group in (*test.targets, *test.attributes)]
    known = [vectors[vectors.any(axis=1)] for vectors in found]
    for group, vectors in zip((*test.targets, *test.attributes), known, strict=True):
        if len(vectors) < 2:
            raise InputError(f"{test.name}: the encoder knows fewer than two texts of {group.name}")
    first, second, *attributes = known
    association = associate(leanings(first, *attributes), leanings(second, *attributes), seed)
    reached = np.sort(_control_effects(test, encode, attributes, seed, controls))
    effect = float("nan") if association.effect is None else association.effect
    measured = {
        "d": effect,
        "control |d|": float(np.quantile(reached, CONTROL_SHARE)),
        "p": association.p,
        "p control": float((1 + (reached >= abs(effect)).sum()) / (1 + len(reached))),
    }
    unknown = sum(map(len, found)) - sum(map(len, known))
    return BiasFound([Measurement(test.name, metric, value) for metric, value in measured.items()], unknown)


def _control_effects(
    test: AssociationTest,
    encode: Callable[[Sequence[str]], Vectors],
    attributes: Sequence[Vectors],
    seed: int,
    controls: int,
) -> Any:
    """Return |d| of pairs of unrelated groups in the sentences of the targets, shape (controls,), float64."""
    import numpy as np

    from embedcli.tasks.evaluate.unrelated_words import KINDS, frames_of, put_into, two_kinds
    from embedcli.vectors.association import effect_size, leanings

    words = [word for kind in KINDS.values() for word in kind]
    sides = []
    for group in test.targets:
        frames, count = frames_of(group.texts)
        texts = [put_into(frame, word) for word in words for frame in frames]
        lean = leanings(encode(texts), attributes[0], attributes[1]).reshape(len(words), len(frames))
        sides.append((dict(zip(words, lean, strict=True)), count))
    chance = random.Random(seed)  # noqa: S311  (nothing secret)
    effects = []
    for _ in range(controls):
        chosen = two_kinds((sides[0][1], sides[1][1]), chance)
        first, second = (
            np.concatenate([own[word] for word in group])
            for (own, _), group in zip(sides, chosen, strict=True)
        )
        effects.append(abs(effect_size(first, second) or 0.0))
    return np.array(effects)
