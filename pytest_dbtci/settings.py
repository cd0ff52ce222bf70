"""What the user asked for: the options' values, read once from the command line and the ini file and checked."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Set
from dataclasses import dataclass, field, fields, replace
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal

from pytest_dbtci.errors import UsageError
from pytest_dbtci.options import DEFAULT_SELECT, OPTIONS, Option

_UNITS = {"m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}

KeepSchema = Literal["never", "failed", "always"]


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What the user asked for, read once; nothing further down reads pytest's configuration.

    Empty text means "not given" everywhere. Paths are absolute. `rootdir` is pytest's, `invocation_dir` where
    the command was typed.
    """

    rootdir: Path
    invocation_dir: Path
    cache_dir: Path | None = None
    project_dir: str = ""
    profiles_dir: str = ""
    profile: str = ""
    target: str = ""
    vars: str = ""
    threads: int | None = None
    full_refresh: bool = False
    base: str = ""
    select: str = DEFAULT_SELECT
    exclude: str = ""
    state: str = ""
    defer_target: str = ""
    pr: str = ""
    schema: str = "dbt_build_{pr}"
    keep_schema: KeepSchema = "never"
    incremental: Literal["build", "clone"] = "build"
    compare: Literal["none", "auto", "base", "prod"] = "none"
    compare_budget: int | None = None
    compare_rows: int | None = None
    compare_timeout: int | None = None
    compare_rules: str = ""
    compare_values: bool = False
    build_less: str = "none"
    reuse_age: str = "1d"
    fresh: bool = False
    known: Literal["fail", "warn"] = "fail"
    release: str = ""
    release_behind: bool = False
    rehearse: bool = False
    docs: str = ""
    sweep: Literal["off", "list", "drop"] = "off"
    sweep_age: str = ""
    sweep_pr: str = ""
    batch_tests: bool = False
    show_rows: int = 5
    summary: str = ""
    report: str = ""
    comment: bool = False
    timings: str = ""
    environ: dict[str, str] = field(default_factory=dict, repr=False)

    def variables(self) -> dict[str, Any]:
        """Return what `--dbt-ci-vars` says; UsageError where it is no YAML mapping."""
        return _mapping(self.vars, "--dbt-ci-vars", "{name: value}")

    def leaves_out(self, rule: Literal["formatting", "contents", "reuse"]) -> bool:
        """Whether nodes are left out by this rule."""
        return rule in self.build_less.split(",") or self.build_less == "all"

    def rules(self) -> dict[str, Any]:
        """Return what `--dbt-ci-compare-rules` says; UsageError where it is no YAML mapping."""
        return _mapping(self.compare_rules, "--dbt-ci-compare-rules", "{exclude: [loaded_at]}")


def read_settings(option: Callable[[str], Any], ini: Callable[[str], Any], **known: Any) -> Settings:
    """Read every option: the command line wins over the ini file, which wins over the default.

    `option` gives what the command line said (None where it said nothing), `ini` the ini file's text (empty
    where it says nothing), `known` the fields that are no options. Raises UsageError for a value that does not
    fit its kind.
    """
    values: dict[str, Any] = dict(known)
    for declared in OPTIONS:
        said = option(declared.dest)
        if said is None and declared.in_ini:
            said = ini(declared.ini)
            said = None if said == "" else said
        values[declared.name.replace("-", "_")] = _value(declared, declared.default if said is None else said)
    of_comparison = {o.name.replace("-", "_") for o in OPTIONS if o.name.startswith("compare-")}
    names = {"rehearse", "known", *of_comparison}
    _check_together(values, {name for name in names if option(f"dbtci_{name}") is not None})
    if values["release"]:
        # They are a pull request's, and may stand in the ini file.
        values |= {"base": "", "defer_target": "", "incremental": "build", "compare": "none", "known": "fail"}
    return Settings(**values)


def age_of(text: str, flag: str) -> timedelta:
    """Return the time that a number and a unit stand for, such as `7d`; UsageError for anything else."""
    match = re.fullmatch(r"(\d{1,6})([mhdw])", text, re.ASCII)
    if match is None:
        raise UsageError(f"{flag} {text}: write a number and m, h, d or w, such as 7d.")
    return int(match.group(1)) * _UNITS[match.group(2)]


