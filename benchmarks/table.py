"""Turn measurements into Markdown: medians, ratios and where the time went.

A ratio is the median of those of each turn, so that a machine that is slow for a while slows both.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median

from benchmarks.measure import Cost
from benchmarks.split import STEPS

THE_REST = "git, JUnit, pytest"


@dataclass(frozen=True, kw_only=True)
class Measured:
    """Hold one run: its cost, the seconds of its steps by name, and how many dbt nodes it reported."""

    cost: Cost
    steps: dict[str, float]
    nodes: int


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Hold the runs of both contenders in one situation.

    `parse_alone` has the seconds of a `dbt parse` where that, and not the script, is what to compare with.
    """

    warehouse: str
    models: int
    mode: str
    script: tuple[Measured, ...]
    plugin: tuple[Measured, ...]
    parse_alone: tuple[float, ...] = ()


def totals_table(comparisons: Iterable[Comparison]) -> str:
    """Show wall time, CPU time and memory of both, and the plugin's share of the script's."""
    pairs = [(f"script {what}", f"plugin {what}", "ratio") for what in ("s", "CPU s", "MiB")]
    header = ("warehouse", "models", "mode", "nodes", *(name for pair in pairs for name in pair))
    return _markdown(header, [_totals(c) for c in comparisons])


def steps_table(comparisons: Iterable[Comparison]) -> str:
    """Show the median seconds of each step: the script's, then the plugin's in each mode."""
    chosen = [c for c in comparisons if not c.parse_alone]
    columns: list[tuple[str, Sequence[Measured]]] = []
    for comparison in chosen:
        where = f"{comparison.warehouse} {comparison.models}"
        if (f"{where} script", comparison.script) not in columns:
            columns.append((f"{where} script", comparison.script))
        columns.append((f"{where} {comparison.mode}", comparison.plugin))
    known = {step for _, runs in columns for run in runs for step in run.steps}
    names = (*STEPS, *sorted(known - set(STEPS)))
    rows = [(step, *(_median(run.steps.get(step) for run in runs) for _, runs in columns)) for step in names]
    rest = (THE_REST, *(_median(r.cost.wall - sum(r.steps.values()) for r in runs) for _, runs in columns))
    return _markdown(("seconds", *(name for name, _ in columns)), [*rows, rest])


def _totals(comparison: Comparison) -> tuple[str, ...]:
    script, plugin = ([run.cost for run in runs] for runs in (comparison.script, comparison.plugin))
    walls = _pair(comparison.parse_alone or [c.wall for c in script], [c.wall for c in plugin], ".1f")
    if comparison.parse_alone:
        return (*_situation(comparison), f"{walls[0]} (dbt parse)", *walls[1:], *[""] * 6)
    cpu = _pair([c.cpu for c in script], [c.cpu for c in plugin], ".1f")
    peak = _pair([c.peak for c in script], [c.peak for c in plugin], ".0f")
    return (*_situation(comparison), *walls, *cpu, *peak)


def _pair(script: Sequence[float], plugin: Sequence[float], form: str) -> tuple[str, str, str]:
    ratio = median(after / before for before, after in zip(script, plugin, strict=True))
    return f"{median(script):{form}}", f"{median(plugin):{form}}", f"{ratio:.2f}"


def _situation(comparison: Comparison) -> tuple[str, ...]:
    script, plugin = comparison.script[-1].nodes, comparison.plugin[-1].nodes
    nodes = str(script) if script == plugin else f"{script}, {plugin}"
    return (comparison.warehouse, f"{comparison.models:,}", comparison.mode, nodes)


def _median(seconds: Iterable[float | None]) -> str:
    found = [s for s in seconds if s is not None]
    return f"{median(found):.2f}" if found else ""


def _markdown(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    ruler = ("---", *("---:" for _ in header[1:]))
    return "\n".join("| " + " | ".join(cells) + " |" for cells in (header, ruler, *rows))
