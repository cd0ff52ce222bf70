"""The base's saved parse, made fit for the head: a file that differs by a byte is parsed anew.

dbt's partial parse compares checksums, which since dbt-core 1.12 fold white space: with `'a  b'` for `'a b'`, the
base's node would stay, and be built. In YAML it compares values the way Python does, to which `1` is `true`. So the
digest of every file is recorded beside the saved parse, and where the head's is another, the saved parse is changed
to be another, too.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from pytest_dbtci.dbt_host.macro_lookup import builtin_packages
from pytest_dbtci.dbt_host.manifest_view import functions

SAVED = "partial_parse.msgpack"
"""dbt's name of what it leaves of a parse in the target path."""

_RECORD = "files.json"
_NODES = ("nodes", "unit_tests", "functions")
_UNEQUAL = {"name": "none", "checksum": ""}
"""A checksum that to dbt equals none (`FileHash.empty`)."""

_PARTS_OF_FILES = ("macro", "snapshot")
"""Resource types of which a file can hold several; others are all that is in theirs."""


def record(manifest: Any, project_dir: str, folder: str) -> None:
    """Write each parsed file's place and digest beside the saved parse in `folder`."""
    builtin = builtin_packages(manifest.metadata.adapter_type or "")
    found = {}
    for file_id, source in manifest.files.items():
        path = source.path.full_path
        # A seed's rows are read when it is built: nothing of them is parsed.
        if source.parse_file_type != "seed":
            place = path if source.project_name in builtin else os.path.relpath(path, project_dir)
            found[file_id] = (place, _digest(Path(path)))
    Path(folder, _RECORD).write_text(json.dumps(found), encoding="utf-8")


@dataclass(frozen=True, kw_only=True)
class SavedParse:
    """A saved parse for one head: dbt's file, and the files that it has to parse anew, by dbt's id."""

    file: str
    differing: Mapping[str, Path]

    def is_followed_by(self, manifest: Any, parsed_anew: set[str]) -> bool:
        """Whether dbt parsed anew what it had to, and the manifest holds the texts of these files as they are now."""
        if any(f in manifest.files and f not in parsed_anew for f in self.differing):
            return False
        parts = (manifest.nodes, functions(manifest), manifest.macros)
        return all(self._holds(node) for part in parts for node in part.values())

    def _holds(self, node: Any) -> bool:
        path = self.differing.get(f"{node.package_name}://{node.original_file_path}")
        if path is None or path.suffix not in (".sql", ".py"):
            return True
        text = path.read_bytes().decode("utf-8", "replace").strip()
        if node.resource_type in _PARTS_OF_FILES:
            return (node.macro_sql if node.resource_type == "macro" else node.raw_code) in text
        return bool(node.raw_code == text)


def adapt(partial_parse: str, project_dir: str, into: str) -> SavedParse | None:
    """Write the saved parse that fits the project into a folder; None where its files were not recorded."""
    try:
        recorded = json.loads(Path(partial_parse).with_name(_RECORD).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    places = {file_id: (Path(project_dir, place), digest) for file_id, (place, digest) in recorded.items()}
    differing = {f: path for f, (path, digest) in places.items() if _digest(path) != digest}
    if not differing:
        return SavedParse(file=partial_parse, differing={})
    import msgpack

    parts = _parts(Path(partial_parse))
    files = msgpack.unpackb(parts["files"], strict_map_key=False)
    for file_id, path in differing.items():
        source = files[file_id]
        source["checksum"] = _UNEQUAL
        # Otherwise dbt takes the saved YAML for that of a file that was modified at the same time.
        source["path"]["modification_time"] = 0.0
        if source["parse_file_type"] == "schema" and path.is_file():
            _disagree(source.get("dfy") or {}, path)
    parts["files"] = msgpack.packb(files)
    file = Path(into, "base_parse.msgpack")
    file.parent.mkdir(parents=True, exist_ok=True)
    packed = (part for name, value in parts.items() for part in (msgpack.packb(name), value))
    file.write_bytes(b"".join((msgpack.Packer().pack_map_header(len(parts)), *packed)))
    return SavedParse(file=str(file), differing=differing)


def alike_nodes(before: Path, now: Path) -> frozenset[str]:
    """Name the nodes that dbt saved alike, to the byte, of both parses, and of which no more counts than is saved.

    None where one of the two was not saved, or has macros that the other lacks, which any text can mention.
    """
    try:
        then, found = _parts(before), _parts(now)
    except OSError:
        return frozenset()
    if _entries(then["macros"]).keys() != _entries(found["macros"]).keys():
        return frozenset()
    # Of a source counts how the project's flags have it compared, of a seed what its rows are.
    alike = (u for part in _NODES if part in then and part in found for u in _same(then[part], found[part]))
    return frozenset(u for u in alike if not u.startswith("seed."))


def _same(before: bytes, now: bytes) -> Iterator[str]:
    then = _entries(before)
    return (key for key, value in _entries(now).items() if then.get(key) == value)


def _parts(file: Path) -> dict[str, bytes]:
    """Return the parts of a saved parse, each as it is packed."""
    return _entries(file.read_bytes())


def _entries(packed: bytes) -> dict[str, bytes]:
    """Return what a packed map holds, each value as it is packed."""
    import msgpack

    unpacker, found = msgpack.Unpacker(max_buffer_size=len(packed)), dict[str, bytes]()
    unpacker.feed(packed)
    for _ in range(unpacker.read_map_header()):
        key, begin = unpacker.unpack(), unpacker.tell()
        unpacker.skip()
        found[key] = packed[begin : unpacker.tell()]
    return found


def _disagree(saved: Mapping[str, Any], path: Path) -> None:
    """Mark each element of the saved YAML (a model, a source …) that is not exactly in the file as it is now."""
    try:
        now = yaml.load(path.read_bytes(), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except yaml.YAMLError:
        return  # dbt will say so
    for key, elements in saved.items():
        texts = {_exactly(element) for element in _elements(now.get(key) if isinstance(now, Mapping) else None)}
        for element in _elements(elements):
            if _exactly(element) not in texts:
                element["dbt_ci"] = "differs"


def _elements(part: Any) -> list[dict[str, Any]]:
    return [e for e in part if isinstance(e, dict)] if isinstance(part, list) else []


def _exactly(element: Mapping[str, Any]) -> str:
    return json.dumps(element, default=str)


def _digest(path: Path) -> str:
    """Digest a file; a text of its own for one that can't be read."""
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return "unreadable"
