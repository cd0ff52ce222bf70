"""What the dbt host does for each request of the protocol."""

from __future__ import annotations

import gc
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

from pytest_dbtci.codec import encode
from pytest_dbtci.dbt_client import protocol
from pytest_dbtci.dbt_client.protocol import Invocation
from pytest_dbtci.dbt_host import build, formatting, manifests, outside
from pytest_dbtci.dbt_host import rehearsal as release
from pytest_dbtci.dbt_host import target_names as deferral
from pytest_dbtci.dbt_host.compare import comparisons, failing_rows
from pytest_dbtci.dbt_host.compare.declared import declared
from pytest_dbtci.dbt_host.layout import layout
from pytest_dbtci.dbt_host.liveness import Watch, sever
from pytest_dbtci.dbt_host.repoint import repoint
from pytest_dbtci.dbt_host.runner import OWN, DbtFailed, narrowing, run_dbt
from pytest_dbtci.dbt_host.schema_ownership import Ownership, drop_leftover, leftovers, redate
from pytest_dbtci.dbt_host.schema_uses import uses
from pytest_dbtci.dbt_host.warehouses import warehouse_of
from pytest_dbtci.dbt_host.warehouses.generic import Warehouse
from pytest_dbtci.differences import Declaration, OnBase
from pytest_dbtci.layout import Layout
from pytest_dbtci.manifest import Manifest, Place


