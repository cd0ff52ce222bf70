"""Where a parsed project's relations lie in another target, without parsing it a second time.

dbt makes a relation's name at parse time, with three macros. Where nothing else of a node can depend on the
target, asking these macros again, under the other target, gives the names that a whole parse would.
"""

from __future__ import annotations

import ast
import copy
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from pytest_dbtci.codec import decode, encode
from pytest_dbtci.dbt_client.protocol.values import Invocation
from pytest_dbtci.dbt_host.manifests import compile_inline
from pytest_dbtci.dbt_host.node_parts import is_external
from pytest_dbtci.manifest import Manifest, Place

_NAMING = ("schema", "database", "alias", "enabled")
_GENERATORS = ("generate_schema_name", "generate_database_name", "generate_alias_name")
_CALL = re.compile(r"\bconfig\s*\(")
_READ = ("model", "seed", "snapshot")

_NAMES = """
{%- for id in UNIQUE_IDS -%}
{%- set n = graph.nodes[id] -%}
{{ tojson([id, generate_database_name(n.config.database, n) | trim, generate_schema_name(n.config.schema, n) | trim,
           generate_alias_name(n.config.alias, n) | trim]) }}
{% endfor -%}
"""


def resolve(invocation: Invocation, manifest: Any, parsed: str, into: str) -> Manifest | None:
    """Write the parsed tree's manifest.json and view.json as the invocation's target would have them.

    `parsed` is the folder of the tree's own manifest.json and view.json, `into` where the others go; they hold
    only what can be deferred to. Gives the view; None where names can depend on the target in another way, so
    that only a whole parse tells.
    """
    if _depends_on_target(manifest, Path(invocation.project_dir)):
        return None
    names = _names(invocation, manifest)
    data = json.loads(Path(parsed, "manifest.json").read_text(encoding="utf-8"))
    view = decode(Manifest, json.loads(Path(parsed, "view.json").read_text(encoding="utf-8")))
    data["nodes"] = {k: {**v, **_as_written(names[k])} for k, v in data["nodes"].items() if k in names}
    view = replace(view, nodes={k: v for k, v in view.nodes.items() if k in names}).moved(names)
    for name, content in (("manifest.json", data), ("view.json", encode(view))):
        Path(into, name).write_text(json.dumps(content), encoding="utf-8")
    return view


def _names(invocation: Invocation, manifest: Any) -> dict[str, Place]:
    """Return where each node's relation lies."""
    from dbt.adapters.factory import get_adapter_by_type

    wanted = [
        u
        for u, n in manifest.nodes.items()
        if n.resource_type in _READ and not getattr(n, "is_ephemeral_model", False) and not is_external(n)
    ]
    compiled = compile_inline(invocation, manifest, _NAMES.replace("UNIQUE_IDS", json.dumps(wanted)))
    adapter = get_adapter_by_type(manifest.metadata.adapter_type)
    names = {}
    for line in filter(str.strip, compiled.splitlines()):
        unique_id, database, schema, alias = json.loads(line)
        node = copy.copy(manifest.nodes[unique_id])
        node.database, node.schema, node.alias = database, schema, alias
        relation = str(adapter.Relation.create_from(adapter.config, node))
        names[unique_id] = Place(database=database, schema=schema, identifier=alias, relation=relation)
    return names


def _as_written(place: Place) -> dict[str, str | None]:
    parts = {"database": place.database, "schema": place.schema, "alias": place.identifier}
    return {**parts, "relation_name": place.relation}


def _depends_on_target(manifest: Any, project_dir: Path) -> bool:
    """Whether a name, or whether a node exists, can depend on the target besides by the naming macros."""
    nodes = [*manifest.nodes.values(), *(n for found in manifest.disabled.values() for n in found)]
    return (
        any(_node_depends(node) for node in nodes)
        or any(_settings_depend(text) for text in _settings(project_dir, manifest))
        or any(_macro_depends(macro, manifest) for macro in manifest.macros.values())
    )


def _node_depends(node: Any) -> bool:
    config = getattr(node, "config", None)
    if getattr(config, "target_schema", None) or getattr(config, "target_database", None):
        return True
    unrendered = getattr(node, "unrendered_config", None) or {}
    if any("{" in str(unrendered.get(name, "")) for name in _NAMING):
        return True
    return node.resource_type in _READ and _config_depends(getattr(node, "raw_code", "") or "")


def _config_depends(code: str) -> bool:
    """Whether a `config(...)` in the code is anything but literals where names are concerned."""
    for call in _CALL.finditer(code):
        if "{%" in code[: call.start()]:
            return True  # it may stand in an `if`, or read what was `set` before
        literal = _arguments(code[call.end() :])
        if literal is None or any(k is None or (k in _NAMING and not is_plain) for k, is_plain in literal):
            return True
    return False


def _arguments(rest: str) -> list[tuple[str | None, bool]] | None:
    """Read the arguments of a call whose opening parenthesis was just passed: name, and whether it is a literal.

    None when they are not to be read the way Python would read them.
    """
    for end in (i for i, c in enumerate(rest[:4000]) if c == ")"):
        try:
            call = ast.parse(f"f({rest[:end]})", mode="eval").body
        except (SyntaxError, ValueError):
            continue
        if not isinstance(call, ast.Call) or call.args:
            return None
        return [(k.arg, _is_literal(k.value)) for k in call.keywords]
    return None


def _is_literal(value: ast.expr) -> bool:
    return isinstance(value, ast.Constant) or (isinstance(value, ast.Name) and value.id in ("true", "false", "none"))


def _settings_depend(text: str) -> bool:
    """Whether a naming key of a node's configuration is written with Jinja in a YAML file."""
    if "{{" not in text and "{%" not in text:
        return False
    data = yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    return isinstance(data, Mapping) and any(
        _holds_jinja(part) for key, part in data.items() if key not in ("sources", "exposures", "vars")
    )


def _holds_jinja(part: Any) -> bool:
    if isinstance(part, Mapping):
        return any(
            ("{" in str(value) if str(key).lstrip("+") in _NAMING else _holds_jinja(value))
            for key, value in part.items()
        )
    return isinstance(part, list) and any(_holds_jinja(value) for value in part)


def _settings(project_dir: Path, manifest: Any) -> Iterator[str]:
    """Return the texts of the project files and the property files, packages' included."""
    yield (project_dir / "dbt_project.yml").read_text(encoding="utf-8")
    for file in project_dir.glob("*/*/dbt_project.yml"):
        yield file.read_text(encoding="utf-8")
    for source in manifest.files.values():
        path = Path(source.path.full_path)
        if path.suffix in (".yml", ".yaml") and path.is_file():
            yield path.read_text(encoding="utf-8")


def _macro_depends(macro: Any, manifest: Any) -> bool:
    """Whether a naming macro is one that `--inline` SQL of the project would not call just so."""
    from dbt.adapters.factory import get_adapter_package_names

    if macro.name not in _GENERATORS:
        return False
    if macro.package_name in get_adapter_package_names(manifest.metadata.adapter_type):
        return False
    # A node given as a plain mapping has no methods.
    return macro.package_name != manifest.metadata.project_name or "node.is_" in macro.macro_sql
