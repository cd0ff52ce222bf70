"""A request, as all requests are: its class names the type of the answer that `Host.ask` returns for it."""

from __future__ import annotations

from typing import Any, Generic, TypeVar, get_args

Answer = TypeVar("Answer", covariant=True)


class Request(Generic[Answer]):
    """What the controller can ask. `tree` is the name under which the host keeps a parsed manifest."""


def answer_type(request: type[Request[Any]]) -> Any:
    """Return the type of the request's answer."""
    return get_args(request.__orig_bases__[0])[0]  # type: ignore[attr-defined]