class Operations:
    """Keep the parsed manifests and what was created between requests; a method for each request."""

    def __init__(self, emit: protocol.Emit) -> None:
        self._emit = emit
        self._manifests: dict[str, Any] = {}
        self._ownership: Ownership | None = None
        self._tree = ""
        self._contracts: dict[str, None] = {}
        self._external = outside.ExternalFiles()

    def answer(self, request: protocol.Request[protocol.Answer]) -> protocol.Answer:
        """Return the answer; raises DbtFailed, or KeyboardInterrupt when it was cancelled."""
        with self._watching(request):
            answer: protocol.Answer = ANSWERS[type(request)](self, request)
        return answer

    def sever(self) -> None:
        """Give up every connection: see `liveness.sever`."""
        sever(self._ownership, lambda: self._warehouse(self._tree))

    def _watching(self, request: Any) -> AbstractContextManager[None]:
        """Let no request wait for ever for a warehouse that answers no more; a build is watched by itself."""
        if type(request) not in _ASK_THE_WAREHOUSE:
            return nullcontext()
        tree = getattr(request, "tree", "") or self._tree or "queries"
        return Watch(lambda: self._ownership, lambda: self._warehouse(tree), self._emit).watching()

    def parse(self, request: protocol.Parse) -> Manifest:
        """Parse a tree with dbt: see `manifests.parse`."""
        with _uncollected(bool(request.partial_parse)):
            manifest, parsed = manifests.parse(
                request.invocation,
                partial_parse=request.partial_parse,
                packages_dir=request.packages_dir,
                save=bool(request.view),
                write=request.write,
            )
        self._manifests[request.tree] = manifest
        seen = manifests.view(manifest, parsed)
        if request.shared:
            seen = replace(seen, schema_uses=uses(manifest, request.invocation.project_dir, request.packages_dir))
        if request.view:
            Path(request.view).write_text(json.dumps(encode(seen)), encoding="utf-8")
        return seen

    def layout(self, request: protocol.FindLayout) -> Layout:
        """Ask dbt where it looks for the project's files: see `layout.layout`."""
        return layout(request.invocation, installed=request.installed)

    def resolve(self, request: protocol.Resolve) -> Manifest | None:
        """Return where a parsed tree's relations lie in the invocation's target: see `deferral.resolve`."""
        manifest = self._manifests.get(request.tree)
        return manifest and deferral.resolve(request.invocation, manifest, request.parsed, request.into)

    def forget(self, request: protocol.Forget) -> None:
        """Forget manifests."""
        from dbt.adapters.factory import reset_adapters

        for tree in request.trees:
            self._manifests.pop(tree, None)
        # The adapter of the last invocation knows its manifest.
        reset_adapters()
        gc.collect()

    def read(self, request: protocol.Read) -> Manifest:
        """Read a manifest.json."""
        return manifests.view(manifests.read(request.folder), configured=False)

    def leave_out(self, request: protocol.LeaveOut) -> str:
        """Write a manifest.json that lacks some nodes."""
        return manifests.leave_out(request.manifest_file, request.unique_ids, request.into)

    def slim(self, request: protocol.Slim) -> str:
        """Write a manifest.json that has some nodes only."""
        return manifests.slim(request.manifest_file, request.unique_ids, request.into)

    def select(self, request: protocol.Select) -> tuple[str, ...]:
        """Ask dbt which nodes a selection means."""
        return manifests.select(
            request.invocation,
            self._manifests[request.tree],
            select=request.select,
            exclude=request.exclude,
            selector=request.selector,
            state=request.state,
            indirect=request.indirect,
            marks=request.marks,
            own=request.own,
            warned=lambda text: self._contracts.update({text: None}),
        )

    def compare_formatting(self, request: protocol.CompareFormatting) -> tuple[str, ...]:
        """Compare compiled texts: see `formatting.same_but_for_formatting`."""
        before = (request.before_invocation, self._manifests[request.before])
        now = (request.invocation, self._manifests[request.tree])
        return formatting.same_but_for_formatting(before, now, request.unique_ids)

    def contract_changes(self, request: protocol.ContractChanges) -> tuple[str, ...]:
        """Return dbt's warnings since this was asked last, each once."""
        found, self._contracts = tuple(self._contracts), {}
        return found

    def narrowing(self, request: protocol.Narrowing) -> tuple[str, ...]:
        """Ask what narrows a build: see `runner.narrowing`."""
        return narrowing()

    def install_packages(self, request: protocol.InstallPackages) -> None:
        """Call `dbt deps`."""
        run_dbt(Invocation(project_dir=request.project_dir, vars=request.vars), "deps", unset=OWN)

    def connect(self, request: protocol.Connect) -> str:
        """Let statements log in as the invocation does.

        Without it they would log in as the last parse did, which may have been the deferral target's.
        """
        run_dbt(request.invocation, "parse", "--no-write-json", manifest=self._manifests[request.tree], unset=OWN)
        return str(self._warehouse(request.tree).database or "")

    def attach(self, request: protocol.Attach) -> None:
        """Connect by way of an empty project."""
        folder = Path(request.invocation.project_dir)
        folder.mkdir(parents=True, exist_ok=True)
        text = json.dumps({"name": "dbt_ci_empty", "profile": request.invocation.profile})
        (folder / "dbt_project.yml").write_text(text, encoding="utf-8")
        self._tree = "empty"
        self._manifests[self._tree], _ = manifests.parse(request.invocation, write=False)
        if request.owner is not None:
            self._external = outside.ExternalFiles(folder=request.external)
            self._ownership = Ownership(owner=request.owner, begun=True, abandoned=True)

    def repoint(self, request: protocol.Repoint) -> Mapping[str, Place]:
        """Move a tree's relations to another schema."""
        return repoint(self._manifests[request.tree], request.placeholder, request.schema)

    def redirect(self, request: protocol.Redirect) -> None:
        """Let nodes write to the run's own folder: see `outside.redirect`."""
        manifest = self._manifests[request.tree]
        self._external += outside.redirect(manifest, request.unique_ids, request.folder, rehearsal=request.rehearsal)

    def target_schema(self, request: protocol.TargetSchema) -> str:
        """Return the target's schema."""
        return self._warehouse(request.tree).schema

    def keep_apart(self, request: protocol.KeepApart) -> Manifest:
        """Move a rehearsal's relations into schemas of its own: see `rehearsal.keep_apart`."""
        manifest = self._manifests[request.tree]
        release.keep_apart(manifest, request.schema)
        return manifests.view(manifest)

    def reserve_schema(self, request: protocol.ReserveSchema) -> str:
        """Take the first schema, or say whose it is: see `Ownership.reserve`."""
        self._ownership, self._tree = Ownership(owner=request.owner), request.tree
        return self._ownership.reserve(self._warehouse(request.tree), request.schema)

    def open_schemas(self, request: protocol.OpenSchemas) -> tuple[str, ...]:
        """Make the run's schemas ready: see `Ownership.open`."""
        # What was reserved is dropped at the end, even if another schema turns out to be somebody else's.
        before = self._ownership
        reserved = before is not None and before.begun and before.mark.run == request.owner.mark.run
        self._ownership = Ownership(owner=request.owner, begun=reserved)
        self._tree = request.tree
        done = self._ownership.open(self._warehouse(request.tree), request.schemas, request.reuse)
        if not all(f"{schema} reused" in done for _, schema in request.schemas):
            self._external.make()
        return done

    def copy_tables(self, request: protocol.CopyTables) -> Mapping[str, str | None]:
        """Copy tables, each for itself."""
        warehouse, told = self._warehouse(request.tree), dict[str, str | None]()
        for name, copy in request.copies.items():
            try:
                told[name] = "" if warehouse.copy_table(copy.source, copy.target) else None
            except DbtFailed as error:
                told[name] = f"{'.'.join(copy.source)}: {error}"
        return told

    def build(self, request: protocol.Build) -> None:
        """Build nodes: see `build.build`."""
        ownership = self._ownership
        if ownership is None or not ownership.opened:
            self._build(request, self._emit, lambda sql: None)
            return
        watch = Watch(lambda: ownership, lambda: self._warehouse(request.tree), self._emit, builds=True)
        with watch.watching():
            self._build(request, watch.emit, ownership.hear)

    def _build(self, request: protocol.Build, emit: protocol.Emit, hear: Callable[[str], None]) -> None:
        build.build(
            request.invocation,
            self._manifests[request.tree],
            request.unique_ids,
            emit,
            hear,
            defer_state=request.defer_state,
            full_refresh=request.full_refresh,
            show_rows=request.show_rows,
            batch_tests=request.batch_tests,
        )

    def declared(self, request: protocol.Declared) -> Mapping[str, Declaration]:
        """Read what is declared: see `declared.declared`."""
        return declared(self._manifests[request.tree], request.unique_ids)

    def build_twins(self, request: protocol.BuildTwins) -> None:
        """Build the base's version of nodes."""
        manifest = self._manifests[request.tree]
        manifests.place_elsewhere(manifest, request.elsewhere)
        if not request.hooks:
            manifests.forget_hooks(manifest)
        self.build(
            protocol.Build(
                tree=request.tree,
                invocation=request.invocation,
                unique_ids=request.unique_ids,
                full_refresh=request.full_refresh,
                show_rows=0,
            )
        )

    def compare(self, request: protocol.Compare) -> None:
        """Compare relations: see `comparisons.run`."""
        comparisons.run(self._warehouse(request.tree), self._manifests[request.tree], request.pairs, self._emit)

    def same_rows(self, request: protocol.SameRows) -> Mapping[str, OnBase]:
        """Compare the failing rows of tests: see `failing_rows.run`."""
        trees = self._manifests[request.head], self._manifests[request.base]
        return failing_rows.run(self._warehouse(request.head), *trees, request.tests)

    def keep(self, request: protocol.Keep) -> None:
        """Copy the manifest as it is now."""
        self._manifests[request.copy] = manifests.deepcopy(self._manifests[request.tree])

    def query(self, request: protocol.Query) -> tuple[str, ...]:
        """Compile and run SQL of the user's tests."""
        manifest = self._manifests.get("queries")
        if manifest is None:
            raise DbtFailed("no query was announced when the build began")
        manifests.place_elsewhere(manifest, request.elsewhere)
        compiled = manifests.compile_inline(request.invocation, manifest, request.sql)
        return warehouse_of(manifest).stream(compiled, self._emit)

    def document(self, request: protocol.Document) -> None:
        """Write the documentation page: see `release.document`."""
        release.document(request.invocation, self._manifests[request.tree])

    def ping(self, request: protocol.Ping) -> None:
        """Ask for the time, which any warehouse has."""
        if self._ownership is not None:
            self._warehouse(self._tree).clock()

    def drop_schemas(self, request: protocol.DropSchemas) -> tuple[str, ...]:
        """Give the run's schemas up: see `Ownership.close`."""
        if self._ownership is None:
            return ()
        # Where dbt cancels queries while one of its threads connects, that thread is given a second connection, and the
        # first one's transaction keeps its locks until the garbage collector finds it.
        gc.collect()
        dropped = self._ownership.close(self._warehouse(self._tree), request.keep)
        if not request.keep:
            self._external.remove()
        self._ownership = None
        return dropped

    def list_leftovers(self, request: protocol.ListLeftovers) -> tuple[protocol.FoundSchema, ...]:
        """List schemas: see `schema_ownership.leftovers`."""
        return leftovers(self._warehouse(self._tree), request.beginning)

    def redate(self, request: protocol.Redate) -> None:
        """Date a mark anew: see `schema_ownership.redate`."""
        redate(self._warehouse(self._tree), request.database, request.schema, request.run)

    def drop_leftover(self, request: protocol.DropLeftover) -> None:
        """Drop a schema that a run left: see `schema_ownership.drop_leftover`."""
        drop_leftover(self._warehouse(self._tree), request.database, request.schema, request.run, request.inside)

    def abandon(self) -> None:
        """Clean up when the controller is gone: drop what was created unless it was to be kept."""
        if self._ownership is not None and not self._ownership.owner.keep:
            self.drop_schemas(protocol.DropSchemas())

    def _warehouse(self, tree: str) -> Warehouse:
        return warehouse_of(self._manifests[tree])


