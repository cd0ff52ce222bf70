"""dbt's own words, without what it wraps around them."""

from __future__ import annotations

import re

# How dbt wraps what it passes on: `Database Error in model x (models/x.sql)`, then the words, indented.
_WRAPPED = re.compile(r"(?P<kind>[A-Z][\w ]*? Error)(?: in (?P<place>[\w ]+ .*\(.*\)))?")
_COMPILED_AT = re.compile(r"^\s*compiled code at .*\n?", re.MULTILINE)
# … of a hook: its name, then the words.
_HOOK = re.compile(r"\S+ failed, error:")
# … and how inside of a sentence: `Credentials invalid: Runtime Error`, then the words, in a line of their own.
_WITHIN = re.compile(r"(:| -) [A-Z]\w* Error\n\s+")
# A Python model's own error comes last, below the calls that led to it.
_PYTHON = re.compile(r"Python model failed:\nTraceback \(most recent call last\):\n((?: .*\n)+)(\S[\s\S]*)")
_CALL = re.compile(r'File "(?![^"\n]*site-packages)[^"\n]*", line (\d+), in .*\n\s+(.*)\n')
_NEXT_STEPS = (
    (
        r"or run dbt again with --no-version-check",
        r"Here DBT_VERSION_CHECK=false in the environment does what that flag does.",
    ),
    (
        r"Could not find adapter type (\w+)!",
        r"If that is the right type in profiles.yml, install it where pytest runs: pip install dbt-\1",
    ),
    (
        r"Credentials in profile .* invalid: (\S+) is not of type '(\w+)'",
        r"Find \1 in profiles.yml, and write it as \2: numbers without quotes, variables with `| as_number`.",
    ),
    (
        r"Required var '(\w+)' not found in config",
        r"Give \1 a value under `vars` in dbt_project.yml, or in --dbt-ci-vars.",
    ),
    (r"Env var required but not provided: '(\w+)'", r"Set \1 where pytest runs; in CI in the step's own environment."),
    (r"(?s)\t.*found character .*cannot start any token", r"YAML is indented with spaces, not with tabs."),
    (
        r"max_workers must be greater than 0",
        r"Set the target's threads to 1 or more, in profiles.yml or --dbt-ci-threads.",
    ),
    (r"Severity must be either 'warn' or 'error'. Got '(\w+)'", r"Find `severity: \1` in the project's YAML."),
    (r"The name argument to ref\(\) must be a string, got .*Undefined", r"Write it in quotes: ref('name')."),
    (r'syntax error at or near ";"', r"A model is one query: leave out the semicolon at its end."),
    (
        r"Row \d+ has \d+ values, but Table only has \d+ columns",
        r"Rows are counted from 0, below the header; a value with a comma in it takes quotes.",
    ),
    (r"a callable raised a StopIteration", r"The seed's file is empty: write its header line, or delete it."),
    (
        r"Snapshots must be configured with a 'strategy' and 'unique_key'",
        r"dbt does not say which one: give both to each new or changed snapshot, in its config.",
    ),
    (r"<{7} ", r"These are git's conflict markers: resolve the merge first."),
    (
        r"at path \['name'\]: '.*' does not match",
        r"The project's name takes letters, digits and underscores, and begins with a letter.",
    ),
    (r"at path \['([\w-]+-paths)'\]: '([^']*)' is not valid", r"Write a list: `\1: [\2]`."),
    (r"at path \['threads'\]", r"Set the target's threads in profiles.yml to a whole number."),
    (
        r'IO Error: Cannot open file "[^"]*": No such file or directory',
        r"Make the folder, or correct the path: a DuckDB target has it in profiles.yml.",
    ),
    (
        r"is not a valid DuckDB database file|IO Error: Could not read from file .*: Is a directory",
        r"Let the target's path in profiles.yml name another file, or remove this one.",
    ),
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
    text = _WITHIN.sub(r"\1 ", text.rstrip()).removeprefix("at path []: ")
    return (f"{place}: {text}" if place else text) + next_step(text)


def next_step(text: str) -> str:
    """Return what to do about what dbt or the warehouse says, as a line of its own; empty where that is not known."""
    steps = (found.expand(f"\n{step}") for pattern, step in _NEXT_STEPS if (found := re.search(pattern, text)))
    return next(steps, "")


def line_in_python(message: str) -> int | None:
    """Return the line of a Python model that its error comes from; None for other messages."""
    call = _CALL.search(message)
    return int(call[1]) if call else None


def _unwrapped(message: str) -> tuple[list[str], str, str]:
    text, kinds, place = message.strip("\n"), list[str](), ""
    while True:
        first, newline, rest = text.partition("\n")
        if newline and _HOOK.fullmatch(first.strip()):
            text = rest.removeprefix(" ")
            continue
        wrapped = _WRAPPED.fullmatch(first.strip())
        if not wrapped or not newline:
            break
        kinds.append(wrapped["kind"])
        place = wrapped["place"] or place
        text = "\n".join(line.removeprefix("  ") for line in rest.split("\n")).strip("\n")
    return kinds, place, _of_python(_COMPILED_AT.sub("", text + "\n"))


def _of_python(text: str) -> str:
    """Return a Python model's own error, with the line of the model that raised it; any other text as it is."""
    if not (found := _PYTHON.fullmatch(text)):
        return text
    call = _CALL.search(found[1])
    return found[2] + (f"\nLINE {call[1]}: {call[2]}\n" if call else "")
