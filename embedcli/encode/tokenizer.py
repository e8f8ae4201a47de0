"""Text to token ids, in bounded pieces whatever the text's length."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from embedcli.datatypes import TokenSpan
from embedcli.errors import DamagedModelError, ModelError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PIECE_CHARS = 16_384
"""Most characters that the tokenizer sees at once. Its time and memory are only known to be linear for
bounded input: some tokenizers are quadratic in the length of a text."""

_SAMPLE = "a"


class WordRule(NamedTuple):
    """The rules of BERT: white space separates words, and each punctuation mark is one by itself.

    Attributes:
        lower_case: Whether letters are put into lower case first.
        added: Tokens that are found in the text before it falls into words.
    """

    lower_case: bool
    added: tuple[str, ...]


class PairFrame(NamedTuple):
    """What a tokenizer puts around two texts that go together: ids, and which text each token counts to.

    Attributes:
        before: Ids of the special tokens before the first text.
        between: Ids of those between the two.
        after: Ids of those after the second.
        before_types: The type of each of `before`, 0 or 1.
        first_type: The type of the first text's tokens.
        between_types: The type of each of `between`.
        second_type: The type of the second text's tokens.
        after_types: The type of each of `after`.
    """

    before: list[int]
    between: list[int]
    after: list[int]
    before_types: list[int]
    first_type: int
    between_types: list[int]
    second_type: int
    after_types: list[int]

    @property
    def special_tokens(self) -> int:
        """How many tokens of a pair are of neither text."""
        return len(self.before) + len(self.between) + len(self.after)

    def token_ids(self, first: list[int], second: list[int]) -> list[int]:
        """Return the ids of a pair, special tokens included."""
        return self.before + first + self.between + second + self.after

    def type_ids(self, first: int, second: int) -> list[int]:
        """Return the types of a pair's tokens, for texts of so many tokens."""
        texts = [self.first_type] * first, [self.second_type] * second
        return self.before_types + texts[0] + self.between_types + texts[1] + self.after_types


