"""What the dbt host does for each request about parsed trees."""

from __future__ import annotations

import gc
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from pytest_dbtci.codec import encode
from pytest_dbtci.dbt_client.protocol import tree_requests as ask
from pytest_dbtci.dbt_client.protocol.request import Request
from pytest_dbtci.dbt_client.protocol.values import Invocation
from pytest_dbtci.dbt_host import formatting, manifests, rehearsal, target_names
from pytest_dbtci.dbt_host.compare.declared import declared
from pytest_dbtci.dbt_host.layout import layout
from pytest_dbtci.dbt_host.manifest_view import view
from pytest_dbtci.dbt_host.plain_nodes import confined, steady
from pytest_dbtci.dbt_host.repoint import repoint
from pytest_dbtci.dbt_host.runner import OWN, narrowing, run_dbt
from pytest_dbtci.dbt_host.saved_parse import SAVED, alike_nodes
from pytest_dbtci.dbt_host.schema_uses import uses
from pytest_dbtci.dbt_host.warehouses import warehouse_of
from pytest_dbtci.differences import Declaration
from pytest_dbtci.layout import Layout
from pytest_dbtci.manifest import Manifest, Place


class TreeOperations:
    """Keep the parsed manifests between requests, by the tree's name; a method for each request."""

    def __init__(self) -> None:
        self.manifests: dict[str, Any] = {}
        self._contracts: dict[str, None] = {}

    def parse(self, request: ask.Parse) -> Manifest:
        """Parse a tree with dbt: see `manifests.parse`."""
        unmatched: dict[str, None] = {}
        with _uncollected(bool(request.partial_parse)):
            manifest, parsed = manifests.parse(
                request.invocation,
                partial_parse=request.partial_parse,
                packages_dir=request.packages_dir,
                save=bool(request.view),
                write=request.write,
                unmatched=lambda text: unmatched.update({text: None}),
            )
        self.manifests[request.tree] = manifest
        now = Path(request.invocation.target_path, SAVED)
        alike = alike_nodes(Path(request.partial_parse), now) if request.known and parsed == "partly" else frozenset()
        seen = replace(view(manifest, parsed, alike=alike), unmatched=tuple(unmatched))
        if request.shared:
            seen = replace(seen, schema_uses=uses(manifest, request.invocation.project_dir, request.packages_dir))
        if request.view:
            Path(request.view).write_text(json.dumps(encode(seen)), encoding="utf-8")
        return seen

    def layout(self, request: ask.FindLayout) -> Layout:
        """Ask dbt where it looks for the project's files: see `layout.layout`."""
        return layout(request.invocation, installed=request.installed)

    def resolve(self, request: ask.Resolve) -> Manifest | None:
        """Return where a parsed tree's relations lie in the invocation's target: see `target_names.resolve`."""
        manifest = self.manifests.get(request.tree)
        return manifest and target_names.resolve(request.invocation, manifest, request.parsed, request.into)

    def forget(self, request: ask.Forget) -> None:
        """Forget manifests."""
        from dbt.adapters.factory import reset_adapters

        for tree in request.trees:
            self.manifests.pop(tree, None)
        # The adapter of the last invocation knows its manifest.
        reset_adapters()
        gc.collect()

    def read(self, request: ask.Read) -> Manifest:
        """Read a manifest.json."""
        return view(manifests.read(request.folder), configured=False)

    def leave_out(self, request: ask.LeaveOut) -> str:
        """Write a manifest.json that lacks some nodes."""
        return manifests.leave_out(request.manifest_file, request.unique_ids, request.into)

    def slim(self, request: ask.Slim) -> str:
        """Write a manifest.json that has some nodes only."""
        return manifests.slim(request.manifest_file, request.unique_ids, request.into)

    def select(self, request: ask.Select) -> tuple[str, ...]:
        """Ask dbt which nodes a selection means."""
        return manifests.select(
            request.invocation,
            self.manifests[request.tree],
            select=request.select,
            exclude=request.exclude,
            selector=request.selector,
            state=request.state,
            indirect=request.indirect,
            marks=request.marks,
            own=request.own,
            warned=lambda text: self._contracts.update({text: None}),
        )

    def compare_formatting(self, request: ask.CompareFormatting) -> tuple[str, ...]:
        """Compare compiled texts: see `formatting.same_but_for_formatting`."""
        return formatting.same_but_for_formatting(request.invocation, self.manifests[request.tree], request.before)

    def contract_changes(self, request: ask.ContractChanges) -> tuple[str, ...]:
        """Return dbt's warnings since this was asked last, each once."""
        found, self._contracts = tuple(self._contracts), {}
        return found

    def narrowing(self, request: ask.Narrowing) -> tuple[str, ...]:
        """Ask what narrows a build: see `runner.narrowing`."""
        return narrowing()

    def install_packages(self, request: ask.InstallPackages) -> None:
        """Call `dbt deps` for the base."""
        there = Invocation(project_dir=request.project_dir, vars=request.vars, any_version=True)
        run_dbt(there, "deps", unset=OWN)

    def repoint(self, request: ask.Repoint) -> Mapping[str, Place]:
        """Move a tree's relations to another schema."""
        return repoint(self.manifests[request.tree], request.placeholder, request.schema)

    def target_schema(self, request: ask.TargetSchema) -> str:
        """Return the target's schema."""
        return warehouse_of(self.manifests[request.tree]).schema

    def keep_apart(self, request: ask.KeepApart) -> Manifest:
        """Move a rehearsal's relations into schemas of its own: see `rehearsal.keep_apart`."""
        manifest = self.manifests[request.tree]
        rehearsal.keep_apart(manifest, request.schema)
        return view(manifest)

    def declared(self, request: ask.Declared) -> Mapping[str, Declaration]:
        """Read what is declared: see `declared.declared`."""
        return declared(self.manifests[request.tree], request.unique_ids)

    def steady(self, request: ask.Steady) -> tuple[str, ...]:
        """Return the nodes whose rows follow from what they read: see `plain_nodes.steady`."""
        return steady(request.invocation, self.manifests[request.tree], request.unique_ids)

    def confined(self, request: ask.Confined) -> tuple[str, ...]:
        """Return the nodes that write nothing but their own relation: see `plain_nodes.confined`."""
        return confined(self.manifests[request.tree], request.unique_ids)

    def keep(self, request: ask.Keep) -> None:
        """Copy the manifest as it is now."""
        self.manifests[request.copy] = manifests.deepcopy(self.manifests[request.tree])


