"""Every kind of change selects what it has to, says why, and leaves no changed path out."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from pytest_dbtci.manifest import BUILDABLE, Manifest
from tests.support.change_cases import CASES, Case
from tests.support.planning_bench import SUB_SELECTORS, Bench, Planned
from tests.support.repositories import Files

_BUILT = tuple(f"{kind}." for kind in BUILDABLE)


@dataclass(frozen=True, kw_only=True)
class Changed:
    """A case's change: the clone that has it, and the plan that is made there from what earlier runs parsed."""

    case: Case
    place: Path
    planned: Planned


@pytest.fixture(scope="module", params=CASES, ids=lambda case: case.name)
def changed(request: pytest.FixtureRequest, planning_bench: Bench) -> Iterator[Changed]:
    """Plan a case once for all that is said of it; pytest runs the tests of a case one after the other."""
    if planning_bench.count % 25 == 24:
        planning_bench.renew()
    case: Case = request.param
    place = planning_bench.clone(_edits(planning_bench, case))
    # dbt's sub-selectors are asked where there is something to compare with them.
    differs = any(text.startswith("modified") for text in case.roots.values())
    planning_bench.host.parts = (*SUB_SELECTORS, "macros") if differs else ()
    yield Changed(case=case, place=place, planned=planning_bench.plan(place, defer_target="prod"))
    shutil.rmtree(place)


def test_selects_what_the_change_can_affect_and_says_why(changed: Changed) -> None:
    case, planned = changed.case, changed.planned
    reasons = {name: reason.text for name, reason in planned.roots.items()}
    if case.everything:
        assert set(planned.names) == _all(planned)
        assert f"can be affected: {case.everything}" in reasons.values()
        assert planned.plan.notes[0].startswith(f"every node can be affected: {case.everything} (")
    else:
        assert reasons == case.roots
    assert all(reason.files for reason in planned.roots.values()), "every reason names a changed file"
    effects = {c.path: planned.effect(c.path) for c in planned.plan.changes}
    assert effects == {path: case.effects.get(path, "selected") for path in effects}
    _takes_in_all_that_dbt_does(planned)
    _says_of_each_part_what_dbt_says(planned)


@pytest.mark.slow
def test_plans_the_same_with_and_without_what_earlier_runs_parsed(
    planning_bench: Bench, changed: Changed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(planning_bench.host, "curious", False)
    parsed = planning_bench.plan(changed.place, defer_target="prod", cached=False)
    assert "base: cached" not in parsed.told
    cached = changed.planned
    if cached.told[:1] == ("base: parsed",):
        cached = planning_bench.plan(changed.place, defer_target="prod")
    assert cached.plan == parsed.plan
    assert cached.told[:1] in ((), ("base: cached",))


def test_the_cases_are_as_many_as_the_kinds_of_things_in_a_project() -> None:
    assert len({case.name for case in CASES}) == len(CASES) >= 100


def _edits(planning_bench: Bench, case: Case) -> Files:
    edits = dict(case.files)
    for path, old, new in case.swaps:
        text = edits.get(path) or (planning_bench.text(path) if (planning_bench.origin / path).is_file() else "")
        assert isinstance(text, str)
        assert old in text
        edits[path] = text.replace(old, new) if old else new
    return edits


def _all(planned: Planned) -> set[str]:
    assert planned.head is not None
    return {n.name for n in planned.head.nodes.values() if n.resource_type in BUILDABLE}


def _takes_in_all_that_dbt_does(planned: Planned) -> None:
    own = {u for u in planned.own.get("modified+", ()) if u.startswith(_BUILT)}
    assert own <= {n.unique_id for n in planned.plan.nodes}


def _says_of_each_part_what_dbt_says(planned: Planned) -> None:
    """Compare the words of each reason with dbt's own sub-selectors of `state:modified`."""
    if "macros" not in planned.own or planned.head is None:
        return
    for node in planned.plan.nodes:
        if node.reason.kind != "modified" or node.reason.text == "modified: test definition":
            continue
        said = node.reason.text.removeprefix("modified: ").split(", ")
        for part, word in SUB_SELECTORS.items():
            if part == "body" and (
                node.resource_type in ("seed", "unit_test") or _is_generic(planned.head, node.unique_id)
            ):
                continue
            if part != "persisted_descriptions" or word in said:
                assert (word in said) == (node.unique_id in planned.own[part]), f"{node.unique_id}: {part}"
        named = any(w.startswith("macro ") for w in said)
        assert named == (node.unique_id in planned.own["macros"]), f"{node.unique_id}: macros"


def _is_generic(head: Manifest, unique_id: str) -> bool:
    return head.nodes[unique_id].resource_type == "test" and head.nodes[unique_id].file.endswith(".yml")
