"""Write a synthetic dbt project of a given size as a git repository with pull requests waiting in it.

Ten models make an area (`template/area`): four staging models over shared seeds, three intermediate ones, three
marts, two data tests each. A project is `template/project` and as many areas as it takes; each area reads one
staging model of its neighbour. So the pull request, five changed models in the first area, reaches the same nodes
however large the project is.
"""

from __future__ import annotations

import argparse
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

MODELS_PER_AREA = 10
MASTER = "master"
FIVE_MODELS, FIVE_OTHER_MODELS, ONLY_DOCS = "pr-1", "pr-2", "pr-3"
"""The branches of the pull requests, named for what they change."""

TEMPLATE = Path(__file__).with_name("template")
CHANGED = (
    "stg_AREA__customers",
    "stg_AREA__products",
    "int_AREA__order_payments",
    "int_AREA__product_sales",
    "mart_AREA__revenue",
)

_NAMES = ("sales", "finance", "growth", "supply", "people", "support", "product", "risk")


def generate(folder: Path, models: int) -> None:
    """Write the repository into `folder`, which must not exist yet; the same size gives the same commits.

    `master` is one commit ahead of the merge base of all pull requests. It is checked out. Raises ValueError
    for a size that is not a multiple of ten.
    """
    if models < MODELS_PER_AREA or models % MODELS_PER_AREA:
        raise ValueError(f"a project has a multiple of {MODELS_PER_AREA} models, not {models}")
    areas = models // MODELS_PER_AREA
    folder.mkdir(parents=True)
    _git(folder, "init", "--quiet", "--initial-branch", MASTER)
    for path, text in _project(areas):
        _write(folder / path, text)
    _commit(folder, "Start the project")
    for branch, area in ((FIVE_MODELS, 0), (FIVE_OTHER_MODELS, areas - 1)):
        _git(folder, "checkout", "--quiet", "-b", branch, MASTER)
        for path in _changed(folder, area):
            text = path.read_text(encoding="utf-8")
            _write(path, text.replace("\nfrom final", f",\n    '{branch}' as changed_by\nfrom final"))
        _commit(folder, "Change five models")
    _git(folder, "checkout", "--quiet", "-b", ONLY_DOCS, MASTER)
    _write(folder / "README.md", "# Bench\n\nA project to measure on.\n")
    _commit(folder, "Change the README")
    _git(folder, "checkout", "--quiet", MASTER)
    _write(folder / "docs" / "owners.md", "Every area has an owner.\n")
    _commit(folder, "Name the owners")


def _project(areas: int) -> Iterator[tuple[Path, str]]:
    """Yield the path and the text of every file, in a stable order."""
    yield from _files(TEMPLATE / "project")
    area_files = tuple(_files(TEMPLATE / "area"))
    for area in range(areas):
        name, neighbour = _name(area), _name((area - 1) % areas)
        for path, text in area_files:
            folder = path.parent / name if path.parts[0] == "models" else path.parent
            text = text.replace("AREA", name).replace("NEIGHBOUR", neighbour)
            yield folder / path.name.replace("AREA", name), text


def _files(folder: Path) -> Iterator[tuple[Path, str]]:
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            yield path.relative_to(folder), path.read_text(encoding="utf-8")


def _changed(folder: Path, area: int) -> list[Path]:
    name = _name(area)
    return [next(folder.glob(f"models/*/{name}/{m.replace('AREA', name)}.sql")) for m in CHANGED]


def _name(area: int) -> str:
    return f"{_NAMES[area % len(_NAMES)]}_{area:03d}"


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8", newline="\n")


def _commit(folder: Path, subject: str) -> None:
    _git(folder, "add", "--all")
    _git(folder, "commit", "--quiet", "--message", subject)


def _git(folder: Path, *arguments: str) -> None:
    who = {"NAME": "Bench", "EMAIL": "bench@example.com", "DATE": "2024-01-01T00:00:00+0000"}
    identity = {f"GIT_{role}_{key}": value for role in ("AUTHOR", "COMMITTER") for key, value in who.items()}
    own = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1", **identity}
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    subprocess.run(["git", *arguments], cwd=folder, env={**inherited, **own}, check=True)


def main() -> None:
    """Generate one repository from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--models", type=int, default=500)
    arguments = parser.parse_args()
    generate(arguments.folder, arguments.models)


if __name__ == "__main__":
    main()
