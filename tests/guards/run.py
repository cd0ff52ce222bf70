"""Break one guard after the other in a copy of the tree, and see that a test notices: `make mutants`.

First all of their tests must pass, in one run, as that shares a start of pytest and of a database.
Arguments, if any, are parts of guards' names: only these are tried. A mutation tool would break every line of these
modules, and try each with tests that start dbt and a database: hours, for mutants most of which guard nothing.
"""

from __future__ import annotations

import os
import queue
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]
LIST = Path(__file__).with_name("mutants.yml")
PARTS = ("pytest_dbtci", "tests", "examples", "conftest.py", "pyproject.toml")
"""What a copy of the tree needs."""

TEST_SECONDS = 300.0
"""How long a mutant's test may take: one that would wait for ever where a guard is gone has noticed it."""

TIMEOUT = -1
"""The exit code of tests that were ended as they took too long."""

KILLED, BY_TIME, SURVIVED = "killed", "killed by time", "SURVIVED"


@dataclass(frozen=True, kw_only=True)
class Mutant:
    """A guard, the one text in a file that is it, what stands there without it, and the tests that then fail."""

    guard: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]

    def apply(self, root: Path) -> str:
        """Break the guard below `root`; return the file's text as it was. ValueError unless the guard is found once."""
        path = root / self.file
        text = path.read_text(encoding="utf-8")
        if (count := text.count(self.old)) != 1:
            raise ValueError(f"{self.guard}: {self.file} holds its text {count} times, not once: {self.old!r}")
        broken = text.replace(self.old, self.new)
        compile(broken, self.file, "exec")
        path.write_text(broken, encoding="utf-8")
        return text


def read() -> tuple[Mutant, ...]:
    """Return the mutants of the list."""
    found = yaml.safe_load(LIST.read_text(encoding="utf-8"))
    return tuple(Mutant(**{**mutant, "tests": tuple(mutant["tests"])}) for mutant in found)


@contextmanager
def _trees(count: int) -> Iterator[queue.Queue[Path]]:
    """Yield copies of the tree, one for each process that runs tests."""
    trees = queue.Queue[Path]()
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        for number in range(count):
            tree = Path(folder, str(number))
            tree.mkdir()
            for part in PARTS:
                source, target = ROOT / part, tree / part
                shutil.copytree(source, target) if source.is_dir() else shutil.copy(source, target)
            trees.put(tree)
        yield trees


def _pytest(tree: Path, *arguments: str, seconds: float = TEST_SECONDS) -> tuple[int, str]:
    """Run tests in the tree, whose package comes before the installed one in child processes, too."""
    # No pipe: what a test leaves running would keep it open.
    with tempfile.TemporaryFile() as output:
        tests = subprocess.Popen(
            [sys.executable, "-B", "-m", "pytest", "-qx", "-p", "no:cacheprovider", *arguments],
            cwd=tree,
            env={**os.environ, "PYTHONPATH": str(tree), "PYTHONDONTWRITEBYTECODE": "1"},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            code = tests.wait(seconds)
        except subprocess.TimeoutExpired:
            os.killpg(tests.pid, signal.SIGKILL)
            tests.wait()
            code = TIMEOUT
        output.seek(0)
        return code, output.read().decode(errors="replace")


def _try(mutant: Mutant, trees: queue.Queue[Path]) -> tuple[str, str]:
    """Return what became of the mutant, and what is wrong with its tests: empty if each fails without the guard."""
    tree, is_late = trees.get(), False
    try:
        text = mutant.apply(tree)
        try:
            for test in mutant.tests:
                code, said = _pytest(tree, test)
                is_late = is_late or code == TIMEOUT
                if code not in (1, TIMEOUT):
                    return SURVIVED, f"{test} ends with exit code {code} without the guard:\n{said[-1500:]}"
        finally:
            (tree / mutant.file).write_text(text, encoding="utf-8")
    finally:
        trees.put(tree)
    return BY_TIME if is_late else KILLED, ""


def _try_without_any(mutants: Iterable[Mutant], tree: Path, count: int) -> str:
    """Return what is wrong with the mutants' tests where every guard is in its place, empty if they pass."""
    tests = sorted({test for mutant in mutants for test in mutant.tests})
    code, said = _pytest(tree, "-n", str(count), *tests, seconds=TEST_SECONDS * len(tests))
    return f"the tests do not pass with the guards (pytest's exit code {code}):\n{said[-3000:]}" if code else ""


def main(asked: Sequence[str]) -> int:
    """Try the mutants; return how many survived."""
    mutants = [m for m in read() if not asked or any(part in m.guard for part in asked)]
    jobs = os.environ.get("JOBS", "")
    count = int(jobs) if jobs.isdigit() else os.cpu_count() or 1
    survived = 0
    with _trees(count) as trees, ThreadPoolExecutor(count) as pool:
        if wrong := _try_without_any(mutants, trees.queue[0], count):
            print(wrong)
            return 1
        tried = {pool.submit(_try, mutant, trees): mutant for mutant in mutants}
        for done in as_completed(tried):
            became, wrong = done.result()
            print(f"{became:14} {tried[done].guard}{': ' * bool(wrong)}{wrong}", flush=True)
            survived += became == SURVIVED
    print(f"{len(mutants)} mutants, {survived} survived")
    return min(survived, 1)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
