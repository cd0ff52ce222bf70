"""Who waits sees what dbt does: live on a terminal, now and then in a log, not at all under `-q`."""

from __future__ import annotations

import os
import re
import select
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from pytest_dbtci.plan import Node, Plan, Reason
from pytest_dbtci.reports.terminal import passed
from pytest_dbtci.results import Result, Results
from pytest_dbtci.session.progress import Progress
from tests.support.validation import DEFER, command, environment

LIVE = re.compile(r"\x1bD\x1b\[A\x1b7\x1b\[B\r\x1b\[K([^\x1b]*)\x1b8")


def on_a_terminal(directory: Path, *args: str, python: str = sys.executable) -> str:
    """Run `pytest --dbt-ci` in a pseudo-terminal of 80 columns; give all it wrote."""
    pty = pytest.importorskip("pty", reason="Windows has no pseudo-terminals")
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [python, *command(*DEFER, *args)[1:]],
        cwd=directory,
        env=environment(TERM="xterm", COLUMNS="80", LINES="24"),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    ) as process:
        os.close(theirs)
        written, deadline = b"", time.monotonic() + 240
        while time.monotonic() < deadline:
            if select.select([ours], [], [], 1)[0]:
                try:
                    written += os.read(ours, 65536)
                except OSError:
                    break
            elif process.poll() is not None:
                break
        os.close(ours)
    return written.decode(errors="replace")


@pytest.mark.parametrize(
    "given",
    [
        pytest.param(("-v", "-p", "no:xdist"), id="alone"),
        pytest.param(("-n", "2"), id="distributed", marks=pytest.mark.slow),
    ],
)
def test_a_terminal_shows_what_runs_in_a_row_of_its_own(dogs: Path, given: tuple[str, ...]) -> None:
    (dogs / "models/staging/slow.sql").write_text(
        "{{ config(materialized='table') }}\n-- depends_on: {{ ref('dim_dog') }}\n"
        "select count(*) as n from range(3000000000) t(i) where i % 7 = 3\n"
    )
    written = on_a_terminal(dogs, *given, "models/staging/slow.sql")
    shown = LIVE.findall(written)
    assert any(re.fullmatch(r"dbt-ci: 0 of 1 nodes, \d+ s · running slow \d+ s", text) for text in shown), written
    assert any("parsing" in text or "parsed" in text for text in shown)
    assert shown[-1] == ""
    assert all(len(text) < 80 for text in shown)
    rest = LIVE.sub("", written)
    assert "\x1bD" not in rest
    assert "1 passed" in rest


def test_a_reason_is_cut_to_its_row_and_whole_with_a_second_v(dogs: Path) -> None:
    name = "unique_fact_dogs_stay_id"
    written = LIVE.sub("", on_a_terminal(dogs, "-v", f"models/staging/fact_dogs.sql::{name}"))
    (row,) = re.findall(rf"^\S+::{name} .*%]", re.sub(r"\x1b\[[\d;]*m", "", written), flags=re.MULTILINE)
    assert row.endswith("PASSED (tests f…) [100%]")
    assert len(row) < 80
    assert "PASSED (tests fact_dogs)" in on_a_terminal(dogs, "-vv", f"models/staging/fact_dogs.sql::{name}")


@pytest.mark.parametrize(
    ("room", "word"),
    [(None, "PASSED (downstream)"), (19, "PASSED (downstream)"), (18, "PASSED (downstre…)"), (16, "PASSED")],
)
def test_a_reason_is_left_out_where_little_of_it_would_stay(room: int | None, word: str) -> None:
    assert passed("downstream", room) == word


class Terminal:
    """What Progress needs of pytest's reporter."""

    isatty = False

    def __init__(self) -> None:
        self.lines: list[str] = []

    def write_line(self, line: str) -> None:
        self.lines.append(line)


class Waiting:
    """What Progress needs of a run."""

    def __init__(self) -> None:
        reason = Reason(kind="modified", text="modified")
        self.plan = Plan(
            mode="pull_request",
            nodes=tuple(
                Node(
                    unique_id=f"model.p.{n}",
                    resource_type="model",
                    name=n,
                    item=n,
                    file="a.sql",
                    defined_in="a.sql",
                    reason=reason,
                )
                for n in ("one", "two")
            ),
        )
        self.begun = frozenset(n.unique_id for n in self.plan.nodes)
        self.results = Results()


@pytest.mark.parametrize(("verbosity", "count"), [(0, 2), (-1, 0)], ids=["log", "quiet"])
def test_a_log_gets_a_line_now_and_then(verbosity: int, count: int) -> None:
    terminal, run = Terminal(), Waiting()

    class Config:
        class pluginmanager:  # noqa: N801
            @staticmethod
            def get_plugin(name: str) -> Any:
                return terminal

        @staticmethod
        def get_verbosity() -> int:
            return verbosity

    began = time.monotonic()
    progress = Progress(Config(), run, seconds=0.3)  # type: ignore[arg-type]
    run.results.start("model.p.one")
    run.results.add(Result(unique_id="model.p.two", status="success"))
    while len(terminal.lines) < count or time.monotonic() - began < 0.5:
        progress.show()
        time.sleep(0.01)
        assert time.monotonic() - began < 60
    assert len(terminal.lines) == count
    assert not count or time.monotonic() - began >= 2 * 0.3
    assert all(line.startswith("dbt-ci: 1 of 2 nodes, ") and "running one " in line for line in terminal.lines)
