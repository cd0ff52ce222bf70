"""What a changed dbt_project.yml or profiles.yml can affect beyond what shows in the parsed nodes."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import yaml

_EVERYTHING = {
    "on-run-start": "a hook of the whole run",
    "on-run-end": "a hook of the whole run",
    "query-comment": "what goes with every statement",
    "quoting": "how names are quoted everywhere",
    "flags": "how dbt itself behaves",
    "config-version": "how the project is read",
}

_PARSED = frozenset(
    (
        *("models", "seeds", "snapshots", "tests", "data_tests", "unit_tests", "sources", "functions", "analyses"),
        *("exposures", "metrics", "semantic-models", "saved-queries", "name", "version", "restrict-access"),
        *("model-paths", "seed-paths", "snapshot-paths", "test-paths", "analysis-paths", "macro-paths"),
        *("function-paths", "docs-paths", "asset-paths", "packages-install-path", "require-dbt-version"),
        *("source-paths", "data-paths"),
    )
)
"""Keys whose whole effect shows in the parsed nodes."""

_INERT = frozenset(("profile", "clean-targets", "target-path", "log-path", "dbt-cloud"))
"""Keys that change nothing in what is built: the profile is compared by itself."""


@dataclass(frozen=True, kw_only=True)
class Difference:
    """What differs between two texts of a settings file.

    `everything` says in words what can affect every node, empty where nothing does; `variables` are the dbt
    variables with another value; `keys` all top-level keys that differ.
    """

    everything: str = ""
    variables: frozenset[str] = frozenset()
    keys: tuple[str, ...] = ()


def project_difference(before: str | None, after: str | None, packages: Collection[str]) -> Difference:
    """Compare two texts of a dbt_project.yml; None for a file that is not there.

    `packages` are the names under which `vars` holds a scope, not a variable.
    """
    old, new = _load(before), _load(after)
    if old is None or new is None:
        return Difference(everything="the project file can't be compared")
    keys = tuple(sorted(k for k in old.keys() | new.keys() if old.get(k) != new.get(k)))
    known = (*_EVERYTHING, *_PARSED, *_INERT, "vars", "dispatch")
    wide = [f"{k} ({_EVERYTHING[k]})" if k in _EVERYTHING else k for k in keys if k in _EVERYTHING or k not in known]
    return Difference(
        everything=f"{', '.join(wide)} changed" if wide else "",
        variables=_variables(old.get("vars"), new.get("vars"), packages),
        keys=keys,
    )


def profile_difference(before: str | None, after: str | None, profile: str, target: str) -> Difference:
    """Compare what two texts of a profiles.yml say of the target that is built in, its schema left out."""
    outputs = []
    for text in (before, after):
        found: Any = _load(text) or {}
        for key in (profile, "outputs", target):
            found = found.get(key) if isinstance(found, Mapping) else None
        said = dict(found) if isinstance(found, Mapping) else {}
        outputs.append({k: v for k, v in said.items() if k not in ("schema", "dataset", "threads")})
    old, new = outputs
    keys = tuple(sorted(k for k in old.keys() | new.keys() if old.get(k) != new.get(k)))
    return Difference(everything=f"{', '.join(keys)} of target {target} changed" if keys else "", keys=keys)


def _load(text: str | None) -> Mapping[str, Any] | None:
    try:
        found = yaml.safe_load(text or "")
    except yaml.YAMLError:
        return None
    return found if isinstance(found, Mapping) else None


def _variables(before: Any, after: Any, packages: Collection[str]) -> frozenset[str]:
    """Name the variables that differ; a mapping under a package's name is its scope, and may be a variable too."""
    old = before if isinstance(before, Mapping) else {}
    new = after if isinstance(after, Mapping) else {}
    found = set[str]()
    for name in old.keys() | new.keys():
        if old.get(name) != new.get(name):
            found.add(str(name))
            scopes = [v for v in (old.get(name), new.get(name)) if isinstance(v, Mapping)]
            if name in packages and scopes:
                found |= _variables(old.get(name), new.get(name), ()) - {name}
                found.discard(str(name))
    return frozenset(found)
