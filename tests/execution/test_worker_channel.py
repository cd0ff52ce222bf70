"""The link between workers and controller: whoever has not its key is told nothing, and tells nothing."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Iterator
from contextlib import suppress
from multiprocessing.connection import Client, Listener
from pathlib import Path

import pytest

from pytest_dbtci.dbt_client.client import Host
from pytest_dbtci.dbt_client.private import PrivateFolder
from pytest_dbtci.errors import DbtCiError
from pytest_dbtci.execution.run import Run
from pytest_dbtci.execution.worker_channel import RemoteOutcomes, Server
from pytest_dbtci.settings import Settings


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """A controller's end of the link; its run has no dbt yet."""
    host = Host(tmp_path, {}, tmp_path / "dbt.log", private=PrivateFolder())
    run = Run(Settings(rootdir=tmp_path, invocation_dir=tmp_path), host)
    made = Server(run)
    yield made
    made.close()
    run.finish(red=False, stopped=True)


def test_answers_a_worker(server: Server) -> None:
    assert RemoteOutcomes(server.ticket).known() == {}


def test_waits_for_nobody_who_is_silent(server: Server) -> None:
    with Client(server.ticket["address"]):
        assert RemoteOutcomes(server.ticket).known() == {}


@pytest.mark.parametrize("first", [(), (b"#CHALLENGE#" + b"x" * 20, b"#WELCOME#")], ids=["plain", "as if it had it"])
def test_answers_nobody_without_the_key(server: Server, first: tuple[bytes, ...]) -> None:
    with Client(server.ticket["address"]) as connection:
        # Read before anything is said: an end that is closed on words it did not read takes its own with it.
        heard = [connection.recv_bytes()]
        with suppress(EOFError, OSError):
            for said in first:
                connection.send_bytes(said)
            connection.send(("known", ()))
            while connection.poll(10):
                heard.append(connection.recv_bytes())
    assert all(answer.startswith(b"#") for answer in heard)


def test_asks_nobody_without_the_key(server: Server) -> None:
    stranger = Listener(authkey=secrets.token_bytes(32))

    def answer() -> None:
        with suppress(Exception), stranger.accept() as connection:
            connection.send(("done", {}))

    thread = threading.Thread(target=answer, daemon=True)
    thread.start()
    worker = RemoteOutcomes({**server.ticket, "address": stranger.address})
    with stranger, pytest.raises(DbtCiError, match="the controller of this run does not answer"):
        worker.known()
    thread.join(10)