ANSWERS: Mapping[type[Request[Any]], Callable[[TreeOperations, Any], Any]] = {
    ask.Parse: TreeOperations.parse,
    ask.FindLayout: TreeOperations.layout,
    ask.Resolve: TreeOperations.resolve,
    ask.Forget: TreeOperations.forget,
    ask.Read: TreeOperations.read,
    ask.LeaveOut: TreeOperations.leave_out,
    ask.Slim: TreeOperations.slim,
    ask.Select: TreeOperations.select,
    ask.CompareFormatting: TreeOperations.compare_formatting,
    ask.ContractChanges: TreeOperations.contract_changes,
    ask.Narrowing: TreeOperations.narrowing,
    ask.InstallPackages: TreeOperations.install_packages,
    ask.Repoint: TreeOperations.repoint,
    ask.TargetSchema: TreeOperations.target_schema,
    ask.KeepApart: TreeOperations.keep_apart,
    ask.Declared: TreeOperations.declared,
    ask.Steady: TreeOperations.steady,
    ask.Confined: TreeOperations.confined,
    ask.Keep: TreeOperations.keep,
}
"""The method that answers each request."""


@contextmanager
def _uncollected(loaded: bool) -> Iterator[None]:
    """Let the garbage collector rest while a manifest is loaded, and never walk that manifest later.

    A manifest that is loaded, not made, leaves nothing to collect.
    """
    if not loaded:
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
