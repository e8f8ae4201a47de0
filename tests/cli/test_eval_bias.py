"""`embedcli eval bias`, as a real process."""

from __future__ import annotations

import json

WORDS = {
    "targ1": "rose tulip lily daisy orchid lilac",
    "targ2": "flea wasp maggot cockroach mosquito termite",
    "attr1": "love peace happy laughter pleasure gift",
    "attr2": "abuse filth murder sickness poison grief",
}


def test_flowers_are_pleasant_more_than_furniture_is(program, write):
    groups = {key: {"category": key, "examples": words.split()} for key, words in WORDS.items()}
    write("flowers.jsonl", json.dumps(groups, indent=1))
    # Nothing is shown of groups that are alike, and the first file is not the only one with a limit.
    alike = {**groups, "targ2": groups["targ1"]}
    write("alike.jsonl", json.dumps(alike))
    found = program(
        "eval", "bias", "alike.jsonl", "flowers.jsonl", "-m", "static", "--fail-under", "p control=0.05"
    )
    assert found.code == 1
    assert "met: alike p control" in found.err
    assert "missed: flowers p control" in found.err
    assert found.lines[0].split() == ["system", "d", "control", "|d|", "p", "p", "control"]
    assert "no d shows that an encoder is fair" in found.err
    _, d, control, p, p_control = found.lines[2].split()
    assert float(d) > 1
    assert float(d) > float(control) > 0
    assert max(float(p), float(p_control)) < 0.05
