"""What the controller can ask of the host; every argument and answer is JSON-ready."""

from __future__ import annotations

import gc
import json
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pytest_dbtci.dbt_host import build, manifests, outside
from pytest_dbtci.dbt_host import rehearsal as release
from pytest_dbtci.dbt_host import target_names as deferral
from pytest_dbtci.dbt_host.compare import comparisons
from pytest_dbtci.dbt_host.mark import Mark
from pytest_dbtci.dbt_host.runner import DbtFailed, Invocation
from pytest_dbtci.dbt_host.schema_ownership import Ownership, drop_leftover, leftovers
from pytest_dbtci.dbt_host.warehouses import warehouse_of
from pytest_dbtci.dbt_host.warehouses.generic import Warehouse
from pytest_dbtci.differences import Pair

WATCH_SECONDS = float(os.environ.get("DBT_CI_WATCH_SECONDS", "10"))
"""How often a build looks whether its schemas are still its own."""


class Operations:
    """Keep the parsed manifests and what was created between requests."""

    def __init__(self, emit: Callable[[dict[str, Any]], None]) -> None:
        self._emit = emit
        self._manifests: dict[str, Any] = {}
        self._ownership: Ownership | None = None
        self._tree = ""
        self._external = outside.ExternalFiles()

    def parse(
        self,
        tree: str,
        invocation: dict[str, Any],
        *,
        partial_parse: str = "",
        packages_dir: str = "",
        view: str = "",
        write: bool,
    ) -> dict[str, Any]:
        """Parse a tree and keep its manifest under the name `tree`; give its view.

        With `view`, the view is also written to that file and the parse is kept in the target path, for later runs.
        """
        with _uncollected(bool(partial_parse)):
            manifest, parsed = manifests.parse(
                Invocation(**invocation),
                partial_parse=partial_parse,
                packages_dir=packages_dir,
                save=bool(view),
                write=write,
            )
        self._manifests[tree] = manifest
        seen = {**manifests.view(manifest), "parsed": parsed}
        if view:
            Path(view).write_text(json.dumps(seen), encoding="utf-8")
        return seen

    def resolve(self, tree: str, invocation: dict[str, Any], parsed: str, into: str) -> dict[str, Any] | None:
        """Say where a parsed tree's relations lie in the invocation's target: see `deferral.resolve`."""
        manifest = self._manifests.get(tree)
        return None if manifest is None else deferral.resolve(Invocation(**invocation), manifest, parsed, into)

    def forget(self, trees: list[str]) -> None:
        """Forget these manifests, so that what is parsed next can have their memory."""
        from dbt.adapters.factory import reset_adapters

        for tree in trees:
            self._manifests.pop(tree, None)
        # The adapter of the last invocation knows its manifest.
        reset_adapters()
        gc.collect()

    def read(self, folder: str) -> dict[str, Any]:
        """Give the view of the manifest.json in that folder."""
        return manifests.view(manifests.read(folder))

    def leave_out(self, manifest_file: str, unique_ids: list[str], into: str) -> str:
        """Write a manifest.json that lacks these nodes; give its folder."""
        return manifests.leave_out(manifest_file, unique_ids, into)

    def attach(self, invocation: dict[str, Any], created: dict[str, Any] | None = None) -> None:
        """Connect without the user's project: parse an empty one, so that schema statements can run.

        `created` is what an earlier host had created, for this one to drop.
        """
        folder = Path(invocation["project_dir"])
        folder.mkdir(parents=True, exist_ok=True)
        text = json.dumps({"name": "dbt_ci_empty", "profile": invocation["profile"]})
        (folder / "dbt_project.yml").write_text(text, encoding="utf-8")
        self._tree = "empty"
        self._manifests[self._tree], _ = manifests.parse(Invocation(**invocation), write=False)
        if created is not None:
            self._external = outside.ExternalFiles(folder=created.get("external", ""))
            self._ownership = Ownership(
                prefix=created["prefix"],
                mark=Mark(**created["mark"]),
                databases=tuple(created["databases"]),
                keep=created["keep"],
                begun=True,
            )

    def select(self, tree: str, invocation: dict[str, Any], **selection: Any) -> list[str]:
        """Give the unique_ids that the selection means in that tree."""
        return manifests.select(Invocation(**invocation), self._manifests[tree], **selection)

    def deps(self, project_dir: str, packages: str = "") -> None:
        """Install the packages that the project names into its own folder."""
        Invocation(project_dir=project_dir, profiles_dir="", target_path="", log_path="").run("deps")

    def connect(self, tree: str, invocation: dict[str, Any]) -> str:
        """Let all statements log in as this invocation does from now on; give its target's database.

        Without it they would log in as the last parse did, which may have been the deferral target's.
        """
        Invocation(**invocation).run("parse", "--no-write-json", manifest=self._manifests[tree])
        return str(self._warehouse(tree).database or "")

    def repoint(self, tree: str, placeholder: str, schema: str) -> dict[str, dict[str, Any]]:
        """Move the tree's relations to another schema; give the places of those that were moved."""
        return manifests.repoint(self._manifests[tree], placeholder, schema)

    def redirect(self, tree: str, unique_ids: list[str], folder: str, *, rehearsal: bool = False) -> None:
        """Let what these nodes write besides their relations go to the run's own folder: see `outside.redirect`."""
        self._external = outside.redirect(self._manifests[tree], unique_ids, folder, rehearsal=rehearsal)

    def schema(self, tree: str) -> str:
        """Give the target's schema, as the tree was parsed with it."""
        return self._warehouse(tree).schema

    def copy_into(self, tree: str, copy: str, own: str, schema: str) -> dict[str, Any]:
        """Keep a copy of the tree whose relations lie in other schemas; give its view."""
        self._manifests[copy] = release.copy_into(self._manifests[tree], own, schema)
        return manifests.view(self._manifests[copy])

    def document(self, tree: str, invocation: dict[str, Any]) -> None:
        """Write the documentation page into the target path: see `release.document`."""
        release.document(Invocation(**invocation), self._manifests[tree])

    def slim(self, manifest_file: str, unique_ids: list[str], into: str) -> str:
        """Write a small manifest.json to defer to; give its folder."""
        return manifests.slim(manifest_file, unique_ids, into)

    def open_schemas(
        self, tree: str, schemas: list[list[str]], prefix: str, mark: dict[str, str], keep: bool, reuse: str
    ) -> list[str]:
        """Make every schema of the run ready, empty and marked as the run's: see `Ownership.open`."""
        self._ownership = Ownership(
            prefix=prefix,
            mark=Mark(**mark),
            databases=tuple(sorted({database for database, _ in schemas})),
            keep=keep,
        )
        self._tree = tree
        done = self._ownership.open(self._warehouse(tree), [(d, s) for d, s in schemas], reuse)
        if not all(f"{schema} reused" in done for _, schema in schemas):
            self._external.make()
        return done

    def copy_tables(self, tree: str, copies: dict[str, list[list[str]]]) -> dict[str, str | None]:
        """Copy tables (a name to source and target) and tell of each: empty, why not, or None for no table there."""
        warehouse, told = self._warehouse(tree), dict[str, str | None]()
        for name, (source, target) in copies.items():
            try:
                told[name] = "" if warehouse.copy_table(source, target) else None
            except DbtFailed as error:
                told[name] = f"{'.'.join(source)}: {error}"
        return told

    def build(self, tree: str, invocation: dict[str, Any], unique_ids: list[str], **how: Any) -> dict[str, Any]:
        """Build the nodes; events tell of each one as it ends."""
        with self._watched(tree):
            hear = self._ownership.hear if self._ownership is not None else lambda sql: None
            return build.build(Invocation(**invocation), self._manifests[tree], unique_ids, self._emit, hear, **how)

    def compare(self, tree: str, pairs: dict[str, dict[str, Any]]) -> None:
        """Compare relations, by any name; an event tells of each one what differs, or why that is not known."""
        comparisons.run(self._warehouse(tree), {name: Pair.from_dict(pair) for name, pair in pairs.items()}, self._emit)

    def keep_for_queries(self, tree: str) -> None:
        """Keep a copy of the manifest, as it is before the build, for `query` to compile with."""
        self._manifests["queries"] = self._manifests[tree].deepcopy()

    def query(self, invocation: dict[str, Any], sql: str, elsewhere: dict[str, list[str | None]]) -> list[str]:
        """Compile the SQL, run it, tell its rows as events; give the column names."""
        manifest = self._manifests.get("queries")
        if manifest is None:
            raise DbtFailed("no query was announced when the build began")
        manifests.place_elsewhere(manifest, elsewhere)
        compiled = manifests.compile_inline(Invocation(**invocation), manifest, sql)
        return warehouse_of(manifest).stream(compiled, self._emit)

    def drop_schemas(self, keep: bool = False) -> list[str]:
        """Drop the run's schemas unless they are to be kept, and check whose they are: see `Ownership.close`."""
        if self._ownership is None:
            return []
        # Where dbt cancels queries while one of its threads connects, that thread is given a second connection, and the
        # first one's transaction keeps its locks until the garbage collector finds it.
        gc.collect()
        dropped = self._ownership.close(self._warehouse(self._tree), keep)
        if not keep:
            self._external.remove()
        self._ownership = None
        return dropped

    def list_leftovers(self, beginning: str) -> list[dict[str, Any]]:
        """Tell of the schemas whose name begins so: see `ownership.leftovers`."""
        return leftovers(self._warehouse(self._tree), beginning)

    def drop_leftover(self, database: str, schema: str, run: str, inside: list[str]) -> None:
        """Drop a marked schema if it still is that run's."""
        drop_leftover(self._warehouse(self._tree), database, schema, run, inside)

    def abandon(self) -> None:
        """Clean up when the controller is gone: drop what was created unless it was to be kept."""
        if self._ownership is not None and not self._ownership.keep:
            self.drop_schemas()

    @contextmanager
    def _watched(self, tree: str) -> Iterator[None]:
        """Cancel what runs as soon as a newer run has taken the schemas over: it must not be written into."""
        ownership, ended, lost = self._ownership, threading.Event(), list[str]()
        if ownership is None or not ownership.opened:
            yield
            return

        def watch() -> None:
            while not ended.wait(WATCH_SECONDS):
                try:
                    why = ownership.lost(self._warehouse(tree))
                    if not why and ownership.statements:
                        # What can't be marked is said at the end.
                        ownership.adopt(self._warehouse(tree))
                except DbtFailed:
                    continue  # a warehouse that does not answer is the build's own trouble
                if why and not ended.is_set():
                    lost.append(why)
                    signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
                    return

        threading.Thread(target=watch, daemon=True).start()
        try:
            yield
        except KeyboardInterrupt:
            if lost:
                raise DbtFailed(lost[0], usage=False) from None
            raise
        finally:
            ended.set()

    def _warehouse(self, tree: str) -> Warehouse:
        return warehouse_of(self._manifests[tree])


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
