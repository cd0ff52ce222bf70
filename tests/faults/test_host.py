"""A dbt process that babbles, hangs, dies or fills the pipe ends the request that waits for it, and itself."""

from __future__ import annotations

import contextlib
import shutil
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from pytest_dbtci.dbt_client import client as host_module
from pytest_dbtci.dbt_client.begin import begin
from pytest_dbtci.dbt_client.client import Cancelled, Host
from pytest_dbtci.dbt_client.process import HostDied
from pytest_dbtci.dbt_client.protocol.events import NodeFinished, RowsFetched
from pytest_dbtci.dbt_client.protocol.lines import Alive, Done, write_line
from pytest_dbtci.dbt_client.protocol.request import Request
from pytest_dbtci.dbt_client.protocol.tree_requests import Parse, Repoint, TargetSchema
from pytest_dbtci.dbt_client.protocol.values import FoundSchema, Invocation
from pytest_dbtci.dbt_client.protocol.warehouse_requests import Build, CopyTables, DropSchemas, ListLeftovers, Query
from pytest_dbtci.dbt_client.redaction import Redaction
from pytest_dbtci.results import Result, Rows
from tests.support.validation import environment

INVOCATION = Invocation(project_dir="")
BUILD = Build(tree="head", invocation=INVOCATION, unique_ids=())
ANSWER = (
    "import json, sys\nfor line in sys.stdin:\n    if line.strip():\n        number = json.loads(line).get('number')\n"
)


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Callable[[str], Host]]:
    """Make a host that runs a program of ours in dbt's place."""
    made: list[Host] = []

    def make(program: str) -> Host:
        command = (sys.executable, "-c", program)
        made.append(Host(tmp_path, {"PATH": ""}, tmp_path / "log", redaction=Redaction(["hush-hush"]), command=command))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.mark.parametrize(
    "line",
    [
        "nonsense",
        "42",
        "null",
        "[]",
        "{}",
        '{"number": 99, "kind": "Done", "fields": {"answer": "x"}}',
        '{"kind": "Done"}',
        '{"kind": "NodeFinished", "fields": {}}',
        '{"kind": "NodeFinished", "fields": {"result": {"unique_id": "x", "status": "x", "colour": "red"}}}',
        '{"kind": "Rumour", "fields": {}}',
        '{"kind": "Failed", "fields": {"text": "x", "kind": "mood"}}',
        "\\xff\\xfe",
        "x' * 200_000 + '",
    ],
)
def test_takes_nonsense_for_the_end(host: Callable[[str], Host], line: str) -> None:
    one = host(f"{ANSWER}        print('{line}', flush=True)\n")
    with pytest.raises(HostDied, match="wrote what is no answer"):
        one.ask(TargetSchema(tree="head"), on_event=lambda event: None)
    with pytest.raises(HostDied, match="wrote what is no answer"):
        one.ask(DropSchemas(), last=True)


def test_says_how_a_process_ended_and_what_it_said_last(host: Callable[[str], Host]) -> None:
    one = host("import sys; print('no dbt here, hush-hush', file=sys.stderr); sys.exit(3)")
    with pytest.raises(HostDied, match=r"with exit code 3\.\nIt said last:\n  no dbt here, \*\*\*"):
        one.ask(TargetSchema(tree="head"))


def test_ends_a_process_that_is_silent_for_too_long(host: Callable[[str], Host]) -> None:
    one = host("import time; time.sleep(600)")
    with pytest.raises(HostDied, match=r"did not answer to `DropSchemas` within 0.2 seconds"):
        one.ask(DropSchemas(), last=True, within=0.2)


