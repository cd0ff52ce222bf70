"""The dbt that is installed, told from the packages' metadata: nothing of it is imported here."""

from __future__ import annotations

import re
from importlib.metadata import PackageNotFoundError, version

from pytest_dbtci.errors import UsageError

OLDEST, FIRST_UNSUPPORTED = "1.10.5", "2"
REQUIREMENT = f"dbt-core>={OLDEST},<{FIRST_UNSUPPORTED}"

_SUCCESSORS = ("dbt", "dbt-oss")
"""The packages of dbt v2; like dbt-core, they install the module `dbt`."""


def check_installed() -> None:
    """Raise UsageError, with what to install, where dbt is of a version that is not supported."""
    found = {name: known for name in ("dbt-core", *_SUCCESSORS) if (known := _version(name))}
    too_new = [f"{name} {known}" for name, known in found.items() if _parts(known) >= _parts(FIRST_UNSUPPORTED)]
    if too_new:
        superfluous = [name for name in _SUCCESSORS if name in found]
        first = f"`pip uninstall {' '.join(superfluous)}`, then " if superfluous else ""
        again = "--force-reinstall " if superfluous else ""
        raise UsageError(
            f"dbt v2 is installed here ({', '.join(too_new)}), which pytest-dbtci does not support yet: run {first}"
            f"`pip install {again}'{REQUIREMENT}'`."
        )
    core = found.get("dbt-core")
    if core and _parts(core) < _parts(OLDEST):
        raise UsageError(
            f"dbt-core {core} is installed here, which is too old for pytest-dbtci: run `pip install '{REQUIREMENT}'`."
        )


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _parts(text: str) -> tuple[int, ...]:
    """Return the release's numbers: `2.0.0rc1` counts as 2.0.0."""
    found = re.match(r"\d+(\.\d+)*", text)
    return tuple(map(int, found[0].split("."))) if found else ()
