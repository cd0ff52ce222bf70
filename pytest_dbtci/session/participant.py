"""What every pytest process of a run does, alone or beside others: collect the plan's nodes, order them, wait."""

from __future__ import annotations

import contextlib
import fnmatch
import os
from collections.abc import Generator, Mapping
from dataclasses import replace
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import pytest

from pytest_dbtci.ci.stream import harmless
from pytest_dbtci.differences import PREFIX
from pytest_dbtci.errors import DbtCiError, HeldUp
from pytest_dbtci.execution.outcomes import Outcomes
from pytest_dbtci.plan import Node, Plan
from pytest_dbtci.results import NOT_RUN
from pytest_dbtci.session.command_line import only_looks
from pytest_dbtci.session.fixtures import BUILDING, check_announced
from pytest_dbtci.session.items import (
    CompareItem,
    DbtFile,
    DbtItem,
    DbtWarning,
    NodeFailed,
    PackagesFolder,
    StatusFile,
    StatusItem,
)
from pytest_dbtci.session.required_nodes import awaited, check_needs, nodes_asked, nodes_needed, uses_queries
from pytest_dbtci.session.their_lines import in_plain_words, redacted, skipped_at_its_own_line, with_only_theirs

HELD_UP = "dbt_held_up"
"""The property of a report whose item was skipped because something else failed."""


