"""The run as one HTML page: read in a real browser, with hostile names, and with thousands of nodes."""

from __future__ import annotations

import random
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pytest_dbtci.ci.build import Build, FileLinks
from pytest_dbtci.differences import Comparison, Differences, Example
from pytest_dbtci.errors import DbtCiError
from pytest_dbtci.plan import Exposure, Node, Plan, Reason
from pytest_dbtci.reports import page
from pytest_dbtci.reports.page.contents import critical_path
from pytest_dbtci.results import Result
from tests.support.browser import needs_browser, visit
from tests.support.finished_run import HOSTILE, NODES, PLAN, RESULTS, node, write_project
from tests.support.validation import DEFER, validate

SCREEN = Exposure(
    unique_id="exposure.dogs.screen",
    label="The screen in reception",
    owner="Anna",
    url="https://screens.example.com/1",
    parents=("model.dogs.best_dog",),
)


def timed(results: Mapping[str, Result]) -> dict[str, Result]:
    """Return the results as two threads would have got them, one node after the other."""
    return {
        u: replace(r, started=1_790_000_000.0 + i / 2, thread=f"Thread-{i % 2 + 1}")
        for i, (u, r) in enumerate(results.items())
    }


def written(
    path: Path,
    plan: Plan,
    results: Mapping[str, Result],
    build: Build | None = None,
    repository: Path | None = None,
    **how: Any,
) -> Path:
    build = build or Build(provider="local")
    page.write(
        path, plan, results, build, repository=repository, seconds=3.2, red=False, redact=lambda text: text, **how
    )
    return path


def large(count: int) -> tuple[Plan, dict[str, Result]]:
    """Return a plan of so many models in ten layers, all of them built."""
    rng, nodes = random.Random(1), list[Node]()
    for i in range(count):
        layer = [f"model.dogs.m{j}" for j in range(i % 10 - 1, i, 10)] if i % 10 else []
        parents = tuple(sorted(set(rng.choices(layer, k=2)))) if layer else ()
        nodes.append(node(f"model.dogs.m{i}", *parents, reason="downstream of m0"))
    results = {n.unique_id: Result(unique_id=n.unique_id, status="success", seconds=0.1) for n in nodes}
    return replace(PLAN, nodes=tuple(nodes)), timed(results)


@pytest.fixture
def dogs_page(tmp_path: Path) -> Path:
    plan = replace(write_project(tmp_path / "dogs"), exposures=(SCREEN,))
    links = FileLinks(file="https://example.com/dogs/blob/{commit}/{path}", line="#L{line}")
    run = "https://example.com/runs/1"
    build = Build(provider="github", pr="7", url="https://example.com/pull/7", run=run, files=links)
    return written(tmp_path / "page.html", plan, timed(RESULTS), build, repository=tmp_path)


@needs_browser
def test_opens_without_a_word_in_the_console_and_shows_every_part(dogs_page: Path) -> None:
    seen = visit(
        dogs_page,
        "return {sections: [...document.querySelectorAll('section:not([hidden])')].map(s => s.id),"
        " title: document.getElementById('title').textContent,"
        " drawn: graph.nodes().map(n => n.id()), edges: graph.edges().length,"
        " links: [...document.querySelectorAll('a')].map(a => a.href),"
        " canvas: document.querySelectorAll('#graph canvas').length,"
        " critical: [...document.querySelectorAll('#timeline li')].map(l => l.textContent),"
        " bars: document.querySelectorAll('.bar').length}",
    )
    assert seen.console == ()
    assert seen.answer["sections"] == ["notes", "failures", "changes", "impact", "nodes", "timeline", "cost"]
    assert seen.answer["title"] == "❌ dbt: 2 failed, 4 skipped, 1 warning, 3 passed"
    models = [n.unique_id for n in NODES if n.resource_type not in ("test", "unit_test")]
    assert seen.answer["drawn"] == [*models, SCREEN.unique_id]
    assert seen.answer["edges"] == 6
    assert seen.answer["canvas"]
    head = PLAN.commits.head
    assert f"https://example.com/dogs/blob/{head}/dogs/models/staging.yml#L13" in seen.answer["links"]
    assert "https://example.com/runs/1" in seen.answer["links"], "the build's log"
    names = [line.split(" · ")[0] for line in seen.answer["critical"]]
    assert names == [u.split(".")[2] for u in critical_path(PLAN, timed(RESULTS))]
    assert len(names) > 1
    assert seen.answer["bars"] == 6


