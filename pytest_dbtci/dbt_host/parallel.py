"""Send statements from as many threads as dbt would."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from typing import TypeVar

from pytest_dbtci.dbt_host.statements import Statements

Job = TypeVar("Job")


def run_all(statements: Statements, jobs: Iterable[Job], run: Callable[[Job], None]) -> None:
    """Run every job; the first exception, KeyboardInterrupt included, cancels the queries of the others."""
    from dbt_common.context import set_invocation_context

    stopped = threading.Event()

    def begin(job: Job) -> None:
        if not stopped.is_set():
            run(job)

    pool = ThreadPoolExecutor(statements.threads, initializer=set_invocation_context, initargs=(dict(os.environ),))
    try:
        asked = [pool.submit(begin, job) for job in jobs]
        wait(asked, return_when=FIRST_EXCEPTION)
        for one in asked:
            one.result()
    except BaseException:
        stopped.set()
        statements.cancel()
        raise
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
