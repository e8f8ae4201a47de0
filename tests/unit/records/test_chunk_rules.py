"""Sentences, headings and definitions: what the rules make of real text."""

from __future__ import annotations

import textwrap

import pytest

from embedcli.records.chunk import SHORT_BLOCK_CHARS, chunk_text
from embedcli.records.sections import TITLE_CHARS, heading_paths, iter_code_blocks, iter_sections
from embedcli.records.sentences import iter_sentences


def parts(iterate, text):
    spans = list(iterate(text))
    assert "".join(text[start:end] for start, end in spans) == text
    return [part for start, end in spans if (part := text[start:end].strip())]


@pytest.mark.parametrize(
    "marked",
    [
        "It rained.| Nobody came!| Why?| Who knows…",
        "He said “Stop.”| She did not.| (They laughed.)| Then silence.",
        "Dr. Smith met Mrs. Jones in St. Ives at 5 p.m. on Sunday.| They talked.",
        "See Fig. 3 and e.g. Sec. 2, i.e. the U.S. Army, cf. Vol. 7.| It costs 3.14 dollars.",
        "Version 2.0. is out.| The answer is no.| Then what?",
        "J. R. R. Tolkien wrote it.| It is long.",
        "A line that is\nwrapped goes on.\n|Another\none too.",
        "Items:\n|- one\n|- two.| Not small\n|1. first.| Still first\n|12) twelfth",
        "A title without a stop\n\n|A paragraph.\n \n|The last one",
        "今日は雨です。|明日は晴れますか\uff1f|「はい。」|終わり",
        "Wait... what?| Really?!| Yes.",
        "see http://a.b/c.html?x=1!y and a.b()",
    ],
)
def test_sentences(marked):
    wanted = [part.strip() for part in marked.split("|")]
    assert parts(iter_sentences, marked.replace("|", "")) == wanted


def test_sentences_of_nothing():
    assert list(iter_sentences("")) == []
    assert parts(iter_sentences, "...") == ["..."]


def test_headings_begin_sections():
    text = textwrap.dedent("""\
        ---
        title: A page
        # not: a heading
        ---
        Before all.

        # One #
        Text.
        #hash is no heading
        ```sh
        # a comment
        ```
        Two
        ===
        More.
        Not
        ===
        again.

        Under a line
        ------------
        ~~~
        ## in code
        ```
        ~~~
        - item
        ---
        ### Deep
        a | b
        --- | ---

            # indented code
        ####### seven
        """)
    found = parts(iter_sections, text)
    assert [part.splitlines()[0] for part in found] == ["---", "# One #", "Two", "Under a line", "### Deep"]
    assert found[2].endswith("Not\n===\nagain."), "right under other text, a line is no heading"
    assert found[3].endswith("- item\n---")


def test_an_unclosed_fence_or_front_matter_runs_to_the_end():
    assert len(parts(iter_sections, "```\n# a\n# b\n")) == 1
    assert len(parts(iter_sections, "---\n# a\n# b\n")) == 1
    assert len(parts(iter_sections, "````\n```\n# a\n````\n# b\n")) == 2


PYTHON = '''\
"""Module."""

import os
import sys

LIMIT = 3


@decorated
def first(a, b):
    if a:
        return b

    return a


# About the second.
class Second:
    def method(self):
        pass

    x = 1
async def third():
    pass
'''

C = """\
#include <stdio.h>

#ifdef X
#define Y 1
#endif

static int
add(int a, int b)
{
    return a + b;
}

int main(void) {
  return 0;
}
"""


def test_definitions_begin_blocks():
    found = parts(iter_code_blocks, PYTHON)
    assert [part.splitlines()[0] for part in found] == [
        '"""Module."""', "import os", "LIMIT = 3", "@decorated", "# About the second.", "async def third():",
    ]  # fmt: skip
    assert found[3].endswith("return a"), "a blank line inside ends nothing"
    found = parts(iter_code_blocks, C)
    assert [part.splitlines()[0] for part in found] == [
        "#include <stdio.h>", "#ifdef X", "static int", "int main(void) {",
    ]  # fmt: skip
    assert found[2].endswith("}")


def test_branches_at_the_margin_stay_with_what_they_close():
    shell = "if true; then\n  echo a\nelse\n  echo b\nfi\n\nfor x in 1 2; do\n  echo $x\ndone\n"
    assert [part.splitlines()[-1] for part in parts(iter_code_blocks, shell)] == ["fi", "done"]
    ruby = "def a\n  begin\n    1\n  end\nrescue\n  2\nend\ndef b\n  3\nend\n"
    assert [part.splitlines()[0] for part in parts(iter_code_blocks, ruby)] == ["def a", "def b"]


@pytest.mark.parametrize("chunking", ["markdown", "code"])
def test_short_parts_are_joined_to_the_next(chunking):
    long = "word " * (SHORT_BLOCK_CHARS // 5 + 1)
    text = {
        "markdown": f"# Title\n\n## Part\n{long}\n\n# Other\n{long}\n\n# End\nx\n",
        "code": f"import os\n\ndef f():\n    {long}\n\ndef g():\n    {long}\n\nx = 1\n",
    }[chunking]
    found = list(chunk_text(text, chunking, line=1, token_spans=None, max_tokens=None, overlap_tokens=0))
    assert [chunk.line for chunk in found] == [1, 6, 9]
    assert found[-1].text.splitlines()[0] in ("# End", "x = 1"), "the last one stays short"


def test_headings_above_a_place():
    text = (
        "before\n\n# Guide #\n\nx\n\n## Install ##\ny\n\n### On `Debian`\nz\n\n## C# and more\nv\n\n"
        "Second\n======\n\nw\n\nUnder\n-----\nu\n\n```\n# no heading\n```\n####\nt\n"
    )
    places = {letter: text.index(f"{letter}\n") + 1 for letter in "xyzvwut"}
    paths = list(heading_paths(text, [3, *places.values()]))
    assert paths == [
        "",
        "Guide",
        "Guide > Install",
        "Guide > Install > On `Debian`",
        "Guide > C# and more",
        "Second",
        "Second > Under",
        "Second > Under",
    ]
    long = list(heading_paths("# " + "word " * 1000 + "\nx", [5010]))
    assert len(long[0]) <= TITLE_CHARS