ANSWERS: Mapping[type[protocol.Request[Any]], Callable[[Operations, Any], Any]] = {
    protocol.Parse: Operations.parse,
    protocol.Resolve: Operations.resolve,
    protocol.Forget: Operations.forget,
    protocol.Read: Operations.read,
    protocol.LeaveOut: Operations.leave_out,
    protocol.Slim: Operations.slim,
    protocol.Select: Operations.select,
    protocol.CompareFormatting: Operations.compare_formatting,
    protocol.ContractChanges: Operations.contract_changes,
    protocol.Narrowing: Operations.narrowing,
    protocol.InstallPackages: Operations.install_packages,
    protocol.FindLayout: Operations.layout,
    protocol.Connect: Operations.connect,
    protocol.Attach: Operations.attach,
    protocol.Repoint: Operations.repoint,
    protocol.Redirect: Operations.redirect,
    protocol.TargetSchema: Operations.target_schema,
    protocol.KeepApart: Operations.keep_apart,
    protocol.ReserveSchema: Operations.reserve_schema,
    protocol.OpenSchemas: Operations.open_schemas,
    protocol.CopyTables: Operations.copy_tables,
    protocol.Build: Operations.build,
    protocol.Declared: Operations.declared,
    protocol.BuildTwins: Operations.build_twins,
    protocol.Compare: Operations.compare,
    protocol.SameRows: Operations.same_rows,
    protocol.Keep: Operations.keep,
    protocol.Query: Operations.query,
    protocol.Document: Operations.document,
    protocol.Ping: Operations.ping,
    protocol.DropSchemas: Operations.drop_schemas,
    protocol.ListLeftovers: Operations.list_leftovers,
    protocol.Redate: Operations.redate,
    protocol.DropLeftover: Operations.drop_leftover,
}
"""The method that answers each request."""

_ASK_THE_WAREHOUSE = (
    *(protocol.ReserveSchema, protocol.OpenSchemas, protocol.CopyTables, protocol.Compare, protocol.Query),
    *(protocol.Document, protocol.ListLeftovers, protocol.Redate, protocol.DropLeftover),
)
"""Requests that can wait for the warehouse and that the controller sets no bound; a build has a watch of its own."""


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
