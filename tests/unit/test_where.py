"""Conditions on fields: what they mean, that their text parses back, and that nothing else is raised."""

from __future__ import annotations

import json
import operator
import subprocess
import sys
from functools import cache
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from embedcli.errors import UsageError
from embedcli.where import (
    MAX_CHARS,
    MAX_DEPTH,
    And,
    Compare,
    Condition,
    Exists,
    In,
    Like,
    Not,
    Or,
    parse_where,
)
from tests.conftest import bare_environment

ORDERINGS = ("<", "<=", ">", ">=")
NAMES = (
    "a",
    "b",
    "a.b",
    "x y",
    "not",
    "TRUE",
    "Exists",
    "NOT",
    "ä-1",
    "हिन्दी",
    "",
    "`",
    ".",
    "12",
    "+5",
    "a..b",
)
TEXTS = (
    "",
    "1",
    "1.0",
    "01",
    "-2",
    " 1",
    "1e2",
    "nan",
    "inf",
    "a",
    "A",
    "ß",
    "SS",
    '"',
    "'",
    "%",
    "\n",
    "x1",
)

numbers = (
    st.integers(-3, 3) | st.sampled_from((0.5, 1.0, -2.0, 1e300, -0.0, 2**64)) | st.floats(allow_nan=False)
)
texts = st.sampled_from(TEXTS) | st.text(max_size=4)
patterns = st.text("aAbß%_\n", max_size=8)
literals = st.none() | st.booleans() | numbers.filter(lambda n: abs(n) != float("inf")) | texts
names = st.sampled_from(NAMES) | st.text(max_size=3)
tests = st.one_of(
    st.builds(Exists, names),
    st.builds(Compare, names, st.sampled_from(("=", "!=")), literals),
    st.builds(Compare, names, st.sampled_from(ORDERINGS), texts | st.integers() | st.floats(-1e9, 1e9)),
    st.builds(In, names, st.lists(literals, min_size=1, max_size=3).map(tuple), st.booleans()),
    st.builds(Like, names, patterns, st.booleans()),
)
conditions = st.recursive(
    tests,
    lambda part: st.one_of(
        st.builds(Not, part),
        *(st.builds(kind, st.lists(part, min_size=2, max_size=3).map(tuple)) for kind in (And, Or)),
    ),
    max_leaves=8,
)
scalars = st.none() | st.booleans() | numbers | texts | patterns
values = st.recursive(
    scalars,
    lambda value: st.lists(value, max_size=3) | st.dictionaries(st.sampled_from(NAMES), value, max_size=3),
    max_leaves=4,
)
records = st.dictionaries(st.sampled_from(NAMES), values, max_size=6)


def matches(expression: str, **fields: Any) -> bool:
    found = parse_where(expression).matches(fields)
    assert isinstance(found, bool)
    return found


def quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


# What an expression says ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("expression", "condition"),
    [
        ("a=1", Compare("a", "=", 1)),
        ("a == 1", Compare("a", "=", 1)),
        ("a<>-1.50", Compare("a", "!=", -1.5)),
        ("a!=+2E1", Compare("a", "!=", 20.0)),
        ("a>=0", Compare("a", ">=", 0)),
        ("a<-1", Compare("a", "<", -1)),
        ("a = 18446744073709551617", Compare("a", "=", 2**64 + 1)),
        ("a = TRUE", Compare("a", "=", True)),
        ("a != Null", Compare("a", "!=", None)),
        ('a = "it\'s \\ ""so"""', Compare("a", "=", 'it\'s \\ "so"')),
        ("a = 'it''s \\n \"so\"'", Compare("a", "=", 'it\'s \\n "so"')),
        ("a = ''", Compare("a", "=", "")),
        ("a = '' or b = ''''", Or((Compare("a", "=", ""), Compare("b", "=", "'")))),
        ("a in(1,'x',null)", In("a", (1, "x", None))),
        ("a NOT IN (true)", In("a", (True,), negated=True)),
        ("a like '%'", Like("a", "%")),
        ('a not LIKE "_"', Like("a", "_", negated=True)),
        ("a exists", Exists("a")),
        ("EXISTS a.b-c_1", Exists("a.b-c_1")),
        ("`a ``b```='x'", Compare("a `b`", "=", "x")),
        ("`and` exists", Exists("and")),
        ("`` exists", Exists("")),
        ("हिन्दी exists", Exists("हिन्दी")),
        ("Größe exists", Exists("Größe")),
        ("12 = 12", Compare("12", "=", 12)),
        ("-5 = -5", Compare("-5", "=", -5)),
        ("a.and exists", Exists("a.and")),
        ("\t\n a \u3000 exists ", Exists("a")),
        ("a='x'and b='y'", And((Compare("a", "=", "x"), Compare("b", "=", "y")))),
        ("a exists or b exists and c exists", Or((Exists("a"), And((Exists("b"), Exists("c")))))),
        ("(a exists or b exists) and c exists", And((Or((Exists("a"), Exists("b"))), Exists("c")))),
        ("not a exists and b exists", And((Not(Exists("a")), Exists("b")))),
        ("not (a exists and b exists)", Not(And((Exists("a"), Exists("b"))))),
        ("not not a exists", Not(Not(Exists("a")))),
        ("((a exists))", Exists("a")),
        ("a exists OR b exists oR c exists", Or((Exists("a"), Exists("b"), Exists("c")))),
        ("a exists or (b exists or c exists)", Or((Exists("a"), Or((Exists("b"), Exists("c")))))),
    ],
)
def test_the_tree_of_an_expression(expression: str, condition: Condition) -> None:
    assert parse_where(expression) == condition


