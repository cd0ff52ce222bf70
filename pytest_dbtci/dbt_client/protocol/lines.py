"""The lines in which messages travel between the two processes, and which of them each side understands."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from pytest_dbtci.codec import Words, decode, encode
from pytest_dbtci.dbt_client.protocol import tree_requests, warehouse_requests
from pytest_dbtci.dbt_client.protocol.events import Event
from pytest_dbtci.dbt_client.protocol.request import Request


@dataclass(frozen=True, kw_only=True)
class Ready:
    """dbt is imported: the host begins to answer."""


@dataclass(frozen=True, kw_only=True)
class Alive:
    """The host works on a request: it says so now and then, and the listeners are not told."""


@dataclass(frozen=True, kw_only=True)
class Done:
    """The answer to a request."""

    answer: Any


@dataclass(frozen=True, kw_only=True)
class Failed:
    """Why there is no answer: the user's input (`usage`), other trouble, or it was cancelled.

    `trouble` names the kind of the warehouse's trouble, where it was that.
    """

    text: Words
    kind: Literal["usage", "trouble", "cancelled"]
    trouble: str = ""


@dataclass(frozen=True, kw_only=True)
class Settle:
    """Where the host works from now on, and what its environment holds besides."""

    cwd: str
    environ: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class Cancel:
    """Cancel the request of the line's number, at once."""


@dataclass(frozen=True, kw_only=True)
class Quit:
    """End; nothing is open."""


REQUESTS: Mapping[str, type[Request[Any]]] = {
    name: kind
    for module in (tree_requests, warehouse_requests)
    for name, kind in vars(module).items()
    if isinstance(kind, type) and issubclass(kind, Request) and kind is not Request
}
TO_HOST: Mapping[str, type[Any]] = {**REQUESTS, **{kind.__name__: kind for kind in (Settle, Cancel, Quit)}}
FROM_HOST: Mapping[str, type[Any]] = {k.__name__: k for k in (*get_args(Event), Ready, Alive, Done, Failed)}


@dataclass(frozen=True, kw_only=True)
class Line:
    """A message on its way: the name of its class, its fields, and the number of the request that it belongs to."""

    number: int | None = None
    kind: str
    fields: Any

    def read(self, kinds: Mapping[str, type[Any]], words: Callable[[str], str] = str) -> Any:
        """Return the message, its words passed through `words`; ValueError or TypeError for none of `kinds`."""
        if self.kind not in kinds:
            raise ValueError(f"{self.kind} is no message of this protocol")
        return decode(kinds[self.kind], self.fields, words)


def write_line(message: object, number: int | None = None) -> str:
    """Return the line that carries the message; ASCII without line breaks."""
    return json.dumps({"number": number, "kind": type(message).__name__, "fields": encode(message)}, default=str)


def read_line(text: str) -> Line:
    """Return what the line holds; ValueError where it is none."""
    return decode(Line, json.loads(text))
