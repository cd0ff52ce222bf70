"""Validate a pull request with the dbt CLI and git alone: the script a careful team writes by hand.

It parses the merge base for production in a worktree of its own, builds what the branch changed into schemas of
the pull request, defers to production for the rest, turns dbt's results into JUnit XML and drops the schemas
whatever happened. Three dbt processes: parse, build, run-operation. The profile reads BENCH_SCHEMA.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
import xml.etree.ElementTree as ElementTree
from pathlib import Path

BASE_PARSE, BUILD, DROP = "base", "build", "drop"
"""Names of the three dbt processes; each writes its log to `ci/logs/NAME`."""

CI_FOLDER = "ci"


def main() -> int:
    """Run from the root of the checkout; return dbt's exit code."""
    options = _options()
    schema = f"dbt_build_{options.pr}"
    folder = Path(CI_FOLDER).absolute()
    tree, state = folder / "base", folder / "state"
    common = ["--profiles-dir", str(Path.cwd()), "--profile", options.profile]
    dbt = Dbt(executable=options.dbt, schema=schema, folder=folder)

    _git("worktree", "add", "--quiet", "--detach", str(tree), _git("merge-base", options.base, "HEAD"))
    try:
        parsed = dbt(
            BASE_PARSE,
            *("parse", "--target", "prod", "--project-dir", str(tree), "--target-path", str(state)),
            *common,
        )
        if parsed != 0:
            return parsed
        built = dbt(
            BUILD,
            *("build", "--target", "ci", "--select", "state:modified+"),
            *("--state", str(state), "--defer", "--favor-state"),
            *common,
        )
        _write_junit(Path("target/run_results.json"), options.junit)
        return built
    finally:
        drop = ["run-operation", "drop_build_schemas", "--args", json.dumps({"prefix": schema})]
        dropped = dbt(DROP, *drop, "--target", "ci", *common)
        _git("worktree", "remove", "--force", str(tree))
        if options.timings:
            options.timings.write_text(json.dumps(dbt.spans), encoding="utf-8")
        if dropped != 0:
            sys.exit(dropped)


class Dbt:
    """Call the dbt CLI and note when each call began and ended, as `{name: [epoch seconds, epoch seconds]}`."""

    def __init__(self, *, executable: str, schema: str, folder: Path) -> None:
        self.spans: dict[str, list[float]] = {}
        self._executable = executable
        self._environ = {**os.environ, "BENCH_SCHEMA": schema}
        self._folder = folder

    def __call__(self, name: str, *arguments: str) -> int:
        command = [self._executable, *arguments, "--log-path", str(self._folder / "logs" / name)]
        began = time.time()
        done = subprocess.run(command, env=self._environ, check=False)
        self.spans[name] = [began, time.time()]
        return done.returncode


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--base", default="origin/master", help="branch to merge into")
    parser.add_argument("--pr", default="1", help="number of the pull request")
    parser.add_argument("--profile", default="duckdb")
    parser.add_argument("--dbt", default="dbt", help="dbt's executable")
    parser.add_argument("--junit", type=Path, default=Path("dbt-results.xml"))
    parser.add_argument("--timings", type=Path, help="write when each dbt process began and ended, as JSON")
    return parser.parse_args()


def _write_junit(run_results: Path, junit: Path) -> None:
    results = json.loads(run_results.read_text(encoding="utf-8"))["results"]
    suite = ElementTree.Element("testsuite", name="dbt", tests=str(len(results)))
    for result in results:
        kind, _, name = result["unique_id"].partition(".")
        seconds = f"{result['execution_time']:.3f}"
        case = ElementTree.SubElement(suite, "testcase", classname=kind, name=name, time=seconds)
        if result["status"] in ("error", "fail"):
            ElementTree.SubElement(case, "failure", message=result["message"] or result["status"])
        elif result["status"] == "skipped":
            ElementTree.SubElement(case, "skipped")
    ElementTree.ElementTree(suite).write(junit, encoding="utf-8", xml_declaration=True)


def _git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], check=True, capture_output=True, text=True).stdout.strip()


if __name__ == "__main__":
    sys.exit(main())