def test_ends_a_process_that_gives_no_sign_of_life(
    host: Callable[[str], Host], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(host_module, "FROZEN_SECONDS", 0.2)
    one = host("import time; time.sleep(600)")
    with pytest.raises(HostDied, match=r"gave no sign of life for 0.2 seconds while it worked on `Build`") as caught:
        one.ask(BUILD, within=60)
    assert caught.value.silent


def test_ends_a_process_that_does_not_read_what_it_is_asked(
    host: Callable[[str], Host], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(host_module, "FROZEN_SECONDS", 0.2)
    one = host("import time; time.sleep(600)")
    ended: list[HostDied] = []

    def ask() -> None:
        with pytest.raises(HostDied, match=r"did not take in `Query` within 0.2 seconds") as caught:
            one.ask(Query(invocation=INVOCATION, sql="x" * 1_000_000, elsewhere={}))
        ended.append(caught.value)

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(60)
    assert [error.silent for error in ended] == [True]


def test_hears_that_a_process_lives_and_tells_nobody(host: Callable[[str], Host]) -> None:
    lives, done = write_line(Alive()), write_line(Done(answer="x"), 1)
    one = host(f"{ANSWER}        print({lives!r}, flush=True)\n        print({done!r}, flush=True)\n")
    heard: list[object] = []
    assert one.ask(TargetSchema(tree="head"), on_event=heard.append) == "x"
    assert not heard


def test_a_process_that_can_not_work_where_it_is_told_to_ends_and_says_so(tmp_path: Path) -> None:
    with begin(tmp_path, environment()) as one:
        one.settle(tmp_path / "gone", {}, Redaction())
        with pytest.raises(HostDied, match=r"No such file or directory: '.*gone'"):
            one.ask(TargetSchema(tree="head"), within=60)
        assert one.folder is not None
        one.folder.remove()


def test_ends_a_process_that_does_not_stop_when_cancelled(
    host: Callable[[str], Host], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(host_module, "CANCEL_SECONDS", 0.3)
    one = host("import time; time.sleep(600)")
    ended: list[BaseException] = []

    def build() -> None:
        try:
            one.ask(BUILD)
        except HostDied as error:
            ended.append(error)

    thread = threading.Thread(target=build)
    thread.start()
    while one.pid is None or not one._open:
        time.sleep(0.01)
    one.cancel()
    thread.join(60)
    assert "did not stop within 0.3 seconds" in str(ended[0])
    assert isinstance(ended[0], HostDied)
    assert ended[0].silent
    with pytest.raises(Cancelled, match=r"^cancelled$"):
        one.ask(BUILD)


def test_closes_at_once_a_process_that_is_at_work(host: Callable[[str], Host]) -> None:
    one = host("import time; time.sleep(600)")

    def parse() -> None:
        with contextlib.suppress(HostDied):
            one.ask(TargetSchema(tree="head"))

    thread = threading.Thread(target=parse)
    thread.start()
    while one.pid is None or not one._open:
        time.sleep(0.01)
    one.close()
    thread.join(60)
    assert not thread.is_alive(), "it would have slept for ten minutes"


def test_reads_on_where_events_fill_the_pipe(host: Callable[[str], Host]) -> None:
    heard: list[object] = []
    row = "{'kind': 'RowsFetched', 'fields': {'pickled': 'x' * 1000}}"
    done = "{'number': number, 'kind': 'Done', 'fields': {'answer': ['a']}}"
    flood = f"        for _ in range(2000): print(json.dumps({row}))\n"
    one = host(f"{ANSWER}{flood}        print(json.dumps({done}), flush=True)\n")
    assert one.ask(Query(invocation=INVOCATION, sql="", elsewhere={}), on_event=heard.append) == ("a",)
    assert heard == [RowsFetched(pickled="x" * 1000)] * 2000


def test_fails_where_an_event_can_not_be_taken_in(host: Callable[[str], Host]) -> None:
    one = host(f"{ANSWER}        print(json.dumps({{'kind': 'NodeStarted', 'fields': {{}}}}), flush=True)\n")
    with pytest.raises(HostDied, match="unique_id"):
        one.ask(BUILD)


def test_fails_where_the_listener_does(host: Callable[[str], Host]) -> None:
    def hear(event: object) -> None:
        raise RuntimeError("deaf")

    started = "{'kind': 'NodeStarted', 'fields': {'unique_id': 'model.x'}}"
    one = host(f"{ANSWER}        print(json.dumps({started}), flush=True)\n")
    with pytest.raises(HostDied, match="deaf"):
        one.ask(BUILD, on_event=hear)


def test_takes_secrets_out_of_errors_and_results_but_not_out_of_names(host: Callable[[str], Host]) -> None:
    heard: list[object] = []
    rows = Rows(columns=("hush-hush",), rows=(("hush-hush",),))
    result = Result(unique_id="model.hush-hush", status="fail", message="hush-hush!", rows=rows)
    failed = "{'text': 'no hush-hush', 'kind': 'trouble'}"
    program = (
        f"{ANSWER}        print({write_line(NodeFinished(result=result))!r})\n"
        f"        print(json.dumps({{'number': number, 'kind': 'Failed', 'fields': {failed}}}), flush=True)\n"
    )
    with pytest.raises(Exception, match=r"no \*\*\*$"):
        host(program).ask(BUILD, on_event=heard.append)
    clean = replace(result, message="***!", rows=Rows(columns=("***",), rows=(("***",),)))
    assert heard == [NodeFinished(result=clean)]


@pytest.mark.parametrize(
    ("asked", "answer", "expected"),
    [
        (CopyTables(tree="head", copies={}), {"hush-hush": "no hush-hush"}, {"hush-hush": "no ***"}),
        (
            ListLeftovers(beginning=""),
            [{"database": "d", "schema": "hush-hush", "trouble": "no hush-hush"}],
            (FoundSchema(database="d", schema="hush-hush", trouble="no ***"),),
        ),
        (TargetSchema(tree="head"), "hush-hush", "hush-hush"),
    ],
)
def test_takes_secrets_out_of_the_words_in_an_answer(
    host: Callable[[str], Host], asked: Request[object], answer: object, expected: object
) -> None:
    done = f"{{'number': number, 'kind': 'Done', 'fields': {{'answer': {answer!r}}}}}"
    assert host(f"{ANSWER}        print(json.dumps({done}), flush=True)\n").ask(asked) == expected


def test_looks_for_modules_where_pytest_does_and_not_in_the_project(tmp_path: Path) -> None:
    (tmp_path / "queue.py").write_text("raise SystemExit('the project is on the path')\n")
    with Host(tmp_path, {}, tmp_path / "log") as one, pytest.raises(Exception, match="KeyError"):
        one.ask(Repoint(tree="none", placeholder="", schema=""))


def test_works_where_it_is_settled_although_it_began_elsewhere(tmp_path: Path) -> None:
    project = tmp_path / "project"
    project.mkdir()
    (project / "dbt_project.yml").write_text("{name: settled, profile: settled}")
    output = "{type: duckdb, path: here.duckdb, schema: \"pr_{{ env_var('PR_NUMBER') }}\"}"
    (project / "profiles.yml").write_text(f"settled: {{target: ci, outputs: {{ci: {output}}}}}")
    here = Invocation(project_dir=".", profiles_dir=".", target_path="target", log_path="logs")
    with begin(tmp_path, environment()) as one:
        one.settle(project, {"PR_NUMBER": "7"}, Redaction())
        one.ask(Parse(tree="head", invocation=here, write=True))
        assert one.ask(TargetSchema(tree="head")) == "pr_7"
    assert (project / "target" / "manifest.json").is_file()
    assert one.folder is not None
    shutil.rmtree(one.folder.path)


def test_says_what_kept_it_from_beginning_when_it_is_asked(tmp_path: Path) -> None:
    one = begin(tmp_path / "nowhere", {})
    with pytest.raises(HostDied, match=r"could not be started in .*nowhere"):
        one.ask(TargetSchema(tree="head"))
    assert one.folder is not None
    shutil.rmtree(one.folder.path)
