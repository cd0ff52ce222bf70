"""Where code that dbt renders while it parses does more with the target's schema than put it into a text.

A project is parsed with one constant schema, the placeholder, so that all pull requests share the parse; every text
that holds it is then given the pull request's. That is sound as long as the schema is only printed, joined to other
texts, or handed to `config`. Code that looks into it (compares, cuts, changes letters, hashes, counts, passes it to a
macro or function) can have parsed another way than it would for the pull request, and is what `uses` names: the
project is then parsed with the pull request's own schema. When in doubt code is named, which costs a parse.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

from pytest_dbtci.dbt_host.macro_lookup import builtin_packages
from pytest_dbtci.project.references import computed_calls

_NAMING = ("generate_schema_name", "generate_database_name", "generate_alias_name")
_WORDS = re.compile(r"\b(?:target|this|schema|relation_name|context|model)\b")
_LOOKS = {
    "==",
    "!=",
    "<",
    ">",
    "<=",
    ">=",
    "*",
    "%",
    "/",
    "//",
    "**",
    "-",
    "in",
    "is",
    "not",
    "and",
    "or",
    "if",
    "else",
}
_HARMLESS_CALLS = {"config", "return", "log", "print", "dispatch"}
_HARMLESS_FILTERS = {"trim", "string", "safe"}
_FREE = {"name", "identifier", "table", "database", "type", "is_table", "is_view", "is_cte"}
_CONTAINERS = {"macro", "test", "materialization", "call", "filter"}
_UNKNOWN = "*"

Token = tuple[str, str]


class _LooksInto(Exception):
    """The code looks into the schema."""


def uses(manifest: Any, project_dir: str, packages_dir: str) -> tuple[str, ...]:
    """Return the files and macros whose code looks into the target's schema while dbt parses."""
    macros = _macros(manifest)
    carriers, found = {*_NAMING}, set[str]()
    while True:
        before = len(carriers)
        for unique_id, macro in macros.items():
            try:
                carriers |= _Code(macro.macro_sql, carriers).outputs()
            except _LooksInto:
                found.add(unique_id)
        carriers |= {name.split("__", 1)[1] for name in carriers if "__" in name}
        if len(carriers) == before:
            break
    for where, text in _texts(manifest, Path(project_dir), packages_dir or "dbt_packages"):
        try:
            _Code(text, carriers).outputs()
        except _LooksInto:
            found.add(where)
    return tuple(sorted(found))


def _macros(manifest: Any) -> dict[str, Any]:
    """Return the macros that can run at parse time: what nodes and names call; all, where calls are computed."""
    builtin = builtin_packages(manifest.metadata.adapter_type or "")
    todo = [m for node in manifest.nodes.values() for m in node.depends_on.macros if m]
    todo += [u for u, m in manifest.macros.items() if m.name.endswith(_NAMING)]
    reached = dict[str, Any]()
    while todo:
        unique_id = todo.pop()
        macro = manifest.macros.get(unique_id)
        if macro is not None and unique_id not in reached:
            reached[unique_id] = macro
            todo += [m for m in macro.depends_on.macros if m]
    texts = [getattr(n, "raw_code", "") or "" for n in manifest.nodes.values()]
    texts += [m.macro_sql for m in reached.values() if m.package_name not in builtin]
    computed = any(computed_calls(text) for text in texts)
    every = manifest.macros if computed else reached
    return {u: m for u, m in every.items() if m.package_name not in builtin}


def _texts(manifest: Any, project_dir: Path, packages_dir: str) -> Iterator[tuple[str, str]]:
    for node in manifest.nodes.values():
        if getattr(node, "language", "sql") == "sql" and "{" in (code := getattr(node, "raw_code", "") or ""):
            yield node.original_file_path, code
    for file in manifest.files.values():
        for text in _strings(getattr(file, "dfy", None)):
            yield file.path.relative_path, text
    for path in (project_dir / "dbt_project.yml", *(project_dir / packages_dir).glob("*/dbt_project.yml")):
        if path.is_file():
            yield path.relative_to(project_dir).as_posix(), path.read_text(encoding="utf-8")


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        if "{{" in value or "{%" in value:
            yield value
    elif isinstance(value, dict):
        for part in value.values():
            yield from _strings(part)
    elif isinstance(value, list):
        for part in value:
            yield from _strings(part)


