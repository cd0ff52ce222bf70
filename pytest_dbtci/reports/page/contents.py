"""What the HTML page shows, as JSON-ready values; `page.js` draws it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pytest_dbtci.ci.build import Build
from pytest_dbtci.differences import Comparison
from pytest_dbtci.plan import Exposure, Node, PathChange, Plan
from pytest_dbtci.reports import comparison
from pytest_dbtci.reports.failures import by_cause, describe, headline, kind_of, skip_reason
from pytest_dbtci.reports.head_files import HeadFiles
from pytest_dbtci.reports.lineage import Lineage
from pytest_dbtci.reports.summary_head import title
from pytest_dbtci.reports.table import cut
from pytest_dbtci.results import Result

IN_FULL = 50
"""Failures that are shown with their text and SQL; the others stand in the table of nodes."""

_SQL = 20_000  # characters of a failure's compiled SQL
_EFFECTS = {
    "selected": "",
    "everything": "can affect every node",
    "removed": "removed, and nothing needs it",
    "none": "affects nothing in dbt",
}


def contents(
    plan: Plan,
    results: Mapping[str, Result],
    build: Build,
    *,
    repository: Path | None,
    seconds: float,
    red: bool,
    redact: Callable[[str], str],
    trouble: str = "",
    comparisons: Mapping[str, Comparison],
    values: bool,
) -> dict[str, Any]:
    """Return the page's values; see `pytest_dbtci.reports.page.write` for the arguments."""
    lineage = Lineage(plan, results)
    files = HeadFiles(plan, build, repository)
    bad = by_cause(plan, results)
    return {
        "title": title(plan, results, red=red, trouble=trouble),
        "facts": list(_facts(plan, build, seconds)),
        "notes": [n for n in (comparison.on_base(results), plan.status, plan.warning, *plan.notes) if n],
        "failures": [
            *([{**_RUN, "text": trouble}] if trouble else ()),
            *(_failure(*one, plan, results, files, redact) for one in bad[:IN_FULL]),
        ],
        "failures_left": max(0, len(bad) - IN_FULL),
        "changes": [_change(c, plan, files) for c in plan.changes],
        **_comparisons(plan, comparisons, files, values=values),
        "nodes": [
            *(_node(n, plan, lineage, results, files, comparisons.get(n.unique_id)) for n in plan.nodes),
            *(_exposure(e) for e in plan.exposures),
        ],
        "critical": critical_path(plan, results),
    }


def critical_path(plan: Plan, results: Mapping[str, Result]) -> list[str]:
    """Return the chain of nodes that ended the build: the one that ended last, and before each what it waited for."""
    ends = {u: r.started + r.seconds for u, r in results.items() if r.started is not None and plan.node(u) is not None}
    path: list[str] = []
    last = max(ends, key=ends.__getitem__, default=None)
    while last is not None and last not in path:
        path.insert(0, last)
        last = max((b for b in plan.blockers(last) if b in ends), key=ends.__getitem__, default=None)
    return path


_RUN: dict[str, Any] = {"label": "The run", "href": None, "outcome": "error", "sql": "", "alike": []}
_EMPTY: dict[str, Any] = {
    "kind": "exposure",
    "outcome": "exposure",
    "worst": "exposure",
    "why": "reads what was built",
    "says": "",
    "file": "",
    "relation": None,
    "seconds": None,
    "started": None,
    "thread": "",
    "tests": [],
    "about": None,
    "changed": False,
    "drawn": True,
    "compared": "",
    "identical": False,
}


def _exposure(e: Exposure) -> dict[str, Any]:
    return {**_EMPTY, "id": e.unique_id, "name": e.label, "parents": e.parents, "owner": e.owner, "href": e.url}


def _facts(plan: Plan, build: Build, seconds: float) -> Iterator[tuple[str, str, str | None]]:
    commits, where = plan.commits, plan.destination
    facts = (
        ("project", plan.project, None),
        ("pull request", (build.pr or plan.pr) if plan.mode == "pull_request" else "", build.url if build.pr else None),
        ("into", build.target_branch or "", None),
        ("compared with", f"{commits.base_ref} @ {commits.base[:10]} ({commits.how})" if commits.base else "", None),
        ("head", commits.head[:10], None),
        ("built in", where.schema, None),
        ("target", " · ".join(filter(None, (where.target, where.adapter))), None),
        ("unbuilt parents from", where.defer_target or "", None),
        ("took", f"{seconds:.1f} s", None),
        ("log", "of the build" if build.run else "", build.run),
    )
    yield from (fact for fact in facts if fact[1])


