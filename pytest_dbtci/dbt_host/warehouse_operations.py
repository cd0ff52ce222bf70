"""What the dbt host does for each request about the warehouse."""

from __future__ import annotations

import gc
import json
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

from pytest_dbtci.dbt_client.protocol import warehouse_requests as ask
from pytest_dbtci.dbt_client.protocol.events import Emit
from pytest_dbtci.dbt_client.protocol.request import Request
from pytest_dbtci.dbt_client.protocol.values import Built, FoundSchema, Opened
from pytest_dbtci.dbt_host import build, built, liveness, manifests, outside, rehearsal
from pytest_dbtci.dbt_host.compare import comparisons, contents, failing_rows
from pytest_dbtci.dbt_host.leftovers import drop_leftover, leftovers, redate
from pytest_dbtci.dbt_host.liveness import Watch
from pytest_dbtci.dbt_host.runner import OWN, DbtFailed, run_dbt
from pytest_dbtci.dbt_host.schema_ownership import Ownership
from pytest_dbtci.dbt_host.warehouses import warehouse_of
from pytest_dbtci.dbt_host.warehouses.generic import Warehouse
from pytest_dbtci.differences import Contents, OnBase


class WarehouseOperations:
    """Keep what was created between requests; a method for each request. `trees` are the parsed manifests."""

    def __init__(self, trees: dict[str, Any], emit: Emit) -> None:
        self._emit = emit
        self._manifests = trees
        self._ownership: Ownership | None = None
        self._tree = ""
        self._external = outside.ExternalFiles()

    def sever(self) -> None:
        """Give up every connection: see `liveness.sever`."""
        liveness.sever(self._ownership, lambda: self._warehouse(self._tree))

    def abandon(self) -> None:
        """Clean up when the controller is gone: drop what was created unless it was to be kept."""
        if self._ownership is not None and not self._ownership.owner.keep:
            self.drop_schemas(ask.DropSchemas())

    def watching(self, request: Any) -> AbstractContextManager[None]:
        """Let no request wait for ever for a warehouse that answers no more."""
        if type(request) not in ANSWERS or type(request) in BOUNDED:
            return nullcontext()
        tree = getattr(request, "tree", "") or self._tree or "queries"
        return Watch(lambda: self._ownership, lambda: self._warehouse(tree), self._emit).watching()

    def connect(self, request: ask.Connect) -> str:
        """Let statements log in as the invocation does.

        Without it they would log in as the last parse did, which may have been the deferral target's.
        """
        run_dbt(request.invocation, "parse", "--no-write-json", manifest=self._manifests[request.tree], unset=OWN)
        return str(self._warehouse(request.tree).database or "")

    def attach(self, request: ask.Attach) -> None:
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

    def redirect(self, request: ask.Redirect) -> None:
        """Let nodes write to the run's own folder: see `outside.redirect`."""
        manifest = self._manifests[request.tree]
        self._external += outside.redirect(manifest, request.unique_ids, request.folder, rehearsal=request.rehearsal)

    def reserve_schema(self, request: ask.ReserveSchema) -> str:
        """Take the first schema, or say whose it is: see `Ownership.reserve`."""
        self._ownership, self._tree = Ownership(owner=request.owner), request.tree
        return self._ownership.reserve(self._warehouse(request.tree), request.schema)

    def open_schemas(self, request: ask.OpenSchemas) -> Opened:
        """Make the run's schemas ready: see `Ownership.open`."""
        # What was reserved is dropped at the end, even if another schema turns out to be somebody else's.
        before = self._ownership
        reserved = before is not None and before.begun and before.mark.run == request.owner.mark.run
        self._ownership = Ownership(owner=request.owner, begun=reserved)
        self._tree = request.tree
        opened = self._ownership.open(self._warehouse(request.tree), request.schemas, request.reuse)
        if not opened.reused:
            self._external.make()
        return opened

    def read_built(self, request: ask.ReadBuilt) -> Built:
        """Return what stands there: see `built.read`."""
        return built.read(self._warehouse(request.tree), request.schemas, request.owner.mark)

    def note_built(self, request: ask.NoteBuilt) -> None:
        """Note what stands there: see `built.write`."""
        if self._ownership is not None:
            built.write(self._warehouse(self._tree), request.schemas, self._ownership.mark, request.nodes)

    def copy_tables(self, request: ask.CopyTables) -> Mapping[str, str | None]:
        """Copy tables, each for itself."""
        warehouse, told = self._warehouse(request.tree), dict[str, str | None]()
        for name, copy in request.copies.items():
            try:
                told[name] = "" if warehouse.copy_table(copy.source, copy.target) else None
            except DbtFailed as error:
                told[name] = f"{'.'.join(copy.source)}: {error}"
        return told

    def build(self, request: ask.Build) -> None:
        """Build nodes: see `build.build`."""
        # A release owns no schemas.
        ownership = self._ownership if self._ownership is not None and self._ownership.opened else None
        watch = Watch(lambda: ownership, lambda: self._warehouse(request.tree), self._emit, builds=True)
        with watch.watching():
            self._build(request, watch.emit, ownership.hear if ownership is not None else lambda sql: None)

    def _build(self, request: ask.Build, emit: Emit, hear: Callable[[str], None]) -> None:
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

    def build_twins(self, request: ask.BuildTwins) -> None:
        """Build the base's version of nodes."""
        manifest = self._manifests[request.tree]
        manifests.place_elsewhere(manifest, request.elsewhere)
        if not request.hooks:
            manifests.forget_hooks(manifest)
        self.build(
            ask.Build(
                tree=request.tree,
                invocation=request.invocation,
                unique_ids=request.unique_ids,
                full_refresh=request.full_refresh,
                show_rows=0,
            )
        )

    def compare(self, request: ask.Compare) -> None:
        """Compare relations: see `comparisons.run`."""
        warehouse, manifest = self._warehouse(request.tree), self._manifests[request.tree]
        comparisons.run(warehouse, manifest, request.pairs, request.seconds, self._emit)

    def compare_contents(self, request: ask.CompareContents) -> Mapping[str, Contents]:
        """Compare contents to the last bit: see `contents.run`."""
        return contents.run(self._warehouse(request.tree), request.pairs)

    def same_rows(self, request: ask.SameRows) -> Mapping[str, OnBase]:
        """Compare the failing rows of tests: see `failing_rows.run`."""
        trees = self._manifests[request.head], self._manifests[request.base]
        return failing_rows.run(self._warehouse(request.head), *trees, request.tests)

    def query(self, request: ask.Query) -> tuple[str, ...]:
        """Compile and run SQL of the user's tests."""
        manifest = self._manifests.get("queries")
        if manifest is None:
            raise DbtFailed("no query was announced when the build began")
        manifests.place_elsewhere(manifest, request.elsewhere)
        compiled = manifests.compile_inline(request.invocation, manifest, request.sql)
        return warehouse_of(manifest).stream(compiled, self._emit)

    def document(self, request: ask.Document) -> None:
        """Write the documentation page: see `rehearsal.document`."""
        rehearsal.document(request.invocation, self._manifests[request.tree])

    def ping(self, request: ask.Ping) -> None:
        """Ask for the time, which any warehouse has."""
        if self._ownership is not None:
            self._warehouse(self._tree).clock()

    def drop_schemas(self, request: ask.DropSchemas) -> tuple[str, ...]:
        """Drop the run's schemas, or keep them: see `Ownership.close`."""
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

    def shell(self, request: ask.Shell) -> str:
        """Return the command that connects to the target's database: see `Warehouse.shell`."""
        return self._warehouse(self._tree).shell

    def list_leftovers(self, request: ask.ListLeftovers) -> tuple[FoundSchema, ...]:
        """List schemas: see `leftovers.leftovers`."""
        return leftovers(self._warehouse(self._tree), request.beginning)

    def redate(self, request: ask.Redate) -> None:
        """Date a mark anew: see `leftovers.redate`."""
        redate(self._warehouse(self._tree), request.database, request.schema, request.run)

    def drop_leftover(self, request: ask.DropLeftover) -> None:
        """Drop a schema that a run left: see `leftovers.drop_leftover`."""
        drop_leftover(self._warehouse(self._tree), request.database, request.schema, request.run, request.inside)

    def _warehouse(self, tree: str) -> Warehouse:
        return warehouse_of(self._manifests[tree])


