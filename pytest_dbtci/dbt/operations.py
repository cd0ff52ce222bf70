"""What the controller can ask of the host; every argument and answer is JSON-ready."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pytest_dbtci.dbt import build, manifests
from pytest_dbtci.dbt.invocation import DbtFailed, Invocation
from pytest_dbtci.dbt.warehouse import Mark, Warehouse, own


class Operations:
    """Keep the parsed manifests and what was created between requests."""

    def __init__(self, emit: Callable[[dict[str, Any]], None]) -> None:
        self._emit = emit
        self._manifests: dict[str, Any] = {}
        self._created: dict[str, Any] | None = None

    def parse(
        self, tree: str, invocation: dict[str, Any], *, partial_parse: str = "", view: str = "", write: bool
    ) -> dict[str, Any]:
        """Parse a tree and keep its manifest under the name `tree`; give its view.

        With `view`, the view is also written to that file, for later runs.
        """
        manifest = manifests.parse(Invocation(**invocation), partial_parse=partial_parse, write=write)
        self._manifests[tree] = manifest
        seen = manifests.view(manifest)
        if view:
            Path(view).write_text(json.dumps(seen), encoding="utf-8")
        return seen

    def attach(self, invocation: dict[str, Any], created: dict[str, Any] | None = None) -> None:
        """Connect without the user's project: parse an empty one, so that schema statements can run.

        `created` is what an earlier host had created, for this one to drop.
        """
        folder = Path(invocation["project_dir"])
        folder.mkdir(parents=True, exist_ok=True)
        text = json.dumps({"name": "dbt_ci_empty", "profile": invocation["profile"]})
        (folder / "dbt_project.yml").write_text(text, encoding="utf-8")
        self._manifests["empty"] = manifests.parse(Invocation(**invocation), write=False)
        self._created = created and {**created, "tree": "empty"}

    def select(self, tree: str, invocation: dict[str, Any], **selection: Any) -> list[str]:
        """Give the unique_ids that the selection means in that tree."""
        return manifests.select(Invocation(**invocation), self._manifests[tree], **selection)

    def deps(self, project_dir: str, packages: str = "") -> None:
        """Install the packages that the project names into its own folder."""
        Invocation(project_dir=project_dir, profiles_dir="", target_path="", log_path="").run("deps")

    def database(self, tree: str) -> str:
        """Give the name of the target's database."""
        return str(self._warehouse(tree).database or "")

    def repoint(self, tree: str, placeholder: str, schema: str) -> dict[str, Any]:
        """Move the tree's relations to another schema; give the new view."""
        manifests.repoint(self._manifests[tree], placeholder, schema)
        return manifests.view(self._manifests[tree])

    def slim(self, manifest_file: str, unique_ids: list[str], into: str) -> str:
        """Write a small manifest.json to defer to; give its folder."""
        return manifests.slim(manifest_file, unique_ids, into)

    def open_schemas(
        self, tree: str, schemas: list[list[str]], prefix: str, mark: dict[str, str], keep: bool, reuse: bool
    ) -> list[str]:
        """Make every schema of the run ready, empty and marked as the run's; give what was done, in words.

        A schema of the same pull request that an earlier run left is taken over (and, unless `reuse`,
        emptied); one without a mark, or of a newer run, stops everything before anything is written.
        """
        warehouse, own_mark, done = self._warehouse(tree), Mark(**mark), []
        databases = sorted({database for database, _ in schemas})
        found = {
            (d, s): warehouse.read_mark(d, s)
            for d in databases
            for s in own(warehouse.list_schemas(d), prefix)
        }
        wanted = {(d, s.lower()): (d, s) for d, s in schemas}
        for (database, schema), theirs in found.items():
            if theirs is None and (database, schema.lower()) in wanted:
                raise DbtFailed(_foreign(schema))
            if theirs is not None and theirs.pr == own_mark.pr and theirs.started > own_mark.started:
                raise DbtFailed(_newer(schema, theirs), usage=False)
            if theirs is not None and theirs.pr != own_mark.pr and (database, schema.lower()) in wanted:
                raise DbtFailed(_another(schema, theirs))
        self._created = {"tree": tree, "databases": databases, "prefix": prefix, "mark": mark, "keep": keep}
        for (database, schema), theirs in found.items():
            if theirs is None or theirs.pr != own_mark.pr:
                continue
            if reuse and (database, schema.lower()) in wanted:
                warehouse.take_over(database, schema, own_mark)
                wanted.pop((database, schema.lower()))
                done.append(f"{schema} reused")
            else:
                warehouse.drop(database, schema)
                done.append(f"{schema} of an earlier run dropped")
        for database, schema in wanted.values():
            warehouse.create(database, schema, own_mark)
        return done

    def build(
        self, tree: str, invocation: dict[str, Any], unique_ids: list[str], **how: Any
    ) -> dict[str, Any]:
        """Build the nodes; events tell of each one as it ends."""
        return build.build(Invocation(**invocation), self._manifests[tree], unique_ids, self._emit, **how)

    def keep_for_queries(self, tree: str) -> None:
        """Keep a copy of the manifest, as it is before the build, for `query` to compile with."""
        self._manifests["queries"] = self._manifests[tree].deepcopy()

    def query(
        self, invocation: dict[str, Any], sql: str, elsewhere: dict[str, list[str | None]]
    ) -> list[str]:
        """Compile the SQL, run it, tell its rows as events; give the column names."""
        manifest = self._manifests.get("queries")
        if manifest is None:
            raise DbtFailed("no query was announced when the build began")
        manifests.place_elsewhere(manifest, elsewhere)
        compiled = manifests.compile_inline(Invocation(**invocation), manifest, sql)
        return Warehouse(manifest.metadata.adapter_type, manifest).stream(compiled, self._emit)

    def drop_schemas(self) -> list[str]:
        """Drop every schema that carries this run's mark; give their names.

        Raises DbtFailed when one was taken over by a newer run (it stays) or can't be dropped.
        """
        created = self._created
        if created is None:
            return []
        warehouse = self._warehouse(created["tree"])
        dropped, trouble = [], []
        for database in created["databases"]:
            for schema in own(warehouse.list_schemas(database), created["prefix"]):
                mark = warehouse.read_mark(database, schema)
                if mark is None or mark.pr != created["mark"]["pr"]:
                    continue
                if mark.run != created["mark"]["run"]:
                    trouble.append(_newer(schema, mark))
                    continue
                try:
                    warehouse.drop(database, schema)
                    dropped.append(schema)
                except DbtFailed as error:
                    trouble.append(f"schema {schema} could not be dropped: {error}")
        if trouble:
            raise DbtFailed("\n".join(trouble), usage=False)
        self._created = None
        return dropped

    def abandon(self) -> None:
        """Clean up when the controller is gone: drop what was created unless it was to be kept."""
        if self._created is not None and not self._created["keep"]:
            self.drop_schemas()

    def _warehouse(self, tree: str) -> Warehouse:
        manifest = self._manifests[tree]
        return Warehouse(manifest.metadata.adapter_type, manifest)


def _foreign(schema: str) -> str:
    return (
        f"schema {schema} exists and was not created by this tool (it carries no mark), so nothing was written. "
        "Drop or rename it, or choose another name with --dbt-ci-schema or --dbt-ci-pr."
    )


def _another(schema: str, mark: Mark) -> str:
    return (
        f"schema {schema} belongs to another pull request ({mark.pr}), so nothing was written. "
        "Choose another name with --dbt-ci-schema or --dbt-ci-pr."
    )


def _newer(schema: str, mark: Mark) -> str:
    return (
        f"schema {schema} was taken over by a newer run of pull request {mark.pr} (started {mark.started}). "
        "That run's result counts; this one neither builds in it nor drops it."
    )
