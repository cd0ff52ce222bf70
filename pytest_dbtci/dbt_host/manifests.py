"""Parse a tree with dbt, read a manifest, select from it, and move its relations to another schema."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from pytest_dbtci.dbt_client.protocol.values import Invocation
from pytest_dbtci.dbt_host.manifest_view import functions
from pytest_dbtci.dbt_host.runner import OWN, WARNINGS, DbtFailed, plain, run_dbt
from pytest_dbtci.dbt_host.saved_parse import SavedParse, adapt, record
from pytest_dbtci.manifest import Place
from pytest_dbtci.project.plugins import has_dbt_plugins

MARK = "dbtci_"
"""Prefix of the tags by which nodes are handed to dbt's selection; they exist in memory only."""

_BESIDE = ("exposures", "files", "functions", "metrics", "saved_queries", "semantic_models", "unit_tests")
"""What a manifest holds besides nodes and what nodes read; most of it depends on nodes."""

_WHOLE = ("UnableToPartialParse", "PartialParsingNotEnabled", "PartialParsingError", "ParsedFileLoadFailed")
"""The events by which dbt says that it parses everything after all."""


def parse(
    invocation: Invocation,
    *,
    partial_parse: str = "",
    packages_dir: str = "",
    save: bool = False,
    write: bool,
    unmatched: Callable[[str], None] = lambda text: None,
) -> tuple[Any, str]:
    """Parse the project; give dbt's Manifest and how much was parsed anew: `partly` or `wholly`.

    `partial_parse` is another tree's `partial_parse.msgpack` to start from, as `save` left it: what differs is parsed
    anew. `save` says whether this parse is to be one to start from, `write` whether `manifest.json` is written to the
    target path. `packages_dir` is where packages are installed, relative to the project. `unmatched` is told of what
    YAML describes and the project lacks. Raises DbtFailed.
    """
    # Without the second, as the environment may have it, dbt would look at no file.
    how_to = ("--write-json" if write else "--no-write-json", "--partial-parse-file-diff")
    hear = partial(_hear_unmatched, unmatched)
    saved = adapt(partial_parse, invocation.project_dir, invocation.target_path) if partial_parse else None
    with _where_plugins_look(invocation.project_dir):
        manifest, how = _parse_from(saved, invocation, how_to, hear) if saved else (None, "wholly")
        if manifest is None:
            # Without the flag dbt would start from what lies in the target path, or where the user's environment says.
            manifest = run_dbt(invocation, "parse", *how_to, "--no-partial-parse", callbacks=[hear])
    if save:
        record(manifest, invocation.project_dir, invocation.target_path)
    root = Path(invocation.project_dir).resolve()
    for node in manifest.nodes.values():
        # A manifest that was parsed from another tree's cache still points at that tree for seed files.
        if getattr(node, "root_path", None):
            own = node.package_name == manifest.metadata.project_name
            node.root_path = str(root if own else root / (packages_dir or "dbt_packages") / node.package_name)
    return manifest, how


@contextmanager
def _where_plugins_look(project_dir: str) -> Iterator[None]:
    """Work in the tree's own folder where a plugin of dbt may read files that lie in it; else stay.

    dbt 1.12 reads the folder's `.env` then, which another tree must not see.
    """
    if not has_dbt_plugins():
        yield
        return
    here, environ = Path.cwd(), dict(os.environ)
    os.chdir(project_dir)
    try:
        yield
    finally:
        os.chdir(here)
        os.environ.clear()
        os.environ.update(environ)


def _hear_unmatched(tell: Callable[[str], None], event: Any) -> None:
    # A callback that raises would hang dbt.
    if getattr(getattr(event, "info", None), "name", "") == "NoNodeForYamlKey":
        file, key, name = (getattr(event.data, field, "?") for field in ("file_path", "yaml_key", "patch_name"))
        tell(
            f"{file}: none of the {key} is named {name}, so what is said of it there, its tests too, counts for nothing"
        )


