"""Write what a reviewer reads first: one Markdown page about a run, in the provider's own place."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from pytest_dbtci.ci.build import Build
from pytest_dbtci.ci.providers import provider_of
from pytest_dbtci.errors import DbtCiError
from pytest_dbtci.plan import Node, Plan
from pytest_dbtci.reports.comparison import reader
from pytest_dbtci.reports.failures import by_cause, describe, headline, kind_of, own_words, skip_reason
from pytest_dbtci.reports.head_files import HeadFiles
from pytest_dbtci.reports.lineage import SYMBOLS, Lineage
from pytest_dbtci.reports.markdown import block, code, details, grid, linked, prose
from pytest_dbtci.reports.summary_head import MANY, head, lost, names, notes, trouble_of_run
from pytest_dbtci.results import REUSED, Result

SUMMARY_LIMIT = 1024 * 1024
"""Bytes of a step's summary on GitHub; the other providers say nothing or allow more."""

_IN_FULL = 20  # failures
_SLOWEST = 5


def markdown(
    plan: Plan,
    results: Mapping[str, Result],
    build: Build,
    seconds: float | None = None,
    *,
    red: bool = False,
    arguments: Sequence[str] = (),
    limit: int = SUMMARY_LIMIT,
    compared: Sequence[str] = (),
    trouble: str = "",
    repository: Path | None = None,
    report: str = "",
) -> str:
    """Return the page; what matters most stands first, so that a cut at `limit` bytes costs the least.

    `red` tells that something besides dbt's nodes failed, `trouble` what kept nodes from being built. `seconds` is the
    wall time of the run, `arguments` what else the command that reproduces it needs, `compared` the sections on what
    was compared. `repository` is the checkout's folder, from which files get their links, `report` the file of the HTML
    page. Text from dbt, the warehouse and the repository can neither break the page nor notify anybody.
    """
    lineage, files = Lineage(plan, results), HeadFiles(plan, build, repository)
    first = head(plan, results, build, seconds, red=red, trouble=trouble, report=report)
    sections = [first, *trouble_of_run(plan, results, trouble), *notes(plan)]
    if plan.nodes:
        sections += [
            *_failures(plan, results, files, missing=() if trouble else lost(plan, results)),
            *compared,
            *_readers(plan),
            *_changes(plan, files),
            *_left_out(plan),
            *_picture(lineage, build),
            *(_built(lineage, results, files) if results else ()),
            *_others(plan, results),
            *_slowest(plan, results),
            *([] if plan.mode == "release" else [_reproduce(plan, build, arguments)]),
        ]
    else:
        sections += [*_changes(plan, files), *_left_out(plan)]
    return _fitted(sections, limit)


def room(build: Build, path: Path) -> int:
    """Return the bytes that fit into the file: on GitHub the steps' limit counts what is there already."""
    used = path.stat().st_size if provider_of(build.provider).appends_summaries and path.exists() else 0
    return max(0, SUMMARY_LIMIT - used)


