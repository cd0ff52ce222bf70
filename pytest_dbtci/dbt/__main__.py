"""The host: a process that imports dbt once and does what the controller asks, one request after the other.

Requests come as JSON lines on standard input, answers and events go as JSON lines to what was standard output;
anything else that prints (dbt, an adapter, a user's macro) ends up on standard error. Requests run in the main
thread, where a SIGINT reaches dbt the way dbt expects. A `cancel` request takes effect at once.
"""

from __future__ import annotations

import json
import os
import queue
import signal
import sys
import threading
import traceback
from typing import Any, TextIO

from pytest_dbtci.dbt.invocation import DbtFailed
from pytest_dbtci.dbt.operations import Operations


class Host:
    """Serve requests until `quit` or until the controller is gone."""

    def __init__(self, requests: TextIO, answers: TextIO) -> None:
        self._requests = requests
        self._answers = answers
        self._todo: queue.Queue[dict[str, Any] | None] = queue.Queue()
        self._writing = threading.Lock()
        self._busy = False
        self._operations = Operations(self._emit)

    def serve(self) -> None:
        """Answer every request; when the controller vanishes without a `quit`, tear down what was created."""
        signal.signal(signal.SIGINT, self._interrupt)
        signal.signal(signal.SIGTERM, self._interrupt)
        threading.Thread(target=self._read, daemon=True).start()
        while (request := self._todo.get()) is not None:
            if request["op"] == "quit":
                return
            self._answer(request)
        self._operations.abandon()

    def _answer(self, request: dict[str, Any]) -> None:
        operation = getattr(self._operations, request["op"])
        answer: dict[str, Any]
        try:
            self._busy = True
            answer = {"done": operation(**request.get("args", {}))}
        except KeyboardInterrupt:
            answer = {"failed": "cancelled", "kind": "cancelled"}
        except DbtFailed as error:
            answer = {"failed": str(error), "kind": "usage" if error.usage else "trouble"}
        except BaseException as error:
            traceback.print_exc()
            answer = {"failed": f"{type(error).__name__}: {error}", "kind": "trouble"}
        finally:
            self._busy = False
        self._emit({"id": request["id"], **answer})

    def _read(self) -> None:
        for line in self._requests:
            request = json.loads(line)
            if request["op"] == "cancel":
                signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
            else:
                self._todo.put(request)
        if self._busy:
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
        self._todo.put(None)

    def _interrupt(self, *_: object) -> None:
        if self._busy:
            raise KeyboardInterrupt

    def _emit(self, message: dict[str, Any]) -> None:
        line = json.dumps(message, ensure_ascii=True, default=str)
        try:
            with self._writing:
                self._answers.write(line + "\n")
                self._answers.flush()
        except OSError:
            # The controller is gone; the end of standard input says so too and is acted upon.
            pass


def main() -> None:
    """Take over the standard streams and serve."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    requests = os.fdopen(os.dup(0), "r", encoding="utf-8")
    with open(os.devnull, encoding="utf-8") as nothing:
        os.dup2(nothing.fileno(), 0)
    Host(requests, answers).serve()
    sys.stderr.flush()
    # Adapters leave threads and connections of their own behind that must not hold the process back.
    os._exit(0)


if __name__ == "__main__":
    main()
