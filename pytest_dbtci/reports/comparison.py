"""Show what comparisons found: a word beside an item, lines in the terminal, a table on the summary's page."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

from pytest_dbtci.differences import Comparison, Differences, Example, Label, Profile, SchemaChange
from pytest_dbtci.plan import Exposure, Node, Plan
from pytest_dbtci.reports.markdown import code, grid, prose
from pytest_dbtci.results import Result

_COLUMNS = 8
_ROWS = 50
_LABELS: dict[Label, str] = {
    "new": "new",
    "worse": "worse than on the base",
    "same": "already failing on the base with the same rows",
    "other": "already failing on the base with other rows",
    "unknown": "not known on the base",
}
_ORDER = ("removed", "renamed", "retyped", "reordered", "added")


def headline(comparison: Comparison) -> str:
    """Return what was found in a few words: `identical`, `+300 −300 ~4,500 (1.5 %)`."""
    found = comparison.differences
    if found is None:
        return f"not compared: {comparison.why}"
    if found.identical:
        return f"identical, {_rows(found)}"
    columns = f"{len(found.schema)} column{'s' * (len(found.schema) != 1)} {_kinds(found)}" if found.schema else ""
    rows = "the same rows" if found.same_rows else _counts(found)
    return ", ".join(filter(None, (rows + _sample(found), columns)))


def describe(comparison: Comparison, plan: Plan, *, values: bool) -> list[str]:
    """Return all that was found, a line each; values from the data only with `values`."""
    found = comparison.differences
    if found is None:
        return [headline(comparison)]
    with_what = {"twin": "base twin", "prod": plan.destination.defer_target or "production"}.get(comparison.base, "")
    key = f"key {', '.join(found.key)} ({comparison.key_from})" if found.key else f"as a bag of rows: {found.note}"
    lines = [f"compared with {with_what} · {key} · {_rows(found)}{_sample(found)}"]
    if comparison.drift:
        lines.append(f"may contain drift: {comparison.drift}")
    if comparison.volatile:
        lines.append(f"every build of it differs: its text reads {comparison.volatile}")
    if not found.same_rows:
        columns = [f"{c.column} {c.rows:,}" for c in found.columns if c.rows is not None]
        lines.append("   ".join(filter(None, (_counts(found), " · ".join(columns)))))
    elif not found.schema:
        lines.append("identical" if found.identical else "the same rows")
    if found.keyless:
        lines.append(f"{found.keyless:,} rows have no key: they are compared as a bag")
    for change in sorted(found.schema, key=lambda c: _ORDER.index(c.kind)):
        lines += [schema_text(change), *(f"  {text}" for text in _readers(change, plan))]
        lines += [f"  reaches {e.label}{_owner(e)}" for e in _reached(comparison.unique_id, [change], plan)]
    for reason in dict.fromkeys(why for _, why in found.left_out):
        lines.append(f"left out: {', '.join(name for name, why in found.left_out if why == reason)} ({reason})")
    if values:
        lines += [example for e in found.examples if (example := _example(e))]
    lines += [line for c in found.columns for line in _profile(c.column, c.before, c.after, values=values)]
    return lines


def schema_text(change: SchemaChange) -> str:
    """Return a difference between the columns in words."""
    if change.kind == "renamed":
        return f"column {change.before} is now {change.after}: all its values are equal"
    if change.kind == "reordered":
        return f"column {change.column} moved from place {change.before} to {change.after}"
    types = {"removed": change.before, "added": change.after}.get(change.kind, f"{change.before} → {change.after}")
    return f"column {change.column} {change.kind} ({types})"


def terminal_lines(plan: Plan, comparisons: Mapping[str, Comparison]) -> Iterator[str]:
    """Yield the terminal's block: what differs or could not be compared in full, the identical in one line."""
    names = {n.unique_id: n.item for n in plan.nodes}
    same = [names[u] for u, c in comparisons.items() if c.differences is not None and c.differences.identical]
    for unique_id, comparison in comparisons.items():
        if comparison.differences is None or comparison.differences.identical:
            continue
        first, *rest = describe(comparison, plan, values=True)
        yield f"dbt-ci: {names[unique_id]}: {first}"
        yield from (f"  {line}" for line in rest)
    for why, nodes in unknown(plan, comparisons).items():
        yield f"dbt-ci: {', '.join(n.item for n in nodes[:_ROWS])}{_more(len(nodes) - _ROWS)}: not compared: {why}"
    if same:
        yield f"dbt-ci: identical to the base: {', '.join(same)}"


