"""Drive dbt through its documented runner: arguments in, result or dbt's own words out."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pytest_dbtci.dbt_client.protocol.values import Invocation

QUIET = (
    "--log-level",
    "none",
    "--log-level-file",
    "none",
    "--no-use-colors",
    "--no-print",
    "--no-send-anonymous-usage-stats",
)

_UNTHREADED = ("parse", "ls", "deps")
"""Commands that know no `--threads`, or have no use for it."""

WARNINGS = ("WARN_ERROR", "WARN_ERROR_OPTIONS")
NARROWING = ("RESOURCE_TYPES", "EXCLUDE_RESOURCE_TYPES")
OWN = (*WARNINGS, *NARROWING, "INDIRECT_SELECTION", "EMPTY", "SAMPLE")
"""dbt's settings, as named in the environment, that a job has for its own builds and not for what is asked here."""

_UNSET = re.compile(r"Env var required but not provided: '(\w+)'")
_UNCLOSED = re.compile(r"Reached EOF without finding a close tag for (\w+)")
_TEXTS = (".yml", ".yaml", ".sql", ".md", ".py")

_ANSI = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")


class DbtFailed(Exception):
    """Carry dbt's own message; `usage` tells that the user's call, profile or project is at fault."""

    def __init__(self, message: str, *, usage: bool = True) -> None:
        super().__init__(message)
        self.usage = usage


def run_dbt(
    invocation: Invocation,
    command: str,
    *args: str,
    manifest: Any = None,
    callbacks: Sequence[Callable[[Any], None]] = (),
    unset: Sequence[str] = NARROWING,
) -> Any:
    """Invoke one dbt command and return dbt's result object.

    `unset` names settings that the environment must not decide this time. Raises DbtFailed with dbt's message for
    anything that ended in an exception, KeyboardInterrupt when the invocation was cancelled.
    """
    from dbt.cli.main import dbtRunner

    unchecked = ("--no-version-check",) if invocation.any_version else ()
    own = _warn_only(invocation.project_dir) if set(WARNINGS) <= set(unset) else {}
    with _environment(unset, own):
        answer = dbtRunner(manifest=manifest, callbacks=list(callbacks)).invoke(
            [*QUIET, *unchecked, *command.split(), *_arguments(invocation, command), *args]
        )
    if isinstance(answer.exception, KeyboardInterrupt):
        raise KeyboardInterrupt
    if answer.exception is not None:
        raise DbtFailed(_words(answer.exception, invocation), usage=_is_usage(answer.exception))
    return answer.result


def _arguments(invocation: Invocation, command: str) -> list[str]:
    threads = "" if invocation.threads is None or command in _UNTHREADED else str(invocation.threads)
    given = {
        "--project-dir": invocation.project_dir,
        "--profiles-dir": invocation.profiles_dir,
        "--target-path": invocation.target_path,
        "--log-path": invocation.log_path,
        "--profile": invocation.profile,
        "--target": invocation.target,
        "--vars": invocation.vars,
        "--threads": threads,
    }
    return [part for flag, value in given.items() if value for part in (flag, value)]


def _warn_only(project_dir: str) -> dict[str, str]:
    """Return the variable by which no warning is an error; dbt takes only one of the two."""
    import yaml

    project = yaml.safe_load(Path(project_dir, "dbt_project.yml").read_text(encoding="utf-8"))
    flags = project.get("flags") or {}
    return {"DBT_WARN_ERROR": "false"} if "warn_error" in flags else {"DBT_WARN_ERROR_OPTIONS": "{}"}


@contextmanager
def _environment(unset: Sequence[str], own: Mapping[str, str]) -> Iterator[None]:
    """Replace these settings of dbt in the environment by our own for a while."""
    names = [f"{prefix}{name}" for name in unset for prefix in ("DBT_", "DBT_ENGINE_")]
    taken = {name: os.environ.pop(name) for name in names if name in os.environ}
    os.environ.update(own)
    try:
        yield
    finally:
        for name in own:
            os.environ.pop(name, None)
        os.environ.update(taken)


