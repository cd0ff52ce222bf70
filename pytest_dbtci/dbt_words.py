"""dbt's own words, without what it wraps around them."""

from __future__ import annotations

import re

# How dbt wraps what it passes on: `Database Error in model x (models/x.sql)`, then the words, indented.
_WRAPPED = re.compile(r"(?P<kind>[A-Z][\w ]*? Error)(?: in (?P<place>[\w ]+ .*\(.*\)))?")
_COMPILED_AT = re.compile(r"^\s*compiled code at .*\n?", re.MULTILINE)
# … and how inside of a sentence: `Credentials invalid: Runtime Error`, then the words, in a line of their own.
_WITHIN = re.compile(r"(:| -) [A-Z]\w* Error\n\s+")
_NEXT_STEPS = (
    (
        r"or run dbt again with --no-version-check",
        r"Here DBT_VERSION_CHECK=false in the environment does what that flag does.",
    ),
    (r"Could not find adapter type (\w+)!", r"Install it where pytest runs: pip install dbt-\1"),
    (r"Env var required but not provided: '(\w+)'", r"Set \1 where pytest runs; in CI in the step's own environment."),
    (
        r"permission denied for database \"?(\w+)\"?",
        r"The target's user has to create schemas: grant it create on database \1.",
    ),
)


def unwrapped(message: str) -> tuple[list[str], str]:
    """Return the kinds of errors that dbt wraps a message in, and the message."""
    kinds, _, text = _unwrapped(message)
    return kinds, text


def reason(message: str) -> str:
    """Return why dbt refuses something: place and reason in the first line, and what to do where that is known."""
    _, place, text = _unwrapped(message)
    text = _WITHIN.sub(r"\1 ", text.rstrip())
    steps = (found.expand(f"\n{step}") for pattern, step in _NEXT_STEPS if (found := re.search(pattern, text)))
    return (f"{place}: {text}" if place else text) + next(steps, "")


def _unwrapped(message: str) -> tuple[list[str], str, str]:
    text, kinds, place = message.strip("\n"), list[str](), ""
    while True:
        first, newline, rest = text.partition("\n")
        wrapped = _WRAPPED.fullmatch(first.strip())
        if not wrapped or not newline:
            break
        kinds.append(wrapped["kind"])
        place = wrapped["place"] or place
        text = "\n".join(line.removeprefix("  ") for line in rest.split("\n")).strip("\n")
    return kinds, place, _COMPILED_AT.sub("", text + "\n")
