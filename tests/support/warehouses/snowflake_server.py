"""Serve fakesnow to Snowflake's own driver: `python -m tests.support.warehouses.snowflake_server FOLDER`.

Its port is the first line of the output. The statements that clients send are written to the file `statements`, one
JSON text a line; those that match one of `faults.json` are held or answered with its error: see `Snowflake`.
"""

from __future__ import annotations

import asyncio
import gzip
import importlib
import json
import re
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import uvicorn
from fakesnow.instance import FakeSnow
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

# The package has a function of that name.
server: Any = importlib.import_module("fakesnow.server")

_TEMPORARY = re.compile(r"\bcreate( or replace)? temporary table\b", re.IGNORECASE)
_WITHOUT_EFFECT = [r"\s*(grant|revoke)\b", r"\s*alter\s+table\s+\S+\s+alter\s+\S+\s+comment\b"]


def serve(folder: Path) -> None:
    """Serve until the process is ended."""
    # dbt and the plugin are to meet a schema that isn't there.
    server.shared_fs = FakeSnow(create_schema_on_connect=False, nop_regexes=_WITHOUT_EFFECT)

    async def query(request: Request) -> JSONResponse:
        body = await request.body()
        if request.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        sent = json.loads(body)
        with (folder / "statements").open("a") as file:
            file.write(json.dumps(sent["sqlText"]) + "\n")
        if error := await _fault(folder, sent["sqlText"]):
            return error
        # DuckDB has temporary tables in a database of their own.
        sent["sqlText"] = _TEMPORARY.sub(r"create\1 table", sent["sqlText"])
        headers = [(name, value) for name, value in request.scope["headers"] if name != b"content-encoding"]
        plain = Request({**request.scope, "headers": headers})
        plain._body = json.dumps(sent).encode()
        answer: JSONResponse = await server.query_request(plain)
        if answer.status_code != 500:
            return answer
        # The driver would repeat for minutes what fakesnow can't do.
        return _refused("000002", "0A000", json.loads(bytes(answer.body))["message"])

    routes = server.app.router.routes
    (index,) = (i for i, route in enumerate(routes) if getattr(route, "path", "") == "/queries/v1/query-request")
    routes[index] = Route("/queries/v1/query-request", query, methods=["POST"])
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        print(listener.getsockname()[1], flush=True)
        uvicorn.Server(uvicorn.Config(server.app, log_level="critical")).run(sockets=[listener])


async def _fault(folder: Path, statement: str) -> JSONResponse | None:
    """Return the error that is asked for; wait, while that is asked for, and return None."""

    def asked() -> Iterator[dict[str, str]]:
        faults = json.loads((folder / "faults.json").read_text())
        return (f for f in faults if re.search(f["pattern"], statement, re.IGNORECASE))

    while fault := next(asked(), None):
        if "message" in fault:
            return _refused(fault["number"], fault["state"], fault["message"])
        (folder / "held").touch()
        await asyncio.sleep(0.05)
    return None


def _refused(number: str, state: str, message: str) -> JSONResponse:
    error = {"errorCode": number, "sqlState": state}
    return JSONResponse({"data": error, "code": number, "message": message, "success": False})


if __name__ == "__main__":
    serve(Path(sys.argv[1]))
