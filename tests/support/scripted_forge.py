"""A real HTTP server in a CI provider's place, which answers as a test tells it to."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.support.http_server import Request, serving


@dataclass
class Forge:
    """A server that answers in the order given and remembers what it was asked."""

    url: str = ""
    answers: list[tuple[int, Any]] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)
    answer_headers: dict[str, str] = field(default_factory=dict)

    def asked(self) -> list[tuple[str, str, Any]]:
        """Return method, path and body of each request."""
        return [(r.method, r.path, r.body) for r in self.requests]


@pytest.fixture
def forge(monkeypatch: pytest.MonkeyPatch) -> Iterator[Forge]:
    """A server that is there."""
    found = Forge()

    def answer(request: Request) -> tuple[int, Any, dict[str, str]]:
        found.requests.append(request)
        status, content = found.answers.pop(0) if found.answers else (404, {"message": "nothing more to say"})
        return status, content, found.answer_headers

    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with serving(answer) as found.url:
        yield found
