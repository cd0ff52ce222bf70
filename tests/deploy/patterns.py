"""Evaluate the two AWS pattern languages that the alarms use, as far as they use them; refuse the rest."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any


def line_matches(pattern: str, line: str) -> bool:
    """Say whether a log line matches a JSON filter pattern `{ $.path = "text" }`; plain text never does."""
    parsed = re.fullmatch(r'\{ \$\.([\w.]+) = "(\w+)" \}', pattern)
    if parsed is None:
        raise ValueError(f"unknown form of pattern: {pattern}")
    try:
        found = json.loads(line)
    except ValueError:
        return False
    for name in parsed[1].split("."):
        found = found.get(name) if isinstance(found, dict) else None
    return bool(found == parsed[2])


def event_matches(pattern: dict[str, Any], event: dict[str, Any]) -> bool:
    """Say whether an event matches an EventBridge pattern of literals, `anything-but` and `$or`."""
    return all(
        any(event_matches(choice, event) for choice in wanted)
        if name == "$or"
        else any(_value_matches(wanted, value) for value in _values(event, name))
        for name, wanted in pattern.items()
    )


def _values(event: dict[str, Any], name: str) -> Iterator[Any]:
    """Yield a field's values: each element of an array counts as one, a missing field has none."""
    if name in event:
        yield from event[name] if isinstance(event[name], list) else [event[name]]


def _value_matches(wanted: Any, value: Any) -> bool:
    if isinstance(wanted, dict):
        return isinstance(value, dict) and event_matches(wanted, value)
    return any(_is(choice, value) for choice in wanted)


def _is(choice: Any, value: Any) -> bool:
    if not isinstance(choice, dict):
        return bool(choice == value)
    if list(choice) != ["anything-but"]:
        raise ValueError(f"unknown form of pattern: {choice}")
    return value not in choice["anything-but"]
