"""Put failures and warnings on the lines of the pull request, in the provider's own commands."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from pytest_dbtci.ci.detect import defang, escape_azure, escape_github
from pytest_dbtci.ci.providers import Build
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
    """Give the lines to print on stdout, the worst first; none where the provider has no such command.

    Errors of dbt or the database come before failed tests, these before warnings. What the limit leaves out
    is counted in a last line. `repository` is the checkout's folder, which GitHub's paths are relative to.
    GitLab and the others read the JUnit file instead.
    """
    if build.provider not in ("azure", "github"):
        return ()
    found = [(n, r) for n in plan.nodes if (r := results.get(n.unique_id)) is not None]
    errors = [f for f in found if f[1].is_bad]
    errors.sort(key=lambda f: f[1].status == "fail")  # stable: build order within
    warnings = [f for f in found if f[1].outcome == "warned"]
    lines = [_line("error", n, r, plan, build, repository) for n, r in errors[:LIMIT]]
    lines += [_line("warning", n, r, plan, build, repository) for n, r in warnings[:LIMIT]]
    left = [_count(len(errors) - LIMIT, "error"), _count(len(warnings) - LIMIT, "warning")]
    if any(left):
        lines.append(_rest(f"{' and '.join(filter(None, left))} more: see the summary or the log", build))
    return tuple(lines)


def _line(level: Level, node: Node, result: Result, plan: Plan, build: Build, repository: Path) -> str:
    file = Path(plan.project_dir) / node.defined_in
    number = line_of(Path(plan.project_dir), node, result.message)
    if build.provider == "azure":
        # The agent turns an absolute path into one of the repository, and puts path and line before the text.
        where = f"sourcepath={escape_azure(str(file.absolute()))};" if file.is_file() else ""
        where += f"linenumber={number};" if number and where else ""
        text = defang(headline(node, result), "azure")
        return f"##vso[task.logissue type={level};{where}]{escape_azure(cut(text, _TEXT))}"
    path = _in_repository(file, repository)
    properties = [f"file={escape_github(path, is_property=True)}"] if path else []
    properties += [f"line={number}"] if number and path else []
    verb = "warns" if level == "warning" else "failed"
    title = cut(f"dbt {kind_of(node)} {node.item or node.name} {verb}", 200)
    properties.append(f"title={escape_github(defang(title, 'github'), is_property=True)}")
    text = defang(own_words(result, plan)[:_TEXT], "github")
    return f"::{level} {','.join(properties)}::{escape_github(text)}"


def _in_repository(file: Path, repository: Path) -> str | None:
    """Give the path as GitHub wants it; None for what isn't in the checkout (a package's file)."""
    try:
        return file.resolve(strict=True).relative_to(repository.resolve()).as_posix()
    except (OSError, ValueError):
        return None


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'s' * (number > 1)}" if number > 0 else ""


def _rest(text: str, build: Build) -> str:
    return f"::notice title=dbt-ci::{text}" if build.provider == "github" else f"dbt-ci: {text}"
