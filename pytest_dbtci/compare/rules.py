"""What a node's `meta: {dbt_ci: …}` says about its comparison, read and checked before anything is built.

`fail_if` is a small language: `removed > 0 or changed_pct > 1`.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pytest_dbtci.differences import Differences
from pytest_dbtci.errors import UsageError

COUNTS = ("added", "removed", "changed")
NAMES = (*COUNTS, *(f"{name}_pct" for name in COUNTS), "columns_added", "columns_removed", "columns_changed")

_OPERATORS: dict[str, Callable[[float, float], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    "!=": operator.ne,
    ">": operator.gt,
    "<": operator.lt,
    "=": operator.eq,
}
_TERM = re.compile(r"\s*(\w+)\s*(>=|<=|!=|>|<|=)=?\s*(\d+(?:\.\d+)?)\s*")


@dataclass(frozen=True, kw_only=True)
class Rules:
    """What a project says about the comparison of one node."""

    key: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    tolerance: Mapping[str, float] = field(default_factory=dict)
    where: str = ""
    fail_if: str = ""


def read_rules(meta: Mapping[str, Any], where: str) -> Rules:
    """Return the rules in a node's `dbt_ci`; UsageError, naming `where` they stand, for one that is none."""
    if not isinstance(meta, Mapping):
        raise UsageError(f"{where}: dbt_ci is not a mapping, such as {{key: [id]}}.")
    unknown = sorted(set(map(str, meta)) - _READ.keys())
    if unknown:
        raise UsageError(f"{where}: dbt_ci has no {unknown[0]}; it knows {', '.join(_READ)}.")
    read: dict[str, Any] = {name: _READ[name](value, f"{where}: dbt_ci.{name}") for name, value in meta.items()}
    return Rules(**read)


def holds(condition: str, found: Differences) -> bool:
    """Whether a condition that was checked before is true of a comparison."""
    values = _values(found)
    return any(
        all(_OPERATORS[sign](values[name], float(number)) for name, sign, number in map(_parts, terms))
        for terms in _split(condition)
    )


def _values(found: Differences) -> dict[str, float]:
    counts = {"added": found.added, "removed": found.removed, "changed": found.changed}
    rows = max(found.base_rows, 1)
    columns = {
        f"columns_{name}": sum(c.kind in kinds for c in found.schema)
        for name, kinds in {
            "added": ("added",),
            "removed": ("removed", "renamed"),
            "changed": ("retyped", "reordered"),
        }.items()
    }
    return {**counts, **{f"{name}_pct": 100 * count / rows for name, count in counts.items()}, **columns}


def _split(condition: str) -> list[list[str]]:
    """Return the terms: any of the lists, all in it."""
    return [re.split(r"\band\b", part, flags=re.I) for part in re.split(r"\bor\b", condition, flags=re.I)]


def _parts(term: str) -> tuple[str, str, str]:
    match = _TERM.fullmatch(term)
    assert match is not None
    return match[1].lower(), match[2], match[3]


def _condition(value: Any, where: str) -> str:
    text = _text(value, where)
    for term in (t for terms in _split(text) for t in terms):
        match = _TERM.fullmatch(term)
        if match is None or match[1].lower() not in NAMES:
            raise UsageError(
                f"{where}: {term.strip()!r} is no condition. Write a name, a comparison and a number, such as "
                f"'removed > 0 or changed_pct > 1'. Names: {', '.join(NAMES)}."
            )
    return text


def _names(value: Any, where: str) -> tuple[str, ...]:
    found = [value] if isinstance(value, str) else value
    if not isinstance(found, list) or not found or not all(isinstance(name, str) and name for name in found):
        raise UsageError(f"{where}: write the name of a column, or a list of names.")
    return tuple(found)


def _tolerance(value: Any, where: str) -> dict[str, float]:
    numbers = value if isinstance(value, Mapping) else {"": None}
    if not all(isinstance(n, int | float) and not isinstance(n, bool) and 0 <= n < 1e18 for n in numbers.values()):
        raise UsageError(f"{where}: write the difference that does not count by column, such as {{price: 0.01}}.")
    return {str(name): float(number) for name, number in numbers.items()}


def _text(value: Any, where: str) -> str:
    if not isinstance(value, str) or not value.strip():
        raise UsageError(f"{where}: write a text.")
    return value.strip()


_READ: dict[str, Callable[[Any, str], Any]] = {
    "key": _names,
    "exclude": _names,
    "tolerance": _tolerance,
    "where": _text,
    "fail_if": _condition,
}
