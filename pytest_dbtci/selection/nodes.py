"""From dbt's answers to the plan's nodes: which ones, in which order, under which name, and why."""

from __future__ import annotations

import graphlib
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import PurePosixPath

from pytest_dbtci.manifest import BUILDABLE, READABLE, Manifest, ManifestNode
from pytest_dbtci.plan import Exposure, Node, Reason

_DEFINITIONS = ("metric", "semantic_model", "saved_query")


def add_ancestors(
    selected: Iterable[str], head: Manifest, deferrable: frozenset[str]
) -> tuple[dict[str, Reason], tuple[str, ...]]:
    """Find what the selected nodes read that is neither selected nor stands in the deferral target.

    Gives the nodes to build besides, each with its reason, and the unique_ids that are deferred. An ephemeral
    node is compiled into its readers, so what it reads must exist as well. A unit test brings its model along:
    dbt runs it only together with the model.
    """
    chosen = frozenset(selected)
    added: dict[str, Reason] = {}
    for unit_test in sorted(u for u in chosen if head.nodes[u].resource_type == "unit_test"):
        tested = subject(head.nodes[unit_test])
        if tested is not None and tested in head.nodes and tested not in chosen:
            added[tested] = Reason(kind="ancestor", text=f"tested by {head.nodes[unit_test].name}")
    deferred = set[str]()
    # Models are popped before tests, so that an ancestor is explained by a model where it can be.
    by_kind = sorted(chosen, key=lambda u: (head.nodes[u].resource_type in READABLE, u))
    todo = [(unique_id, unique_id) for unique_id in (*added, *by_kind)]
    while todo:
        unique_id, wanted_by = todo.pop()
        for parent in reads(head.nodes[unique_id], head):
            node = head.nodes.get(parent)
            if node is None or parent in chosen or parent in added or node.resource_type not in READABLE:
                continue
            if node.materialized != "ephemeral" and parent in deferrable:
                deferred.add(parent)
                continue
            added[parent] = Reason(kind="ancestor", text=f"ancestor of {head.nodes[wanted_by].name}, not deferred")
            todo.append((parent, wanted_by))
    return added, tuple(sorted(deferred))


def reads(node: ManifestNode, manifest: Manifest) -> tuple[str, ...]:
    """Return what must exist before the node runs; a unit test needs what its model reads, not the model."""
    if node.resource_type != "unit_test":
        return node.parents
    tested = manifest.nodes.get(node.parents[0]) if node.parents else None
    return tuple(dict.fromkeys((*(tested.parents if tested else ()), *node.parents[1:])))


def downstream_reason(unique_id: str, roots: Mapping[str, Reason], head: Manifest) -> Reason:
    """Return the nearest directly selected node through which another one was selected.

    A source is in no plan, so its own reason and files stand with what reads it.
    """
    seen, level = {unique_id}, [unique_id]
    while level:
        parents = sorted({p for u in level for p in _upstream(head, u) if p not in seen})
        for parent in parents:
            if parent in roots:
                name = _called(head.nodes[parent])
                is_check = head.nodes[unique_id].resource_type in ("test", "unit_test")
                near = parent in _upstream(head, unique_id)
                text = f"tests {name}" if is_check and near else f"downstream of {name}"
                if head.nodes[parent].resource_type != "source":
                    return Reason(kind="downstream", text=text)
                return Reason(kind="downstream", text=f"{text}, {roots[parent].text}", files=roots[parent].files)
        seen.update(parents)
        level = parents
    return Reason(kind="selected", text="selected")


def _called(node: ManifestNode) -> str:
    """Name a node as its readers do: a source by both of its names."""
    return ".".join(node.unique_id.split(".")[2:]) if node.resource_type == "source" else node.name


def _upstream(head: Manifest, unique_id: str) -> tuple[str, ...]:
    node = head.nodes.get(unique_id)
    return node.parents if node else ()


def plan_nodes(reasons: Mapping[str, Reason], head: Manifest, packages_dir: str) -> tuple[Node, ...]:
    """Make the plan's nodes of what was chosen, in the order in which dbt builds."""
    chosen = [u for u in reasons if head.nodes[u].resource_type in BUILDABLE]
    names = item_names([head.nodes[u] for u in chosen], head, packages_dir)
    return tuple(
        Node(
            unique_id=unique_id,
            resource_type=(node := head.nodes[unique_id]).resource_type,
            name=node.name,
            item=names[unique_id],
            file=home(node, head, packages_dir),
            defined_in=place(node, head, packages_dir),
            reason=reasons[unique_id],
            parents=tuple(p for p in reads(node, head) if p in head.nodes),
            about=subject(node),
            materialized=node.materialized,
            database=node.database,
            schema=node.schema,
            relation=node.relation if node.writes else None,
            severity=node.severity.lower(),
            column=node.column,
        )
        for unique_id in build_order(chosen, head)
    )


