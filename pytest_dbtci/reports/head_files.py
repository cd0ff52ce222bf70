"""Where a reader finds the files that a run was about."""

from __future__ import annotations

from pathlib import Path

from pytest_dbtci.ci.build import Build
from pytest_dbtci.plan import Node, Plan
from pytest_dbtci.reports.locations import line_of


class HeadFiles:
    """Addresses of the project's files at the head commit, where the provider's site shows them."""

    def __init__(self, plan: Plan, build: Build, repository: Path | None) -> None:
        self._template = build.files if plan.commits.head else None
        # In CI the checkout may be a merge that no site shows for long.
        self._head = build.head_sha or plan.commits.head
        directory = self._directory = Path(plan.project_dir)
        inside = repository is not None and directory.is_relative_to(repository)
        self._project = directory.relative_to(repository).as_posix() if inside and repository is not None else None

    def of_node(self, node: Node, message: str) -> str | None:
        """Return the address of the line that a node's message complains of, else of the node's file."""
        return self.of_project(node.defined_in, line_of(self._directory, node, message))

    def of_project(self, path: str, line: int | None = None) -> str | None:
        """Return the address of a file that is named relative to the dbt project."""
        if self._project is None:
            return None
        return self.of_repository(path if self._project == "." else f"{self._project}/{path}", line)

    def of_repository(self, path: str, line: int | None = None) -> str | None:
        """Return the address of a file that is named relative to the repository."""
        return self._template.address(self._head, path, line) if self._template else None