@pytest.mark.parametrize(
    ("expression", "text"),
    [
        ("a==1and.5 exists", None),
        ("not(a<>'x')and b in('y',+2)", 'not a != "x" and b in ("y", 2)'),
        ("(a=1 or b=2)and not(c=3 and d=4)", "(a = 1 or b = 2) and not (c = 3 and d = 4)"),
        ("(a=1 and b=2)or c not like '\"%'", 'a = 1 and b = 2 or c not like """%"'),
        ("a=1 and (b=2 and c=3)", "a = 1 and (b = 2 and c = 3)"),
        ("`x ``y` = null", "`x ``y` = null"),
        ("`year` = 1E3", "year = 1000.0"),
        ("exists `exists`", "`exists` exists"),
    ],
)
def test_the_text_of_a_condition(expression: str, text: str | None) -> None:
    if text is None:
        with pytest.raises(UsageError, match="found '1and.5' at character 4"):
            parse_where(expression)
    else:
        assert str(parse_where(expression)) == text


@given(conditions)
@example(Compare("a", "=", 1e16))
@example(Compare("a", "=", -5e-324))
@example(Exists("İn"))
def test_the_text_of_a_condition_parses_to_an_equal_one(condition: Condition) -> None:
    assert parse_where(str(condition)) == condition


@given(conditions, records)
def test_the_text_of_a_condition_means_the_same(condition: Condition, record: dict[str, Any]) -> None:
    assert parse_where(str(condition)).matches(record) is condition.matches(record)


def test_conditions_on_true_and_on_1_differ() -> None:
    assert parse_where("a = true") != parse_where("a = 1")
    assert parse_where("a in (0)") != parse_where("a in (false)")
    assert parse_where("a = 1") == parse_where("a == +1")
    assert hash(parse_where("a = 1 or b = 2")) == hash(parse_where("`a`=1 or b=2"))


def test_conditions_do_not_change() -> None:
    with pytest.raises(AttributeError):
        parse_where("a = 1").name = "b"  # type: ignore[attr-defined]


def test_the_fields_that_are_named() -> None:
    expression = "a.b = 1 and not (`x y` exists or c in (1)) or a.b like '%' or exists d"
    assert parse_where(expression).fields_named == {"a.b", "x y", "c", "d"}


