"""Stand between a client and PostgreSQL: as a Redshift stand-in, or only as a bad line.

One event loop in a thread of its own serves all connections. The protocol is PostgreSQL's, version 3;
redshift_connector speaks it too as long as the server does not announce a newer one.
"""

from __future__ import annotations

import asyncio
import struct
import threading
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass, field

from tests.support.warehouses.faults import Drop, Faults, Hold, Statement, Trouble
from tests.support.warehouses.redshift_sql import NameTooLongError, translate

SSL_REQUEST, GSS_REQUEST, CANCEL_REQUEST = 80877103, 80877104, 80877102
# PostgreSQL refuses any parameter it doesn't know, and redshift_connector sends several.
KNOWN_PARAMETERS = {"user", "database", "options", "application_name", "client_encoding"}
REDSHIFT_OPTIONS = "-c standard_conforming_strings=off -c escape_string_warning=off -c timezone=UTC"

Dialect = Callable[[str], str]


def postgres(statement: str) -> str:
    """Leave a statement as it is."""
    return statement


class Proxy:
    """Listen on 127.0.0.1 and pass everything on to a PostgreSQL server, but for the faults asked for."""

    def __init__(self, *, server_port: int, dialect: Dialect = translate) -> None:
        self.server_port = server_port
        self.dialect = dialect
        self.faults = Faults()
        self.port = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._stop = asyncio.Event()
        self._started = threading.Event()
        self._sessions: set[asyncio.Task[None]] = set()

    def start(self) -> None:
        """Listen, unless it does already: on a free port at first, on the same one after a stop."""
        if self._thread is not None:
            return
        self._started.clear()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), name="proxy", daemon=True)
        self._thread.start()
        if not self._started.wait(30):
            raise TimeoutError(f"the proxy in front of port {self.server_port} did not start within 30 s")

    def stop(self) -> None:
        """Cut off every connection and refuse new ones, as a host that is gone does."""
        if self._thread is None or self._loop is None:
            return
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()
        self._thread = None

    async def _serve(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        listener = await asyncio.start_server(self._accept, "127.0.0.1", self.port)
        self.port = listener.sockets[0].getsockname()[1]
        self._started.set()
        await self._stop.wait()
        listener.close()
        for session in self._sessions:
            session.cancel()
        await asyncio.gather(*self._sessions, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        session = Session(proxy=self, client=Line(reader, writer))
        task = asyncio.ensure_future(session.run())
        self._sessions.add(task)
        task.add_done_callback(self._sessions.discard)


class Line:
    """Read one end of a connection at once; write to it after the latency, in order."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        # With a limit of 0, `drain` returns when the kernel has everything, so that `cut` loses nothing.
        writer.transport.set_write_buffer_limits(high=0)
        self._outgoing: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(maxsize=64)

    async def send(self, data: bytes, *, latency: float = 0) -> None:
        """Queue data to be written `latency` seconds from now."""
        await self._outgoing.put((asyncio.get_running_loop().time() + latency, data))

    async def deliver(self) -> None:
        """Write what was queued, for ever."""
        clock = asyncio.get_running_loop().time
        while True:
            due, data = await self._outgoing.get()
            if (wait := due - clock()) > 0:
                await asyncio.sleep(wait)
            self.writer.write(data)
            await self.writer.drain()
            self._outgoing.task_done()

    async def delivered(self) -> None:
        """Wait until everything queued was written."""
        await self._outgoing.join()

    async def message(self) -> tuple[bytes, bytes] | None:
        """Read one message, its type and its body; None at the end."""
        with suppress(asyncio.IncompleteReadError):
            kind, length = struct.unpack("!ci", await self.reader.readexactly(5))
            return kind, await self.reader.readexactly(length - 4)
        return None

    def cut(self) -> None:
        """Close without a word."""
        self.writer.transport.abort()


@dataclass(kw_only=True)
class Session:
    """Carry one client's connection from its first message to its end."""

    proxy: Proxy
    client: Line
    user: str = ""
    database: str = ""
    trouble: Trouble | None = None
    prepared: dict[bytes, str] = field(default_factory=dict)

    async def run(self) -> None:
        """Serve until either side ends, then cut both off."""
        lines = [self.client]
        with suppress(OSError, asyncio.IncompleteReadError):
            try:
                startup = await self._startup()
                server = Line(*await asyncio.open_connection("127.0.0.1", self.proxy.server_port))
                lines.append(server)
                server.writer.write(startup)
                await _until_one_ends(
                    self._requests(server), self._replies(server), server.deliver(), self.client.deliver()
                )
            finally:
                for line in lines:
                    line.cut()

    async def _startup(self) -> bytes:
        """Read the client's first messages and return the one to open the server's connection with."""
        while True:
            (length,) = struct.unpack("!i", await self.client.reader.readexactly(4))
            body = await self.client.reader.readexactly(length - 4)
            (code,) = struct.unpack("!i", body[:4])
            if code in (SSL_REQUEST, GSS_REQUEST):
                self.client.writer.write(b"N")
            elif code == CANCEL_REQUEST:
                return struct.pack("!i", length) + body
            else:
                return await self._admit(body)

    async def _admit(self, body: bytes) -> bytes:
        words = body[4:].decode().split("\0")
        given = dict(zip(words[::2], words[1::2], strict=False))
        self.user, self.database = given["user"], given.get("database", given["user"])
        if refusal := self.proxy.faults.next_refusal():
            self.client.writer.write(refusal.encode())
            await self.client.writer.drain()
            raise ConnectionRefusedError(refusal.message)
        known = {name: value for name, value in given.items() if name in KNOWN_PARAMETERS}
        if self.proxy.dialect is not postgres:
            known["options"] = f"{known.get('options', '')} {REDSHIFT_OPTIONS}"
        text = "".join(f"{name}\0{value}\0" for name, value in known.items()) + "\0"
        message = body[:4] + text.encode()
        return struct.pack("!i", len(message) + 4) + message

    async def _requests(self, server: Line) -> None:
        while message := await self.client.message():
            kind, body = message
            if kind == b"Q":
                body = await self._query(body)
            elif kind == b"P":
                body = self._parse(body)
            elif kind == b"B":
                body = await self._bind(body)
            await server.send(kind + struct.pack("!i", len(body) + 4) + body, latency=self.proxy.faults.latency)
        await server.delivered()

    async def _query(self, body: bytes) -> bytes:
        text = body[:-1].decode()
        return await self._execute(text, self._translate(text).encode() + b"\0", refused=b"refused\0")

    def _parse(self, body: bytes) -> bytes:
        name, text, types = body.split(b"\0", 2)
        self.prepared[name] = text.decode()
        return b"\0".join((name, self._translate(text.decode()).encode(), types))

    async def _bind(self, body: bytes) -> bytes:
        """Treat a Bind as the execution: the driver prepares a text once and binds it many times."""
        name = body.split(b"\0", 2)[1]
        return await self._execute(self.prepared.get(name, ""), body, refused=b"\0refused\0" + bytes(6))

    def _translate(self, text: str) -> str:
        try:
            return self.proxy.dialect(text)
        except NameTooLongError as error:
            self.trouble = Trouble(code="42622", message=str(error))
            return "refused"

    async def _execute(self, text: str, body: bytes, *, refused: bytes) -> bytes:
        """Return the body to send: the given one, or one that makes the server report an error.

        The server has to fail by itself, so that it aborts the transaction and skips what follows as it would
        after any error; its answer is then exchanged for the one asked for.
        """
        statement = Statement(user=self.user, database=self.database, text=text)
        action = self.proxy.faults.next_action(statement)
        if isinstance(action, Drop):
            raise ConnectionAbortedError(text)
        if isinstance(action, Trouble):
            self.trouble = action
            return refused
        if isinstance(action, Hold):
            action.reached.set()
            while not action.released.is_set():
                await asyncio.sleep(0.01)
        return body

    async def _replies(self, server: Line) -> None:
        while data := await server.reader.read(65536):
            if self.trouble is not None:
                data = await self._exchange_error(server, data)
            await self.client.send(data, latency=self.proxy.faults.latency)
        await self.client.delivered()

    async def _exchange_error(self, server: Line, data: bytes) -> bytes:
        """Put the wanted error in the place of the first one, reading on until there is one.

        The client waits for the answer, so `data` begins with a message's first byte.
        """
        position = 0
        while True:
            while len(data) < position + 5 or len(data) < (end := position + 1 + _length(data, position)):
                more = await server.reader.read(65536)
                if not more:
                    return data
                data += more
            if data[position : position + 1] == b"E":
                wanted, self.trouble = self.trouble, None
                assert wanted is not None
                return data[:position] + wanted.encode() + data[end:]
            position = end


def _length(data: bytes, position: int) -> int:
    length: int = struct.unpack_from("!i", data, position + 1)[0]
    return length


async def _until_one_ends(*parts: Coroutine[None, None, None]) -> None:
    tasks = [asyncio.ensure_future(part) for part in parts]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
