"""Write the profile that dbt runs with: the user's own output, with another schema; Jinja left as it stands."""

from __future__ import annotations

import copy
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from pytest_dbtci.adapters import SESSION_NAME
from pytest_dbtci.errors import UsageError
from pytest_dbtci.project.references import files

_FILE = "profiles.yml"
PROJECT_FILE = "dbt_project.yml"


@dataclass(frozen=True, kw_only=True)
class Profile:
    """The profile that dbt would use, as text that still holds its Jinja.

    `name` is the profile's, `target` the output to build in, `file` where it was found, `outputs` every output;
    `config` are flags of dbt, which it reads there, too. `by_default` tells that nothing but the file named the target.
    """

    name: str
    target: str
    file: Path
    outputs: Mapping[str, Mapping[str, Any]]
    config: Mapping[str, Any] = field(default_factory=dict)
    by_default: bool = False

    @property
    def adapter(self) -> str:
        """Return the adapter's type, such as `redshift`."""
        return str(self.outputs[self.target].get("type", ""))

    @property
    def loads(self) -> tuple[str, ...]:
        """Return patterns for the files that the target names besides its own database: ones to attach, modules."""
        return tuple(files(str({k: v for k, v in self.outputs[self.target].items() if k != "path"})))

    def write(self, folder: Path, target: str, schema: str | None, *, run: str = "") -> Path:
        """Write a profiles.yml with this one output, its schema replaced where one is given.

        With `run`, sessions bear the run's name where the adapter lets a profile name them, so that the next run can
        end those that a killed one left.

        The folder and the file are readable by the user alone: an output can hold a password.
        """
        output = copy.deepcopy(dict(self.outputs[target]))
        if schema is not None:
            for key in ("schema", "dataset"):
                output.pop(key, None)
            output["schema"] = schema
        if run and (field := SESSION_NAME.get(str(output.get("type")))):
            output[field] = f"dbt-ci:{run} {output.get(field) or 'dbt'}"
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        path = folder / "profiles.yml"
        path.touch(mode=0o600)
        with path.open("w", encoding="utf-8") as file:
            flags = {"config": dict(self.config)} if self.config else {}
            yaml.safe_dump({**flags, self.name: {"target": target, "outputs": {target: output}}}, file, sort_keys=False)
        return folder


def read_profile(
    project_dir: Path, environ: Mapping[str, str], *, profiles_dir: str = "", profile: str = "", target: str = ""
) -> Profile:
    """Find the profile and target that dbt would use for the project.

    The places are dbt's own: the option, DBT_PROFILES_DIR, the project's folder, `~/.dbt`. Raises UsageError
    when the file, the profile or the target is missing, or the file is no valid YAML.
    """
    name = _render(
        profile or environ.get("DBT_PROFILE") or str(project_file(project_dir).get("profile") or ""), environ
    )
    if not name:
        raise UsageError(
            f"{project_dir / 'dbt_project.yml'} names no profile. Add `profile: NAME` or pass --dbt-ci-profile."
        )
    file = _find(profile_places(project_dir, environ, profiles_dir))
    profiles = _load(file)
    if name not in profiles:
        known = ", ".join(str(p) for p in profiles if p != "config") or "none"
        called = f"profile {name!r}{_named_by('DBT_PROFILE', name, environ)}"
        raise UsageError(f"{called} is not in {file} (it has: {known}). Pass --dbt-ci-profile or add it.")
    outputs = _outputs(profiles[name], name, file)
    named = target or environ.get("DBT_TARGET")
    said, config = named or str(profiles[name].get("target") or "default"), profiles.get("config")
    return Profile(
        name=name,
        target=known_target(outputs, said, name, file, environ),
        file=file,
        outputs=outputs,
        config=config if isinstance(config, Mapping) else {},
        by_default=not named,
    )


def profile_places(project_dir: Path, environ: Mapping[str, str], profiles_dir: str = "") -> list[Path]:
    """Return the files, there or not, of which dbt reads the first as profile."""
    # Path.expanduser raises where there is no home; this leaves the tilde as it is.
    if profiles_dir or environ.get("DBT_PROFILES_DIR"):
        return [Path(os.path.expanduser(profiles_dir or environ["DBT_PROFILES_DIR"])) / _FILE]  # noqa: PTH111
    return [project_dir / _FILE, Path(os.path.expanduser("~/.dbt")) / _FILE]  # noqa: PTH111