def _check_together(values: Mapping[str, Any], typed: Set[str]) -> None:
    """Raise UsageError where an option needs another; of `typed` those count that the command line has."""
    given = {name for name in ("docs", "release_behind", "sweep_age", "sweep_pr", "release") if values[name]}
    given |= typed & {"rehearse"}
    if values["compare"] == "none":
        if "contents" in values["build_less"].split(","):
            raise UsageError("--dbt-ci-build-less=contents needs the base's version: it goes with --dbt-ci-compare.")
        if "known" in typed and values["known"] == "warn":
            raise UsageError("--dbt-ci-known=warn needs the base to ask: it goes with --dbt-ci-compare.")
        for name in sorted(typed - {"rehearse", "known"}):
            raise UsageError(f"--dbt-ci-{name.replace('_', '-')} is for a comparison: it goes with --dbt-ci-compare.")
    is_pull_request = not values["release"] and values["sweep"] == "off"
    if values["compare"] == "prod" and not values["defer_target"] and is_pull_request:
        raise UsageError(
            "--dbt-ci-compare=prod compares with production's relations: it goes with --dbt-ci-defer-target TARGET."
        )
    for name in ("docs", "release_behind", "rehearse"):
        if name in given and "release" not in given:
            flag = name.replace("_", "-")
            raise UsageError(f"--dbt-ci-{flag} is for a release: it goes with --dbt-ci-release TARGET.")
    age_of(values["reuse_age"], "--dbt-ci-reuse-age")
    if "reuse" in values["build_less"].split(",") and values["keep_schema"] == "never":
        raise UsageError(
            "--dbt-ci-build-less=reuse goes on from schemas that stay after a run: it goes with "
            "--dbt-ci-keep-schema=always."
        )
    if values["sweep"] == "off":
        for name in sorted(given & {"sweep_age", "sweep_pr"}):
            raise UsageError(f"--dbt-ci-{name.replace('_', '-')} is for a sweep: it goes with --dbt-ci-sweep.")
    elif "release" in given:
        raise UsageError("--dbt-ci-sweep and --dbt-ci-release are two runs: leave one of them out.")


def check_unused(option: Callable[[str], Any], arguments: Iterable[str]) -> None:
    """Raise UsageError where an option was typed that nothing reads, because `--dbt-ci` is missing.

    Options that the ini file's `addopts` holds are no mistake: they wait for the runs with `--dbt-ci`.
    """
    typed = {argument.partition("=")[0] for argument in arguments}
    for declared in OPTIONS:
        if declared.flag in typed and option(declared.dest) is not None:
            raise UsageError(f"{declared.flag} means nothing without --dbt-ci: add it, or leave this out.")


def change(settings: Settings, changes: Mapping[str, Any]) -> Settings:
    """Replace fields; UsageError for one that there is not."""
    unknown = sorted(changes.keys() - {f.name for f in fields(Settings)})
    if unknown:
        raise UsageError(f"a plugin's pytest_dbtci_settings sets {', '.join(unknown)}, which is no setting.")
    declared = {o.name.replace("-", "_"): o for o in OPTIONS}
    try:
        checked = {k: v if v is None or k not in declared else _value(declared[k], v) for k, v in changes.items()}
    except UsageError as error:
        raise UsageError(f"a plugin's pytest_dbtci_settings: {error}") from None
    return replace(settings, **checked)


def _mapping(said: str, flag: str, example: str) -> dict[str, Any]:
    import yaml

    try:
        found = yaml.safe_load(said or "{}")
    except yaml.YAMLError:
        found = None
    if not isinstance(found, dict):
        raise UsageError(f"{flag} {said}: write a YAML mapping, such as '{example}'")
    return found


def _text(said: Any) -> str:
    """Return a value as it would be written on the command line; lists of several lines or items are one text."""
    if isinstance(said, list):
        return " ".join(map(str, said))
    if isinstance(said, dict):
        return json.dumps(said)
    return " ".join(line for line in map(str.strip, str(said).splitlines()) if line)


def _value(declared: Option, said: Any) -> Any:
    text = _text(said)
    if declared.kind == "flag":
        if text.lower() not in ("true", "false", "1", "0", "yes", "no", "on", "off", ""):
            raise UsageError(f"{declared.ini} = {text}: write true or false")
        return text.lower() in ("true", "1", "yes", "on")
    if declared.kind == "number":
        if not text:
            return None
        if not text.isascii() or not text.isdigit():
            raise UsageError(f"{declared.flag} {text}: write a whole number, {declared.least} or more")
        if int(text) < declared.least:
            raise UsageError(f"{declared.flag} {text}: write {declared.least} or more")
        return int(text)
    if declared.several:
        text = ",".join(word.strip() for word in text.split(","))
    chosen = text.split(",") if declared.several else [text]
    alone = len(chosen) > 1 and {"none", "all"} & {*chosen}
    if declared.kind == "choice" and (alone or not {*chosen} <= {*declared.choices}):
        raise UsageError(f"{declared.flag} {text}: choose one of {', '.join(declared.choices)}")
    return text
