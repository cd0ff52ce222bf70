"""Digests of what dbt's manifest holds, by which two trees are compared."""

from __future__ import annotations

import dataclasses
import enum
import hashlib
import json
from typing import Any


def json_text(value: Any) -> str:
    """Return a value of dbt's as JSON, whatever the order of its keys; a text as it is."""
    return value if isinstance(value, str) else _SORTED.encode(value)


def in_order(value: Any) -> str:
    """Return a value of dbt's as JSON, its keys in their order."""
    return _AS_IT_IS.encode(value)


def digest(text: str) -> str:
    """Digest a text so that two can be told apart."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def _plain(value: Any) -> Any:
    if isinstance(value, enum.Enum):
        return value.value
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return vars(value)
    return sorted(map(str, value)) if isinstance(value, set | frozenset) else str(value)


_SORTED = json.JSONEncoder(sort_keys=True, default=_plain)
_AS_IT_IS = json.JSONEncoder(default=_plain)