class _Code:
    """A macro, or a text with Jinja. `carriers` are macros and variables whose value may hold the schema."""

    def __init__(self, text: str, carriers: Iterable[str]) -> None:
        self._text = text
        self._carriers = set(carriers)
        self._macros = set[str]()

    def outputs(self) -> set[str]:
        """Return the macros defined here whose value may hold the schema; _LooksInto where the code looks into it."""
        words = self._carriers & set(re.findall(r"\w+", self._text))
        if not words and not _WORDS.search(self._text):
            return set()
        while True:
            before = len(self._carriers)
            self._pass()
            if len(self._carriers) == before:
                return self._macros

    def _pass(self) -> None:
        inside: list[tuple[str, str]] = []
        guarded: list[bool] = []
        for tokens in self._statements:
            word = tokens[0][1] if tokens else ""
            if word in ("if", "elif", "else", "endif"):
                guarded[-1:] = [] if word != "if" and guarded else guarded[-1:]
                if word != "endif":
                    guarded.append(word != "else" and [v for _, v in tokens[1:3]] in (["execute"], ["execute", "and"]))
            if any(guarded):
                continue
            if word.startswith("end"):
                if inside and inside[-1][0] == word[3:]:
                    inside.pop()
            else:
                self._statement(word, tokens, inside)

    def _statement(self, word: str, tokens: list[Token], inside: list[tuple[str, str]]) -> None:
        values = [value for _, value in tokens]
        if word in _CONTAINERS or (word == "set" and "=" not in values):
            inside.append((word, values[1] if word in ("macro", "set") and "|" not in values else _UNKNOWN))
            if word in ("macro", "test", "set"):
                return
        found = list(self._mentions(tokens))
        if not found:
            return
        if word == "set" and values[2:3] == ["="] and self._is_plain(tokens[3:]):
            self._carriers.add(values[1])
        elif word in ("", "do", "{{") and self._is_plain(tokens[1:]):
            for kind, name in inside:
                if name == _UNKNOWN and kind not in ("test", "materialization"):
                    raise _LooksInto
                self._carriers.add(name)
                if kind == "macro":
                    self._macros.add(name)
        else:
            raise _LooksInto

    def _mentions(self, tokens: list[Token]) -> Iterator[tuple[int, int]]:
        """Yield where something that may hold the schema stands, as the indices of its first and its last token."""
        values = [value for _, value in tokens]
        padded = ["", "", "", "", *values, "", "", "", ""]
        for i, (kind, value) in enumerate(tokens):
            before, last, after = padded[i + 2 : i + 4], padded[i + 3], padded[i + 5 : i + 8]
            if kind == "string":
                key = value.strip("'\"")
                is_key = last == "[" or (before == ["get", "("] and padded[i] != "config")
                if (key in ("schema", "dataset", "relation_name") and is_key) or (
                    key in self._carriers and "dispatch" in before
                ):
                    yield i, i
            elif kind != "name" or (after[0] == "=" and last != "."):
                continue
            elif last == ".":
                if value in ("schema", "dataset", "relation_name") or value in self._carriers:
                    yield i, i
            elif value == "target":
                if after[0] == ".":
                    if after[2] == "(":
                        yield i, i
                elif not (after[0] == "[" and after[1].strip("'\"") != after[1]):
                    yield i, i
            elif value in self._carriers or (
                value not in self._own_names
                and (
                    value in ("schema", "context")
                    or (value == "this" and not (after[0] == "." and after[1] in {*_FREE, "schema"}))
                    or (value == "model" and after[0] not in (".", "["))
                )
            ):
                yield i, i

    def _is_plain(self, tokens: list[Token]) -> bool:
        """Whether the expression only joins what it mentions to other texts."""
        values = [value for _, value in tokens]
        for i, value in enumerate(values):
            if value in _LOOKS or (value == "|" and not _HARMLESS_FILTERS & set(values[i + 1 : i + 2])):
                return False
        for _, end in self._mentions(tokens):
            following = values[end + 1 : end + 2]
            is_call = following == ["("] and values[end] in self._carriers
            # `target['schema']` ends with a bracket of its own.
            if following in (["."], ["["], ["("]) and not is_call:
                return False
            opened: list[str] = []
            for i, value in enumerate(values[:end]):
                if value in ("(", "[", "{"):
                    opened.append(f"{values[i - 1] if i else ''} {value}")
                elif value in (")", "]", "}"):
                    opened.pop()
            for around in opened:
                callee, bracket = around.rsplit(" ", 1)
                is_name = re.fullmatch(r"\w+|\)|\]", callee) is not None
                is_key = values[end - 2 : end] == ["target", "["] and around is opened[-1]
                if is_name and not is_key and not (bracket == "(" and callee in _HARMLESS_CALLS):
                    return False
        return True

    @cached_property
    def _statements(self) -> list[list[Token]]:
        """Return the tokens of each statement; those of an expression begin with `{{`."""
        from jinja2 import Environment, TemplateSyntaxError

        statements = list[list[Token]]()
        try:
            for _, kind, value in Environment().lex(self._text):
                if kind in ("variable_begin", "block_begin"):
                    statements.append([("operator", "{{")] if kind == "variable_begin" else [])
                elif kind in ("name", "string", "integer", "float", "operator"):
                    statements[-1].append((kind, value))
        except TemplateSyntaxError:
            raise _LooksInto from None
        return statements

    @cached_property
    def _own_names(self) -> set[str]:
        """Return the names of the code's own: a macro's parameters and what loops and `set` bind."""
        found = set[str]()
        for tokens in self._statements:
            names = [value for kind, value in tokens if kind == "name"]
            if names[:1] == ["macro"] or names[:1] == ["test"]:
                found.update(names[2:])
            elif names[:1] == ["for"] and "in" in names:
                found.update(names[1 : names.index("in")])
            elif names[:1] == ["set"]:
                found.update(names[1:2])
        return found
