"""The link between workers and controller: whoever has not its key is told nothing, and tells nothing."""

from __future__ import annotations

import secrets
import signal
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
from pytest_dbtci.plan import Destination, Plan
from pytest_dbtci.planning.planned import Planned
from pytest_dbtci.project.profile import Profile
from pytest_dbtci.settings import Settings


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    """A run that has no dbt yet."""
    host = Host(tmp_path, {}, tmp_path / "dbt.log", private=PrivateFolder())
    made = Run(Settings(rootdir=tmp_path, invocation_dir=tmp_path), host)
    yield made
    made.finish(red=False, stopped=True)


@pytest.fixture
def server(run: Run) -> Iterator[Server]:
    """A controller's end of the link."""
    made = Server(run)
    yield made
    made.close()


def test_answers_a_worker(server: Server) -> None:
    assert RemoteOutcomes(server.ticket).known() == {}


def test_a_question_that_can_not_be_answered_is_answered_with_the_reason(server: Server) -> None:
    worker = RemoteOutcomes(server.ticket)
    with pytest.raises(DbtCiError, match=r"the controller failed at `wait`: TypeError: .*unique_id"):
        worker._ask("wait")
    assert worker.known() == {}, "and the next one as ever"


def test_a_worker_does_not_wait_for_a_controller_that_has_no_thread_for_it(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    def start(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as full:
        full.setattr(threading.Thread, "start", start)
        with Client(server.ticket["address"]) as connection:
            assert connection.poll(60)
            with pytest.raises(EOFError):
                connection.recv_bytes()
    assert RemoteOutcomes(server.ticket).known() == {}


def test_a_worker_can_ask_for_nothing_but_what_is_meant_for_it(server: Server) -> None:
    with pytest.raises(DbtCiError, match="the controller of this run does not answer"):
        RemoteOutcomes(server.ticket)._ask("redact", "x")


def test_a_question_that_was_broken_off_leaves_its_answer_to_nobody(run: Run, server: Server) -> None:
    worker = RemoteOutcomes(server.ticket)
    assert worker.known() == {}

    def break_off(*_: object) -> None:
        raise RuntimeError("the test's time is over")

    def wait() -> None:
        signal.setitimer(signal.ITIMER_REAL, 0.2)
        worker.wait("model.never")

    before = signal.signal(signal.SIGALRM, break_off)
    try:
        with pytest.raises(RuntimeError, match="the test's time is over"):
            wait()
    finally:
        signal.signal(signal.SIGALRM, before)
    run.results.close()
    assert worker.known() == {}


def test_who_draws_while_the_build_begins_may_wait_for_who_stops_it(run: Run) -> None:
    stopped = []

    def draw(text: str) -> None:
        stopping = threading.Thread(target=run.cancel, daemon=True)
        stopping.start()
        stopping.join(30)
        stopped.append(not stopping.is_alive())

    run._host.settle(run.settings.rootdir, "", Profile(name="p", target="t", file=run.settings.rootdir, outputs={}))
    run._show = draw
    run.planned = Planned(plan=Plan(mode="pull_request", destination=Destination(schemas=(("d", "s"),))))
    run.begin([])
    assert stopped == [True]


def test_waits_for_nobody_who_is_silent(server: Server) -> None:
    with Client(server.ticket["address"]):
        assert RemoteOutcomes(server.ticket).known() == {}


@pytest.mark.parametrize("first", [(), (b"#CHALLENGE#" + b"x" * 20, b"#WELCOME#")], ids=["plain", "as if it had it"])
def test_answers_nobody_without_the_key(server: Server, first: tuple[bytes, ...]) -> None:
    with Client(server.ticket["address"]) as connection:
        # Read before anything is said: an end that is closed on words it did not read takes its own with it.
        assert connection.poll(60), "it asks for the key"
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
