"""Conditions on a record's own fields: the language of `--where`.

    expr  := and ("or" and)*        and := not ("and" not)*        not := "not" not | "(" expr ")" | test
    test  := FIELD ("=" | "==" | "!=" | "<>" | "<" | "<=" | ">" | ">=") VALUE
           | FIELD ["not"] "in" "(" VALUE ("," VALUE)* ")" | FIELD ["not"] "like" STRING
           | FIELD "exists" | "exists" FIELD
    FIELD := letters, digits, "_" and "-", with dots between parts; any other name in `backquotes`
    VALUE := a number as in JSON, with a sign or not | STRING | true | false | null
    STRING := "text" or 'text'; a quote within is doubled, a backslash stands for itself

Keywords in any case. A dot in a name: the field that has the whole name, else the rest of the name in the
object that has its first part.

Every condition is true or false. A missing or null field passes no test but `= null`. Numbers compare with
JSON numbers and with strings that are wholly a number; quoted texts with strings only, by code point; true
and false with themselves. A list passes a test if one of its elements does; `= null` and `exists` look at the
list itself. `!=`, `not in` and `not like`: the field is there, and the positive test is false. `like`: `%` is
any run of characters, `_` is one, the whole string must match; both sides are casefolded first, so that `ß`
equals `ss` and counts as two characters.

Over 400 lines, because the language, what it means and how it is written again only make sense together.
"""

from __future__ import annotations

import abc
import contextlib
import json
import math
import operator
import re
import unicodedata
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, NamedTuple

from embedcli.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from typing import Final, TypeAlias

    from embedcli.datatypes import Json

    Literal: TypeAlias = str | int | float | bool | None
    """A value as an expression can name it."""

MAX_CHARS: Final = 10_000
"""Longest expression."""
MAX_DEPTH: Final = 100
"""Deepest nesting of parentheses and `not`: a third of Python's recursion limit when parsing."""