class Tokenizer:
    """A `tokenizer.json` of the tokenizers library.

    Attributes:
        prefix: Ids of the special tokens before a text.
        suffix: Ids of those after it.
        pad_id: What fills a batch up.
    """

    def __init__(self, path: Path, *, lower_case: bool = False) -> None:
        """Load the tokenizer.

        Args:
            path: The file.
            lower_case: Put texts into lower case before all else, special tokens left as they are.

        Raises:
            DamagedModelError: The library cannot read the file.
        """
        import tokenizers

        self._path = path
        try:
            text = path.read_text(encoding="utf-8")
            self._inner = tokenizers.Tokenizer.from_str(text)
        except Exception as error:  # the library raises bare Exception
            raise DamagedModelError(f"{path}: not a tokenizer: {error}") from error
        if lower_case:
            self._put_into_lower_case(text)
        padding = self._inner.padding
        self.pad_id: int = padding["pad_id"] if padding else 0
        self._inner.no_truncation()
        self._inner.no_padding()
        # Taken out once: each look at the attribute costs as much as a word.
        self._model = self._inner.model
        bare = self._inner.encode(_SAMPLE, add_special_tokens=False).ids
        whole = self._inner.encode(_SAMPLE).ids
        start = next((i for i in range(len(whole)) if whole[i : i + len(bare)] == bare), None)
        if not bare or start is None:
            raise DamagedModelError(f"{path}: its special tokens do not stand around the text")
        self.prefix: list[int] = whole[:start]
        self.suffix: list[int] = whole[start + len(bare) :]

    @property
    def vocabulary_size(self) -> int:
        """How many tokens there are, those that were added to the model counted in."""
        size: int = self._inner.get_vocab_size(with_added_tokens=True)
        return size

    def pair_frame(self) -> PairFrame:
        """Return what stands around and between two texts, as the file's post-processor has it for pairs.

        Raises:
            ModelError: The first text does not come first as a whole, and the second after it.
        """
        bare = self._encode(_SAMPLE).ids
        both = self._inner.encode(_SAMPLE, _SAMPLE)
        ids, types = both.ids, both.type_ids
        places = [
            [place for place, text in enumerate(both.sequence_ids) if text == number] for number in (0, 1)
        ]
        first, second = (slice(found[0], found[-1] + 1) if found else slice(0, 0) for found in places)
        if ids[first] != bare or ids[second] != bare or first.stop > second.start:
            raise ModelError(f"{self._path}: its special tokens do not stand around a pair of texts")
        between = slice(first.stop, second.start)
        return PairFrame(
            before=ids[: first.start],
            between=ids[between],
            after=ids[second.stop :],
            before_types=types[: first.start],
            first_type=types[first.start],
            between_types=types[between],
            second_type=types[second.start],
            after_types=types[second.stop :],
        )

    @property
    def word_rule(self) -> WordRule | None:
        """How ASCII text falls into words; None unless it is by the rules of BERT."""
        from tokenizers.normalizers import BertNormalizer
        from tokenizers.pre_tokenizers import BertPreTokenizer

        normalizer = self._inner.normalizer
        if not isinstance(normalizer, BertNormalizer) or not normalizer.clean_text:
            return None
        if not isinstance(self._inner.pre_tokenizer, BertPreTokenizer):
            return None
        added = tuple(token.content for token in self._inner.get_added_tokens_decoder().values())
        return WordRule(bool(normalizer.lowercase), added)

    def prompt_tokens(self, prompt: str) -> int:
        """Return how many tokens after the first special ones a prompt counts for in pooling.

        The tokens of the prompt by itself, and of the special ones that follow it all but one. A space at its
        end may be a token here and part of the next word in a text.

        Source: sentence-transformers, `Transformer._get_prompt_length`.
        """
        if not prompt:
            return 0
        ids = self.token_ids(prompt) + self.suffix
        special = {
            number for number, token in self._inner.get_added_tokens_decoder().items() if token.special
        }
        return len(ids) - (ids[-1:] != [] and ids[-1] in special)

    def _put_into_lower_case(self, content: str) -> None:
        """Add the step that makes lower case, unless there is one.

        Source: sentence-transformers, `Transformer.__init__`.
        """
        import json

        from tokenizers.normalizers import Lowercase, Sequence

        steps = json.loads(content).get("normalizer") or {}
        kinds = [steps.get("type"), *(step.get("type") for step in steps.get("normalizers") or ())]
        if "Lowercase" not in kinds:
            present = self._inner.normalizer
            self._inner.normalizer = Sequence([Lowercase(), *([] if present is None else [present])])

    def token_texts(self) -> list[str]:
        """Return what each token stands for in a text, by id; an empty string for a special token."""
        special = {
            number for number, token in self._inner.get_added_tokens_decoder().items() if token.special
        }
        # WordPiece marks what continues a word; alone, a token begins one.
        mark = getattr(self._inner.model, "continuing_subword_prefix", None) or ""
        return [
            ""
            if number in special
            else self._inner.decode([number], skip_special_tokens=False).removeprefix(mark).strip()
            for number in range(max(self._inner.get_vocab().values()) + 1)
        ]

    def term_texts(self, count: int) -> list[str]:
        """Return the first `count` tokens as they are written, by id: no two are the same.

        An empty string stands for a special token, and for an id that no token has.
        """
        special = {
            number for number, token in self._inner.get_added_tokens_decoder().items() if token.special
        }
        return ["" if number in special else self._inner.id_to_token(number) or "" for number in range(count)]

    def token_ids(self, text: str, limit: int | None = None) -> list[int]:
        """Return the ids of a text without special tokens; reading stops once `limit` ids are passed.

        A limit keeps the cost of a text that will be cut independent of its length.
        """
        ids: list[int] = []
        for start, end in pieces(text):
            ids += self._encode(text if end - start == len(text) else text[start:end]).ids
            if limit is not None and len(ids) > limit:
                break
        return ids

    def located(self, text: str) -> tuple[list[int], list[TokenSpan]]:
        """Return what `token_ids` and `token_spans` do, for the price of one."""
        ids: list[int] = []
        spans: list[TokenSpan] = []
        for start, end in pieces(text):
            encoded = self._encode(text[start:end])
            ids += encoded.ids
            spans += [TokenSpan(start + first, start + last) for first, last in encoded.offsets]
        return ids, spans

    def word_ids(self, word: str) -> list[int]:
        """Return the ids of one word that `word_rule` has found, letters already in the case it says.

        The rules for cutting a text into words are left out: a quarter of the time of `token_ids`.
        """
        return [token.id for token in self._model.tokenize(word)]

    def token_spans(self, text: str) -> list[TokenSpan]:
        """Return where the tokens stand in the text, in characters, special tokens left out."""
        return self.located(text)[1]

    def _encode(self, piece: str):  # type: ignore[no-untyped-def]  # noqa: ANN202  (the library's own type)
        try:
            return self._inner.encode(piece, add_special_tokens=False)
        except TypeError:
            # Half of a surrogate pair, from JSON, has no UTF-8 form and is refused. One character for one,
            # so that offsets stay right.
            clean = "".join("\ufffd" if "\ud800" <= char <= "\udfff" else char for char in piece)
            return self._inner.encode(clean, add_special_tokens=False)
        except BaseException as error:
            # A panic in the library arrives as a BaseException of its own.
            if type(error).__name__ == "PanicException":
                raise ModelError(f"the tokenizer failed on a text: {error}") from error
            raise


def pieces(text: str, size: int = PIECE_CHARS) -> Iterator[tuple[int, int]]:
    """Cut a text into spans of at most `size` characters, before white space where there is any.

    The spans join back to the text. Cutting before white space leaves every word whole, and its leading
    space with it, so that the tokens are those of the uncut text. The best place is a single space between
    two words: some tokenizers take several spaces or line ends for one token. A word longer than `size` is
    cut hard.
    """
    start = 0
    while len(text) - start > size:
        last = start + size
        places = next((cut for cut in range(last, start, -1) if _between_words(text, cut)), None) or next(
            (cut for cut in range(last, start, -1) if text[cut].isspace()), None
        )
        cut = places or last
        yield start, cut
        start = cut
    yield start, len(text)


def _between_words(text: str, place: int) -> bool:
    """Whether a single space stands there."""
    return (
        text[place] == " "
        and not text[place - 1].isspace()
        and place + 1 < len(text)
        and not text[place + 1].isspace()
    )
