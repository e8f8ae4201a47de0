"""Copies of a text as near-duplicates are: re-cased, with some words changed, sentences moved or left out.

A threshold is measured on them, so each kind has a stated rule. The same text, kind and seed give the same
copy on every machine, whatever other texts there are.
"""

from __future__ import annotations

import random
import re
from typing import TYPE_CHECKING, Final, Literal, get_args

from embedcli.records.sentences import iter_sentences

if TYPE_CHECKING:
    from collections.abc import Sequence

Edit = Literal["exact", "recased", "edited", "shuffled", "shortened"]
"""How a copy differs from its text.

`exact`: in nothing. `recased`: in capital letters, small ones, or both exchanged. `edited`: one word of 20,
at least one, is misspelt, left out, doubled, or changes places with the next. `shuffled`: its sentences stand
in another order. `shortened`: one of its sentences is missing.
"""

EDITS: Final[tuple[Edit, ...]] = get_args(Edit)

EDITED_RATIO: Final = 0.05
"""Share of the words that `edited` changes."""

LEAST_SHUFFLED: Final = 3
"""Sentences that `shuffled` needs: of two, each alone is half of the text."""

LEAST_SHORTENED: Final = 4
"""Sentences that `shortened` needs: what is missing shall be a small part."""

_WORD = re.compile(r"\S+")
_MISSPELT_CHARS = 4
"""Letters of the shortest word that is misspelt where there are longer ones: `is` becomes another word."""


def edit_text(text: str, edit: Edit, seed: int = 0) -> str | None:
    """Return a copy of a text, never the text itself unless `edit` is `exact`; None where there is no copy.

    A text without letters has no re-cased copy, one of few sentences no shuffled one. Linear.
    """
    chooser = random.Random(f"{seed} {edit} {text}")  # noqa: S311  (nothing secret)
    match edit:
        case "exact":
            return text
        case "recased":
            return _recase(text, chooser)
        case "edited":
            return _change_words(text, chooser)
        case "shuffled":
            return _shuffle(text, chooser)
        case "shortened":
            return _shorten(text, chooser)


def misspell_text(text: str, ratio: float, seed: int = 0) -> str | None:
    """Return a text of which some words are misspelt, at least one; None where no word can be. Linear.

    Args:
        text: White space between its words stays.
        ratio: Which share of the words; short words are passed over where there are longer ones.
        seed: Of the choice.
    """
    chooser = random.Random(f"{seed} misspelt {ratio} {text}")  # noqa: S311  (nothing secret)
    words = re.split(r"(\s+)", text)
    places = [place for place, word in enumerate(words) if any(map(str.isalpha, word))]
    chooser.shuffle(places)
    wanted, touched = max(1, round(ratio * len(places))), set[int]()
    for place in places:
        if len(touched) == wanted:
            break
        _misspell(words, place, touched, chooser)
    return "".join(words) if touched else None


def replace_words(text: str, others: Sequence[str], ratio: float, seed: int = 0) -> str | None:
    """Return a text of which some words are other ones, at least one; None where there is no word. Linear.

    Args:
        text: White space between its words stays, and so do marks around a word.
        others: What stands in their place.
        ratio: Which share of the words.
        seed: Of the choice.
    """
    chooser = random.Random(f"{seed} replaced {ratio} {text}")  # noqa: S311  (nothing secret)
    spans = [found.span() for found in re.finditer(r"[\w'-]+", text)]
    if not spans:
        return None
    chosen = sorted(chooser.sample(spans, max(1, round(ratio * len(spans)))), reverse=True)
    for start, end in chosen:
        text = text[:start] + chooser.choice(others) + text[end:]
    return text


def _recase(text: str, chooser: random.Random) -> str | None:
    forms = [form for form in (text.upper(), text.lower(), text.swapcase()) if form != text]
    return chooser.choice(forms) if forms else None


def _change_words(text: str, chooser: random.Random) -> str | None:
    """Change one word of 20; the white space around words stays.

    Each chosen word gets one of the four changes, by chance; one that is not possible there (the only word
    left out, equal neighbours exchanged) gives way to the next.
    """
    spans = [found.span() for found in _WORD.finditer(text)]
    words = [text[start:end] for start, end in spans]
    chosen = [place for place, word in enumerate(words) if any(map(str.isalnum, word))]
    chooser.shuffle(chosen)
    wanted, done = max(1, round(EDITED_RATIO * len(words))), 0
    touched: set[int] = set()
    for place in chosen:
        if done == wanted:
            break
        # A word that moved is not changed again: two changes could undo each other.
        if place in touched:
            continue
        changes = [_misspell, _leave_out, _double, _swap]
        chooser.shuffle(changes)
        done += any(change(words, place, touched, chooser) for change in changes)
    if not done:
        return None
    parts: list[str] = []
    end = 0
    for (start, after), word in zip(spans, words, strict=True):
        # With a word that is left out goes the space before it; the first keeps what stands before the text.
        parts += [text[end:start], word] if word or not parts else []
        end = after
    return "".join(parts) + text[end:]


def _misspell(words: list[str], place: int, touched: set[int], chooser: random.Random) -> bool:
    """Exchange two neighbouring letters, or leave one out, or double one."""
    word = words[place]
    if len(word) < 2 or (len(word) < _MISSPELT_CHARS and max(map(len, words)) >= _MISSPELT_CHARS):
        return False
    # The first letter is seldom wrong, and words are told apart by it.
    at = chooser.randrange(1, len(word)) if len(word) < 3 else chooser.randrange(1, len(word) - 1)
    forms = [
        word[:at] + word[at + 1 : at + 2] + word[at] + word[at + 2 :],
        word[:at] + word[at + 1 :],
        word[:at] + word[at] + word[at:],
    ]
    form = chooser.choice([form for form in forms if form.casefold() != word.casefold()])
    words[place] = form
    touched.add(place)
    return True


def _leave_out(words: list[str], place: int, touched: set[int], _chooser: random.Random) -> bool:
    if sum(map(bool, words)) < 2:
        return False
    words[place] = ""
    touched.add(place)
    return True


def _double(words: list[str], place: int, touched: set[int], _chooser: random.Random) -> bool:
    words[place] = f"{words[place]} {words[place]}"
    touched.add(place)
    return True


def _swap(words: list[str], place: int, touched: set[int], _chooser: random.Random) -> bool:
    after = place + 1
    if after >= len(words) or after in touched or words[place].casefold() == words[after].casefold():
        return False
    words[place], words[after] = words[after], words[place]
    touched.update((place, after))
    return True


def sentences_of(text: str) -> list[str]:
    """Return the sentences of a text, without the space around them."""
    return [sentence for start, end in iter_sentences(text) if (sentence := text[start:end].strip())]


def _shuffle(text: str, chooser: random.Random) -> str | None:
    sentences = sentences_of(text)
    if len(sentences) < LEAST_SHUFFLED or len(set(sentences)) < 2:
        return None
    order = list(sentences)
    while order == sentences:
        chooser.shuffle(order)
    return " ".join(order)


def _shorten(text: str, chooser: random.Random) -> str | None:
    sentences = sentences_of(text)
    if len(sentences) < LEAST_SHORTENED:
        return None
    missing = chooser.randrange(len(sentences))
    return " ".join(sentence for place, sentence in enumerate(sentences) if place != missing)