def known_target(outputs: Mapping[str, Any], target: str, name: str, file: Path, environ: Mapping[str, str]) -> str:
    """Return the target if the profile has it (its Jinja rendered where it is `env_var`); UsageError otherwise."""
    rendered = _render(target, environ)
    if rendered not in outputs:
        known = ", ".join(str(o) for o in outputs)
        raise UsageError(
            f"profile {name!r} in {file} has no target {rendered!r}{_named_by('DBT_TARGET', target, environ)} "
            f"(it has: {known}). "
            "Pass --dbt-ci-target, --dbt-ci-defer-target or --dbt-ci-release with one of them."
        )
    return rendered


def _outputs(profile: object, name: str, file: Path) -> Mapping[str, Mapping[str, Any]]:
    outputs = profile.get("outputs") if isinstance(profile, Mapping) else None
    if not isinstance(outputs, Mapping) or not outputs:
        raise UsageError(
            f"profile {name!r} in {file} has no outputs. Add one: see dbt's documentation of profiles.yml."
        )
    return outputs


def _named_by(variable: str, name: str, environ: Mapping[str, str]) -> str:
    return f" of {variable}" if environ.get(variable) == name else ""


def project_file(project_dir: Path) -> Mapping[str, Any]:
    """Read dbt_project.yml as plain YAML (Jinja unrendered); UsageError when it is missing or broken."""
    path = project_dir / PROJECT_FILE
    if not path.is_file():
        raise UsageError(f"there is no dbt_project.yml in {project_dir}. Pass --dbt-ci-project-dir.")
    data = _load(path)
    if not data.get("name"):
        raise UsageError(f"{path} has no `name`. Is it a dbt project?")
    return data


def project_name(project_dir: Path) -> str:
    """Return the project's name, from a dbt_project.yml that is no valid YAML, too; empty where there is none."""
    try:
        return str(project_file(project_dir)["name"])
    except UsageError:
        path = project_dir / PROJECT_FILE
        return name_in(path.read_text(encoding="utf-8", errors="replace") if path.is_file() else "")


def name_in(text: str) -> str:
    """Return the name that a dbt_project.yml gives the project, where its text may be no valid YAML."""
    named = re.search(r"^name\s*:\s*['\"]?(\w+)", text, flags=re.MULTILINE)
    return named[1] if named else ""


def _find(places: list[Path]) -> Path:
    found = next((place for place in places if place.is_file()), None)
    if found is not None:
        return found
    looked = " or ".join(map(str, places))
    raise UsageError(f"there is no {looked}. Write one, or pass its folder with --dbt-ci-profiles-dir.")


def check_package_files(directory: Path) -> None:
    """Raise UsageError where the packages are not named in YAML, or not as a list: dbt's words name no file then."""
    for path in (directory / "packages.yml", directory / "dependencies.yml"):
        said = _parsed(path) if path.is_file() else None
        packages = said.get("packages") if isinstance(said, Mapping) else said
        if packages and not isinstance(packages, list):
            raise UsageError(
                f"{path} names no list of packages. Write `packages:`, and each package below it, with a dash."
            )


def _load(path: Path) -> Mapping[str, Any]:
    data = _parsed(path)
    if not isinstance(data, Mapping):
        raise UsageError(f"{path} is empty or no mapping.")
    return data


def _parsed(path: Path) -> Any:
    text = ""
    try:
        text = path.read_text(encoding="utf-8")
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        # Without the snippet that the parser shows: the line may hold a password.
        line = (
            f", line {error.problem_mark.line + 1}"
            if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark
            else ""
        )
        said = error.problem if isinstance(error, yaml.MarkedYAMLError) else "unreadable"
        if re.search(r"^<{7} ", text, flags=re.MULTILINE):
            said = "git's conflict markers stand in it. Resolve the merge first."
        raise UsageError(f"{path}{line} is not valid YAML: {said}") from None
    except UnicodeDecodeError:
        raise UsageError(f"{path} is not valid YAML: it is not UTF-8 text.") from None


def _render(text: str, environ: Mapping[str, str]) -> str:
    if "{{" not in text:
        return text
    from jinja2 import Environment, TemplateError

    def env_var(name: str, default: str | None = None) -> str:
        value = environ.get(name, default)
        if value is None:
            raise UsageError(f"{text} needs the environment variable {name}, which is not set where pytest runs.")
        return value

    try:
        return Environment().from_string(text).render(env_var=env_var)
    except TemplateError as error:
        raise UsageError(f"{text}: {error}. Pass --dbt-ci-profile and --dbt-ci-target instead.") from None
