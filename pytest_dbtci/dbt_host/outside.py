"""What a node writes besides its relation: files are redirected into the run's own folder, the rest is refused."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pytest_dbtci.dbt_host.macro_lookup import builtin_packages
from pytest_dbtci.dbt_host.runner import DbtFailed

_STORES = ("plugin", "glue_register")
"""Configuration by which dbt-duckdb hands a relation on to another system."""

_PLACE = re.compile(r"\w+://|\.{0,2}/|~/|[\w.-]+/|[\w-]+\.\w+$")
"""How the name of a file, a folder or a bucket begins."""

_WRITES = re.compile(
    r"\bunload\s*\(|\bcopy\b[^;]*?\bto\s*(?:'|program\b|\{\{)|\bexport\s+database\b|\blo_export\s*\("
    # DuckDB takes any expression, or a bare name, for a file; Snowflake unloads into a stage or a bucket.
    r"|(?:^|[;}\"'(])\s*copy\s(?!\s*into\b)[^;]*?\sto\s(?!\s*stdout\b)|\bcopy\s+from\s+database\b|\bcopy\s+into\s+[@']"
    r"|\bcreate\s+(?:or\s+replace\s+)?persistent\s+secret\b|\bcreate\s+external\s+table\b",
    re.IGNORECASE,
)
_COMMENT = re.compile(r"/\*.*?\*/|(?<!')--[^\n']*$", re.DOTALL | re.MULTILINE)
_CALL = re.compile(r"(\w+)\s*\(")
_JINJA = re.compile(r"\{[{%#]")

_REMEDY = (
    "Let it happen on the release's target only (a condition on target.name), or into a place with target.schema in "
    "its name; or leave the nodes out with --dbt-ci-exclude."
)
_REHEARSAL_REMEDY = "Let the place have target.schema in its name, or leave --dbt-ci-rehearse out."


@dataclass(frozen=True, kw_only=True)
class ExternalFiles:
    """The folder of a run's external files, and the folders in it that the models need; empty for none."""

    folder: str = ""
    places: tuple[Path, ...] = ()

    def __add__(self, others: ExternalFiles) -> ExternalFiles:
        """Return both, of which the others lie in this one's folder if it has any."""
        return ExternalFiles(folder=self.folder or others.folder, places=(*self.places, *others.places))

    def make(self) -> None:
        """Make the folders anew: what an earlier run left in them goes."""
        self.remove()
        for place in self.places:
            place.mkdir(parents=True)

    def remove(self) -> None:
        """Remove the folder with all that is in it."""
        if self.folder:
            shutil.rmtree(self.folder, ignore_errors=True)


def redirect(manifest: Any, unique_ids: Iterable[str], folder: str, *, rehearsal: bool) -> ExternalFiles:
    """Let external models write below `folder`, and return the folders that this takes.

    Raises DbtFailed, naming the nodes, where a node or hook writes outside the warehouse in a way that can't be
    redirected. A rehearsal runs on the release's own target, so there only another schema makes a difference.
    """
    own = re.escape(Path(folder).name)
    decides = re.compile(rf"\bschema\b|{own}" if rehearsal else rf"\btarget\b|\bschema\b|{own}")
    materializations = _materializations(manifest)
    refused, places = [], list[Path]()
    for node in _nodes(manifest, unique_ids):
        why = [*_configured(manifest, node, materializations, decides), *_hooked(manifest, node, decides)]
        refused += [f"{node.unique_id} ({node.original_file_path}): {reason}" for reason in why]
        if node.config.get("materialized") == "external" and manifest.metadata.adapter_type == "duckdb" and not why:
            place = Path(folder, node.unique_id)
            node.config["location"] = _below(place, str(node.config.get("location") or ""))
            places.append(place)
    if refused:
        raise DbtFailed(
            "nothing was written, because these write outside the warehouse's schemas, where production's may be:\n  "
            + "\n  ".join(refused)
            + f"\n{_REHEARSAL_REMEDY if rehearsal else _REMEDY}"
        )
    return ExternalFiles(folder=folder if places else "", places=tuple(places))