@needs_browser
def test_shows_what_was_compared_with_values_only_where_they_are_asked_for(tmp_path: Path) -> None:
    example = Example(kind="changed", key=(("id", "1"),), values=(("price", HOSTILE, "SECRET"),))
    changed = Differences(key=("id",), head_rows=9, base_rows=9, changed=1, examples=(example,))
    same = Differences(key=("id",), head_rows=3, base_rows=3)
    changed_one, same_one, unbuilt = (f"model.dogs.{name}" for name in ("fact_dogs", "stg_dogs", "walks"))
    found = {
        changed_one: Comparison(unique_id=changed_one, base="twin", key_from="unique test", differences=changed),
        same_one: Comparison(unique_id=same_one, base="prod", key_from="unique test", differences=same),
        unbuilt: Comparison(unique_id=unbuilt, why="not built"),
    }
    for values in (False, True):
        seen = visit(
            written(tmp_path / "page.html", PLAN, timed(RESULTS), comparisons=found, values=values),
            f"choose(byId.get('{same_one}'));"
            "return {text: document.getElementById('compared').innerText,"
            " filled: graph.nodes('[?identical]').map(n => n.id()),"
            " about: document.getElementById('details').textContent}",
        )
        assert seen.console == ()
        text = seen.answer["text"]
        assert "fact_dogs: +0 −0 ~1 (11 %)" in text
        assert "Not compared (not built): walks" in text
        assert "Identical: stg_dogs" in text
        assert ("SECRET" in text) is values
        assert seen.answer["filled"] == [same_one]
        assert "identical, 3 rows" in seen.answer["about"]


@needs_browser
def test_search_zoom_and_print_work(dogs_page: Path) -> None:
    seen = visit(
        dogs_page,
        "const field = document.getElementById('find'), before = graph.zoom();"
        "document.getElementById('closer').click(); const closer = graph.zoom() / before;"
        "document.getElementById('further').click(); const back = graph.zoom() / before;"
        "const look = (text) => { field.value = text; field.dispatchEvent(new Event('input'));"
        " return [document.getElementById('found').textContent, graph.nodes('.near').map(n => n.id())]; };"
        "const dogs = look('TOP_'), skipped = look('skipped'), nothing = look('cats');"
        "field.value = 'top_dogs'; field.dispatchEvent(new KeyboardEvent('keydown', {key: 'Enter'}));"
        "const printed = () => document.getElementById('printed');"
        "dispatchEvent(new Event('beforeprint')); const image = printed().src.slice(0, 22);"
        "dispatchEvent(new Event('afterprint'));"
        "[...document.querySelectorAll('button.name')].find(b => b.textContent === 'best_dog').click();"
        "return {closer, back, dogs, skipped, nothing, image, gone: printed() === null,"
        " focus: document.activeElement.id,"
        " unnamed: document.querySelectorAll('[tabindex=\"0\"]:not(pre):not([aria-label])').length,"
        " details: document.getElementById('details').textContent}",
    )
    assert seen.console == ()
    assert seen.answer["closer"] == pytest.approx(1.4)
    assert seen.answer["back"] == pytest.approx(1.0)
    assert seen.answer["dogs"] == ["1 of 7 nodes", ["model.dogs.top_dogs"]]
    assert seen.answer["skipped"] == ["2 of 7 nodes", ["model.dogs.top_dogs", "model.dogs.best_dog"]]
    assert seen.answer["nothing"] == ["no node", []]
    assert "downstream of fact_dogs" in seen.answer["details"]
    assert "test unique_fact_dogs_id failed upstream" in seen.answer["details"]
    assert (seen.answer["image"], seen.answer["gone"]) == ("data:image/png;base64,", True)
    assert (seen.answer["focus"], seen.answer["unnamed"]) == ("details", 0)


@needs_browser
def test_no_edge_runs_through_a_node_that_it_does_not_join(tmp_path: Path) -> None:
    rng, nodes = random.Random(2), list[Node]()
    for i in range(40):
        parents = {f"model.dogs.m{j}" for j in rng.sample(range(i), min(i, 2))}
        nodes.append(node(f"model.dogs.m{i}", *sorted(parents), reason="downstream of m0"))
    results = {n.unique_id: Result(unique_id=n.unique_id, status="success", seconds=0.1) for n in nodes}
    seen = visit(
        written(tmp_path / "page.html", replace(PLAN, nodes=tuple(nodes)), timed(results)),
        "const through = graph.edges().filter((edge) => {"
        " const points = [edge.sourceEndpoint(), ...(edge.segmentPoints() || []), edge.targetEndpoint()];"
        " const line = points.slice(1).flatMap((end, i) => Array.from({length: 100}, (_, n) => ({"
        "  x: points[i].x + (end.x - points[i].x) * n / 100, y: points[i].y + (end.y - points[i].y) * n / 100})));"
        " return graph.nodes().difference(edge.connectedNodes()).some((node) => {"
        "  const box = node.boundingBox({includeLabels: false});"
        "  return line.some(({x, y}) => x > box.x1 && x < box.x2 && y > box.y1 && y < box.y2); }); });"
        "return {through: through.map((e) => [e.source().id(), e.target().id()]), bent: graph.edges('[bend]').length}",
    )
    assert seen.console == ()
    assert seen.answer["through"] == []
    assert seen.answer["bent"] > 10