def unknown(plan: Plan, comparisons: Mapping[str, Comparison]) -> dict[str, list[Node]]:
    """Map each reason why nodes were not compared to these nodes."""
    found = dict[str, list[Node]]()
    for node in plan.nodes:
        if (comparison := comparisons.get(node.unique_id)) is not None and comparison.differences is None:
            found.setdefault(comparison.why, []).append(node)
    return found


def table(plan: Plan, comparisons: Mapping[str, Comparison], *, values: bool) -> Iterator[str]:
    """Yield the section of the summary: breaking changes first, one table, identical nodes in one line."""
    if not comparisons:
        return
    names = {n.unique_id: n.item for n in plan.nodes}
    differing = [c for c in comparisons.values() if c.differences is not None and not c.differences.identical]
    yield from _breaking(plan, names, differing)
    yield "### Compared with the base"
    if differing:
        header = ("node", "with", "rows", "added", "removed", "changed", "columns")
        yield grid(header, [_cells(names[c.unique_id], c, plan) for c in differing[:_ROWS]])
        if len(differing) > _ROWS:
            yield f"… and {len(differing) - _ROWS} more."
    if values and (examples := list(_examples(names, differing))):
        yield "\n".join(examples[:_ROWS])
    same = [c for c in comparisons.values() if c.differences is not None and c.differences.identical]
    if same:
        yield f"Identical: {', '.join(code(names[c.unique_id]) for c in same[:_ROWS])}" + _more(len(same) - _ROWS)
    if left := unknown(plan, comparisons):
        yield "\n".join(
            f"- {', '.join(code(n.item) for n in nodes[:_ROWS])}{_more(len(nodes) - _ROWS)}: not compared: {prose(why)}"
            for why, nodes in list(left.items())[:_ROWS]
        )


def on_base(results: Mapping[str, Result]) -> str:
    """Return how the failed data tests stand on the base, in one line; empty where there are none."""
    counts = Counter(r.on_base.label for r in results.values() if r.on_base is not None)
    told = [f"{counts[label]} {words}" for label, words in _LABELS.items() if counts[label]]
    return f"failed data tests: {', '.join(told)}" if told else ""


def properties(comparison: Comparison) -> Iterator[tuple[str, str]]:
    """Yield the JUnit properties of a comparison; none holds a value from the data."""
    found = comparison.differences
    if found is None:
        return
    yield "dbt_compare_mode", comparison.base
    yield "dbt_compare_key", ", ".join(found.key)
    if found.sample > 1:
        yield "dbt_compare_sample", f"1 in {found.sample}"
    for name in ("added", "removed", "changed"):
        yield f"dbt_compare_{name}", str(getattr(found, name))
    changed = [f"{c.column}: {c.rows}" for c in found.columns if c.rows is not None]
    yield "dbt_compare_columns", ", ".join([*changed, *(f"{c.column}: {c.kind}" for c in found.schema)])


def _breaking(plan: Plan, names: Mapping[str, str], differing: Iterable[Comparison]) -> Iterator[str]:
    """Yield what changed in a way that a reader may not bear: who names the column, what exposures it reaches."""
    lines = list[str]()
    for comparison in differing:
        changes = comparison.differences.schema if comparison.differences else ()
        told = [c for c in changes if c.kind != "added"]
        for change in told:
            lines.append(f"- {code(names[comparison.unique_id])}: {prose(schema_text(change))}")
            lines += [f"  - {prose(text)}" for text in _readers(change, plan)]
        lines += [f"  - read by {reader(e)}" for e in _reached(comparison.unique_id, told, plan)]
    if lines:
        yield "### Breaking changes"
        yield "\n".join(lines[:_ROWS]) + _more(len(lines) - _ROWS)


def _readers(change: SchemaChange, plan: Plan) -> Iterator[str]:
    """Yield who names a column that is gone or has another type, and whose contract has it."""
    tests = [u for u in change.named_by if u.startswith("test.")]
    others = [u for u in change.named_by if u not in tests]
    said = (("named by", others), ("tested by", tests), ("in the enforced contract of", change.contracts))
    for words, unique_ids in said:
        if unique_ids:
            called = ", ".join(_called(u, plan) for u in unique_ids[:_COLUMNS])
            yield f"{words} {called}{_more(len(unique_ids) - _COLUMNS)}"


