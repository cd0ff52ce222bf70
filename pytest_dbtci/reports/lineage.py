"""Draw what a run built: a Mermaid chart where it renders, a text tree everywhere else."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pytest_dbtci.plan import Node, Plan
from pytest_dbtci.reports.locations import tested_by
from pytest_dbtci.results import Outcome, Result

SYMBOLS: dict[Outcome | None, str] = {
    "passed": "✅",
    "warned": "⚠️",
    "failed": "❌",
    "error": "💥",
    "skipped": "⏭️",
    None: "▫️",
}
"""Outcomes at a glance; None is a node that dbt reports nothing for (an ephemeral model)."""

WORST: tuple[Outcome, ...] = ("error", "failed", "skipped", "warned", "passed")
"""Outcomes from bad to good."""

_TESTS = ("test", "unit_test")
_CHANGED = ("modified", "new")
# Readable on a light and on a dark page: the fill is pale, the text on it dark.
_COLOURS = {
    "passed": "fill:#b7e4c7,stroke:#2d6a4f,color:#081c15",
    "warned": "fill:#ffe8a1,stroke:#b08900,color:#332701",
    "failed": "fill:#ffc9c9,stroke:#c92a2a,color:#3b0a0a",
    "skipped": "fill:#dee2e6,stroke:#868e96,color:#212529",
}


class Lineage:
    """The planned nodes with their outcomes; tests are folded into what they test."""

    def __init__(self, plan: Plan, results: Mapping[str, Result]) -> None:
        self.nodes = tuple(n for n in plan.nodes if n.resource_type not in (*_TESTS, "operation"))
        self._ids = {n.unique_id for n in self.nodes}
        self._results = results
        self._tests: dict[str, list[Node]] = {}
        for test in plan.nodes:
            for parent in tested_by(test) if test.resource_type in _TESTS else ():
                self._tests.setdefault(parent, []).append(test)

    def outcome(self, node: Node) -> Outcome | None:
        """Return the node's own outcome, None where dbt reported none."""
        result = self._results.get(node.unique_id)
        return result.outcome if result is not None else None

    def outcome_with_tests(self, node: Node) -> Outcome | None:
        """Return the worst outcome of the node and its tests; a skipped test makes no node look skipped."""
        own, tests = self.outcome(node), {self.outcome(t) for t in self._tests_of(node)} - {"skipped"}
        return next((o for o in WORST if o == own or o in tests), None)

    def symbol(self, node: Node) -> str:
        """Return the node's symbol: what was built is not green where a test of it failed."""
        own = self.outcome(node)
        return SYMBOLS[self.outcome_with_tests(node) if own == "passed" else own]

    def tests(self, node: Node) -> str:
        """Sum up the node's tests: `2 of 5 tests failed`, `5 tests`; empty where it has none."""
        outcomes = [self.outcome(t) for t in self._tests_of(node)]
        failed, warned = sum(o in ("failed", "error") for o in outcomes), outcomes.count("warned")
        all_of_them = f"{len(outcomes)} test{'s' * (len(outcomes) > 1)}" if outcomes else ""
        ending = f"{failed} of {{}} failed" if failed else f"{warned} of {{}} warned" if warned else "{}"
        return ending.format(all_of_them)

    def is_drawn(self, node: Node) -> bool:
        """Whether the node is one of the chart's, and no test or hook."""
        return node.unique_id in self._ids

    def test_ids(self, node: Node) -> list[str]:
        """Return the unique_ids of the node's tests."""
        return [t.unique_id for t in self._tests_of(node)]

    def drawn(self, limit: int) -> tuple[tuple[Node, ...], int]:
        """Choose what is drawn, in build order, and count the rest; trouble and changes go first."""
        chosen = {n.unique_id for n in sorted(self.nodes, key=self._rank)[:limit]}
        return tuple(n for n in self.nodes if n.unique_id in chosen), max(0, len(self.nodes) - limit)

    def mermaid(self, limit: int = 30) -> str:
        """Return the source of the chart; changed nodes have a thick border."""
        nodes, left = self.drawn(limit)
        ids = {n.unique_id: f"n{i}" for i, n in enumerate(nodes)}
        lines, classes = ["flowchart LR"], dict[str, list[str]]()
        for node in nodes:
            label = [
                f"{self.symbol(node)} {_encoded(node.item or node.name)}",
                *self._trouble(node),
            ]
            lines.append(f'  {ids[node.unique_id]}["{"<br/>".join(label)}"]')
            outcome = self.outcome_with_tests(node)
            if outcome:
                classes.setdefault("failed" if outcome == "error" else outcome, []).append(ids[node.unique_id])
            if node.reason.kind in _CHANGED:
                classes.setdefault("changed", []).append(ids[node.unique_id])
        if left:
            lines.append(f'  more["… and {left} more"]:::skipped')
        lines += [f"  {ids[p]} --> {ids[n.unique_id]}" for n in nodes for p in n.parents if p in ids]
        lines += [f"  classDef {name} {style}" for name, style in _COLOURS.items()]
        lines.append("  classDef changed stroke-width:4px")
        lines += [f"  class {','.join(found)} {name}" for name, found in classes.items()]
        return "\n".join(lines)

    def tree(self, limit: int = 30) -> str:
        """Return the same as text: a node under each of its parents, what is below it under the last of them."""
        nodes, left = self.drawn(limit)
        order = {n.unique_id: i for i, n in enumerate(nodes)}
        below, last = dict[str | None, list[Node]](), dict[str, str | None]()
        for node in nodes:
            parents = sorted({*node.parents} & order.keys(), key=order.__getitem__)
            places: tuple[str | None, ...] = (*parents,) or (None,)
            for place in places:
                below.setdefault(place, []).append(node)
            last[node.unique_id] = places[-1]

        def branch(node: Node, parent: str | None, lead: str, stem: str) -> Iterator[str]:
            children = below.get(node.unique_id, [])
            is_told = last[node.unique_id] == parent
            yield f"{lead}{stem}{self._text(node)}{'' if is_told or not children else ' …'}"
            lead += {"": "", "├─ ": "│  ", "└─ ": "   "}[stem]
            for child in children if is_told else ():
                yield from branch(child, node.unique_id, lead, "└─ " if child is children[-1] else "├─ ")

        lines = [line for root in below.get(None, []) for line in branch(root, None, "", "")]
        return "\n".join([*lines, *([f"… and {left} more"] if left else [])])

    def _tests_of(self, node: Node) -> list[Node]:
        return self._tests.get(node.unique_id, [])

    def _rank(self, node: Node) -> tuple[bool, bool, int]:
        outcome = self.outcome_with_tests(node) or "passed"
        return outcome not in ("error", "failed"), node.reason.kind not in _CHANGED, WORST.index(outcome)

    def _trouble(self, node: Node) -> list[str]:
        tests = self.tests(node)
        return [tests] if "failed" in tests or "warned" in tests else []

    def _text(self, node: Node) -> str:
        changed = f" ({node.reason.kind})" if node.reason.kind in _CHANGED else ""
        return ": ".join([f"{self.symbol(node)} {node.item or node.name}{changed}", *self._trouble(node)])


def _encoded(text: str) -> str:
    """Escape a Mermaid label: quotes, brackets, `#` and `;` would end it, backticks make it Markdown."""
    return "".join(c if c.isalnum() or c in " _-." else f"#{ord(c)};" for c in text)