def _parse_from(
    saved: SavedParse, invocation: Invocation, how_to: Sequence[str], also: Callable[[Any], None]
) -> tuple[Any, str]:
    """Parse from the saved parse; no manifest where dbt failed, or did not parse anew all that it had to."""
    whole, anew = list[str](), set[str]()

    def hear(event: Any) -> None:
        # A callback that raises would hang dbt.
        name = getattr(getattr(event, "info", None), "name", "")
        if name in _WHOLE:
            whole.append(name)
        elif name == "PartialParsingFile":
            anew.add(getattr(event.data, "file_id", ""))

    try:
        started = ("--partial-parse-file-path", saved.file)
        manifest = run_dbt(invocation, "parse", *how_to, *started, callbacks=[hear, also])
    except DbtFailed:
        return None, "wholly"  # it may have failed only because it parsed partly
    if whole:
        return manifest, "wholly"
    return (manifest, "partly") if saved.is_followed_by(manifest, anew) else (None, "wholly")


def read(folder: str) -> Any:
    """Read the manifest.json of a folder, of whatever dbt version, as dbt does for `--state`; DbtFailed if it can't."""
    from dbt.artifacts.schemas.manifest import WritableManifest
    from dbt.contracts.graph.manifest import Manifest
    from dbt_common.exceptions import DbtBaseException

    path = Path(folder, "manifest.json")
    try:
        return Manifest.from_writable_manifest(WritableManifest.read_and_check_versions(str(path)))
    except (DbtBaseException, OSError, ValueError, KeyError) as error:
        raise DbtFailed(f"{path} can't be read as a dbt manifest: {error}") from None


def leave_out(manifest_file: str, unique_ids: Iterable[str], into: str) -> str:
    """Write a manifest.json that lacks these nodes, so that dbt's `state:modified` takes them in; give its folder."""
    data = json.loads(Path(manifest_file).read_text(encoding="utf-8"))
    lacking = set(unique_ids)
    for part in ("nodes", "sources", "unit_tests", "functions"):
        if part in data:
            data[part] = {k: v for k, v in data[part].items() if k not in lacking}
    Path(into).mkdir(parents=True, exist_ok=True)
    Path(into, "manifest.json").write_text(json.dumps(data), encoding="utf-8")
    return into


def select(
    invocation: Invocation,
    manifest: Any,
    *,
    select: str,
    exclude: str = "",
    selector: str = "",
    state: str = "",
    indirect: str = "",
    marks: Mapping[str, Iterable[str]] | None = None,
    own: bool = False,
    warned: Callable[[str], None] = lambda text: None,
) -> tuple[str, ...]:
    """Ask dbt which nodes a selection means; give their unique_ids.

    `warned` gets dbt's words where a contract changed in a way that breaks its readers.

    `indirect` is dbt's indirect selection of tests, dbt's own where empty. `marks` maps names to unique_ids:
    `tag:dbtci_NAME` then stands for these nodes in `select` and `exclude`. `own` tells a question of ours from the
    user's selection, which the resource types in the environment narrow as they do a build, and which has to name
    something that exists. Raises DbtFailed when dbt refuses the selection.
    """
    for name, unique_ids in (marks or {}).items():
        mark(manifest, name, unique_ids)
    args = ["--output", "json", "--output-keys", "unique_id", "--no-defer", "--no-write-json"]
    for flag, value in (
        ("--select", select),
        ("--exclude", exclude),
        ("--selector", selector),
        ("--indirect-selection", indirect),
    ):
        args += [flag, value] if value else []
    if state:
        args += ["--state", state]
    unmatched: list[str] = []

    def hear(event: Any) -> None:
        if getattr(getattr(event, "info", None), "name", "") == "NoNodesForSelectionCriteria":
            unmatched.append(event.data.spec_raw)
        elif getattr(getattr(event, "info", None), "name", "") == "UnversionedBreakingChange":
            warned(plain(event.info.msg))

    unset = OWN if own else WARNINGS
    lines = run_dbt(invocation, "ls", *args, manifest=manifest, callbacks=[hear], unset=unset)
    if not own:
        _check_named(invocation, manifest, unmatched)
    return tuple(json.loads(line)["unique_id"] for line in lines or ())


def _check_named(invocation: Invocation, manifest: Any, unmatched: Iterable[str]) -> None:
    """Raise DbtFailed where a criterion that matched nothing names what does not exist, so that it never will."""
    for part in (p for found in unmatched for p in found.split(",")):
        # Compared with another state, or marked for it, nothing is an answer as good as any.
        may_be_empty = any(method in part for method in ("state:", "result:", "source_status:", f"tag:{MARK}"))
        if not may_be_empty and not select(invocation, manifest, select=part, own=True):
            raise DbtFailed(f"{part!r} names nothing that there is in this project: is it misspelt, or was it renamed?")


