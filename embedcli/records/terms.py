"""The words of a text that can say what it is about, and pairs of them.

A word is a run of letters, digits and the marks that belong to letters, with at least one letter, in lower
case and in one Unicode form (NFKC); apostrophes inside it count, `'s` at its end does not. English function
words, single letters and words of more than 40 characters are left out. A pair is two words that stand side
by side with nothing but white space or hyphens between them; the second may be `up`, `out`, `off` or `down`.

Writing without spaces has no words to be seen: of Chinese characters and of Thai, Lao, Khmer, Burmese and
Tibetan letters every run of a few is a term, as in Lucene's `CJKBigramFilter`, but of several lengths; the
kana that Japanese writes its grammar in (hiragana) and the commonest Chinese particles end a run.
"""

from __future__ import annotations

import functools
import re
import unicodedata
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_CHARS: Final = 20_000
"""Characters of a text whose terms are looked at: what comes behind them changes what it is about little."""

_LONGEST_WORD: Final = 40
_VERB_ENDS: Final = ("up", "out", "off", "down")
"""Of no weight alone, but `top up` and `log out` are not `top` and `log`."""

_WEAK: Final = frozenset(
    ("new", "old", "first", "second", "two", "three", "good", "great", "big", "different", "various")
)
"""Words that say something with the word behind them only."""

_CONTRACTED: Final = ("'d", "'ll", "'m", "'re", "'t", "'ve")
"""What stands behind English pronouns and auxiliary verbs, and behind nothing else."""

_IDEOGRAPHS: Final = "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_LETTERS: Final = "\u0e00-\u0eff\u0f00-\u0fff\u1000-\u109f\u1780-\u17ff"
_HIRAGANA: Final = "\u3040-\u309f"
_PARTICLES: Final = "的了吗嗎呢吧啊我你您他她它们們是在和与與及也就都很这這那个個请請把被"
_WITHOUT_SPACES = re.compile(f"[{_IDEOGRAPHS}{_LETTERS}{_HIRAGANA}]")
_IDEOGRAPH_RUNS: Final = (2, 3, 4)
_LETTER_RUNS: Final = (3, 4, 5, 6)
"""Letters of a run; marks are not counted, and never parted from their letter."""

_FIRST_MARK, _LAST_MARK = 0x300, 0x1FFFF
"""Between them stand all combining marks but selectors of variants."""

_BREAK: Final = ""

STOP_WORDS: Final = frozenset(
    """
    a about above across after afterwards again against ago all almost alone along already also although
    always am among an and another any anybody anyhow anyone anything anyway anywhere are around as at
    away be became because become becomes been before behind being below beside besides between beyond
    both but by came can cannot come comes could did do does doing done each either else elsewhere enough
    etc even ever every everybody everyone everything everywhere except far few for from further get gets
    getting give given gives go goes going gone got had has have having he hello hence her here hers
    herself hi him himself his how however http https i if in indeed instead into is it its itself just
    keep keeps know last least less let like likely look made make makes making many may maybe me
    meanwhile might mine more moreover most mostly much must my myself namely need neither never
    nevertheless next no nobody none nor not nothing now nowhere of off often oh ok okay on once one ones
    only onto or other others otherwise ought our ours ourselves out over own per perhaps please put quite
    rather re really regarding said same saw say says see seem seemed seems seen several shall she should
    since so some somebody somehow someone something sometimes somewhere still such sure take takes than
    thank thanks that the their theirs them themselves then there thereby therefore these they thing
    things think this those though through throughout thus to together too took toward towards try trying
    under unless until up upon us use used uses using very via want wants was way we well went were what
    whatever when whenever where whereas wherever whether which whichever while who whoever whole whom
    whose why will with within without would www yes yet you your yours yourself yourselves
    """.split()  # noqa: SIM905  (a word a line is a page)
)
"""English function words, forms of the commonest verbs, and what greets and thanks."""


def terms_of(text: str) -> set[str]:
    """Return the words and pairs of words in a text, each once. Linear, and bounded by `MAX_CHARS`."""
    head = text[:MAX_CHARS]
    if not head.isascii():
        head = unicodedata.normalize("NFKC", head).replace("\u2019", "'")
    terms: set[str] = set()
    if _WITHOUT_SPACES.search(head):
        head = _take_runs(head, terms)
    words = _pattern().findall(head.lower())
    plain = [_plain(word) for word in words]
    terms.update(plain)
    # The second of a pair, in the place of the first.
    seconds = [known or word * (word in _VERB_ENDS) for known, word in zip(plain[1:], words[1:], strict=True)]
    terms.update(
        f"{first} {second}" for first, second in zip(plain, seconds, strict=False) if first and second
    )
    return terms - _WEAK - {_BREAK}


def is_run(term: str) -> bool:
    """Whether a term is a run of writing without spaces."""
    return _WITHOUT_SPACES.match(term) is not None


def _plain(word: str) -> str:
    """Return a word without what the genitive adds, or `_BREAK` for one that says nothing."""
    word = word.removesuffix("'s")
    if not 1 < len(word) <= _LONGEST_WORD or word in STOP_WORDS or word.isdecimal():
        return _BREAK
    return _BREAK if word.endswith(_CONTRACTED) else word


@functools.cache
def _marks() -> str:
    """Return a character class of combining marks, which Python does not count as part of a word."""
    codes = [
        code for code in range(_FIRST_MARK, _LAST_MARK + 1) if unicodedata.category(chr(code)).startswith("M")
    ]
    return "[" + "".join(map(chr, codes)) + "]"


@functools.cache
def _pattern() -> re.Pattern[str]:
    """Return what finds words, and the single characters that part two neighbours."""
    run = rf"(?:[^\W_]+{_marks()}*+)++"
    return re.compile(rf"{run}(?:'{run})*+|[^\w\s-]")


def _take_runs(text: str, terms: set[str]) -> str:
    """Add the runs of writing without spaces to terms; return the text with a break in the place of each."""
    kept, end = [], 0
    for found in _runs_pattern().finditer(text):
        kept += [text[end : found.start()], " / "]
        end = found.end()
        if found["ideographs"]:
            for part in re.split(f"[{_PARTICLES}]", found["ideographs"]):
                terms.update(_pieces(part, _IDEOGRAPH_RUNS))
        elif found["letters"]:
            letters = re.findall(f".{_marks()}*", found["letters"])
            terms.update(_pieces(letters, _LETTER_RUNS))
    return "".join([*kept, text[end:]])


@functools.cache
def _runs_pattern() -> re.Pattern[str]:
    letters = f"(?P<letters>[{_LETTERS}]++)"
    return re.compile(f"(?P<ideographs>[{_IDEOGRAPHS}]++)|{letters}|[{_HIRAGANA}]++")


def _pieces(letters: str | list[str], lengths: tuple[int, ...]) -> Iterator[str]:
    """Yield all runs of some lengths."""
    for length in lengths:
        for start in range(len(letters) - length + 1):
            yield "".join(letters[start : start + length])