# What it means ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("expression", "true_of", "false_of"),
    [
        (
            "f = 1",
            [1, 1.0, "1", "1.0", "+1", "01", "1e0", "10E-1", [0, 1]],
            [True, " 1", "1 ", "x1", "", [], [[1]], {}],
        ),
        ("f = 0", [0, -0.0, "0", "-0", ".0", "0."], [False, "", ".", "\u0660", "0x0", "0_0", None]),
        ("f = 0.1", [0.1, "0.1", ".1", "0.10"], [0.2, "0,1", "0.1.0"]),
        (
            "f = 9007199254740993",
            [9007199254740993, "9007199254740993"],
            [9007199254740992, "9007199254740992"],
        ),
        ("f != 1", [2, "x", True, [], [2], {}, "2"], [1, "1", [2, 1], None]),
        (
            "f > 7",
            [8, "08", 7.5, "1e1", float("inf"), [1, 8]],
            [7, "07", "x", True, None, "inf", "nan", "1e999", {}],
        ),
        ("f >= 7", [7, "07", "7.0"], [6.9, "6"]),
        ("f < 0.5", [0, "0", -1, [9, 0]], [0.5, False, "", "-inf", None, []]),
        ("f <= 0.5", [0.5, ".5"], [0.51, "0.6"]),
        ('f = "1"', ["1", ["1"]], [1, "1.0", "01"]),
        ('f = "true"', ["true"], [True, "True"]),
        ('f > "2024-01-31"', ["2024-02-01", "2024-1", "a"], ["2024-01-31", "2023-12-01", "", 2025, None]),
        ('f < "a"', ["A", "", "1"], ["a", "ä", "b", 0]),
        ('f < "\U00010000"', ["\uffff"], ["\U00010000", "\U00010001"]),
        ("f = true", [True, [False, True]], [1, "true", False, None]),
        ("f != false", [True, 0, "", []], [False, [False], None]),
        ("f = null", [None], [0, "", False, [], [None], {}]),
        ("f != null", [0, "", False, [], [None], {}], [None]),
        ("f exists", [0, "", False, [], [None], {}], [None]),
        ("exists f", [0, "", False, [], [None], {}], [None]),
        ('f in (1, "a", true)', [1, "1", "a", True, ["b", "a"]], [2, "A", False, None, []]),
        ('f in (1, "b")', ["b", "01"], [True, "a"]),
        ("f in (0)", [0, "0"], [False]),
        ("f in (false)", [False], [0]),
        ("f in (null, 1)", [None, 1], [2, [None]]),
        ('f not in (1, "a")', [2, "b", True, []], [1, "1", "a", ["b", "a"], None]),
        ("f not in (null)", [0, [None]], [None]),
        (
            'f like "dr%t"',
            ["draft", "DRT", "dr\nt", ["x", "draft"]],
            ["drafts", "a draft", "dt", 1, None, "dr"],
        ),
        ('f like "%aba%"', ["aba", "xxabaxx", "ababa"], ["ab", "abba", ""]),
        ('f like "ab%ba"', ["abba", "ababa"], ["aba"]),
        ('f like "%a%b%c"', ["abc", "xaxbxc", "ababcc"], ["abcd", "acb", "cba"]),
        ('f like "%ab%b"', ["abb", "abab"], ["ab", "b"]),
        ('f like "%a%a%"', ["aa", "xaxax"], ["a", "xax"]),
        ('f like "a_c"', ["abc", "a\nc", "a_c", "a%c", "a\U0001f600c"], ["ac", "abbc", "xabc"]),
        ('f like "%_b%"', ["ab", "xxaby"], ["b", "ba"]),
        ('f like "a.*"', ["A.*"], ["abc", "a."]),
        ('f like ""', [""], ["a", None]),
        ('f like "%"', ["", "a"], [1, None, []]),
        ('f like "a"', ["a", "A"], ["aa", "", "ab", "ba"]),
        ('f like "STRASSE"', ["straße", "Strasse"], ["strase"]),
        ('f like "stra__e"', ["straße"], ["strabe"]),
        (r'f like "\%"', ["\\", "\\x"], ["%", "x"]),
        ('f not like "%a%"', ["b", 1, True, [], ["b"]], ["a", ["b", "A"], None]),
        ("not f = 1", [None, 2, "x"], [1]),
    ],
)
def test_what_a_test_is_true_of(expression: str, true_of: list[Any], false_of: list[Any]) -> None:
    condition = parse_where(expression)
    assert [value for value in true_of if not condition.matches({"f": value})] == []
    assert [value for value in false_of if condition.matches({"f": value})] == []


@pytest.mark.parametrize(
    ("expression", "is_true"),
    [
        ("f = 1", False),
        ("f != 1", False),
        ("f < 1", False),
        ("f not in (1)", False),
        ("f not like 'x'", False),
        ("f exists", False),
        ("f = null", True),
        ("f != null", False),
        ("f in (null)", True),
        ("not (f = 1)", True),
        ("f in (1)", False),
        ("f like '%'", False),
        ("f not in (null)", False),
        ("f.g = null", True),
    ],
)
def test_a_missing_field_is_like_null(expression: str, *, is_true: bool) -> None:
    assert matches(expression) is is_true
    assert matches(expression, f=None) is is_true


