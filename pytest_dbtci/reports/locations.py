"""Find the line that a reader should look at: of a test in its YAML, of an error in its SQL."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import yaml

from pytest_dbtci.dbt_words import line_in_python
from pytest_dbtci.plan import Node

_ENTRIES = ("models", "seeds", "snapshots", "sources", "tables", "functions", "analyses")
_TESTS = ("data_tests", "tests")
# Postgres and Redshift, DuckDB: `LINE 6: frm "d"."s"."t"`, the text cut to about 60 characters with dots.
_QUOTED = re.compile(r"^\s*LINE \d+: (?P<text>.*\S)", re.MULTILINE)
# Redshift never quotes a line: `column "nme" does not exist`, `syntax error at or near "frm"`.
_BLAMED = re.compile(r'(?:column|relation|function|table|type|name|near) "([\w.]+)"')
_CSV_LINE = re.compile(r"CSV Error on Line: (\d+)")
_JINJA = re.compile(r"\{\{.*?\}\}|\{%.*?%\}|\{#.*?#\}")


def line_of(project_dir: Path, node: Node, message: str = "") -> int | None:
    """Return the 1-based line in `node.defined_in` where the node, or what the message complains of, stands.

    A generic test, a unit test or anything else from YAML: where it is declared. SQL: the line that the
    database quotes in `message`, or that holds the name it complains of, if that fits exactly one line of the
    file; else where the node begins. None where the file is missing or isn't understood; nothing is raised.
    """
    path = project_dir / node.defined_in
    try:
        text = path.read_text("utf-8")
        if path.suffix in (".yml", ".yaml"):
            document = _composed(text)
            return _in_yaml(document, node) if document else None
        return _in_text(text, node, message)
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        return None


@lru_cache(maxsize=32)
def _composed(text: str) -> yaml.Node | None:
    """Parse YAML with its line numbers; a file declares many tests, and is read for each that failed."""
    return yaml.compose(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))


def tested_by(node: Node) -> tuple[str, ...]:
    """Return the unique_ids that a test is about: one, or all that a singular test reads."""
    return (node.about,) if node.about else node.parents


def _in_text(text: str, node: Node, message: str) -> int:
    lines = text.splitlines()
    if node.resource_type == "seed":
        named = _CSV_LINE.search(message)
        return int(named[1]) if named and int(named[1]) <= len(lines) else 1
    if node.defined_in.endswith(".py") and (line := line_in_python(message)):
        return min(line, len(lines))
    for found in _complaints(lines, message):
        if len(found) == 1:
            return found[0]
    if node.resource_type == "snapshot":
        opening = re.compile(r"\{%-?\s*snapshot\s+" + re.escape(node.name) + r"\b")
        return next((i for i, line in enumerate(lines, 1) if opening.search(line)), 1)
    return 1


def _complaints(lines: list[str], message: str) -> Iterator[list[int]]:
    quoted, blamed = _QUOTED.search(message), _BLAMED.search(message)
    if quoted:
        yield [i for i, line in enumerate(lines, 1) if _can_become(line, quoted["text"].strip())]
    if blamed:
        word = re.compile(rf"(?<![\w.]){re.escape(blamed[1])}(?!\w)")
        yield [i for i, line in enumerate(lines, 1) if word.search(line)]


def _can_become(line: str, quoted: str) -> bool:
    """Whether a line of the file can render to the quoted one, whose ends may be cut off."""
    literals = [re.escape(part.strip()) for part in _JINJA.split(line)]
    if len(max(literals, key=len)) < 3:  # too little text of its own to go by
        return False
    if quoted.startswith("...") or quoted.endswith("..."):
        return quoted.strip(".").strip() in line
    return re.fullmatch(r"\s*.*\s*".join(literals), quoted) is not None


def _in_yaml(document: yaml.Node, node: Node) -> int | None:
    if node.resource_type == "operation":
        # dbt names a hook after the project and its key: `dogs-on-run-start-0`.
        hooks = [k for k, _ in _pairs(document) if str(k.value).startswith("on-run-")]
        return next((_line(k) for k in hooks if f"-{k.value}-" in node.name), None)
    if node.resource_type == "unit_test":
        return _named(_get(document, "unit_tests"), node.name)
    if node.resource_type != "test":
        return _named(_get(document, f"{node.resource_type}s"), node.name)
    # A source test's parents are `source.project.schema.table`, a versioned model's `model.project.name.v2`.
    tested = {part for parent in tested_by(node) for part in parent.split(".")[2:]}
    found: list[tuple[int, int]] = []
    for entry in _entries(document):
        if _name(entry) in tested:
            found.extend((match, t.line) for t in _tests(entry) if (match := _match(t, node)))
    if found:
        return max(found, key=lambda f: f[0])[1]
    return next((_line(e) for e in _entries(document) if _name(e) in tested), None)


@dataclass(frozen=True, kw_only=True)
class _Declared:
    """One test as YAML declares it; `values` are the texts of all its arguments."""

    column: str | None
    kind: str
    name: str | None
    values: tuple[str, ...]
    line: int


def _match(test: _Declared, node: Node) -> int:
    """Return how well a declared test fits the node: 0 is not at all.

    dbt names a generic test after its kind, the tested node, the column and the arguments, anything but word
    characters made `_`; a long name ends in a digest, so the arguments only decide between equals.
    """
    if test.name is not None:
        return 1000 if test.name == node.name else 0
    same_column = (test.column or "").strip('"').lower() == (node.column or "").strip('"').lower()
    package, _, kind = test.kind.rpartition(".")
    prefix = rf"{re.escape(f'{package}_' if package else '')}(?:source_)?{re.escape(kind)}_"
    if not same_column or not re.match(prefix, node.name):
        return 0
    return 1 + 20 * len(kind) + sum(_word(v) in node.name for v in test.values)


def _word(value: str) -> str:
    return re.sub(r"\W+", "_", value)


def _entries(document: yaml.Node) -> Iterator[yaml.Node]:
    """Yield everything that can have tests: models, seeds, snapshots, a source's tables, versions within."""
    for key, value in _pairs(document):
        if key.value in _ENTRIES and isinstance(value, yaml.SequenceNode):
            for entry in value.value:
                yield entry
                yield from _entries(entry)