@needs_browser
def test_hostile_names_and_values_are_inert(tmp_path: Path) -> None:
    attack = f"{HOSTILE}</script><script>document.title='bitten'</script><svg onload=\"document.title='bitten'\"> "
    bad = Node(
        unique_id="model.dogs.bad",
        resource_type="model",
        name=attack,
        item=attack,
        file=f"models/{attack}.sql",
        defined_in=f"models/{attack}.sql",
        reason=Reason(kind="modified", text=attack, files=(attack,)),
        relation=attack,
    )
    exposure = Exposure(unique_id="e", label=attack, owner=attack, url="javascript:document.title='bitten'", parents=())
    plan = replace(PLAN, project=attack, nodes=(bad,), notes=(attack,), exposures=(exposure,))
    results = timed({bad.unique_id: Result(unique_id=bad.unique_id, status="error", message=attack, seconds=1)})
    seen = visit(
        written(tmp_path / "page.html", plan, results),
        "document.querySelectorAll('button.name').forEach(b => b.click());"
        "return {title: document.title, links: [...document.querySelectorAll('a')].map(a => a.getAttribute('href')),"
        " foreign: document.querySelectorAll('main svg, main img, main script').length}",
    )
    assert seen.console == ()
    assert seen.answer["title"] == "❌ dbt: 1 failed"
    assert seen.answer["foreign"] == 0
    assert all(href.startswith("#") for href in seen.answer["links"])


@needs_browser
def test_thousands_of_nodes_stay_usable(tmp_path: Path) -> None:
    plan, results = large(2_000)
    for unique_id in ("model.dogs.m500", "model.dogs.m1000"):
        results[unique_id] = replace(results[unique_id], status="error", message="no such column")
    seen = visit(
        written(tmp_path / "page.html", plan, results),
        "const field = document.getElementById('find'); field.value = 'm1999'; field.dispatchEvent(new Event('input'));"
        "const places = new Set(graph.nodes().map(n => `${n.position().x.toFixed()},${n.position().y.toFixed()}`));"
        "const found = document.getElementById('found').textContent;"
        "const box = graph.elements().boundingBox();"
        "const told = [...document.querySelectorAll('#failures article')].map(a => a.innerText);"
        "const first = [...document.querySelectorAll('#nodes tbody tr')].slice(0, 3).map(r => r.cells[1].innerText);"
        "return {nodes: graph.nodes().length, found, places: places.size, shape: box.w / box.h, told, first}",
        milliseconds=120_000,
    )
    assert seen.console == ()
    (told,), shape = seen.answer.pop("told"), seen.answer.pop("shape")
    assert "The same in 1 more: m1000" in told
    assert 1 < shape < 4
    first = ["m500", "m1000", "m0"]
    assert seen.answer == {"nodes": 2_000, "found": "1 of 2000 nodes", "places": 2_000, "first": first}


def test_a_page_of_500_nodes_is_less_than_a_megabyte_and_asks_for_nothing_else(tmp_path: Path) -> None:
    path = written(tmp_path / "page.html", *large(500))
    assert path.stat().st_size < 1_000_000
    text = re.sub(r"<script.*?</script>", "", path.read_text("utf-8"), flags=re.DOTALL)
    assert not re.search(r"(?:src|href)=\"(?!#)", text)
    assert "default-src 'none'" in text


def test_the_critical_path_ends_with_what_ended_last() -> None:
    ends = {"model.dogs.stg_dogs": (0, 2), "model.dogs.fact_dogs": (2, 3), "test.dogs.unique_fact_dogs_id": (5, 4)}
    results = {
        u: Result(unique_id=u, status="success", started=float(began), seconds=float(took))
        for u, (began, took) in ends.items()
    }
    assert critical_path(PLAN, results) == list(ends)
    assert critical_path(PLAN, {}) == []


def test_a_page_that_cannot_be_written_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DbtCiError, match="--dbt-ci-report"):
        written(tmp_path / "file" / "page.html", PLAN, RESULTS)


def test_a_real_run_writes_its_page(dogs: Path) -> None:
    (dogs / "models/staging/fact_dogs.sql").write_text("select 1 as stay_id, nothing as dog_id\n")
    run = validate(dogs, *DEFER, "--dbt-ci-report=../out/report.html")
    assert run.code == 1
    path = dogs.parent / "out" / "report.html"
    assert f"dbt-ci: report in {dogs / '../out/report.html'}" in run.output
    text = path.read_text("utf-8")
    assert "The screen in reception" in text
    assert '"thread": "Thread-' in text
    assert "select 1 as stay_id, nothing as dog_id" in text, "the failure's compiled SQL"