def mark(manifest: Any, name: str, unique_ids: Iterable[str]) -> None:
    """Tag these nodes, and no others, with `dbtci_NAME`."""
    tag, wanted = MARK + name, set(unique_ids)
    for part in (manifest.nodes, manifest.unit_tests, functions(manifest), manifest.sources):
        for unique_id, node in part.items():
            if unique_id in wanted and tag not in node.tags:
                node.tags.append(tag)
            elif unique_id not in wanted and tag in node.tags:
                node.tags.remove(tag)


def slim(manifest_file: str, unique_ids: Iterable[str], into: str) -> str:
    """Write a manifest.json that keeps only these nodes, for dbt to defer to; give its folder.

    dbt reads a manifest as a whole, so a large one costs seconds; deferral looks at the needed nodes only.
    """
    data = json.loads(Path(manifest_file).read_text(encoding="utf-8"))
    wanted = set(unique_ids)
    for part in ("nodes", "functions", "sources"):
        if part in data:
            data[part] = {k: v for k, v in data[part].items() if k in wanted}
    for part in ("exposures", "metrics", "semantic_models", "saved_queries", "unit_tests", "macros", "docs"):
        data[part] = {}
    for part in ("parent_map", "child_map", "group_map", "disabled", "selectors", "groups"):
        if part in data:
            data[part] = {}
    Path(into).mkdir(parents=True, exist_ok=True)
    Path(into, "manifest.json").write_text(json.dumps(data), encoding="utf-8")
    return into


def deepcopy(manifest: Any, nodes: Mapping[str, Any] | None = None) -> Any:
    """Return a copy of the manifest; dbt's own method copies no disabled nodes, nor the selectors of selectors.yml.

    With `nodes` it holds these alone, and nothing that depends on nodes.
    """
    whole = {
        name: getattr(manifest, name)
        for name in ("nodes", "selectors", "disabled", *_BESIDE)
        if hasattr(manifest, name)
    }
    instead: dict[str, Any] = {"selectors": {}, "disabled": {}}
    if nodes is not None:
        instead |= {"nodes": nodes, **{name: {} for name in _BESIDE if name in whole}}
    try:
        vars(manifest).update(instead)
        copied = manifest.deepcopy()
    finally:
        vars(manifest).update(whole)
    vars(copied).update({name: dict(whole[name]) for name in ("selectors", "disabled")})
    return copied


def forget_hooks(manifest: Any) -> None:
    """Take the hooks out of the manifest, which have run, so that what dbt still has to do brings no second time."""
    for unique_id in [u for u in manifest.nodes if u.startswith("operation.")]:
        del manifest.nodes[unique_id]


def place_elsewhere(manifest: Any, places: Mapping[str, Place]) -> None:
    """Set where nodes live that this run does not build."""
    for unique_id, there in places.items():
        node = manifest.nodes.get(unique_id)
        if node is not None:
            node.database, node.schema, node.alias = there.database, there.schema, there.identifier
            node.relation_name = there.relation


def compile_inline(invocation: Invocation, manifest: Any, sql: str) -> str:
    """Compile SQL that is no node of the project; give the SQL that the warehouse understands."""
    args = ["--inline", sql, "--no-defer", "--no-populate-cache", "--no-write-json"]
    refused: list[str] = []

    def hear(event: Any) -> None:
        if getattr(getattr(event, "info", None), "name", "") == "ParseInlineNodeError":
            refused.append(plain(event.data.exc))

    try:
        results = run_dbt(invocation, "compile", *args, manifest=manifest, callbacks=[hear], unset=OWN)
    except DbtFailed as error:
        # dbt's exception says no more than that it could not parse it.
        raise DbtFailed("\n".join(refused) or str(error), usage=error.usage) from None
    finally:
        # Also of a query that was refused: the next one is of the same name.
        for unique_id in [u for u in manifest.nodes if u.startswith("sql_operation.")]:
            del manifest.nodes[unique_id]
    return str(results.results[0].node.compiled_code)