def _change(change: PathChange, plan: Plan, files: HeadFiles) -> dict[str, Any]:
    selects = [n.item or n.name for n in plan.nodes if change.path in n.reason.files]
    named = ", ".join(selects[:5]) + (f" and {len(selects) - 5} more" if len(selects) > 5 else "")
    effect = _EFFECTS.get(change.effect, change.effect)
    return {
        "path": change.path,
        "href": None if change.status == "deleted" else files.of_repository(change.path),
        "status": change.status,
        "effect": "; ".join(filter(None, (effect, change.note, f"selects {named}" if named else ""))),
    }


def _failure(
    node: Node,
    result: Result,
    alike: Sequence[Node],
    plan: Plan,
    results: Mapping[str, Result],
    files: HeadFiles,
    redact: Callable[[str], str],
) -> dict[str, Any]:
    return {
        "label": node.label,
        "href": files.of_node(node, result.message),
        "outcome": result.outcome,
        "text": describe(node, result, plan, results),
        "sql": redact(_compiled(result)),
        "alike": [n.item or n.name for n in alike],
    }


def _compiled(result: Result) -> str:
    try:
        return cut(Path(result.compiled).read_text("utf-8", "replace").strip(), _SQL) if result.compiled else ""
    except OSError:
        return ""


def _is_identical(found: Comparison | None) -> bool:
    return found is not None and found.differences is not None and found.differences.identical


def _comparisons(
    plan: Plan, comparisons: Mapping[str, Comparison], files: HeadFiles, *, values: bool
) -> dict[str, Any]:
    return {
        "compared": [
            _compared(node, found, plan, files, values=values)
            for node in plan.nodes
            if (found := comparisons.get(node.unique_id)) is not None
            and found.differences is not None
            and not found.differences.identical
        ],
        "not_compared": [
            {"why": why, "names": [n.item for n in nodes]}
            for why, nodes in comparison.unknown(plan, comparisons).items()
        ],
        "identical": [n.item for n in plan.nodes if _is_identical(comparisons.get(n.unique_id))],
    }


def _compared(node: Node, found: Comparison, plan: Plan, files: HeadFiles, *, values: bool) -> dict[str, Any]:
    return {
        "label": node.label,
        "href": files.of_project(node.defined_in),
        "headline": comparison.headline(found),
        "text": "\n".join(comparison.describe(found, plan, values=values)),
    }


def _says(node: Node, result: Result, plan: Plan, results: Mapping[str, Result]) -> str:
    """Return why a node has this outcome, in a line; empty where it passed."""
    if result.outcome == "skipped":
        return skip_reason(node, result, plan, results)
    return headline(node, result) if result.is_bad or result.outcome == "warned" else ""


def _node(
    node: Node,
    plan: Plan,
    lineage: Lineage,
    results: Mapping[str, Result],
    files: HeadFiles,
    found: Comparison | None,
) -> dict[str, Any]:
    result = results.get(node.unique_id)
    drawn = lineage.is_drawn(node)
    timed = result is not None and result.outcome != "skipped"
    return {
        "id": node.unique_id,
        "name": node.item or node.name,
        "kind": kind_of(node),
        "outcome": result.outcome if result else "none",
        "worst": (lineage.outcome_with_tests(node) if drawn else result.outcome if result else None) or "none",
        "why": node.why,
        "says": _says(node, result, plan, results) if result is not None else "",
        "file": node.defined_in,
        "href": files.of_project(node.defined_in),
        "relation": node.relation,
        "seconds": result.seconds if result is not None and timed else None,
        "started": result.started if result is not None and timed else None,
        "thread": result.thread if result is not None else "",
        "parents": node.parents,
        "tests": lineage.test_ids(node),
        "about": node.about or (node.parents[0] if not drawn and node.parents else None),
        "changed": node.reason.kind in ("modified", "new"),
        "drawn": drawn,
        "compared": comparison.headline(found) if found is not None else "",
        "identical": _is_identical(found),
    }