@pytest.mark.parametrize(
    ("fields", "value"),
    [
        ({"a.b.c": 1, "a": {"b.c": 2}}, 1),
        ({"a": {"b.c": 2, "b": {"c": 3}}}, 2),
        ({"a": {"b": {"c": 3}}}, 3),
        ({"a.b.c": None, "a": {"b": {"c": 3}}}, None),
        ({"a": {"b": [{"c": 3}]}}, None),
        ({"a": {"b": "c"}}, None),
        ({"a": 1}, None),
        ({"c": 1, "b.c": 1, "a.b": {"c": 1}}, None),
        ({}, None),
    ],
)
def test_where_a_dot_leads(fields: dict[str, Any], value: int | None) -> None:
    for name in ("a.b.c", "`a.b.c`"):
        assert parse_where(f"{name} exists").matches(fields) is (value is not None)
        assert parse_where(f"{name} = {json.dumps(value)}").matches(fields)


def test_a_name_without_dot_is_not_looked_for_deeper() -> None:
    assert not matches("b exists", a={"b": 1})


@given(conditions, records)
def test_not_is_the_opposite(condition: Condition, record: dict[str, Any]) -> None:
    assert parse_where(f"not ({condition})").matches(record) is not condition.matches(record)


@given(conditions, conditions, conditions, records)
def test_and_and_or_are_those_of_python(
    a: Condition, b: Condition, c: Condition, record: dict[str, Any]
) -> None:
    x, y, z = (part.matches(record) for part in (a, b, c))
    assert parse_where(f"({a}) and ({b}) and ({c})").matches(record) is (x and y and z)
    assert parse_where(f"({a}) or ({b}) or ({c})").matches(record) is (x or y or z)
    assert parse_where(f"({a}) or ({b}) and not ({c})").matches(record) is (x or (y and not z))


@given(names, st.lists(literals, min_size=1, max_size=4), records, values)
def test_in_is_an_or_of_equalities(name: str, choices: list[Any], record: dict[str, Any], value: Any) -> None:
    one_of, none_of = In(name, tuple(choices)), In(name, tuple(choices), negated=True)
    for fields in (record, {**record, name: value}, {**record, name: choices[-1]}):
        expected = any(Compare(name, "=", choice).matches(fields) for choice in choices)
        assert one_of.matches(fields) is expected
        assert none_of.matches(fields) is (Exists(name).matches(fields) and not expected)


@given(literals, values)
def test_unequal_is_there_and_not_equal(literal: Any, value: Any) -> None:
    fields = {"f": value}
    equal, unequal = Compare("f", "=", literal), Compare("f", "!=", literal)
    assert unequal.matches(fields) is (value is not None and not equal.matches(fields))


@given(st.integers() | st.floats(-1e300, 1e300) | texts, scalars)
def test_orderings_are_those_of_python_within_a_kind(literal: Any, value: Any) -> None:
    if isinstance(literal, str):
        comparable = value if isinstance(value, str) else None
    elif isinstance(value, str):
        # Of the texts drawn here, float() takes more than a number: blanks, underscores, words, other digits.
        plain = (
            value.isascii() and value.strip() == value and "_" not in value and any(map(str.isdigit, value))
        )
        try:
            comparable = float(value) if plain else None
        except ValueError:
            comparable = None
    else:
        comparable = None if isinstance(value, bool) else value
    for sign, order in (("<", operator.lt), ("<=", operator.le), (">", operator.gt), (">=", operator.ge)):
        expected = comparable is not None and order(comparable, literal)
        assert Compare("f", sign, literal).matches({"f": value}) is expected


def slow_like(pattern: str, text: str) -> bool:
    """All ways to read each `%`, tried one after the other."""
    pattern, text = pattern.casefold(), text.casefold()

    @cache
    def fits(at: int, start: int) -> bool:
        if at == len(pattern):
            return start == len(text)
        if pattern[at] == "%":
            return any(fits(at + 1, later) for later in range(start, len(text) + 1))
        return start < len(text) and pattern[at] in ("_", text[start]) and fits(at + 1, start + 1)

    return fits(0, 0)


@settings(max_examples=1000)
@given(
    st.text("ab%", max_size=6) | st.text("aB%_", max_size=7) | patterns,
    st.text("ab", max_size=4) | st.text("aAbBßs%_\n", max_size=9),
)
def test_like_agrees_with_a_slow_one(pattern: str, text: str) -> None:
    assert matches(f"f like {quoted(pattern)}", f=text) is slow_like(pattern, text)


