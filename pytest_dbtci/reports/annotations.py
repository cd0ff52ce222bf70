"""Put failures and warnings on the lines of the pull request, in the provider's own commands."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from pytest_dbtci.ci.build import Build
from pytest_dbtci.ci.providers import Annotation, provider_of
from pytest_dbtci.plan import Node, Plan
from pytest_dbtci.reports.failures import headline, kind_of, own_words
from pytest_dbtci.reports.locations import line_of
from pytest_dbtci.reports.table import cut
from pytest_dbtci.results import Result

Level = Literal["error", "warning"]

LIMIT = 10
"""Annotations of one level. GitHub shows no more of one step; on Azure a longer list hides the first."""


_TEXT = 1000  # characters of a message: what is beyond is in the summary and in the log


def annotate(plan: Plan, results: Mapping[str, Result], build: Build, repository: Path) -> tuple[str, ...]:
    """Return the lines to print on stdout, the worst first; none where the provider has no such command.

    Errors of dbt or the database come before failed tests, these before warnings. What the limit leaves out
    is counted in a last line. `repository` is the checkout's folder, which GitHub's paths are relative to.
    GitLab and the others read the JUnit file instead.
    """
    provider = provider_of(build.provider)
    if not provider.annotates:
        return ()
    found = [(n, r) for n in plan.nodes if (r := results.get(n.unique_id)) is not None]
    errors = [f for f in found if f[1].is_bad]
    errors.sort(key=lambda f: f[1].status == "fail")  # stable: build order within
    warnings = [f for f in found if f[1].outcome == "warned"]
    lines = [provider.annotation(_annotation("error", n, r, plan, repository)) for n, r in errors[:LIMIT]]
    lines += [provider.annotation(_annotation("warning", n, r, plan, repository)) for n, r in warnings[:LIMIT]]
    left = [_count(len(errors) - LIMIT, "error"), _count(len(warnings) - LIMIT, "warning")]
    if any(left):
        lines.append(provider.notice(f"{' and '.join(filter(None, left))} more: see the summary or the log"))
    return tuple(lines)


def _annotation(level: Level, node: Node, result: Result, plan: Plan, repository: Path) -> Annotation:
    file = Path(plan.project_dir) / node.defined_in
    verb = "warns" if level == "warning" else "failed"
    return Annotation(
        level=level,
        file=file,
        path=_in_repository(file, repository),
        line=line_of(Path(plan.project_dir), node, result.message),
        title=cut(f"dbt {kind_of(node)} {node.item or node.name} {verb}", 200),
        headline=cut(headline(node, result), _TEXT),
        text=own_words(result, plan)[:_TEXT],
    )


def _in_repository(file: Path, repository: Path) -> str | None:
    """Return the path as GitHub wants it; None for what isn't in the checkout (a package's file)."""
    try:
        return file.resolve(strict=True).relative_to(repository.resolve()).as_posix()
    except (OSError, ValueError):
        return None


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'s' * (number > 1)}" if number > 0 else ""