ANSWERS: Mapping[type[Request[Any]], Callable[[WarehouseOperations, Any], Any]] = {
    ask.Connect: WarehouseOperations.connect,
    ask.Attach: WarehouseOperations.attach,
    ask.Redirect: WarehouseOperations.redirect,
    ask.ReserveSchema: WarehouseOperations.reserve_schema,
    ask.OpenSchemas: WarehouseOperations.open_schemas,
    ask.ReadBuilt: WarehouseOperations.read_built,
    ask.NoteBuilt: WarehouseOperations.note_built,
    ask.CopyTables: WarehouseOperations.copy_tables,
    ask.Build: WarehouseOperations.build,
    ask.BuildTwins: WarehouseOperations.build_twins,
    ask.Compare: WarehouseOperations.compare,
    ask.CompareContents: WarehouseOperations.compare_contents,
    ask.SameRows: WarehouseOperations.same_rows,
    ask.Query: WarehouseOperations.query,
    ask.Document: WarehouseOperations.document,
    ask.Ping: WarehouseOperations.ping,
    ask.DropSchemas: WarehouseOperations.drop_schemas,
    ask.Shell: WarehouseOperations.shell,
    ask.ListLeftovers: WarehouseOperations.list_leftovers,
    ask.Redate: WarehouseOperations.redate,
    ask.DropLeftover: WarehouseOperations.drop_leftover,
}
"""The method that answers each request."""

BOUNDED = (
    *(ask.Connect, ask.Redirect, ask.Attach),  # ask nothing of the warehouse
    *(ask.Ping, ask.DropSchemas, ask.Shell),  # the controller waits only so long
    *(ask.Build, ask.BuildTwins),  # look after themselves
)
"""Requests that need no watch; any other may wait for the warehouse."""