def _tests(node: yaml.Node, column: str | None = None) -> Iterator[_Declared]:
    for key, value in _pairs(node):
        if not isinstance(value, yaml.SequenceNode):
            continue
        for entry in value.value:
            if key.value in _TESTS:
                yield _declared(entry, column)
            elif key.value == "columns":
                yield from _tests(entry, _name(entry))
            elif key.value == "versions":
                yield from _tests(entry, column)


def _declared(entry: yaml.Node, column: str | None) -> _Declared:
    kind, arguments = str(entry.value), entry
    if isinstance(entry, yaml.MappingNode):
        spelled = _get(entry, "test_name")
        first = entry.value[0] if entry.value else None
        if spelled is not None:
            kind = str(spelled.value)
        elif first:
            kind, arguments = str(first[0].value), first[1]
    name = _get(arguments, "name") or _get(entry, "name")
    return _Declared(
        column=column,
        kind=kind,
        name=str(name.value) if name else None,
        values=tuple(_scalars(arguments)) if isinstance(arguments, yaml.CollectionNode) else (),
        line=_line(entry),
    )


def _scalars(node: yaml.Node) -> Iterator[str]:
    if isinstance(node, yaml.ScalarNode):
        yield str(node.value)
    elif isinstance(node, yaml.SequenceNode):
        for entry in node.value:
            yield from _scalars(entry)
    else:
        for _, value in _pairs(node):
            yield from _scalars(value)


def _pairs(node: yaml.Node | None) -> list[tuple[yaml.Node, yaml.Node]]:
    return list(node.value) if isinstance(node, yaml.MappingNode) else []


def _get(node: yaml.Node | None, key: str) -> yaml.Node | None:
    return next((v for k, v in _pairs(node) if k.value == key), None)


def _name(node: yaml.Node) -> str:
    found = _get(node, "name")
    return str(found.value) if found else ""


def _named(entries: yaml.Node | None, name: str) -> int | None:
    found = entries.value if isinstance(entries, yaml.SequenceNode) else []
    return next((_line(e) for e in found if _name(e) == name), None)


def _line(node: yaml.Node) -> int:
    return int(node.start_mark.line) + 1
