"""Find the dbt project that a run is about."""

from __future__ import annotations

from pathlib import Path

from pytest_dbtci.errors import UsageError


def find_project(given: str, rootdir: Path, invocation_dir: Path) -> Path:
    """Return the folder of dbt_project.yml: the one given, the one that pytest runs in, or the only one below rootdir.

    UsageError where there is none, or several and none was chosen.
    """
    if given:
        directory = (invocation_dir / given).resolve()
        if not (directory / "dbt_project.yml").is_file():
            raise UsageError(f"--dbt-ci-project-dir {given}: there is no dbt_project.yml in {directory}.")
        return directory
    for directory in (invocation_dir, *invocation_dir.parents, rootdir):
        if (directory / "dbt_project.yml").is_file() and directory.is_relative_to(rootdir):
            return directory.resolve()
    if (invocation_dir / "dbt_project.yml").is_file():
        raise UsageError(
            f"pytest's rootdir is {rootdir}, which does not hold {invocation_dir}: where there is no pytest.ini, the "
            "path that an option was given can be taken for it. Add a pytest.ini to the project, or pass --rootdir=."
        )
    found = sorted(_below(rootdir))
    if not found:
        raise UsageError(
            f"there is no dbt_project.yml in {rootdir} or below. Run it in the dbt project, or pass "
            "--dbt-ci-project-dir."
        )
    if len(found) > 1:
        names = "\n  ".join(str(p.relative_to(rootdir)) for p in found)
        raise UsageError(
            f"there are several dbt projects below {rootdir}:\n  {names}\nChoose one with --dbt-ci-project-dir."
        )
    return found[0].resolve()


def _below(rootdir: Path, depth: int = 4) -> list[Path]:
    """Find dbt projects below a folder, leaving out installed packages, environments and hidden folders."""
    found: list[Path] = []
    for child in sorted(rootdir.iterdir()) if depth else ():
        skip = child.name.startswith(".") or child.name in (
            "dbt_packages",
            "dbt_modules",
            "target",
            "node_modules",
        )
        if skip or not child.is_dir() or child.is_symlink() or (child / "pyvenv.cfg").exists():
            continue
        if (child / "dbt_project.yml").is_file():
            found.append(child)
        else:
            found += _below(child, depth - 1)
    return found