def write(text: str, build: Build, path: Path) -> tuple[str, ...]:
    """Write the page to the file and give the lines to print on stdout so that the provider shows it.

    Raises DbtCiError where the file can't be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a" if provider_of(build.provider).appends_summaries else "w", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise DbtCiError(
            f"The summary could not be written to {path}: {error.strerror or error}. "
            "Give --dbt-ci-summary a file in a folder that this user may write to."
        ) from error
    return provider_of(build.provider).show_summary(path)


def _failures(plan: Plan, results: Mapping[str, Result], files: HeadFiles, missing: Sequence[Node]) -> Iterator[str]:
    bad = by_cause(plan, results)
    told = [
        f"{SYMBOLS[r.outcome]} {linked(n.label, files.of_node(n, r.message))}\n\n{block(describe(n, r, plan, results))}"
        + (f"\n\nThe same in {names(others)}" if others else "")
        for n, r, others in bad[:_IN_FULL]
    ]
    told += [
        f"{SYMBOLS[r.outcome]} {code(r.unique_id)}\n\n{block(own_words(r, plan))}"
        for r in results.values()
        if r.is_bad and plan.node(r.unique_id) is None
    ]
    if len(bad) > _IN_FULL:
        told.append("\n".join(f"- {code(headline(n, r))}" for n, r, _ in bad[_IN_FULL : _IN_FULL + MANY]))
    if len(bad) > _IN_FULL + MANY:
        told.append(f"… and {len(bad) - _IN_FULL - MANY} more failures.")
    if missing:
        told.append(f"{SYMBOLS['error']} Without a result: {names(missing)}")
    for i, section in enumerate(told):
        yield section if i else f"### Failures\n\n{section}"


def _readers(plan: Plan) -> Iterator[str]:
    """Name what reads the nodes from outside of dbt, and who answers for it."""
    if plan.exposures:
        lines = [f"- {reader(e)}" for e in plan.exposures[:MANY]]
        more = [f"- … and {len(plan.exposures) - MANY} more"] if len(plan.exposures) > MANY else []
        yield "### Read by\n\n" + "\n".join([*lines, *more])


def _changes(plan: Plan, files: HeadFiles) -> Iterator[str]:
    if not plan.changes:
        return
    effects = {
        "selected": "",
        "everything": "can affect every node",
        "removed": "removed, and nothing needs it",
        "none": "affects nothing in dbt",
    }
    by_file: dict[str, list[Node]] = {}
    for node in plan.nodes:
        for file in node.reason.files:
            by_file.setdefault(file, []).append(node)
    rows = []
    for change in plan.changes[:MANY]:
        selects = names(by_file.get(change.path, []))
        effect = effects.get(change.effect, change.effect)
        if change.effect == "none" and change.note:
            effect = ""  # the note says why, which is as much
        says = filter(None, (effect, prose(change.note), f"selects {selects}" if selects else ""))
        address = None if change.status == "deleted" else files.of_repository(change.path)
        rows.append((linked(change.path, address), prose(change.status), "; ".join(says)))
    more = f"\n\n… and {len(plan.changes) - MANY} more files." if len(plan.changes) > MANY else ""
    yield f"### What changed\n\n{grid(('file', 'change', 'effect'), rows)}{more}"


def _left_out(plan: Plan) -> Iterator[str]:
    if plan.left_out:
        models_first = sorted(plan.left_out, key=lambda n: n.resource_type in ("test", "unit_test"))
        yield f"### Not built, as only formatting changed\n\n{names(models_first)}"


def _picture(lineage: Lineage, build: Build) -> Iterator[str]:
    if len(lineage.nodes) > 1:
        # Azure draws Mermaid in its wiki only; a tree reads well everywhere.
        draws = provider_of(build.provider).draws_mermaid
        picture = block(lineage.mermaid(), "mermaid") if draws else block(lineage.tree())
        yield f"### Lineage\n\n{picture}"


def _built(lineage: Lineage, results: Mapping[str, Result], files: HeadFiles) -> Iterator[str]:
    nodes, left = lineage.drawn(MANY)
    rows = []
    for node in nodes:
        result = results.get(node.unique_id)
        if result is not None and result.status == REUSED:
            continue
        why = prose(node.reason.text) + "".join(f", {code(f)}" for f in node.reason.files[:1])
        took = f"{result.seconds:.2f}" if result is not None and result.outcome != "skipped" else ""
        name = f"{lineage.symbol(node)} {linked(node.item or node.name, files.of_project(node.defined_in))}"
        rows.append((name, why, lineage.tests(node), took))
    if rows:
        more = f"\n\n… and {left} more." if left else ""
        header = ("node", "selected because", "tests", "seconds")
        yield f"### Built, and why\n\n{grid(header, rows)}{more}"


def _others(plan: Plan, results: Mapping[str, Result]) -> Iterator[str]:
    """Fold away warnings, what was skipped and what was reused."""
    found = [(n, r) for n in plan.items if (r := results.get(n.unique_id)) is not None]
    warned = [f"- {code(headline(n, r))}" for n, r in found if r.outcome == "warned"]
    skipped = [
        f"- {code(n.label)}: {prose(skip_reason(n, r, plan, results))}" for n, r in found if r.outcome == "skipped"
    ]
    for lines, noun in ((warned, "warning"), (skipped, "skipped")):
        if lines:
            shown = [*lines[:MANY], *([f"- … and {len(lines) - MANY} more"] if len(lines) > MANY else [])]
            plural = "s" * (noun == "warning" and len(lines) > 1)
            yield details(f"{len(lines)} {noun}{plural}", "\n".join(shown))
    reused: dict[str, list[Node]] = {}
    for node, result in found:
        if result.status == REUSED:
            reused.setdefault(result.message, []).append(node)
    if reused:
        lines = [f"- {prose(message)}: {names(nodes)}" for message, nodes in reused.items()]
        yield details(f"{sum(map(len, reused.values()))} reused", "\n".join(lines))


def _slowest(plan: Plan, results: Mapping[str, Result]) -> Iterator[str]:
    timed = [(r.seconds, n) for n in plan.items if (r := results.get(n.unique_id)) is not None]
    slow = sorted((t for t in timed if t[0] >= 0.01), key=lambda t: -t[0])[:_SLOWEST]
    if len(timed) > _SLOWEST and slow:
        rows = [(code(n.item or n.name), kind_of(n), f"{s:.2f}") for s, n in slow]
        yield details("Slowest", grid(("node", "type", "seconds"), rows))


def _reproduce(plan: Plan, build: Build, arguments: Sequence[str]) -> str:
    base = f"origin/{build.target_branch}" if build.target_branch else plan.commits.base_ref or plan.commits.base
    given = {"base": base, "target": plan.destination.target, "defer-target": plan.destination.defer_target}
    options = [f"--dbt-ci-{name}={value}" for name, value in given.items() if value]
    command = shlex.join(["pytest", "--dbt-ci", *options, *arguments])
    return f"### The same on your machine\n\n{block(command, 'sh')}"


def _fitted(sections: list[str], limit: int) -> str:
    """Leave out the sections that don't fit into `limit` bytes, and say so."""
    note = "… cut to the size that fits here: the rest is in the log and in the JUnit file."
    left, kept = limit - len(note.encode()) - 3, list[str]()
    for section in sections:
        size = len(section.encode()) + 2
        if size <= left:
            left -= size
            kept.append(section)
    return "\n\n".join(kept if len(kept) == len(sections) else [*kept, note]) + "\n"
