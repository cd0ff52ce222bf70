"""Who waits sees what dbt does: live on a terminal, now and then in a log, under `-q` on a terminal alone."""

from __future__ import annotations

import re
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from pytest_dbtci.plan import Node, Plan, Reason
from pytest_dbtci.reports.terminal import passed
from pytest_dbtci.results import Result, Results
from pytest_dbtci.session.progress import Progress
from tests.support import terminal as screens
from tests.support.terminal import Screen
from tests.support.tiny_project import git, make_tiny
from tests.support.validation import DEFER, command, environment

STEPS = ("comparing with the base", "starting dbt", "parsing the base", "parsing the branch", "selecting")


def on_a_terminal(directory: Path, *args: str, python: str = sys.executable) -> Screen:
    """Run `pytest --dbt-ci` on a terminal of 80 columns."""
    return screens.on_a_terminal(directory, [python, *command(*DEFER, *args)[1:]], environment())


@pytest.mark.slow
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
    screen = on_a_terminal(dogs, *given, "models/staging/slow.sql")
    written, shown = screen.written, screen.live
    assert any(re.fullmatch(r"dbt-ci: 0 of 1 nodes, \d+ s · running slow \d+ s", text) for text in shown), written
    assert written.startswith("dbt-ci: starting …\r")
    words = [text for text in shown if text.endswith(" …")]
    assert [words.index(f"dbt-ci: {step} …") for step in STEPS] == sorted(words.index(f"dbt-ci: {s} …") for s in STEPS)
    assert shown[-1] == ""
    assert all(len(text) < 80 for text in shown)
    assert "\x1bD" not in screen.text
    assert "1 passed" in screen.text


@pytest.mark.parametrize(("quiet", "shows"), [("-q", True), ("-qq", False)])
def test_a_quiet_terminal_shows_the_steps_and_keeps_none(quiet: str, shows: bool, tmp_path: Path) -> None:
    project = make_tiny(tmp_path / "repo")
    git(project, "switch", "--quiet", "master")
    screen = screens.on_a_terminal(project, [sys.executable, *command(quiet)[1:]], environment())
    assert screen.code == 0
    assert screen.written.startswith("dbt-ci: starting …\r\x1b[K") is shows
    assert ("dbt-ci: comparing with the base …" in screen.live) is shows
    assert screen.live[-1:] == ([""] if shows else [])
    assert screen.text.count("dbt-ci: ") == shows


@pytest.mark.slow
def test_a_reason_is_cut_to_its_row_and_whole_with_a_second_v(dogs: Path) -> None:
    name = "unique_fact_dogs_stay_id"
    written = on_a_terminal(dogs, "-v", f"models/staging/fact_dogs.sql::{name}").text
    (row,) = re.findall(rf"^\S+::{name} .*%]", written, flags=re.MULTILINE)
    assert row.endswith("PASSED (tests f…) [100%]")
    assert len(row) < 80
    assert "PASSED (tests fact_dogs)" in on_a_terminal(dogs, "-vv", f"models/staging/fact_dogs.sql::{name}").text


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
