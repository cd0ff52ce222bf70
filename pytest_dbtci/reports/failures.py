"""Say why a node failed, was skipped or warned: dbt's own words first, then what helps to act."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path

from pytest_dbtci.dbt_words import next_step, unwrapped
from pytest_dbtci.plan import Node, Plan
from pytest_dbtci.reports.locations import line_of, tested_by
from pytest_dbtci.reports.table import cut, plain, table
from pytest_dbtci.results import LEFT_OUT, NOT_RUN, Result, Rows

_MAX_LINES, _MAX_WIDTH = 120, 1000
_REPEATED = 50  # enough to know the words again
_VERDICT = 400  # pytest shortens JUnit's message to 500 characters, whole lines only

_CALL = re.compile(r"^\s*> (?:in|called by) (?P<kind>\w+) .*\((?P<path>.*)\)$")
# What a message says of the place: dbt's callers, the database's quoted line and the mark below it.
_PLACE = re.compile(r"^\s*(?:> called by .*|LINE \d+:.*|\^+)$", re.MULTILINE)
_BROKEN = ("error", "runtime error")
_DIFFERS = "actual differs from expected"


def describe(node: Node, result: Result, plan: Plan, results: Mapping[str, Result]) -> str:
    """Describe a failure: first its verdict and how it stands on the base, then the rest, aligned facts, failing rows.

    No line but the message's own is wider than 80 columns, save where a path or a name is. Of nodes that failed in
    the same words the first tells all of them, the others a line.
    """
    first, *rest = own_words(result, plan).split("\n")
    verdict = _verdict(node, first)
    if told := told_before(results).get(node.unique_id):
        verdict = _verdict(node, cut(first.strip(), _REPEATED))
        other = plan.node(told)
        compiled = f" · compiled {_in_project(result.compiled, plan)}" if result.compiled else ""
        return f"{verdict}, in the same words as {other.label if other is not None else told}{compiled}"
    if result.on_base:
        verdict = f"{verdict}: {result.on_base.text}"
    parts = ["\n".join([verdict, *rest]).rstrip(), "\n".join(_facts(node, result, plan))]
    if result.rows is not None and result.rows.columns:
        parts.append("\n".join(_rows(result.rows)))
    return "\n\n".join(parts)


def by_cause(plan: Plan, results: Mapping[str, Result]) -> list[tuple[Node, Result, list[Node]]]:
    """Return what failed, each with the nodes that failed in the same words after it."""
    bad = [(n, r) for n in plan.nodes if (r := results.get(n.unique_id)) is not None and r.is_bad]
    before, alike = told_before(results), {n.unique_id: list[Node]() for n, _ in bad}
    for node, _ in bad:
        if (first := before.get(node.unique_id, "")) in alike:
            alike[first].append(node)
    return [(n, r, alike[n.unique_id]) for n, r in bad if before.get(n.unique_id) not in alike]


def told_before(results: Mapping[str, Result]) -> dict[str, str]:
    """Map nodes to the one that failed before them in the same words, from the same macro, and tells them in full."""
    firsts, found = dict[str, str](), dict[str, str]()
    for unique_id, result in results.items():
        if result.status in _BROKEN:
            first = firsts.setdefault(_cause(result.message), unique_id)
            if first != unique_id:
                found[unique_id] = first
    return found


@lru_cache(maxsize=2**15)
def _cause(message: str) -> str:
    """Return a message without what differs from node to node: dbt's wrapping, who called the macro, the line."""
    _, text = unwrapped(plain(message))
    return _PLACE.sub("", text).strip()


def headline(node: Node, result: Result) -> str:
    """Return the verdict alone: one line that names the node, and says how a failed test stands on the base."""
    verdict = _verdict(node, own_words(result).split("\n")[0])
    return f"{verdict}: {result.on_base.text}" if result.on_base else verdict


def own_words(result: Result, plan: Plan | None = None) -> str:
    """Return the message as the database, dbt or the project said it, without dbt's wrapping around it.

    Of dbt's macro call stack only what lies in the project's own files stays, which needs the plan.
    """
    kinds, text = unwrapped(plain(result.message))
    lines = [line.rstrip() for line in text.split("\n") if _is_ours(line, plan)]
    text = _capped(_squeezed(lines))
    if not text:
        return f"dbt reports {result.status!r} and gives no message"
    # DuckDB's words name their own kind (`Binder Error: …`); "Runtime" only says that dbt doesn't know.
    if kinds and kinds[-1] != "Runtime Error" and not re.match(r"[A-Z][\w ]* Error:", text):
        text = f"{kinds[-1]}: {text}"
    return text + next_step(text)


def skip_reason(node: Node, result: Result, plan: Plan, results: Mapping[str, Result]) -> str:
    """Name the nearest nodes upstream that failed; where there are none, say what else stopped dbt."""
    if result.status in (NOT_RUN, LEFT_OUT):
        return result.message
    causes = _causes(node, plan, results)
    named = results.get(result.cause or "")
    if not causes and named is not None and named.is_bad:
        causes = [named.unique_id]
    if causes:
        return f"{_and([_called(unique_id, plan) for unique_id in causes])} failed upstream"
    if result.message.strip():
        return own_words(result, plan).split("\n")[0]
    bad = [r.unique_id for r in results.values() if r.is_bad]
    if bad:
        return f"dbt did not get to it: {_called(bad[0], plan)} failed before"
    return "dbt skipped it and gives no reason"


def warning_text(node: Node, result: Result) -> str:
    """Return the one line that a warning shows; pytest puts file and line before it."""
    return headline(node, result)


