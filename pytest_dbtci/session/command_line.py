"""pytest's command line: mistakes that it would take for something else, and options that only look."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

import pytest

from pytest_dbtci.options import OPTIONS
from pytest_dbtci.session.beginning import usage_error

_ALWAYS = ("pytest.toml", ".pytest.toml", "pytest.ini", ".pytest.ini")
_WITH_SECTION = {
    "pyproject.toml": r"^\[tool\.pytest(\.ini_options)?\]",
    "tox.ini": r"^\[pytest\]",
    "setup.cfg": r"^\[tool:pytest\]",
}


def check(args: Sequence[str], invocation_dir: Path, inipath: Path | None) -> None:
    """Raise pytest.UsageError for a misspelt option, and for a path that made pytest read another ini file.

    pytest looks for its ini file from the paths that it is given, and takes the value of an option that it does not
    know yet, written after a space, for one of them. `inipath` is the ini file that it found.
    """
    known = {"--dbt-ci", *(option.flag for option in OPTIONS)}
    values = {option.flag for option in OPTIONS if option.kind != "flag"}
    for arg, following in zip(args, (*args[1:], ""), strict=True):
        flag, equals, _ = arg.partition("=")
        if flag.startswith("--dbt-ci") and flag not in known:
            near = difflib.get_close_matches(flag, known, n=1)
            hint = f"Did you mean {near[0]}?" if near else "`pytest --help` lists them."
            raise usage_error(f"there is no option {flag}. {hint}")
        if flag in values and not equals and following and not following.startswith("-"):
            own = _own_ini(invocation_dir)
            if (invocation_dir / following).exists() and own is not None and own != inipath:
                raise usage_error(
                    f"{own} would not be read, because pytest takes {following!r}, after a space, for a path to look "
                    f"for its ini file from. Write {flag}={following}."
                )


def check_ini(keys: Iterable[str]) -> None:
    """Raise pytest.UsageError for a key of ours that pytest would pass over with a warning among its own."""
    known = {option.ini: option.in_ini for option in OPTIONS}
    for key in keys:
        name = key.replace("-", "_")
        if not name.startswith("dbt_ci") or known.get(key):
            continue
        near = [name] if known.get(name) else difflib.get_close_matches(name, (k for k in known if known[k]), n=1)
        hint = f"Did you mean {near[0]}?" if near else "`pytest --help` lists them."
        if name in known and not known[name]:
            hint = f"It belongs to one run: write --{name.replace('_', '-')} on the command line."
        raise usage_error(f"there is no option {key} for an ini file. {hint}")


def only_looks(config: pytest.Config) -> bool:
    """Whether the session only shows what is there (`--collect-only`, `--setup-plan`, `--fixtures` …)."""
    option = config.option
    names = ("collectonly", "setupplan", "showfixtures", "show_fixtures_per_test")
    return any(getattr(option, name, False) for name in names)


def _own_ini(directory: Path) -> Path | None:
    """Return the ini file that pytest reads without paths on the command line."""
    for folder in (directory, *directory.parents):
        for name in _ALWAYS:
            if (folder / name).is_file():
                return folder / name
        for name, section in _WITH_SECTION.items():
            path = folder / name
            if path.is_file() and re.search(section, path.read_text("utf-8", "replace"), flags=re.MULTILINE):
                return path
    return None