def exposures(nodes: Iterable[Node], head: Manifest) -> tuple[Exposure, ...]:
    """Return the exposures that read what is built, directly or through metrics, semantic models or saved queries.

    What is built only because something else needs it is the same as before, and its readers do not count.
    """
    built = {n.unique_id for n in nodes if n.reason.kind != "ancestor"}
    found = []
    for exposure in head.nodes.values():
        if exposure.resource_type != "exposure":
            continue
        read, seen, todo = set[str](), set[str](), list(exposure.parents)
        while todo:
            if (unique_id := todo.pop()) in seen:
                continue
            seen.add(unique_id)
            if unique_id in built:
                read.add(unique_id)
            elif unique_id in head.nodes and head.nodes[unique_id].resource_type in _DEFINITIONS:
                todo.extend(head.nodes[unique_id].parents)
        if read:
            found.append(
                Exposure(
                    unique_id=exposure.unique_id,
                    label=exposure.label or exposure.name,
                    owner=exposure.owner,
                    url=exposure.url,
                    parents=tuple(sorted(read)),
                )
            )
    return tuple(sorted(found, key=lambda e: e.unique_id))


def with_hooks(nodes: tuple[Node, ...], head: Manifest, packages_dir: str) -> tuple[Node, ...]:
    """Add every on-run-start and on-run-end hook, before and after the nodes: dbt runs all of them on each build."""
    hooks = [
        Node(
            unique_id=node.unique_id,
            resource_type="operation",
            name=node.name,
            item=node.name,
            file=(found := place(node, head, packages_dir)),
            defined_in=found,
            reason=Reason(kind="hook", text="runs with every build"),
        )
        for node in head.nodes.values()
        if node.resource_type == "operation"
    ]
    last = [h for h in hooks if "-on-run-end-" in h.name]
    return (*(h for h in hooks if h not in last), *nodes, *last)


def build_order(unique_ids: Iterable[str], head: Manifest) -> tuple[str, ...]:
    """Sort as dbt builds: parents first, unit tests before their model, data tests before what lies downstream."""
    chosen = set(unique_ids)
    before: dict[str, set[str]] = {u: {p for p in reads(head.nodes[u], head) if p in chosen} for u in chosen}
    for unique_id in chosen:
        node = head.nodes[unique_id]
        if node.resource_type == "unit_test" and node.parents and node.parents[0] in chosen:
            before[node.parents[0]].add(unique_id)
        elif node.resource_type == "test":
            tested = [p for p in node.parents if p in chosen]
            for child in head.children.get(tested[0], ()) if len(tested) == 1 else ():
                if child in chosen and head.nodes[child].resource_type in READABLE:
                    before[child].add(unique_id)
    sorter = graphlib.TopologicalSorter(before)
    sorter.prepare()
    order: list[str] = []
    while sorter.is_active():
        ready = sorted(sorter.get_ready())
        order += ready
        sorter.done(*ready)
    return tuple(order)


def subject(node: ManifestNode) -> str | None:
    """Return the unique_id that a unit test or a data test is about, None for other nodes."""
    if node.resource_type not in ("test", "unit_test"):
        return None
    return node.attached or (node.parents[0] if node.parents else None)


def home(node: ManifestNode, head: Manifest, packages_dir: str) -> str:
    """Return the file a reader opens first: that of what a generic or unit test is about, else the node's own."""
    if node.resource_type == "unit_test" or (node.resource_type == "test" and _is_yaml(node.file)):
        about = subject(node)
        if about is not None and about in head.nodes and head.nodes[about].package == node.package:
            return place(head.nodes[about], head, packages_dir)
    return place(node, head, packages_dir)


def place(node: ManifestNode, head: Manifest, packages_dir: str) -> str:
    """Return the file that defines the node, POSIX, relative to the project's folder."""
    path = PurePosixPath(node.file.replace("\\", "/"))
    return str(path if node.package == head.project else PurePosixPath(packages_dir, node.package, path))


def item_names(nodes: Iterable[ManifestNode], head: Manifest, packages_dir: str) -> dict[str, str]:
    """Name each node's item: unique within its file, and the same from run to run."""
    found = sorted(nodes, key=lambda n: n.unique_id)
    plain = {n.unique_id: f"{n.name}.v{n.version}" if n.version else n.name for n in found}
    homes = {n.unique_id: home(n, head, packages_dir) for n in found}
    every = [(home(n, head, packages_dir), n) for n in head.nodes.values() if n.resource_type in BUILDABLE]
    count = Counter((h, f"{n.name}.v{n.version}" if n.version else n.name) for h, n in every)
    names = {}
    for node in found:
        name = plain[node.unique_id]
        if count[homes[node.unique_id], name] > 1:
            name += f"[{node.resource_type}]" if _alone(node, every, homes[node.unique_id]) else f"[{_tail(node)}]"
        names[node.unique_id] = name
    return names


def _alone(node: ManifestNode, every: list[tuple[str, ManifestNode]], file: str) -> bool:
    same = [n for h, n in every if h == file and n.name == node.name and n.resource_type == node.resource_type]
    return len(same) == 1


def _tail(node: ManifestNode) -> str:
    return node.unique_id.rsplit(".", 1)[-1]


def _is_yaml(file: str) -> bool:
    return file.endswith((".yml", ".yaml"))
