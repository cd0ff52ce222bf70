"""The head of the summary: how the run ended, what it compared with and built in, what a reader has to know."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from pytest_dbtci.ci.build import Build
from pytest_dbtci.plan import Node, Plan
from pytest_dbtci.reports.comparison import on_base
from pytest_dbtci.reports.lineage import SYMBOLS, WORST
from pytest_dbtci.reports.markdown import block, code, prose
from pytest_dbtci.results import Outcome, Result

MANY = 50
"""Rows of a table, lines of a list."""


def counts(results: Mapping[str, Result]) -> str:
    """Count the outcomes in words, the worst first: `1 failed, 2 skipped, 9 passed`."""
    found = Counter(r.outcome for r in results.values())
    nouns: dict[Outcome, str] = {"error": "error", "warned": "warning"}
    return ", ".join(f"{found[o]} {nouns.get(o, o)}{'s' * (o in nouns and found[o] > 1)}" for o in WORST if found[o])


def title(plan: Plan, results: Mapping[str, Result], *, red: bool, trouble: str = "") -> str:
    """Return a line on how the run ended; see `summary.markdown` for the arguments."""
    is_known = bool(trouble) or any(r.is_bad for r in results.values())
    bad = red or is_known
    if not plan.nodes:
        return f"{SYMBOLS['failed' if bad else 'skipped']} dbt: nothing was built"
    missing = lost(plan, results)
    unknown = f"{len(missing)} {'not run' if trouble else 'without a result'}" if missing else ""
    elsewhere = "failed elsewhere" if red and not (is_known or missing) else ""
    said = ", ".join(filter(None, (elsewhere, counts(results), unknown)))
    return f"{SYMBOLS['failed' if bad or missing else 'passed']} dbt: {said}"


def lost(plan: Plan, results: Mapping[str, Result]) -> list[Node]:
    """Return the nodes that there is no result for."""
    return [n for n in plan.items if n.unique_id not in results]


def head(
    plan: Plan,
    results: Mapping[str, Result],
    build: Build,
    seconds: float | None,
    *,
    red: bool,
    trouble: str,
    report: str,
) -> str:
    """Return the headline, the facts of the run and its schemas; see `summary.markdown` for the arguments."""
    lines = [
        f"## {title(plan, results, red=red, trouble=trouble)}",
        " · ".join(_facts(plan, build, seconds, report)),
    ]
    schemas = [code(f"{database}.{schema}" if database else schema) for database, schema in plan.destination.schemas]
    if known := on_base(results):
        lines.append(f"{known[:1].upper()}{known[1:]}")
    if schemas:
        more = f" and {len(schemas) - MANY} more" if len(schemas) > MANY else ""
        lines.append(f"Schemas: {', '.join(schemas[:MANY])}{more}")
    return "\n\n".join(lines)


def _facts(plan: Plan, build: Build, seconds: float | None, report: str) -> Iterator[str]:
    commits, where = plan.commits, plan.destination
    if plan.mode == "release":
        yield f"release of {code(commits.base_ref)}"
    if plan.project:
        yield f"project {code(plan.project)}"
    if build.pr:
        is_known = build.url != build.run and re.fullmatch(r"https?://[^\s<>]+", build.url or "")
        link = f"[{build.pr}](<{build.url}>)" if is_known else build.pr
        yield f"pull request {link}" + (f" into {code(build.target_branch)}" if build.target_branch else "")
    elif plan.pr and plan.mode != "release":
        yield f"build {code(plan.pr)}"
    if commits.base:
        how = ", ".join(filter(None, (commits.base_ref, commits.how)))
        yield f"base {_sha(commits.base)}" + (f" ({prose(how)})" if how else "")
    if head := commits.head or build.head_sha:
        yield f"head {_sha(head)}"
    if where.target:
        yield f"target {code(where.target)}" + (f" ({prose(where.adapter)})" if where.adapter else "")
    if where.defer_target:
        yield f"unbuilt parents from {code(where.defer_target)}"
    if seconds is not None:
        yield f"{seconds:.1f} s"
    if build.run:
        yield f"[build](<{build.run}>)"
    if report:
        # Where it lay on the agent is nothing to those who get it from there.
        name = Path(report).name
        yield f"page [{prose(name)}](<{build.artifacts}>)" if build.artifacts else f"page {code(report)}"


def trouble_of_run(plan: Plan, results: Mapping[str, Result], trouble: str) -> Iterator[str]:
    """Yield what kept nodes from being built, and which."""
    if trouble:
        yield block(trouble)
        if missing := lost(plan, results):
            yield f"{SYMBOLS['skipped']} Not run: {names(missing)}"


def notes(plan: Plan) -> Iterator[str]:
    """Yield what the plan wants a reader to know."""
    if plan.status:
        yield prose(plan.status)
    said = ([f"{SYMBOLS['warned']} {prose(plan.warning)}"] if plan.warning else []) + [prose(n) for n in plan.notes]
    if said:
        yield "\n".join(f"- {note}" for note in said)


def names(nodes: Sequence[Node]) -> str:
    """Return the first names of a list, and how many more there are."""
    shown = [code(n.item or n.name) for n in nodes[:6]]
    return ", ".join(shown) + (f" and {len(nodes) - 6} more" if len(nodes) > 6 else "")


def _sha(sha: str) -> str:
    return code(sha[:9] if re.fullmatch(r"[0-9a-f]{12,}", sha) else sha)
