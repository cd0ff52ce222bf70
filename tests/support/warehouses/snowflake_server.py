"""Serve fakesnow to Snowflake's own driver: `python -m tests.support.warehouses.snowflake_server FOLDER`.

Its port is the first line of the output. The statements that clients send are written to the file `statements`, one
JSON text a line; those that match one of `faults.json` are held or answered with its error: see `Snowflake`.
"""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import importlib
import json
import re
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import uvicorn
from fakesnow.instance import FakeSnow
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

# The package has a function of that name.
server: Any = importlib.import_module("fakesnow.server")

_TEMPORARY = re.compile(r"\bcreate( or replace)?\s+temporary (table|view)\b", re.IGNORECASE)
_GRANTS = re.compile(r"\s*show grants on\b", re.IGNORECASE)
_INSERTED = re.compile(r"(?<=\bvalues)\s*\(([\w\s\",]+)\)", re.IGNORECASE)
_MD5 = re.compile(r"\bmd5_number_lower64\(", re.IGNORECASE)
_CANCEL = re.compile(r"\bsystem\$cancel_all_queries\((\d+)\)", re.IGNORECASE)
_WITHOUT_EFFECT = [r"\s*(grant|revoke)\b", r"\s*alter\s+table\s+\S+\s+alter\s+\S+\s+comment\b"]


def serve(folder: Path) -> None:
    """Serve until the process is ended."""
    # dbt and the plugin are to meet a schema that isn't there.
    server.shared_fs = FakeSnow(create_schema_on_connect=False, nop_regexes=_WITHOUT_EFFECT)

    tokens: list[str] = []
    cancelled = set[str]()

    async def login(request: Request) -> JSONResponse:
        answer: JSONResponse = await server.login_request(request)
        told = json.loads(bytes(answer.body))
        tokens.append(told["data"]["token"])
        told["data"]["sessionId"] = len(tokens)
        return JSONResponse(told)

    async def query(request: Request) -> JSONResponse:
        body = await request.body()
        if request.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        sent, session = json.loads(body), server.to_token(request)
        cancelled.discard(session)
        with (folder / "statements").open("a") as file:
            file.write(json.dumps(sent["sqlText"]) + "\n")
        if error := await _fault(folder, sent["sqlText"]):
            return error
        if cancel := _CANCEL.search(sent["sqlText"]):
            token = tokens[int(cancel[1]) - 1]
            cancelled.add(token)
            server.sessions[token]._duck_conn.interrupt()
            sent["sqlText"] = "select 'query cancelled.'"
        # DuckDB has temporary tables in a database of their own.
        sent["sqlText"] = _TEMPORARY.sub(r"create\1 \2", sent["sqlText"])
        # It has no grants, as none has an effect.
        if _GRANTS.match(sent["sqlText"]):
            sent["sqlText"] = "select '' as privilege, '' as granted_to, '' as grantee_name where false"
        if "DBT_INTERNAL_SOURCE" in sent["sqlText"]:
            # Of its several statements for a merge one writes to another database, which no transaction can do as well.
            with contextlib.suppress(duckdb.TransactionException):
                server.sessions[session]._duck_conn.commit()
            # What is inserted is the source's, which it does not know where the target has a column of that name, too.
            sent["sqlText"] = _INSERTED.sub(_of_the_source, sent["sqlText"])
        # Its name for it, which fakesnow spells wrong.
        sent["sqlText"] = _MD5.sub("md5_number_lower(", sent["sqlText"])
        headers = [(name, value) for name, value in request.scope["headers"] if name != b"content-encoding"]
        plain = Request({**request.scope, "headers": headers})
        plain._body = json.dumps(sent).encode()
        answer: JSONResponse = await server.query_request(plain)
        if answer.status_code != 500:
            return answer
        if session in cancelled:
            return _refused("000604", "57014", "SQL execution canceled")
        # The driver would repeat for minutes what fakesnow can't do.
        return _refused("000002", "0A000", json.loads(bytes(answer.body))["message"])

    own = {"/queries/v1/query-request": query, "/session/v1/login-request": login}
    routes = server.app.router.routes
    routes[:] = [Route(r.path, own[r.path], methods=["POST"]) if getattr(r, "path", "") in own else r for r in routes]
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


def _of_the_source(values: re.Match[str]) -> str:
    return "(" + ", ".join(f"DBT_INTERNAL_SOURCE.{name.strip()}" for name in values[1].split(",")) + ")"


def _refused(number: str, state: str, message: str) -> JSONResponse:
    error = {"errorCode": number, "sqlState": state}
    return JSONResponse({"data": error, "code": number, "message": message, "success": False})


if __name__ == "__main__":
    serve(Path(sys.argv[1]))
