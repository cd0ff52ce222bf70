"""Commands in a text that comes in pieces are broken, wherever it is cut."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_dbtci.ci.stream import Stream, harmless

GITHUB, AZURE = {"GITHUB_ACTIONS": "true"}, {"TF_BUILD": "True"}
COMMANDS = {
    "azure": re.compile(r"##(vso)?\[", re.IGNORECASE),
    "github": re.compile(r"##\[|^\s*::", re.MULTILINE),
}
HOSTILE = st.lists(st.sampled_from(["#", "##", "vso", "[", "::", ":", "error", "\n", "\r", " ", "\u200b", "a"]))


@given(pieces=st.lists(HOSTILE.map("".join), max_size=6))
@pytest.mark.parametrize(("provider", "environ"), [("azure", AZURE), ("github", GITHUB)])
def test_breaks_a_command_wherever_the_text_is_cut(provider: str, environ: dict[str, str], pieces: list[str]) -> None:
    stream = Stream(environ)
    told = "".join(stream.feed(piece) for piece in pieces)
    assert not COMMANDS[provider].search(told)
    assert told.replace(" ", "") == "".join(pieces).replace(" ", "")


@pytest.mark.parametrize(("text", "told"), [("##vso[task.x]", "# #vso[task.x]"), ("a\n::error::b", "a\n: :error::b")])
def test_breaks_a_whole_text_as_it_breaks_pieces(text: str, told: str) -> None:
    assert harmless(text, GITHUB) == Stream(GITHUB).feed(text) == told
    assert harmless(text, {}) == Stream({}).feed(text) == text


def test_a_line_that_somebody_else_ended_is_over() -> None:
    stream = Stream(GITHUB)
    assert stream.feed("file") == "file"
    stream.begin_line()
    assert stream.feed("::debug::x") == ": :debug::x"