def build_settings() -> dict[str, tuple[str, Any]]:
    """Return what the environment sets of `dbt build`'s options: the option to the variable and its value."""
    from click.core import ParameterSource
    from dbt.cli.main import cli

    command = cli.commands["build"]
    with command.make_context("build", [], resilient_parsing=True) as context:
        names = {p.name: [p.envvar] if isinstance(p.envvar, str) else p.envvar for p in command.params if p.envvar}
        return {
            name: (next((v for v in names[name] if v in os.environ), ""), value)
            for name, value in context.params.items()
            if context.get_parameter_source(name) is ParameterSource.ENVIRONMENT and name in names
        }


_NARROW = ("resource_types", "exclude_resource_types", "indirect_selection", "empty", "sample", "event_time_start")


def narrowing() -> tuple[str, ...]:
    """Return the variables, each with its value, by which the environment makes `dbt build` build or test less."""
    found = build_settings().items()
    return tuple(
        f"{v}={os.environ[v]}" for name, (v, value) in found if name in _NARROW and value not in (False, "eager")
    )


def plain(text: str) -> str:
    """Strip colours and trailing blanks from dbt's text."""
    return "\n".join(line.rstrip() for line in _ANSI.sub("", text).strip().splitlines())


def folder(path: str | Path) -> str:
    """Make the folder if need be and give its path as text."""
    Path(path).mkdir(parents=True, exist_ok=True)
    return str(path)


def _words(error: BaseException, invocation: Invocation) -> str:
    """Return dbt's own words, and the file that they don't name: one that can't be decoded, or reads a variable."""
    project = Path(invocation.project_dir)
    if isinstance(error, UnicodeDecodeError):
        named = (name for name, file in _files(project) if _holds(file, error.object))
        return f"{next(named, 'a file')} is not UTF-8 text: {error.reason} at position {error.start}. Save it as UTF-8."
    text = plain(str(error))
    found = _UNSET.search(text) or _UNCLOSED.search(text)
    if found is None:
        return text
    files = {"profiles.yml": Path(invocation.profiles_dir, "profiles.yml"), **dict(_files(project))}
    is_meant = _reads if found.re is _UNSET else _leaves_open
    place = next((n for n, f in files.items() if f.suffix in _TEXTS and f.is_file() and is_meant(f, found[1])), "")
    return text.replace(found[0], f"{found[0]} (in {place})") if place else text


def _reads(file: Path, variable: str) -> bool:
    return re.search(rf"env_var\(\s*['\"]{variable}['\"]".encode(), file.read_bytes()) is not None


def _leaves_open(file: Path, block: str) -> bool:
    begun, ended = (re.findall(rf"{{%[-+]?\s*{word}\b".encode(), file.read_bytes()) for word in (block, f"end{block}"))
    return len(begun) > len(ended)


def _files(directory: Path) -> Iterator[tuple[str, Path]]:
    for folder, folders, names in os.walk(directory):
        folders[:] = [name for name in folders if not name.startswith(".")]
        yield from (
            (Path(folder, name).relative_to(directory).as_posix(), Path(folder, name)) for name in sorted(names)
        )


def _holds(file: Path, content: bytes) -> bool:
    return file.is_file() and file.stat().st_size == len(content) and file.read_bytes() == content


def _is_usage(error: BaseException) -> bool:
    """Whether the user is at fault (project, profile, selector, arguments), not the warehouse or the machine."""
    from dbt_common.exceptions import DbtDatabaseError

    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, DbtDatabaseError) or type(seen).__name__ == "FailedToConnectError":
            return False
        if isinstance(seen, OSError) and seen.errno in (errno.ENOSPC, errno.EDQUOT):
            return False
        seen = seen.__cause__
    return True
