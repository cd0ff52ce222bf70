"""Give a checkout the form in which the disk has its files, where git stores both forms alike."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

from pytest_dbtci.git.process import Git


def take_form_of_disk(own: Git, blobs: Mapping[str, str], disk: Path, ruled: Collection[str]) -> None:
    """Rewrite files that `own` has checked out, whose ids are `blobs`, as the work tree `disk` has them.

    With `core.autocrlf=true` and LF on the disk, say, git sees no change, and yet a checkout has CRLF: to dbt each file
    would be another. A file that has not changed is taken from the disk, one that has gets the disk's line endings;
    both only if git stores it as the same blob. What a changed .gitattributes rules (`ruled`) is left as it is: there
    the form is what changed.
    """
    there = own.directory
    differing = [path for path in blobs if path not in ruled and _differ(there / path, disk / path)]
    for form in (_same, _line_endings):
        before = {path: (there / path).read_bytes() for path in differing}
        tried = {path: form(before[path], (disk / path).read_bytes()) for path in differing}
        tried = {path: text for path, text in tried.items() if text != before[path]}
        for path, text in tried.items():
            (there / path).write_bytes(text)
        other = [path for path, blob in _stored(own, tried).items() if blob != blobs[path]]
        for path in other:
            (there / path).write_bytes(before[path])
        differing = other


def _same(_: bytes, disk: bytes) -> bytes:
    return disk


def _line_endings(text: bytes, disk: bytes) -> bytes:
    text = text.replace(b"\r\n", b"\n")
    return text.replace(b"\n", b"\r\n") if b"\r\n" in disk else text


def _differ(*files: Path) -> bool:
    """Whether both are files, of different size: in another form a file has another one."""
    both = all(file.is_file() and not file.is_symlink() for file in files)
    return both and len({file.stat().st_size for file in files}) > 1


def _stored(own: Git, paths: Iterable[str]) -> dict[str, str]:
    """Return the id that git would store each file of the checkout under."""
    listed = list(paths)
    ids = own("hash-object", "--stdin-paths", stdin="".join(f"{path}\n" for path in listed)) if listed else ""
    return dict(zip(listed, ids.split(), strict=True))