def _nodes(manifest: Any, unique_ids: Iterable[str]) -> Iterator[Any]:
    """Yield these nodes, and the project's hooks, which run with any of them."""
    wanted = set(unique_ids)
    for unique_id, node in manifest.nodes.items():
        if unique_id in wanted or node.resource_type == "operation":
            yield node


def _materializations(manifest: Any) -> tuple[str, ...]:
    """Return the macros of the materializations that are the project's or a package's, not dbt's or the adapter's."""
    builtin = builtin_packages(manifest.metadata.adapter_type)
    macros = (m for m in manifest.macros.values() if m.name.startswith("materialization_"))
    return tuple(m.name for m in macros if m.package_name not in builtin)


def _below(place: Path, location: str) -> str:
    """Return the location that has only its last part in common with the one given, as dbt will render it."""
    folder = str(place).replace("'", "''")
    if location and not _JINJA.search(location):
        return f"{folder}/{location.rstrip('/').rpartition('/')[2]}"
    rendered = location or "{{ external_location(this, config) }}"
    last = "{{ dbt_ci_location.strip().rstrip('/').split('/')[-1] }}"
    return f"{{%- set dbt_ci_location -%}}{rendered}{{%- endset -%}}{folder}/{last}"


def _configured(manifest: Any, node: Any, materializations: Iterable[str], decides: re.Pattern[str]) -> Iterator[str]:
    """Yield what the node's configuration lets it write outside and can't be redirected."""
    kind = node.config.get("materialized") or ""
    is_external = kind == "external"
    if not is_external and not any(name.startswith(f"materialization_{kind}_") for name in materializations):
        return
    for key in _STORES:
        if node.config.get(key):
            yield f"its configuration `{key}` hands it on to another system"
    if is_external and manifest.metadata.adapter_type == "duckdb":
        if _is_remote():
            yield "its file is written by DuckDB's server (`remote` in the profile)"
        return
    for key, value in node.config._extra.items():
        if isinstance(value, str) and _PLACE.match(value.strip()) and not decides.search(value):
            yield f"the materialization {kind} may write to its configuration `{key}`: {value}"


def _is_remote() -> bool:
    from dbt.adapters.factory import get_adapter_by_type

    return bool(getattr(get_adapter_by_type("duckdb").config.credentials, "remote", None))


def _hooked(manifest: Any, node: Any, decides: re.Pattern[str]) -> Iterator[str]:
    """Yield what hooks write outside, unless they look at the target."""
    hooks = [h.sql for k in ("pre_hook", "post_hook") for h in node.config.get(k) or ()]
    for text in [node.raw_code] if node.resource_type == "operation" else hooks:
        if not decides.search(text) and (found := _written(manifest, text, decides)):
            yield f"a hook writes a file: {found}"


def _written(manifest: Any, text: str, decides: re.Pattern[str]) -> str:
    """Return the statement that writes a file, in the hook itself or in a macro that it calls; empty for none.

    A macro that looks at the target, and all that it calls, is taken to know what it does.
    """
    builtin, called = builtin_packages(manifest.metadata.adapter_type), set(_CALL.findall(text))
    todo = [m.unique_id for m in manifest.macros.values() if m.name in called]
    texts, seen = [text], set[str]()
    while todo:
        macro = manifest.macros.get(unique_id := todo.pop())
        if macro is None or unique_id in seen or macro.package_name in builtin or decides.search(macro.macro_sql):
            continue
        seen.add(unique_id)
        texts.append(macro.macro_sql)
        todo += macro.depends_on.macros
    found = (m for t in texts if (m := _WRITES.search(_COMMENT.sub(" ", t))))
    return " ".join(next((m.string[m.start() : m.end() + 40] for m in found), "").split())
