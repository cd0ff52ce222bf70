"""Workers ask, the controller answers: one local, authenticated connection a worker."""

from __future__ import annotations

import contextlib
import os
import secrets
import threading
from collections.abc import Iterable, Mapping
from multiprocessing import AuthenticationError
from multiprocessing.connection import Client, Connection, Listener, answer_challenge, deliver_challenge
from typing import Any

from pytest_dbtci.dbt_client.redaction import Redaction, secrets_of
from pytest_dbtci.errors import DbtCiError, HeldUp
from pytest_dbtci.execution.outcomes import Answer, Outcomes, Relation
from pytest_dbtci.plan import Plan
from pytest_dbtci.results import Result

_QUESTIONS = ("redaction", "begin", "wait", "known", "relation", "why_unknown", "query")


class Server:
    """Answer workers' questions about a run; each connection has a thread of its own."""

    def __init__(self, outcomes: Outcomes) -> None:
        self._outcomes = outcomes
        self._key = secrets.token_bytes(32)
        try:
            self._listener = Listener(backlog=64)
        except OSError:
            # A socket's path has 107 characters at most, and the folder for temporary files can be deep.
            self._listener = Listener(("127.0.0.1", 0), backlog=64)
        self._plan = outcomes.plan.to_json()
        self._closed = False
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def ticket(self) -> dict[str, Any]:
        """Return what a worker needs to connect; holds the key, so it belongs in no file and no log."""
        return {
            "address": self._listener.address,
            "key": self._key.hex(),
            "plan": self._plan,
        }

    def close(self) -> None:
        """Stop answering."""
        self._closed = True
        self._listener.close()

    def _accept(self) -> None:
        while not self._closed:
            with contextlib.suppress(OSError):
                connection = self._listener.accept()
                try:
                    threading.Thread(target=self._serve, args=(connection,), daemon=True).start()
                except RuntimeError:
                    connection.close()  # this machine has no thread left: who asked learns that nobody answers

    def _serve(self, connection: Connection) -> None:
        # A connection with the wrong key, or one that ends at once, concerns nobody else; nor does one that is silent,
        # which a listener with a key of its own would wait for before it accepts another.
        with connection, contextlib.suppress(AuthenticationError, EOFError, OSError):
            deliver_challenge(connection, self._key)
            answer_challenge(connection, self._key)
            while True:
                question, args = connection.recv()
                if question not in _QUESTIONS:
                    raise EOFError
                try:
                    answer = "done", getattr(self._outcomes, question)(*args)
                except HeldUp as error:
                    answer = "held up", str(error)
                except DbtCiError as error:
                    answer = "failed", str(error)
                except Exception as error:
                    # Whatever it was, who asked learns it; this thread's own words would reach nobody.
                    answer = "failed", f"the controller failed at `{question}`: {type(error).__name__}: {error}"
                connection.send(answer)


class RemoteOutcomes:
    """A run as a worker sees it."""

    def __init__(self, ticket: Mapping[str, Any]) -> None:
        self.plan = Plan.from_json(ticket["plan"])
        self._ticket = ticket
        self._connection: Connection | None = None
        self._results: dict[str, Result] = {}
        self._redaction: Redaction | None = None
        self._asking = threading.Lock()

    def redaction(self) -> Redaction:
        """Return the run's redaction, of the environment's secrets alone where the controller does not answer."""
        if self._redaction is None:
            try:
                self._redaction = self._ask("redaction")
            except DbtCiError:
                self._redaction = Redaction(secrets_of({}, os.environ))
        return self._redaction

    def begin(self, unique_ids: Iterable[str], needs: Iterable[str] = (), queries: bool = False) -> None:
        """Ask the controller to build; see `Outcomes`. What is wrong the controller says, and each `wait`."""
        with contextlib.suppress(DbtCiError):
            self._ask("begin", tuple(unique_ids), tuple(needs), queries)

    def wait(self, unique_id: str) -> Result:
        """Wait for a node's result; see `Outcomes`."""
        if unique_id not in self._results:
            self._results[unique_id] = self._ask("wait", unique_id)
        return self._results[unique_id]

    def known(self) -> Mapping[str, Result]:
        """Return the results that are there; see `Outcomes`."""
        results: Mapping[str, Result] = self._ask("known")
        return results

    def relation(self, name: str, deferred: bool = False) -> Relation | None:
        """Return a relation; see `Outcomes`."""
        found: Relation | None = self._ask("relation", name, deferred)
        return found

    def why_unknown(self, name: str) -> str:
        """Return a sentence where no node has that name; see `Outcomes`."""
        sentence: str = self._ask("why_unknown", name)
        return sentence

    def query(self, sql: str) -> Answer:
        """Run a query; see `Outcomes`."""
        answer: Answer = self._ask("query", sql)
        return answer

    def _ask(self, question: str, *args: Any) -> Any:
        with self._asking:
            # Kept only once it has answered: a question that is broken off (pytest-timeout raises in here) leaves
            # its answer behind, which the next one would take for its own.
            connection, self._connection = self._connection, None
            try:
                if connection is None:
                    address, key = self._ticket["address"], bytes.fromhex(self._ticket["key"])
                    connection = Client(address, authkey=key)
                connection.send((question, args))
                outcome, answer = connection.recv()
            except (AuthenticationError, EOFError, OSError) as error:
                raise DbtCiError(f"the controller of this run does not answer: {error!r}") from None
            self._connection = connection
        if outcome != "done":
            raise (HeldUp if outcome == "held up" else DbtCiError)(answer)
        return answer
