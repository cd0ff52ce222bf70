"""What a changed dbt_project.yml or profiles.yml can affect beyond what shows in the parsed nodes."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import yaml

_EVERYTHING = {
    "query-comment": "what goes with every statement",
    "quoting": "how names are quoted everywhere",
    "flags": "how dbt itself behaves",
    "profile": "what dbt connects with",
}

_OF_THE_ROOT = ("query-comment", "flags")
"""Keys of which dbt reads the project's own only, not a package's."""

_IDLE_FLAGS = frozenset(
    (
        *("cache_selected_only", "debug", "fail_fast", "log_format", "log_format_file", "log_level", "log_level_file"),
        *("partial_parse", "populate_cache", "printer_width", "quiet", "send_anonymous_usage_stats", "static_parser"),
        *("use_colors", "use_colors_file", "use_experimental_parser", "version_check", "write_json"),
        *("require_nested_cumulative_type_params", "require_resource_names_without_spaces", "validate_macro_args"),
        *("require_unique_project_resource_names", "require_yaml_configuration_for_mf_time_spines"),
    )
)
"""Flags by which dbt builds nothing else, and judges nothing otherwise."""

_PARSED = frozenset(
    (
        *("models", "seeds", "snapshots", "tests", "data_tests", "unit_tests", "sources", "functions", "analyses"),
        *("exposures", "metrics", "semantic-models", "saved-queries", "name", "version", "restrict-access"),
        *("model-paths", "seed-paths", "snapshot-paths", "test-paths", "analysis-paths", "macro-paths"),
        *("function-paths", "docs-paths", "asset-paths", "packages-install-path", "require-dbt-version"),
        *("source-paths", "data-paths", "on-run-start", "on-run-end"),
    )
)
"""Keys whose whole effect shows in the parsed nodes."""

_INERT = frozenset(("profile", "clean-targets", "target-path", "log-path", "dbt-cloud", "config-version"))
"""Keys that change nothing in what is built: the profile is compared by itself; of `config-version` only 2 is left."""


_ELSEWHERE = ("schema", "dataset", "threads")
"""What the run gives a target itself, and what changes nothing in what is built."""

_KINDS = {
    **{f"{kind}s": kind for kind in ("model", "seed", "snapshot", "test", "unit_test", "source", "function", "metric")},
    **{"data_tests": "test", "exposures": "exposure", "analyses": "analysis"},
    **{"semantic-models": "semantic_model", "saved-queries": "saved_query"},
}
"""Keys that configure the nodes of one resource type."""


@dataclass(frozen=True, kw_only=True)
class Difference:
    """What differs between two texts of a settings file.

    `everything` says in words what can affect every node, empty where nothing does; `variables` are the dbt
    variables with another value; `keys` all top-level keys that differ.
    """

    everything: str = ""
    variables: frozenset[str] = frozenset()
    keys: tuple[str, ...] = ()


def project_difference(
    before: str | None, after: str | None, packages: Collection[str], *, is_root: bool = True, profile: str = ""
) -> Difference:
    """Compare two texts of a dbt_project.yml, the project's own or that of a package; None for one that is not there.

    `packages` are the names under which `vars` holds a scope, not a variable; `profile` is the one in use.
    """
    old, new = _load(before), _load(after)
    if old is None or new is None:
        return Difference(everything="the project file can't be compared")
    keys = _differing(old, new)
    idle = {*_PARSED, *_INERT, "vars", "dispatch", *(() if is_root else _OF_THE_ROOT)}
    if _flags(old) == _flags(new):
        idle.add("flags")
    if is_root and profile and str(new.get("profile")) == profile:
        idle.discard("profile")
    idle.update(key for key in keys if old.get(key) == new.get(key))  # in another order
    wide = [f"{k} ({_EVERYTHING[k]})" if k in _EVERYTHING else k for k in keys if k not in idle]
    return Difference(
        everything=f"{', '.join(wide)} changed" if wide else "",
        variables=_variables(old.get("vars"), new.get("vars"), packages),
        keys=keys,
    )


def variables_difference(texts: Iterable[tuple[str | None, str | None]], packages: Collection[str]) -> frozenset[str]:
    """Name the variables that differ between the files of one package that can hold them, whichever does."""
    old, new = dict[str, Any](), dict[str, Any]()
    for before, after in texts:
        for found, text in ((old, before), (new, after)):
            said = (_load(text) or {}).get("vars")
            found.update(said if isinstance(said, Mapping) else {})
    return _variables(old, new, packages)


def concerns(keys: Collection[str], resource_type: str) -> bool:
    """Whether one of the keys that differ can configure a node of that type."""
    own = (key for key in keys if key not in ("version", "flags", *_INERT))
    return any(_KINDS.get(key, resource_type) == resource_type for key in own)


def profile_difference(
    before: str | None, after: str | None, profile: str, target: str, *, by_default: bool = False
) -> str:
    """Say in words what two texts of a profiles.yml tell dbt otherwise of the target that is built in, but its schema.

    `by_default` says that the profile itself chose the target. Empty where nothing differs.
    """
    (old, old_default, old_flags), (new, default, flags) = (_output(text, profile, target) for text in (before, after))
    differing = ", ".join(_differing(old, new))
    said = [f"{differing} of target {target}"] if differing else []
    said += ["the target that is built in by default"] if by_default and old_default != default else []
    said += [f"config ({_EVERYTHING['flags']})"] if old_flags != flags else []
    return f"{', '.join(said)} changed" if said else ""


def _output(text: str | None, profile: str, target: str) -> tuple[Mapping[str, Any], Any, Mapping[str, Any]]:
    """Return what a profiles.yml says of a target, the profile's default target, and dbt's flags."""
    said = _load(text) or {}
    own = said.get(profile)
    own = own if isinstance(own, Mapping) else {}
    outputs = own.get("outputs")
    found = outputs.get(target) if isinstance(outputs, Mapping) else None
    output = {k: v for k, v in found.items() if k not in _ELSEWHERE} if isinstance(found, Mapping) else {}
    return output, own.get("target"), _flags({"flags": said.get("config")})


def _load(text: str | None) -> Mapping[str, Any] | None:
    try:
        found = yaml.safe_load(text or "")
    except yaml.YAMLError:
        return None
    return found if isinstance(found, Mapping) else None


def _flags(settings: Mapping[str, Any]) -> dict[str, Any]:
    found = settings.get("flags")
    return {k: v for k, v in found.items() if k not in _IDLE_FLAGS} if isinstance(found, Mapping) else {}


def _variables(before: Any, after: Any, packages: Collection[str]) -> frozenset[str]:
    """Name the variables that differ; a mapping under a package's name is its scope, and may be a variable too."""
    old = before if isinstance(before, Mapping) else {}
    new = after if isinstance(after, Mapping) else {}
    found = set[str]()
    for name in _differing(old, new):
        found.add(name)
        scopes = [v for v in (old.get(name), new.get(name)) if isinstance(v, Mapping)]
        if name in packages and scopes:
            found |= _variables(old.get(name), new.get(name), ()) - {name}
            found.discard(name)
    return frozenset(found)


def _differing(old: Mapping[str, Any], new: Mapping[str, Any]) -> tuple[str, ...]:
    """Name the keys of another value as Jinja sees it: `1` is not `1.0` or `true`, and nested keys have an order."""
    return tuple(sorted(str(k) for k in old.keys() | new.keys() if repr(old.get(k, ...)) != repr(new.get(k, ...))))