class Participant:
    """A process's part in a run; `unselected` maps files that the command line names to names and sentences.

    `item` is the one that is set up or called just now, `built` the plan without what was deselected: there is one
    once the build has begun. pytest 8.2 reads every attribute of a plugin as the session starts, so no property
    may keep what is only known later.
    """

    built: Plan

    def __init__(
        self, config: pytest.Config, outcomes: Outcomes, unselected: Mapping[str, Mapping[str, str]] | None = None
    ) -> None:
        self._config = config
        self.outcomes = outcomes
        self.unselected = unselected or {}
        self._by_file: dict[Path, tuple[Node, ...]] | None = None
        self._folders = set[Path]()
        self._reopened = set[Path]()
        self._is_collected = False
        self._begun = frozenset[str]()
        self.item: pytest.Item | None = None

    @property
    def files(self) -> dict[Path, tuple[Node, ...]]:
        """Return the planned nodes by the path of the file they stand under, as pytest writes that path."""
        if self._by_file is None:
            found: dict[Path, list[Node]] = {}
            for node in self.outcomes.plan.items:
                found.setdefault(self._path(node), []).append(node)
            for node in self.outcomes.plan.left_out:
                found.setdefault(self._path(node), [])
            self._by_file = {path: tuple(nodes) for path, nodes in found.items()}
            self._folders = {folder for path in found for folder in path.parents}
        return self._by_file

    def _path(self, node: Node) -> Path:
        path = Path(os.path.normpath(self.project_dir / node.file))
        if node.file.startswith("../") and not path.exists():
            # Seen through a link, `..` leads elsewhere.
            return Path(os.path.normpath(Path(self.outcomes.plan.project_dir, node.file)))
        return path

    @property
    def project_dir(self) -> Path:
        """Return the project's folder by way of rootdir, which may be reached through a symbolic link.

        Links below the project stay: a local package is a link in the packages' folder.
        """
        return _seen_from(self._config.rootpath, self.outcomes.plan.project_dir)

    def node_id(self, node: Node) -> str:
        """Return the node id that pytest gives a node's item."""
        return f"{self._file_id(self._path(node))}::{node.item}"

    def _file_id(self, path: Path) -> str:
        """Return the node id of a file; pytest itself has none for what lies outside of rootdir."""
        return Path(os.path.relpath(path, self._config.rootpath)).as_posix()

    @property
    def status_path(self) -> Path:
        """Return the file under which the status item of an empty plan stands."""
        return self.project_dir / "dbt_project.yml"

    @cached_property
    def packages_dir(self) -> Path:
        """Return the folder of installed packages, seen as `project_dir` is."""
        return Path(os.path.normpath(self.project_dir / self.outcomes.plan.packages_dir))

    def _is_installed(self, path: Path) -> bool:
        """Whether a path is a folder of installed packages, another dbt project's too, or lies in this project's."""
        # By their texts: pytest asks for every file of the project.
        if f"{path}{os.sep}".startswith(f"{self.packages_dir}{os.sep}"):
            return True
        return path.name == self.packages_dir.name and (path.parent / "dbt_project.yml").is_file()

    @pytest.hookimpl(wrapper=True)
    def pytest_ignore_collect(self, collection_path: Path) -> Generator[None, bool | None, bool | None]:
        """Ignore no planned node's file, but for `--ignore` and `--ignore-glob`.

        Folders that pytest does not look into, by their names (`build`, `dist` …) or a conftest file's wish, are
        opened for the planned nodes in them, and for nothing else, as is the folder of installed packages.
        """
        ignored = yield
        if self._is_installed(collection_path):
            return collection_path not in self.wanted and not any(collection_path in f.parents for f in self.wanted)
        inside = bool(self._reopened) and not self._reopened.isdisjoint(collection_path.parents)
        if not (ignored or inside) or self.ignored(collection_path):
            return ignored
        if collection_path in self.files:
            return False
        if collection_path in self._folders:
            self._reopened.add(collection_path)
        return collection_path not in self._folders

    def ignored(self, path: Path) -> bool:
        """Whether `--ignore` or `--ignore-glob` leaves out a path, or a folder that holds it.

        Who leaves out the folder of installed packages means their Python tests, not the planned nodes.
        """
        paths = {Path(os.path.abspath(p)) for p in self._config.getoption("ignore") or ()}  # noqa: PTH100
        globs = [os.path.abspath(g) for g in self._config.getoption("ignore_glob") or ()]  # noqa: PTH100
        globs = [g for g in globs if not self._means_packages(g)]
        found = [p for p in (path, *path.parents) if p != self.packages_dir]
        return any(p in paths or any(fnmatch.fnmatch(str(p), g) for g in globs) for p in found)

    def _means_packages(self, glob: str) -> bool:
        """Whether a pattern leaves out all of the packages' folder, and not all that lies beside it."""
        folder, beside = self.packages_dir, self.packages_dir.with_name("\0")
        return any(fnmatch.fnmatch(str(p), glob) for p in (folder, folder / "\0")) and not fnmatch.fnmatch(
            str(beside), glob
        )

    @cached_property
    def wanted(self) -> frozenset[Path]:
        """Return the files of which something is collected."""
        return frozenset(f for f in (*self.files, *map(Path, self.unselected)) if not self.ignored(f))

    @pytest.hookimpl(tryfirst=True)
    def pytest_collect_directory(self, path: Path, parent: pytest.Collector) -> pytest.Collector | None:
        """Open a folder of installed packages for the planned nodes alone."""
        if not self._is_installed(path):
            return None
        folder = PackagesFolder.from_parent(parent, path=path)
        folder.wanted, folder.make = self.wanted, self.pytest_collect_file
        return folder

    def pytest_collect_file(self, file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
        """Return the planned nodes of a file, and those of its nodes that were named although they are not planned."""
        unselected = self.unselected.get(str(file_path), {})
        if file_path in self.files or unselected:
            file = DbtFile.from_parent(parent, path=file_path, nodeid=self._file_id(file_path))
            file.nodes, file.outcomes = self.files.get(file_path, ()), self.outcomes
            file.unselected = tuple(unselected.items())
            file.left_out = tuple(n for n in self.outcomes.plan.left_out if self._path(n) == file_path)
            return file
        if self.outcomes.plan.status and file_path == self.status_path:
            status = StatusFile.from_parent(parent, path=file_path, nodeid=self._file_id(file_path))
            status.status = self.outcomes.plan.status
            return status
        return None

    @pytest.hookimpl(tryfirst=True)
    def pytest_make_collect_report(self, collector: pytest.Collector) -> pytest.CollectReport | None:
        """Collect all of a file outside of rootdir: `--lf` doesn't know its path again, and would skip it."""
        if isinstance(collector, DbtFile) and not collector.path.is_relative_to(self._config.rootpath):
            return pytest.CollectReport(collector.nodeid, "passed", None, list(collector.collect()))
        return None

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> Generator[None, None, None]:
        """Order dbt's items first, in dbt's build order."""
        order = {n.unique_id: i for i, n in enumerate(self.outcomes.plan.nodes)}
        last = len(order)

        def place(item: pytest.Item) -> tuple[int, int]:
            if isinstance(item, DbtItem):
                return 0, order[item.node.unique_id]
            # What was built is compared when all is built, and Python tests may ask for it.
            return (1, order[item.node.unique_id]) if isinstance(item, CompareItem) else (2, last)

        items.sort(key=place)
        yield
        self._is_collected = True

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Begin to build what is left after deselection; pytest calls this, too, where `-k` can't be understood."""
        plan, option = self.outcomes.plan, self._config.option
        asked, needed = nodes_asked(session.items), nodes_needed(session.items, plan)
        queries = bool(plan.nodes) and uses_queries(session.items)
        broken = session.testsfailed and not option.continue_on_collection_errors
        if not self._is_collected or not (asked or needed or queries) or only_looks(self._config) or broken:
            return
        self._begun = asked | needed
        built = plan.needed_by(u.removeprefix(PREFIX) for u in self._begun)
        self.built = replace(plan, nodes=tuple(n for n in plan.nodes if n.unique_id in built))
        self.outcomes.begin(asked, needed, queries)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        """Wait for dbt before the item's own time begins, so that no timeout and no duration counts the wait."""
        if only_looks(self._config):
            return (yield)
        # `dbt_query` is answered when all has been built.
        before = self._begun if uses_queries([item]) else awaited(item, self.outcomes.plan)
        # What is wrong here shows in the item's setup, which asks again.
        with contextlib.suppress(DbtCiError):
            for unique_id in before:
                self.wait(unique_id)
        return (yield)

    def wait(self, unique_id: str) -> None:
        """Wait for a node's result."""
        self.outcomes.wait(unique_id)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        """Skip a Python test unless what it needs was built."""
        self.item = item
        if not only_looks(self._config):
            check_needs(item)

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(
        self, fixturedef: pytest.FixtureDef[object], request: pytest.FixtureRequest
    ) -> Generator[None, object, object]:
        """Refuse a fixture that comes too late; an error in the fixture itself pytest would keep for other tests."""
        __tracebackhide__ = True
        value = yield
        if fixturedef.argname in BUILDING:
            check_announced(request)
        return value

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_teardown(self) -> None:
        """Forget the item: what is torn down after the last one need not be its own."""
        self.item = None

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: Any
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Set a dbt item's duration to dbt's, and its failure to text without a traceback.

        What a warehouse or a test printed must not reach the CI provider as one of its commands.
        """
        if call.excinfo is not None:
            call.excinfo = with_only_theirs(call.excinfo)
        report = yield
        if call.excinfo is not None:
            in_plain_words(report.longrepr, call.excinfo.value)
        redact = self.outcomes.redaction().long
        report.longrepr = redacted(skipped_at_its_own_line(item, report.longrepr), redact)
        if not isinstance(item, DbtItem | CompareItem | StatusItem):
            report.user_properties = redacted(report.user_properties, redact)
        if call.excinfo is not None and isinstance(call.excinfo.value.__cause__, HeldUp):
            # Only this report has it: an item's own properties would stand in the JUnit file.
            report.user_properties.append((HELD_UP, True))
        report.sections = [(name, self.harmless(text)) for name, text in report.sections]
        if isinstance(item, DbtItem | CompareItem | StatusItem) and isinstance(report.longrepr, tuple):
            # A skip is said of the project's file, not of the line here that makes it; of one file, pytest counts them.
            is_not_run = isinstance(item, DbtItem | CompareItem) and item.result and item.result.status == NOT_RUN
            report.longrepr = (str(self.status_path if is_not_run else item.path), 1, report.longrepr[2])
        if isinstance(item, DbtItem | CompareItem):
            if call.excinfo is not None and isinstance(call.excinfo.value, NodeFailed | DbtCiError | DbtWarning):
                report.longrepr = self.harmless(str(call.excinfo.value))
            report.duration = item.result.seconds if item.result is not None and call.when == "call" else 0.0
        return report

    def harmless(self, text: str) -> str:
        """Return the text without a secret of the run, and without a command to the CI provider."""
        return harmless(self.outcomes.redaction().long(text), os.environ)


@cache
def _seen_from(root: Path, project_dir: str) -> Path:
    # Asked for every path that pytest looks at.
    directory, real = Path(project_dir), root.resolve()
    return root / directory.relative_to(real) if directory.is_relative_to(real) else directory