def _called(unique_id: str, plan: Plan) -> str:
    node = plan.node(unique_id)
    return (node.item or node.name) if node else unique_id.split(".", 2)[-1]


def _reached(unique_id: str, changes: Sequence[SchemaChange], plan: Plan) -> list[Exposure]:
    """Return the exposures that read the node, or anything that a changed column may reach."""
    nodes = {unique_id, *(u for change in changes for u in change.reaches)} if changes else set[str]()
    return [e for e in plan.exposures if nodes & set(e.parents)]


def _owner(exposure: Exposure) -> str:
    return "".join(f", {text}" for text in (exposure.owner, exposure.url) if text)


def reader(exposure: Exposure) -> str:
    """Return an exposure in Markdown: its name, as a link where it has an address, and its owner."""
    url = exposure.url if re.fullmatch(r"https?://[^\s<>]+", exposure.url) else ""
    name = f"[{prose(exposure.label)}](<{url}>)" if url else prose(exposure.label)
    return f"{name}, {prose(exposure.owner)}" if exposure.owner else name


def _sample(found: Differences) -> str:
    return f" in a sample of 1 row in {found.sample:,}" if found.sample > 1 else ""


def _cells(name: str, comparison: Comparison, plan: Plan) -> Sequence[str]:
    found = comparison.differences
    assert found is not None
    labels = ["base twin" if comparison.base == "twin" else prose(plan.destination.defer_target or "production")]
    labels += [_sample(found).strip()] if found.sample > 1 else []
    labels += ["may contain drift"] if comparison.drift else []
    labels += ["differs in every build"] if comparison.volatile else []
    columns = [f"{code(c.column)} {c.rows:,}" for c in found.columns if c.rows]
    columns += [f"{code(c.column)} {c.kind}" for c in found.schema]
    shown = ", ".join(columns[:_COLUMNS]) + _more(len(columns) - _COLUMNS)
    rows = " → ".join(dict.fromkeys((f"{found.base_rows:,}", f"{found.head_rows:,}")))
    changed = f"{found.changed:,}{_percent(found)}" if found.key else "no key"
    return (code(name), ", ".join(labels), rows, f"{found.added:,}", f"{found.removed:,}", changed, shown)


def _examples(names: Mapping[str, str], differing: Iterable[Comparison]) -> Iterator[str]:
    for comparison in differing:
        for example in comparison.differences.examples if comparison.differences else ():
            yield f"- {code(names[comparison.unique_id])}: {prose(_example(example))}"


def _example(example: Example) -> str:
    key = ", ".join(f"{name}={_value(value)}" for name, value in example.key)
    if example.kind == "changed":
        changes = (f"{name} {_value(before)} → {_value(after)}" for name, before, after in example.values)
        return f"{key}  {' · '.join(changes)}"
    values = ", ".join(f"{name}={_value(before if after is None else after)}" for name, before, after in example.values)
    return f"{key or values}  {example.kind}"


def _profile(column: str, before: Profile | None, after: Profile | None, *, values: bool) -> Iterator[str]:
    if before is None or after is None or before == after:
        return
    shown = ["nulls", "distinct", *(("least", "greatest") if values else ())]
    if values and before.mean and after.mean:
        shown.append("mean")
    told = [(name, getattr(before, name), getattr(after, name)) for name in shown]
    changes = [f"{name} {_value(old)} → {_value(new)}" for name, old, new in told if old != new]
    if changes:
        yield f"{column}: {' · '.join(changes)}"


def _value(value: object) -> str:
    return "''" if value == "" else str(value)


def _counts(found: Differences) -> str:
    changed = [f"~{found.changed:,}{_percent(found)}"] if found.changed else []
    return " ".join([f"+{found.added:,}", f"−{found.removed:,}", *changed])


def _percent(found: Differences) -> str:
    if not found.changed or not found.base_rows:
        return ""
    share = 100 * found.changed / found.base_rows
    if share < 0.01:
        return " (<0.01 %)"
    if share < 99:
        return f" ({share:.2g} %)"
    return " (100 %)" if found.changed == found.base_rows else " (>99 %)"


def _kinds(found: Differences) -> str:
    return ", ".join(dict.fromkeys(c.kind for c in sorted(found.schema, key=lambda c: _ORDER.index(c.kind))))


def _rows(found: Differences) -> str:
    return f"{found.head_rows:,} row{'s' * (found.head_rows != 1)}"


def _more(count: int) -> str:
    return f" and {count} more" if count > 0 else ""
