"""A real HTTP server in a CI provider's place, which answers as a test tells it to."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest


@dataclass(frozen=True, kw_only=True)
class Request:
    """What the server was asked once."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: Any


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

    class Handler(BaseHTTPRequestHandler):
        def do_any(self) -> None:
            size = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(size)) if size else None
            headers = {k.lower(): v for k, v in self.headers.items()}
            found.requests.append(Request(method=self.command, path=self.path, headers=headers, body=body))
            status, answer = found.answers.pop(0) if found.answers else (404, {"message": "nothing more to say"})
            content = answer.encode() if isinstance(answer, str) else json.dumps(answer).encode()
            self.send_response(status)
            for name, value in {"Content-Length": str(len(content)), **found.answer_headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_PATCH = do_PUT = do_DELETE = do_any  # noqa: N815

        def log_message(self, *args: object) -> None:
            """Stay quiet."""

    monkeypatch.setenv("no_proxy", "127.0.0.1")
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    found.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    yield found
    server.shutdown()
    server.server_close()
    thread.join()
