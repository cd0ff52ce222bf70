"""Compare `pytest --dbt-ci` with the script a team writes by hand: same repository, change and warehouse.

    python -m benchmarks.run --sizes 10 500 --repeats 5 --warehouses duckdb postgres

Both run in turn, each time in a fresh clone. Modes: `cold` (no cache of any kind), `cached` (the plugin parsed the
same merge base for another pull request before), `unchanged` (the pull request changes nothing that dbt reads;
compared with the script's `dbt parse` alone). The script keeps nothing between runs, so it is the same in all modes.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from xml.etree import ElementTree

from benchmarks.generate import FIVE_MODELS, FIVE_OTHER_MODELS, ONLY_DOCS, TEMPLATE, generate
from benchmarks.measure import Cost, measure
from benchmarks.script import BASE_PARSE
from benchmarks.split import plugin_steps, script_steps
from benchmarks.table import Comparison, Measured, steps_table, totals_table
from benchmarks.warehouses import Warehouse, open_warehouse

ROOT = Path(__file__).resolve().parent.parent
DBT = str(Path(sys.executable).with_name("dbt"))
MODES = ("cold", "cached", "unchanged")


@dataclass(frozen=True, kw_only=True)
class Bench:
    """Run both contenders on one project and one warehouse; `folder` holds the project and all its runs."""

    folder: Path
    warehouse: Warehouse

    def script(self) -> Measured:
        """Run the script on the pull request that changes five models."""
        checkout = self._clone(FIVE_MODELS)
        timings, junit = self.folder / "script.json", self.folder / "script.xml"
        command = [sys.executable, str(ROOT / "benchmarks" / "script.py"), "--dbt", DBT]
        command += ["--profile", self.warehouse.profile, "--junit", str(junit), "--timings", str(timings)]
        cost = self._measure(command, checkout)
        return Measured(cost=cost, steps=script_steps(checkout, timings), nodes=_test_cases(junit))

    def parse_alone(self) -> float:
        """Return the seconds of the script's `dbt parse` of the merge base in the latest run of the script."""
        spans = json.loads((self.folder / "script.json").read_text(encoding="utf-8"))
        began, ended = spans[BASE_PARSE]
        return float(ended - began)

    def plugin(self, mode: str) -> Measured:
        """Run the plugin in this mode; in mode `cached`, after a run for another pull request."""
        cache = self.folder / "cache"
        shutil.rmtree(cache, ignore_errors=True)
        if mode == "cached":
            self._plugin(FIVE_OTHER_MODELS, cache)
        return self._plugin(ONLY_DOCS if mode == "unchanged" else FIVE_MODELS, cache)

    def _plugin(self, branch: str, cache: Path) -> Measured:
        checkout = self._clone(branch)
        timings, junit = self.folder / "plugin.json", self.folder / "plugin.xml"
        timings.unlink(missing_ok=True)
        # Without what the tests' environment has beyond this package's own requirements.
        command = [sys.executable, "-m", "pytest", "-p", "no:hypothesispytest"]
        command += ["--dbt-ci", "-o", f"cache_dir={cache}", "--junitxml", str(junit)]
        options = {
            "base": "origin/master",
            "pr": branch.removeprefix("pr-"),
            "profile": self.warehouse.profile,
            "target": "ci",
            "defer-target": "prod",
            "timings": str(timings),
        }
        command += [part for name, value in options.items() for part in (f"--dbt-ci-{name}", value)]
        cost = self._measure(command, checkout)
        return Measured(cost=cost, steps=plugin_steps(timings), nodes=_test_cases(junit))

    def _measure(self, command: list[str], checkout: Path) -> Cost:
        with self.warehouse.released(self.folder, DBT) as environ:
            cost = measure(command, cwd=checkout, environ={**_environ(), **environ}, log=self.folder / "output.log")
            if left := self.warehouse.left_behind(environ):
                raise RuntimeError(f"{' '.join(command)} left {', '.join(left)} behind")
        return cost

    def _clone(self, branch: str) -> Path:
        """Clone anew, to the same place each time, as CI agents do."""
        checkout = self.folder / "checkout"
        shutil.rmtree(checkout, ignore_errors=True)
        source = str(self.folder / "repository")
        subprocess.run(["git", "clone", "--quiet", "--branch", branch, source, str(checkout)], check=True)
        return checkout


