"""Random changes, push by push: what is not built holds, in full builds of base and branch, the same contents."""

from __future__ import annotations

import os
import random
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.cut_off_project import Project, edit
from tests.support.hotel import Hotel
from tests.support.warehouses import Kind
from tests.support.warehouses.fixtures import empty_warehouse

SEQUENCES = int(os.environ.get("CUT_OFF_SEQUENCES", "1"))
"""How many pull requests are pushed to; each changes all wings of the hotel, independently of each other."""

FIRST = int(os.environ.get("CUT_OFF_FIRST", "200"))
WINGS = int(os.environ.get("CUT_OFF_WINGS", "3"))
PUSHES = int(os.environ.get("CUT_OFF_PUSHES", "1"))

ROOT = Path(__file__).parents[2]
COMPARED = ("--dbt-ci-compare=base", "--dbt-ci-compare-budget=1000", "-k", "not compare")
OPTIONS = (
    ("--dbt-ci-build-less=formatting,contents", *COMPARED),
    ("--dbt-ci-build-less=formatting,reuse",),
    ("--dbt-ci-build-less=all", *COMPARED),
)
DEARER = ("s.price as", "s.price + 0.01 as")

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", params=["duckdb", "postgres"])
def hotel(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hotel]:
    kind: Kind = request.param
    directory = tmp_path_factory.mktemp(kind)
    with empty_warehouse(kind, request, directory) as warehouse:
        yield Hotel(directory, warehouse, WINGS)


def test_what_is_not_built_holds_what_full_builds_hold(hotel: Hotel) -> None:
    wrong, total = list[str](), Counter[str]()
    for seed in range(FIRST, FIRST + SEQUENCES):
        rng, directory = random.Random(f"cut off {seed}"), hotel.branch(str(seed))
        options = (*OPTIONS[seed % len(OPTIONS)], *rng.choice([(), ("--dbt-ci-defer-target=prod",)]))
        history = [hotel.wings]
        for push in range(PUSHES):
            # While an incremental model is to be built, nothing is reused.
            rests = hotel.growing if "reuse" in options[0] and push and rng.random() < 0.8 else ()
            pasts = [[then[n] for then in history] for n in range(WINGS)]
            nexts = [("same", past[-1]) if n in rests else _next(rng, past, hotel) for n, past in enumerate(pasts)]
            told, wings = zip(*nexts, strict=True)
            verdict = hotel.push(directory, wings, *options)
            history.append(list(wings))
            found = [f"{hotel.warehouse.kind}, seed {seed}, push {push}, {options}, {told}: {w}" for w in verdict.wrong]
            print(hotel.warehouse.kind, seed, push, options[0], dict(verdict.counts), f"{len(found)} wrong", told)
            print("\n".join(found), flush=True)
            total, wrong = total + verdict.counts, wrong + found
        hotel.leave(directory)
    print(hotel.warehouse.kind, f"{SEQUENCES * WINGS} sequences of {PUSHES} pushes", dict(total), flush=True)
    assert not wrong
    assert total["built"]
    assert total["formatting"] + total["contents"] + total["reuse"]


def _next(rng: random.Random, history: list[Project], hotel: Hotel) -> tuple[str, Project]:
    """Return what the next push makes of a wing, with its name: at times nothing, or what it was before."""
    chance, first = rng.random(), len(history) == 1
    if not first and chance < 0.4:
        return "same", history[-1]
    if not first and chance < 0.6:
        return "back", rng.choice(history[:-1])
    project = dict(history[-1])
    return "+".join(edit(rng, project, hotel.warehouse.kind) for _ in range(rng.choice([1, 1, 2]))), project


@pytest.mark.parametrize("hotel", ["duckdb"], indirect=True)
@pytest.mark.parametrize("rule", ["formatting", "contents", "reuse"])
def test_a_broken_rule_is_found(hotel: Hotel, rule: str) -> None:
    directory = hotel.branch(rule)
    options = ("--dbt-ci-build-less=reuse",) if rule == "reuse" else (f"--dbt-ci-build-less={rule}", *COMPARED)
    options, environ = ("-p", "tests.support.broken_rules", *options), {"BROKEN_RULE": rule, "PYTHONPATH": str(ROOT)}
    if rule == "reuse":
        assert not hotel.push(directory, _dearer(hotel, "s.price as", "s.price + 0 as"), *options, **environ).wrong
    broken = hotel.push(directory, _dearer(hotel, *DEARER), *options, **environ)
    hotel.leave(directory)
    assert broken.counts[rule], broken.run.output
    told = "dbt_reused" if rule == "reuse" else f"left out by {rule}"
    assert any(told in wrong for wrong in broken.wrong), broken.wrong


def _dearer(hotel: Hotel, old: str, new: str) -> list[Project]:
    first = dict(hotel.wings[0])
    first["models/stays.sql"] = (first["models/stays.sql"] or "").replace(old, new)
    return [first, *hotel.wings[1:]]