def kind_of(node: Node) -> str:
    """Return the resource type in words: `unit test`, `hook`."""
    return {"unit_test": "unit test", "operation": "hook"}.get(node.resource_type, node.resource_type)


def _verdict(node: Node, first: str) -> str:
    subject = f"{kind_of(node)} {node.item or node.name}"
    if first.rstrip(":") == _DIFFERS:
        first = _DIFFERS
    return f"{cut(first.strip(), _VERDICT - len(subject))} ({subject})"


def _facts(node: Node, result: Result, plan: Plan) -> Iterator[str]:
    line = line_of(Path(plan.project_dir), node, result.message)
    place = f"{node.defined_in}:{line}" if line else node.defined_in
    is_test = node.resource_type in ("test", "unit_test")
    tested = [_relation_or_name(p) for p in map(plan.node, tested_by(node)) if p is not None] if is_test else []
    relation = result.relation or node.relation
    facts = {
        "file": place if node.file == node.defined_in else node.file,
        "declared": place if node.file != node.defined_in else "",
        "tests": ", ".join(tested),
        "stored in" if is_test else "relation": relation or "",
        "diff": "expected→actual, +++ is too many, --- is missing" if _DIFFERS in result.message else "",
        "compiled": _in_project(result.compiled or "", plan),
        "selected": str(node.reason),
        "skipped": _and(_skipped_after(node, plan)),
    }
    known = {label: plain(value).replace("\n", " ") for label, value in facts.items() if value}
    size = max(len(label) for label in known)
    for label, value in known.items():
        yield f"{label:<{size}}  {value}"


def _in_project(path: str, plan: Plan) -> str:
    directory = Path(plan.project_dir)
    return Path(path).relative_to(directory).as_posix() if Path(path).is_relative_to(directory) else path


def _relation_or_name(node: Node) -> str:
    return node.relation or node.name


def _rows(rows: Rows) -> Iterator[str]:
    count = len(rows.rows)
    if not count:
        yield "the query gives no rows now"
        return
    yield f"{f'first {count} ' if rows.more else ''}failing row{'s' * (count > 1)}:"
    yield from (f"  {line}" for line in table(rows.columns, rows.rows, total=76))


def _is_ours(line: str, plan: Plan | None) -> bool:
    """Whether a line is more than dbt's own call stack."""
    call = _CALL.match(line)
    if call is None:
        return True
    return plan is not None and call["kind"] == "macro" and (Path(plan.project_dir) / call["path"]).is_file()


def _squeezed(lines: list[str]) -> str:
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip("\n")


def _capped(text: str) -> str:
    lines = [cut(line, _MAX_WIDTH) for line in text.split("\n")]
    if len(lines) > _MAX_LINES:
        lines = [*lines[:_MAX_LINES], f"… {len(lines) - _MAX_LINES} more lines"]
    return "\n".join(lines)


def _causes(node: Node, plan: Plan, results: Mapping[str, Result]) -> list[str]:
    """Walk upstream level by level and give what failed in the first level where anything did.

    dbt skips what is downstream of a failed node and of a node with a failed test; a failed unit test
    also keeps the model itself from being built.
    """
    tests: dict[str, list[Node]] = {}
    for candidate in plan.nodes:
        if candidate.resource_type in ("test", "unit_test"):
            for parent in candidate.parents:
                tests.setdefault(parent, []).append(candidate)
    level, seen = [node.unique_id], {node.unique_id}
    while level:
        near = list(level) if node.unique_id not in level else []
        near += [t.unique_id for u in level for t in tests.get(u, ()) if t.unique_id != node.unique_id]
        failed = [u for u in dict.fromkeys(near) if (r := results.get(u)) is not None and r.is_bad]
        if failed:
            return failed
        above = [p for u in level if (n := plan.node(u)) is not None for p in n.parents]
        level = [u for u in dict.fromkeys(above) if u not in seen]
        seen.update(level)
    return []


def _skipped_after(node: Node, plan: Plan) -> list[str]:
    """Name what dbt skips after the node's failure: the same before and after dbt has come to it.

    After a node that is all downstream of it, after a test what reads all that it tests, after a unit test its model.
    """
    children: dict[str, list[Node]] = {}
    for child in plan.nodes:
        for parent in child.parents:
            children.setdefault(parent, []).append(child)

    def below(unique_id: str) -> set[str]:
        found, todo = set[str](), [unique_id]
        while todo:
            new = [c.unique_id for c in children.get(todo.pop(), ()) if c.unique_id not in found]
            found.update(new)
            todo.extend(new)
        return found

    if node.resource_type == "unit_test":
        after = {*tested_by(node)}.union(*map(below, tested_by(node)))
    elif node.resource_type == "test" and node.parents:
        read = set.intersection(*map(below, node.parents))
        first = {u for u in read if (n := plan.node(u)) and n.resource_type not in ("test", "unit_test")}
        after = first.union(*map(below, first))
    else:
        after = below(node.unique_id)
    return [n.item or n.name for n in plan.nodes if n.unique_id in after and n is not node and n.is_item]


def _called(unique_id: str, plan: Plan) -> str:
    node = plan.node(unique_id)
    if node is None:
        return unique_id
    name = node.item or node.name
    return name if node.resource_type in ("model", "seed", "snapshot") else f"{kind_of(node)} {name}"


def _and(names: list[str], limit: int = 3) -> str:
    shown = names[:limit] + ([f"{len(names) - limit} more"] if len(names) > limit else [])
    return " and ".join(filter(None, [", ".join(shown[:-1]), *shown[-1:]]))
