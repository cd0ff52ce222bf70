"""A run as one HTML page that needs no network: what changed, its impact, failures, timeline, cost."""

from __future__ import annotations

import html
import json
from collections.abc import Callable, Mapping
from importlib import resources
from pathlib import Path
from types import MappingProxyType
from typing import Any

from pytest_dbtci.ci.build import Build
from pytest_dbtci.differences import Comparison
from pytest_dbtci.errors import DbtCiError
from pytest_dbtci.plan import Plan
from pytest_dbtci.reports.page.contents import contents
from pytest_dbtci.results import Result


def write(
    path: Path,
    plan: Plan,
    results: Mapping[str, Result],
    build: Build,
    *,
    repository: Path | None,
    seconds: float,
    red: bool,
    redact: Callable[[str], str],
    trouble: str = "",
    comparisons: Mapping[str, Comparison] = MappingProxyType({}),
    values: bool = False,
) -> None:
    """Write the page to `path`.

    `repository` is the checkout's folder, which links to files start from; `seconds` is the run's wall time, `red`
    tells that something besides dbt's nodes failed, `trouble` what kept nodes from being built. `comparisons` are told
    with values from the data only with `values`. `redact` takes secrets out of what is read from disk (compiled SQL).
    Raises DbtCiError where the file can't be written.
    """
    data = contents(
        plan,
        results,
        build,
        repository=repository,
        seconds=seconds,
        red=red,
        redact=redact,
        trouble=trouble,
        comparisons=comparisons,
        values=values,
    )
    _save(path, _page(data))


def _save(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise DbtCiError(
            f"The report could not be written to {path}: {error.strerror or error}. "
            "Give --dbt-ci-report a file in a folder that this user may write to."
        ) from error


def _page(data: Mapping[str, Any]) -> str:
    """Return the HTML text; nothing in `data` can end the script element that it stands in."""
    folder = resources.files(__package__)
    parts = {
        "title": html.escape(data["title"]),
        "style": (folder / "page.css").read_text("utf-8"),
        "data": json.dumps(data, ensure_ascii=False).replace("<", "\\u003c"),
        "vendor": "\n".join(
            (folder / "vendor" / name).read_text("utf-8") for name in ("cytoscape.min.js", "dagre.min.js")
        ),
        "script": (folder / "page.js").read_text("utf-8"),
    }
    text = (folder / "page.html").read_text("utf-8")
    pieces = []
    for name in ("title", "style", "data", "vendor", "script"):
        before, _, text = text.partition("{{" + name + "}}")
        pieces += [before, parts[name]]
    return "".join([*pieces, text])