_ORDERINGS: Final[Mapping[str, Callable[[Json, Json], bool]]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_OPERATORS: Final = {name: name for name in ("=", "!=", *_ORDERINGS)} | {"==": "=", "<>": "!="}
_NUMBERS: Final = (int, float)
_CONSTANTS: Final = {"true": True, "false": False, "null": None}
_KEYWORDS: Final = frozenset(("and", "or", "not", "in", "like", "exists", *_CONSTANTS))

_TOKEN: Final = re.compile(
    r"""(?P<text>"[^"]*(?:""[^"]*)*"(?!")|'[^']*(?:''[^']*)*'(?!'))"""
    r"""|(?P<name>`[^`]*(?:``[^`]*)*`(?!`))"""
    r"""|(?P<symbol>[<>!=]=|<>|[<>!=(),])"""
    r"""|(?P<word>[^\s<>!=(),"'`]+)"""
    r"""|(?P<open>["'`])"""
)
_JSON_NUMBER: Final = re.compile(r"[+-]?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")
# Tables also hold 08 and .5, and leaving those rows out of `month >= 7` would go unnoticed.
_CELL_NUMBER: Final = re.compile(r"[+-]?(?:[0-9]+(\.[0-9]*)?|(\.[0-9]+))([eE][+-]?[0-9]+)?")

_EXAMPLE: Final = (
    """example: --where 'year >= 2020 and lang in ("en", "de") and not (title like "%draft%")'"""
)
_FIELD_HINT: Final = (
    "a field is a word such as year or meta.lang; any other name goes in backquotes: `my field`"
)
_VALUE_HINT: Final = (
    "texts and dates go in quotes, within those of the shell: "
    """--where 'date >= "2024-01-31"'; numbers are written as in JSON, up to 1.7e308"""
)
_LIST_HINT: Final = 'example: lang in ("en", "de")'
_HABITS: Final = {
    "&&": "&& is written and",
    "||": "|| is written or",
    "!": '! is written not: not (lang = "en")',
    "is": "is null is written lang = null, is not null is written lang exists",
    "between": "between is written year >= 2020 and year <= 2024",
    "contains": 'contains is written title like "%part%"',
}
"""What other languages write, and what it is here."""


class Condition(abc.ABC):
    """What a record's fields must be like. Immutable; `str` gives an expression that parses to an equal one.

    That expression has its own spacing, and so can be longer than `MAX_CHARS` where the parsed one was not.
    """

    __slots__ = ()

    @abc.abstractmethod
    def matches(self, fields: Mapping[str, Json]) -> bool:
        """Whether a record with these fields meets the condition."""

    @property
    @abc.abstractmethod
    def fields_named(self) -> frozenset[str]:
        """Names of the fields that the condition looks at, dots included."""

    def __str__(self) -> str:
        return _expression(self)


@dataclass(frozen=True, slots=True)
class _Group(Condition):
    """Two parts or more."""

    parts: tuple[Condition, ...]
    _decides: ClassVar[bool]
    """What a part must be to settle the whole; if none is, the whole is the opposite."""

    def matches(self, fields: Mapping[str, Json]) -> bool:
        """Whether a record with these fields meets the condition."""
        for part in self.parts:
            if part.matches(fields) is self._decides:
                return self._decides
        return not self._decides

    @property
    def fields_named(self) -> frozenset[str]:
        """Names of the fields that the condition looks at, dots included."""
        return frozenset().union(*(part.fields_named for part in self.parts))


@dataclass(frozen=True, slots=True)
class Or(_Group):
    """At least one of the parts, of which there are two or more."""

    _decides: ClassVar = True


@dataclass(frozen=True, slots=True)
class And(_Group):
    """All of the parts, of which there are two or more."""

    _decides: ClassVar = False


@dataclass(frozen=True, slots=True)
class Not(Condition):
    """The opposite of a condition."""

    part: Condition

    def matches(self, fields: Mapping[str, Json]) -> bool:
        """Whether a record with these fields meets the condition."""
        return not self.part.matches(fields)

    @property
    def fields_named(self) -> frozenset[str]:
        """Names of the fields that the condition looks at, dots included."""
        return self.part.fields_named


@dataclass(frozen=True, slots=True)
class _Test(Condition):
    """A test of the field that has a name; what does not depend on the record is kept beside."""

    name: str
    _find: Callable[[Mapping[str, Json]], Json] = field(init=False, repr=False, compare=False)
    _accepts: Callable[[Json], bool] = field(init=False, repr=False, compare=False)
    _if_missing: bool = field(init=False, repr=False, compare=False)
    _negated: bool = field(init=False, repr=False, compare=False)
    # To Python 1 equals True; a condition on the one is not a condition on the other.
    _kinds: tuple[type, ...] = field(init=False, repr=False)

    def _prepare(
        self, accepts: Callable[[Json], bool], literals: tuple[Literal, ...] = (), *, negated: bool
    ) -> None:
        kept = {
            "_find": _finder(self.name),
            "_accepts": accepts,
            "_if_missing": None in literals and not negated,
            "_negated": negated,
            "_kinds": tuple(map(type, literals)),
        }
        for attribute, value in kept.items():
            object.__setattr__(self, attribute, value)

    def matches(self, fields: Mapping[str, Json]) -> bool:
        """Whether a record with these fields meets the condition."""
        value = self._find(fields)
        if value is None:
            return self._if_missing
        accepted = any(map(self._accepts, value)) if type(value) is list else self._accepts(value)
        return accepted is not self._negated

    @property
    def fields_named(self) -> frozenset[str]:
        """Names of the fields that the condition looks at, dots included."""
        return frozenset((self.name,))

    def _text(self, test: str) -> str:
        return f"{self.name if _is_bare(self.name) else _quoted(self.name, '`')} {test}"


@dataclass(frozen=True, slots=True)
class Exists(_Test):
    """The field is there and not null."""

    def __post_init__(self) -> None:
        # A test that nothing passes, negated: true of whatever is there.
        self._prepare(_one_of(()), negated=True)

    def __str__(self) -> str:
        return self._text("exists")


@dataclass(frozen=True, slots=True)
class Compare(_Test):
    """The field compared with a literal.

    Attributes:
        operator: `=`, `!=`, `<`, `<=`, `>` or `>=`.
        value: The literal; a string or a number where the operator is an ordering.
    """

    operator: str
    value: Literal

    def __post_init__(self) -> None:
        order = _ORDERINGS.get(self.operator)
        accepts = _one_of((self.value,)) if order is None else _ordered(order, self.value)
        self._prepare(accepts, (self.value,), negated=self.operator == "!=")

    def __str__(self) -> str:
        return self._text(f"{self.operator} {_literal_text(self.value)}")


@dataclass(frozen=True, slots=True)
class In(_Test):
    """The field equals one of the literals; negated: it is there and equals none of them."""

    values: tuple[Literal, ...]
    negated: bool = False

    def __post_init__(self) -> None:
        self._prepare(_one_of(self.values), self.values, negated=self.negated)

    def __str__(self) -> str:
        values = ", ".join(map(_literal_text, self.values))
        return self._text(f"not in ({values})" if self.negated else f"in ({values})")


@dataclass(frozen=True, slots=True)
class Like(_Test):
    """The field matches the pattern; negated: it is there and does not."""

    pattern: str
    negated: bool = False

    def __post_init__(self) -> None:
        self._prepare(_like(self.pattern), negated=self.negated)

    def __str__(self) -> str:
        return self._text(("not like " if self.negated else "like ") + _quoted(self.pattern, '"'))


def parse_where(text: str) -> Condition:
    """The condition that an expression stands for.

    Raises:
        UsageError: It is no expression of the language above, has more than `MAX_CHARS` characters or is
            nested deeper than `MAX_DEPTH`.
    """
    if len(text) > MAX_CHARS:
        raise UsageError(
            f"--where: expected at most {MAX_CHARS} characters, found {len(text)}",
            hint='many values of one field are shorter as a list: lang in ("en", "de")',
        )
    return _Parser(text).parse()


def _finder(name: str) -> Callable[[Mapping[str, Json]], Json]:
    """A function that gives the value of the field with this name, None if it is missing."""

    def find_nested(fields: Mapping[str, Json]) -> Json:
        if name in fields:
            return fields[name]
        inner: Json = fields
        rest = name
        while "." in rest:
            first, _, rest = rest.partition(".")
            inner = inner.get(first)
            if type(inner) is not dict:
                return None
            if rest in inner:
                return inner[rest]
        return None

    return find_nested if "." in name else operator.methodcaller("get", name)


def _one_of(literals: tuple[Literal, ...]) -> Callable[[Json], bool]:
    """A function that says whether a value that is not a list equals one of the literals."""
    strings = frozenset(literal for literal in literals if type(literal) is str)
    numbers = frozenset(literal for literal in literals if type(literal) in _NUMBERS)
    booleans = frozenset(literal for literal in literals if type(literal) is bool)

    def accepts(value: Json) -> bool:
        kind = type(value)
        if kind is str:
            return value in strings or (bool(numbers) and _number(value, _CELL_NUMBER) in numbers)
        if kind is bool:
            return value in booleans
        return kind in _NUMBERS and value in numbers

    return accepts


def _ordered(order: Callable[[Json, Json], bool], literal: Literal) -> Callable[[Json], bool]:
    """A function that says whether a value that is not a list stands in this order to the literal."""

    def accepts_text(value: Json) -> bool:
        return type(value) is str and order(value, literal)

    def accepts_number(value: Json) -> bool:
        if type(value) is str:
            value = _number(value, _CELL_NUMBER)
        return type(value) in _NUMBERS and order(value, literal)

    return accepts_text if type(literal) is str else accepts_number


def _like(pattern: str) -> Callable[[Json], bool]:
    """A function that says whether a value is a string that the pattern describes as a whole.

    The pieces between the `%` are taken at their first place, from left to right, which cannot spoil a later
    one; they hold no repetition. O(pattern * text) character steps at worst, whatever the two are.
    """
    first, *others = pattern.casefold().split("%")
    *middle, last = others or [""]
    head, tail = _piece(first), _piece(last)
    pieces = [_piece(piece) for piece in middle if piece]

    def accepts(value: Json) -> bool:
        if type(value) is not str:
            return False
        text = value.casefold()
        start, end = len(first), len(text) - len(last)
        if start > end or not head.match(text) or not tail.match(text, end):
            return False
        for piece in pieces:
            found = piece.search(text, start, end)
            if found is None:
                return False
            start = found.end()
        return bool(others) or start == end

    return accepts


def _piece(piece: str) -> re.Pattern[str]:
    """What finds a part of a pattern that holds no `%`."""
    return re.compile("".join("." if char == "_" else re.escape(char) for char in piece), re.DOTALL)


def _number(text: str, form: re.Pattern[str]) -> int | float | None:
    """The finite number that a whole text stands for, integers exactly; None if it is none."""
    match = form.fullmatch(text)
    if match is None:
        return None
    if match.lastindex is None:
        with contextlib.suppress(ValueError):  # more digits than Python is willing to convert
            return int(text)
    value = float(text)
    return value if math.isfinite(value) else None


def _is_bare(name: str) -> bool:
    """Whether a name needs no backquotes."""

    def is_part(part: str) -> bool:
        # Marks too: many scripts write vowels with them.
        return part != "" and all(
            char.isalnum() or char in "_-" or unicodedata.category(char)[0] == "M" for char in part
        )

    return name.lower() not in _KEYWORDS and all(map(is_part, name.split(".")))


def _quoted(text: str, quote: str) -> str:
    return quote + text.replace(quote, quote * 2) + quote


def _literal_text(literal: Literal) -> str:
    return _quoted(literal, '"') if isinstance(literal, str) else json.dumps(literal)


def _expression(condition: Condition, *grouped: type[Condition]) -> str:
    """A condition as text, in parentheses if it is of one of these kinds.

    One frame for each node: what may be parsed must not be too deep to be written.
    """
    if isinstance(condition, _Group):
        word, looser = (" or ", (Or,)) if isinstance(condition, Or) else (" and ", (Or, And))
        text = _expression(condition.parts[0], *looser)
        for part in condition.parts[1:]:
            text += word + _expression(part, *looser)
    elif isinstance(condition, Not):
        text = "not " + _expression(condition.part, Or, And)
    else:
        text = str(condition)
    return f"({text})" if isinstance(condition, grouped) else text


class _Token(NamedTuple):
    """One word, symbol or quoted text; `at` is its first character in the expression, from 1."""

    kind: str
    text: str
    at: int

    @property
    def content(self) -> str:
        """What stands between the quotes."""
        quote = self.text[0]
        return self.text[1:-1].replace(quote * 2, quote)

    def instead_of(self, expected: str, hint: str) -> UsageError:
        """The error that this was found where something else was expected."""
        text = self.text if len(self.text) <= 40 else self.text[:39] + "…"
        found = repr(text) if text else "the end"
        return UsageError(
            f"--where: expected {expected}, found {found} at character {self.at}",
            hint=_HABITS.get(self.text.lower(), hint),
        )


def _tokens(text: str) -> Iterator[_Token]:
    """The tokens of an expression, and one with kind and text empty for its end."""
    for match in _TOKEN.finditer(text):
        token = _Token(match.lastgroup or "", match.group(), match.start() + 1)
        if token.kind == "open":
            raise _Token("", "", len(text) + 1).instead_of(
                f"a {token.text} to close the one at character {token.at}",
                f"within {token.text}…{token.text} the quote itself is doubled",
            )
        yield token
    yield _Token("", "", len(text) + 1)


class _Parser:
    """Recursive descent over the tokens; `depth` counts the parentheses and `not` around a place."""

    def __init__(self, text: str) -> None:
        self._rest = _tokens(text)
        self._token = next(self._rest)

    def parse(self) -> Condition:
        condition = self._or(0)
        if self._token.kind:
            raise self._token.instead_of("and, or or the end", _EXAMPLE)
        return condition

    def _take(self) -> _Token:
        taken = self._token
        self._token = next(self._rest, taken)
        return taken

    def _skip(self, *texts: str) -> str:
        """Step over a keyword or symbol if it is one of these, and return it; an empty string otherwise."""
        return self._take().text.lower() if self._token.text.lower() in texts else ""

    def _or(self, depth: int) -> Condition:
        parts = [self._and(depth)]
        while self._skip("or"):
            parts.append(self._and(depth))
        return Or(tuple(parts)) if len(parts) > 1 else parts[0]

    def _and(self, depth: int) -> Condition:
        parts = [self._not(depth)]
        while self._skip("and"):
            parts.append(self._not(depth))
        return And(tuple(parts)) if len(parts) > 1 else parts[0]

    def _not(self, depth: int) -> Condition:
        opening = self._token
        opened = self._skip("not", "(")
        if not opened:
            return self._test()
        if depth == MAX_DEPTH:
            raise opening.instead_of(
                f"at most {MAX_DEPTH} levels of parentheses and not",
                "fewer parentheses: and binds tighter than or",
            )
        if opened == "not":
            return Not(self._not(depth + 1))
        condition = self._or(depth + 1)
        if not self._skip(")"):
            raise self._token.instead_of("and, or or )", _EXAMPLE)
        return condition

    def _test(self) -> Condition:
        if self._skip("exists"):
            return Exists(self._name())
        name = self._name()
        negated = bool(self._skip("not"))
        if self._skip("in"):
            return In(name, self._values(), negated)
        if self._skip("like"):
            if self._token.kind != "text":
                raise self._token.instead_of("a pattern in quotes", 'example: title like "%draft%"')
            return Like(name, self._take().content, negated)
        if negated:
            raise self._token.instead_of(
                "in or like", "not stands before the field with any other test: not year = 2020"
            )
        if self._skip("exists"):
            return Exists(name)
        sign = self._skip(*_OPERATORS)
        if not sign:
            raise self._token.instead_of("=, !=, <, <=, >, >=, in, like or exists", _EXAMPLE)
        literal = self._token
        value = self._value()
        if sign in _ORDERINGS and (value is None or isinstance(value, bool)):
            raise literal.instead_of(f"a number or a text in quotes after {sign}", _VALUE_HINT)
        return Compare(name, _OPERATORS[sign], value)

    def _name(self) -> str:
        if self._token.kind == "name":
            return self._take().content
        if _is_bare(self._token.text):
            return self._take().text
        raise self._token.instead_of("a field", _FIELD_HINT)

    def _values(self) -> tuple[Literal, ...]:
        if not self._skip("("):
            raise self._token.instead_of("( and a list of values", _LIST_HINT)
        values = [self._value()]
        while self._skip(","):
            values.append(self._value())
        if not self._skip(")"):
            raise self._token.instead_of(", or )", _LIST_HINT)
        return tuple(values)

    def _value(self) -> Literal:
        token = self._token
        value: Literal = None
        if token.kind == "text":
            value = token.content
        elif token.text.lower() in _CONSTANTS:
            value = _CONSTANTS[token.text.lower()]
        elif (value := _number(token.text, _JSON_NUMBER)) is None:
            raise token.instead_of("a value", _VALUE_HINT)
        self._take()
        return value
