"""Hand the released state's documentation over: one page and one manifest, in a folder that is never half-written."""

from __future__ import annotations

import secrets
import shutil
from pathlib import Path

from pytest_dbtci.errors import DbtCiError, UsageError

PAGE, MANIFEST = "index.html", "manifest.json"


def check_place(directory: Path) -> None:
    """Refuse a place that holds anything but what an earlier release wrote there: it is going to be replaced."""
    if directory.is_dir():
        foreign = sorted(p.name for p in directory.iterdir() if p.name not in (PAGE, MANIFEST) or not p.is_file())
        if foreign:
            raise UsageError(
                f"--dbt-ci-docs {directory}: this folder will be replaced, and it holds other files "
                f"({', '.join(foreign[:5])}{' …' if len(foreign) > 5 else ''}). Name a folder of its own."
            )
    elif directory.exists() or directory.is_symlink():
        raise UsageError(f"--dbt-ci-docs {directory}: this is no folder. Name a folder of its own.")


def publish(written: Path, directory: Path) -> None:
    """Make the folder of what `dbt docs generate --static` has written; DbtCiError where that can't be done.

    The new folder is made beside the old one and takes its place by a rename, so a reader finds the one or the other.
    """
    check_place(directory)
    directory = directory.resolve()
    suffix = secrets.token_hex(4)
    new, old = (directory.parent / f".{directory.name}.{suffix}.{age}" for age in ("new", "old"))
    try:
        new.mkdir(parents=True)
        try:
            (new / PAGE).write_text(_page(written), encoding="utf-8")
            shutil.copyfile(written / "manifest.json", new / MANIFEST)
            _exchange(new, directory, old)
        finally:
            shutil.rmtree(new, ignore_errors=True)
    except OSError as error:
        raise DbtCiError(
            f"the documentation could not be written to {directory}: {error}. "
            "Name a folder that this user may write beside: --dbt-ci-docs DIR."
        ) from error


def _page(written: Path) -> str:
    """Return dbt's page, in which no text of the project or the warehouse can end the script that it stands in."""
    page = (written / "static_index.html").read_text(encoding="utf-8")
    for name in ("manifest.json", "catalog.json"):
        data = (written / name).read_text(encoding="utf-8")
        page = page.replace(data, data.replace("<", "\\u003c"))
    return page


def _exchange(new: Path, directory: Path, old: Path) -> None:
    """Replace the folder by `new`; when that fails, the folder is there as before."""
    if not directory.exists():
        new.rename(directory)
        return
    directory.rename(old)
    try:
        new.rename(directory)
    except OSError:
        old.rename(directory)
        raise
    shutil.rmtree(old, ignore_errors=True)
