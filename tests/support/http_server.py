"""A real HTTP server on this machine, in a CI provider's place."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Request:
    """What the server was asked once."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: Any


@contextmanager
def serving(answer: Callable[[Request], tuple[int, Any, Mapping[str, str]]]) -> Iterator[str]:
    """Serve until the end of the block, and yield the address.

    `answer` gives the status, the text or what becomes JSON, and headers besides its length.
    """

    class Handler(BaseHTTPRequestHandler):
        def do_any(self) -> None:
            size = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(size)) if size else None
            asked = {k.lower(): v for k, v in self.headers.items()}
            status, answered, headers = answer(Request(method=self.command, path=self.path, headers=asked, body=body))
            content = answered.encode() if isinstance(answered, str) else json.dumps(answered).encode()
            self.send_response(status)
            for name, value in {"Content-Length": str(len(content)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_PATCH = do_PUT = do_DELETE = do_any  # noqa: N815

        def log_message(self, *args: object) -> None:
            """Stay quiet."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()