@pytest.mark.parametrize(
    "pattern", ["%a" * 300 + "%b", "%" * 600 + "b", "%a_" * 200 + "b", "%_" * 300 + "b%"]
)
def test_like_does_not_try_all_ways(pattern: str) -> None:
    """A matcher that goes back through all ways to read the `%` would not end within the age of the world."""
    assert not matches(f"f like '{pattern}'", f="a" * 2000)


# What is refused --------------------------------------------------------------------------------------------

COMPARISON = "=, !=, <, <=, >, >=, in, like or exists"


@pytest.mark.parametrize(
    ("expression", "message", "hint"),
    [
        ("", "expected a field, found the end at character 1", "meta.lang"),
        ("  ", "expected a field, found the end at character 3", "backquotes"),
        ("and = 1", "expected a field, found 'and' at character 1", "`my field`"),
        ("AND = 1", "expected a field, found 'AND' at character 1", "`my field`"),
        ("exists null", "expected a field, found 'null' at character 8", "`my field`"),
        ("a+b = 1", "expected a field, found 'a+b' at character 1", "`my field`"),
        ("a..b = 1", "expected a field, found 'a..b' at character 1", "`my field`"),
        ('"a" = 1', "expected a field, found '\"a\"' at character 1", "`my field`"),
        ("()", "expected a field, found ')' at character 2", "`my field`"),
        ("a", f"expected {COMPARISON}, found the end at character 2", "lang in"),
        ("a ~ 1", f"expected {COMPARISON}, found '~' at character 3", "lang in"),
        ("a is null", f"expected {COMPARISON}, found 'is' at character 3", "lang = null"),
        ("a BETWEEN 1 and 2", f"expected {COMPARISON}, found 'BETWEEN' at character 3", "year >= 2020 and"),
        ("a contains 1", f"expected {COMPARISON}, found 'contains' at character 3", "like"),
        ("a not = 1", "expected in or like, found '=' at character 7", "not year = 2020"),
        ("a = ", "expected a value, found the end at character 5", "JSON"),
        ("a = en", "expected a value, found 'en' at character 5", "in quotes"),
        ("a = `b`", "expected a value, found '`b`' at character 5", "in quotes"),
        ("a >= 2024-01-31", "expected a value, found '2024-01-31' at character 6", '"2024-01-31"'),
        ("a = 007", "expected a value, found '007' at character 5", "as in JSON"),
        ("a = NaN", "expected a value, found 'NaN' at character 5", "as in JSON"),
        ("a = -Infinity", "expected a value, found '-Infinity' at character 5", "as in JSON"),
        ("a = 1e999", "expected a value, found '1e999' at character 5", "1.7e308"),
        ("a = - 1", "expected a value, found '-' at character 5", "as in JSON"),
        ("a = " + "1" * 5000, f"expected a value, found '{'1' * 39}…' at character 5", "1.7e308"),
        ("a < TRUE", "expected a number or a text in quotes after <, found 'TRUE' at character 5", "quotes"),
        (
            "a >= null",
            "expected a number or a text in quotes after >=, found 'null' at character 6",
            "quotes",
        ),
        ("a in 1", "expected ( and a list of values, found '1' at character 6", '("en", "de")'),
        ("a in ()", "expected a value, found ')' at character 7", "in quotes"),
        ("a in (1", "expected , or ), found the end at character 8", '("en", "de")'),
        ("a in (1,", "expected a value, found the end at character 9", "in quotes"),
        ("a in (1 2)", "expected , or ), found '2' at character 9", '("en", "de")'),
        ("a like %x%", "expected a pattern in quotes, found '%x%' at character 8", '"%draft%"'),
        ("a like 1", "expected a pattern in quotes, found '1' at character 8", '"%draft%"'),
        ("(a = 1", "expected and, or or ), found the end at character 7", "example"),
        ("a = 1)", "expected and, or or the end, found ')' at character 6", "example"),
        ("a = 1 b = 2", "expected and, or or the end, found 'b' at character 7", "example"),
        ("a = 1 && b = 2", "expected and, or or the end, found '&&' at character 7", "&& is written and"),
        ("a = 1 || b = 2", "expected and, or or the end, found '||' at character 7", "|| is written or"),
        ("!a = 1", "expected a field, found '!' at character 1", "! is written not"),
        (
            'a = "x""y',
            'expected a " to close the one at character 5, found the end at character 10',
            "doubled",
        ),
        (
            "a = 'x''",
            "expected a ' to close the one at character 5, found the end at character 9",
            "doubled",
        ),
        (
            "`a``b = 1",
            "expected a ` to close the one at character 1, found the end at character 10",
            "doubled",
        ),
        ("`a = 1", "expected a ` to close the one at character 1, found the end at character 7", "doubled"),
        ("a = 1 \x1b[2J", r"expected and, or or the end, found '\x1b[2J' at character 7", "example"),
    ],
)
def test_what_the_errors_say(expression: str, message: str, hint: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_where(expression)
    assert str(caught.value) == f"--where: {message}"
    assert hint in caught.value.hint
    assert "\n" not in caught.value.hint


@pytest.mark.parametrize("word", ["", "lang ", "year >= ", "lang in (", "not "])
def test_the_examples_of_the_hints_parse(word: str) -> None:
    """What a hint offers between the shell's quotes, or after the word example, is an expression."""
    with pytest.raises(UsageError) as caught:
        parse_where(word)
    hint = caught.value.hint
    if "'" in hint:
        parse_where(hint.split("'")[1])
    else:
        assert hint.split("`")[1] == "my field"
        parse_where("year exists and meta.lang exists and `my field` exists")


@pytest.mark.parametrize(
    "nested",
    [
        lambda levels: "(" * levels + "a = 1" + ")" * levels,
        lambda levels: "not " * levels + "a = 1",
        lambda levels: "not (" * (levels // 2) + "not " * (levels % 2) + "a = 1" + ")" * (levels // 2),
        lambda levels: "a = 2 or a = 1 and (" * levels + "a = 1" + ")" * levels,
    ],
)
def test_nesting_has_a_limit(nested: Any) -> None:
    deepest = parse_where(nested(MAX_DEPTH))
    assert deepest.matches({"a": 1}) is True
    assert deepest.fields_named == {"a"}
    assert parse_where(str(deepest)) == deepest
    for levels in (MAX_DEPTH + 1, 4 * MAX_DEPTH):
        with pytest.raises(UsageError, match="expected at most 100 levels of parentheses and not, found '"):
            parse_where(nested(levels))


def test_the_depth_is_that_of_a_place_and_not_of_the_whole() -> None:
    assert matches(" and ".join(["not (not (a = 1))"] * 200), a=1)


def test_length_has_a_limit() -> None:
    longest = f"a = '{'x' * (MAX_CHARS - 6)}'"
    assert len(longest) == MAX_CHARS
    assert matches(longest, a="x" * (MAX_CHARS - 6))
    with pytest.raises(UsageError, match=f"expected at most {MAX_CHARS} characters, found {MAX_CHARS + 1}$"):
        parse_where(longest + " ")


def test_many_parts_are_no_nesting() -> None:
    condition = parse_where(" or ".join(["a=1"] * 1000))
    assert condition.matches({"a": 1})
    assert not condition.matches({"a": 2})
    assert parse_where(".".join("a" * 4900) + " = null").matches({"a": {"a": {}}})


def test_a_cell_of_many_digits_is_no_number() -> None:
    assert not matches("f > 1", f="9" * 100_000)
    assert not matches("f > 1", f="9" * 100_000 + "x")
    assert matches("f > 1", f="9" * 300)


WORDS = (
    r"""and or not in like exists null true a a.b 1 -1e9 1e999 "x" '%' ( ) , = != < >= <> ` " ' ! && . + \\"""
)
words = st.sampled_from((*WORDS.split(), "`a b`", "\x00", "\udc80", "\n"))


def parsed(text: str) -> Condition | UsageError:
    try:
        return parse_where(text)
    except UsageError as error:
        return error


@settings(max_examples=500)
@given(
    st.text() | st.lists(words, max_size=12).map(" ".join) | st.lists(words, max_size=12).map("".join),
    records,
)
def test_any_text_is_a_condition_or_a_usage_error(text: str, record: dict[str, Any]) -> None:
    found = parsed(text)
    if isinstance(found, UsageError):
        assert str(found).startswith("--where: expected ")
        assert str(found).isprintable()
        assert found.hint
    else:
        assert parse_where(str(found)) == found
        assert type(found.matches(record)) is bool


def test_nothing_heavy_is_loaded() -> None:
    code = (
        "import sys, embedcli.where; print(*sorted({'numpy', 'sqlite3', 'rich', 'typer'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=bare_environment()
    )
    assert done.stdout == "\n"
