"""Serve fakesnow to Snowflake's own driver: `python -m tests.support.warehouses.snowflake_server STATEMENTS`.

Its port is the first line of the output; the statements that clients send are written to a file, one JSON text a line.
"""

from __future__ import annotations

import gzip
import importlib
import json
import re
import socket
import sys
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


def serve(statements: Path) -> None:
    """Serve until the process is ended."""
    # dbt and the plugin are to meet a schema that isn't there.
    server.shared_fs = FakeSnow(create_schema_on_connect=False, nop_regexes=_WITHOUT_EFFECT)

    async def query(request: Request) -> JSONResponse:
        body = await request.body()
        if request.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        sent = json.loads(body)
        with statements.open("a") as file:
            file.write(json.dumps(sent["sqlText"]) + "\n")
        # DuckDB has temporary tables in a database of their own.
        sent["sqlText"] = _TEMPORARY.sub(r"create\1 table", sent["sqlText"])
        headers = [(name, value) for name, value in request.scope["headers"] if name != b"content-encoding"]
        plain = Request({**request.scope, "headers": headers})
        plain._body = json.dumps(sent).encode()
        answer: JSONResponse = await server.query_request(plain)
        if answer.status_code != 500:
            return answer
        # The driver would repeat for minutes what fakesnow can't do.
        error = {"errorCode": "000002", "sqlState": "0A000"}
        message = json.loads(bytes(answer.body))["message"]
        return JSONResponse({"data": error, "code": "000002", "message": message, "success": False})

    routes = server.app.router.routes
    (index,) = (i for i, route in enumerate(routes) if getattr(route, "path", "") == "/queries/v1/query-request")
    routes[index] = Route("/queries/v1/query-request", query, methods=["POST"])
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        print(listener.getsockname()[1], flush=True)
        uvicorn.Server(uvicorn.Config(server.app, log_level="critical")).run(sockets=[listener])


if __name__ == "__main__":
    serve(Path(sys.argv[1]))