def compare(bench: Bench, *, models: int, modes: tuple[str, ...], repeats: int) -> list[Comparison]:
    """Run all contenders in turn, `repeats` times."""
    script: list[Measured] = []
    plugin: dict[str, list[Measured]] = {mode: [] for mode in modes}
    parses: list[float] = []
    for repeat in range(repeats):
        script.append(bench.script())
        parses.append(bench.parse_alone())
        _tell(f"{bench.warehouse.profile} {models} models, {repeat + 1}/{repeats}: script", script[-1])
        for mode in modes:
            plugin[mode].append(bench.plugin(mode))
            _tell(f"{bench.warehouse.profile} {models} models, {repeat + 1}/{repeats}: plugin {mode}", plugin[mode][-1])
    return [
        Comparison(
            warehouse=bench.warehouse.profile,
            models=models,
            mode=mode,
            script=tuple(script),
            plugin=tuple(plugin[mode]),
            parse_alone=tuple(parses) if mode == "unchanged" else (),
        )
        for mode in modes
    ]


def prepare(work: Path, models: int) -> Path:
    """Generate the project of that size unless an earlier call did; give its folder."""
    source = sha256(Path(__file__).with_name("generate.py").read_bytes())
    for path in sorted(TEMPLATE.rglob("*.*")):
        source.update(path.read_bytes())
    folder = work / f"{models}-{source.hexdigest()[:8]}"
    if not (folder / "repository").exists():
        shutil.rmtree(folder, ignore_errors=True)
        generate(folder / "generating", models)
        (folder / "generating").rename(folder / "repository")
    return folder


def _environ() -> Mapping[str, str]:
    """Return the user's environment without what would make either contender behave otherwise, as in a CI build."""
    ours = ("CI", "TF_BUILD", "GITHUB_ACTIONS", "GITLAB_CI", "PYTEST_ADDOPTS")
    kept = {name: value for name, value in os.environ.items() if name not in ours}
    return {**kept, "DBT_SEND_ANONYMOUS_USAGE_STATS": "false"}


def _test_cases(junit: Path) -> int:
    return sum(1 for _ in ElementTree.parse(junit).iter("testcase"))


def _tell(what: str, measured: Measured) -> None:
    cost = measured.cost
    print(f"{what}: {cost.wall:.2f} s, CPU {cost.cpu:.2f} s, {cost.peak:.0f} MiB, {measured.nodes} nodes", flush=True)


def _machine() -> str:
    names = (line.split(":")[1].strip() for line in _cpuinfo() if line.startswith("model name"))
    packages = ", ".join(f"{name} {version(name)}" for name in ("dbt-core", "dbt-duckdb", "dbt-postgres"))
    cores = f"{os.cpu_count()} cores of {next(names, platform.processor() or platform.machine())}"
    return f"{cores}, {platform.system()}, Python {platform.python_version()}, {packages}"


def _cpuinfo() -> list[str]:
    path = Path("/proc/cpuinfo")
    return path.read_text(encoding="utf-8").splitlines() if path.exists() else []


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[10, 500, 2000], metavar="MODELS")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--warehouses", nargs="+", choices=("duckdb", "postgres"), default=["duckdb", "postgres"])
    parser.add_argument("--modes", nargs="+", choices=MODES, default=list(MODES))
    parser.add_argument("--work", type=Path, default=ROOT / ".cache" / "bench", help="folder for projects and runs")
    return parser.parse_args()


def main() -> None:
    """Measure and print what was measured as Markdown."""
    options = _options()
    comparisons = []
    for name in options.warehouses:
        with open_warehouse(name) as warehouse:
            for models in options.sizes:
                bench = Bench(folder=prepare(options.work.resolve(), models), warehouse=warehouse)
                comparisons += compare(bench, models=models, modes=tuple(options.modes), repeats=options.repeats)
    print(f"\n{totals_table(comparisons)}\n\n{steps_table(comparisons)}\n")
    print(f"Medians of {options.repeats} turns. {_machine()}.")


if __name__ == "__main__":
    main()
