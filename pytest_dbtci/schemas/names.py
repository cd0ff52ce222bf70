"""The names of the pull request's schemas, and the check that nothing is written outside them."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable

from pytest_dbtci.adapters import LONGEST_NAME
from pytest_dbtci.errors import UsageError
from pytest_dbtci.manifest import Manifest, ManifestNode

PLACEHOLDER = "ci0parse"
"""What stands for the pull request while dbt parses, so that all of them share one parse cache."""

DEFAULT = "dbt_build_{pr}"
"""The template for a repository with one project, unless another one's schema has the name."""

_LONGEST_IN_MARK = 200
"""Bytes of a repository's or project's name in a mark, whose columns hold 256."""

_SAFE = re.compile(r"[a-z_][a-z0-9_]*", re.ASCII)


def local_name(user: str, branch: str | None, clone: str) -> str:
    """Name a local run after its user and branch, in lower-case letters, digits and underscores.

    A short digest of user, branch and `clone` (whatever tells one clone from another) ends it: two clones of
    one person, or two branches that differ only in other characters, never share a name.
    """
    parts = [_slug(p) for p in (user, branch or "detached")]
    digest = hashlib.sha256("\0".join((user, branch or "", clone)).encode()).hexdigest()[:5]
    return "_".join(p for p in ("_".join(parts)[:32].strip("_"), digest) if p)


def templates(template: str, *, several: bool) -> tuple[str, ...]:
    """Return the templates for a run's schemas, the next for where another repository or project has the name.

    Only the default has another one. `several` tells that the repository has other projects.
    """
    if template != DEFAULT:
        return (template,)
    middle = "{project}_" if several else ""
    return (f"dbt_build_{middle}{{pr}}", f"dbt_build_{middle}{{repository}}_{{pr}}")


def schema_name(template: str, pr: str, adapter: str, *, project: str = "", repository: str = "") -> str:
    """Fill the template; UsageError when the result is no name that is safe without quoting.

    A safe name begins with a letter or underscore, holds only lower-case ASCII letters, digits and
    underscores, fits the warehouse's limit, and differs from pull request to pull request. `{project}` is the dbt
    project's name, `{repository}` the repository's with a digest of its whole address, as many are called alike.
    """
    if template.count("{pr}") != 1 or re.sub(r"\{(pr|project|repository)\}", "", template).count("{"):
        raise UsageError(
            f"--dbt-ci-schema {template!r}: write a name with {{pr}} in it once, like dbt_build_{{pr}}; "
            "{project} and {repository} may stand in it, too."
        )
    name = fill(template, pr, project, repository)
    if not _SAFE.fullmatch(name):
        raise UsageError(
            f"pull request {pr!r} with --dbt-ci-schema {template!r} gives the schema name {name!r}, which is not "
            "safe: use lower-case letters, digits and underscores only (set --dbt-ci-pr or --dbt-ci-schema)."
        )
    limit = LONGEST_NAME.get(adapter, 127)
    if len(name) > limit:
        raise UsageError(
            f"the schema's name is longer than the {limit} bytes that {adapter} allows: set --dbt-ci-pr. "
            f"It is {name!r}."
        )
    return name


def fill(template: str, pr: str, project: str, repository: str) -> str:
    """Return the name that the template makes, safe or not."""
    repository = in_mark(repository)
    last = re.sub(r" \([0-9a-z ]*\)$", "", repository).rpartition("/")[2]
    digest = hashlib.sha256(repository.encode()).hexdigest()[:5]
    filled = template.replace("{repository}", "_".join(p for p in (_slug(last)[:20], digest) if p))
    return filled.replace("{project}", _slug(project)[:30] or "project").replace("{pr}", pr)


def in_mark(name: str) -> str:
    """Return a repository's or project's name as marks hold it: a long one cut, with a digest of the whole."""
    whole = name.encode("utf-8", "surrogateescape")
    if len(whole) <= _LONGEST_IN_MARK:
        return name
    digest = hashlib.sha256(whole).hexdigest()[:16]
    return f"{whole[: _LONGEST_IN_MARK - 18].decode(errors='ignore')}_{digest}"


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_")


def is_inside(schema: str, prefix: str) -> bool:
    """Whether a schema is the pull request's own or one of its custom schemas (`PREFIX_name`)."""
    name, wanted = schema.lower(), prefix.lower()
    return name == wanted or name.startswith(wanted + "_")


def check_isolation(manifest: Manifest, nodes: Iterable[ManifestNode], prefix: str, database: str) -> None:
    """Stop with UsageError unless every relation to be written lies in the pull request's schemas.

    `database` is the CI target's. The message names each node, where it would write, and the fix.
    """
    limit = LONGEST_NAME.get(manifest.adapter, 10_000)
    wrong = []
    for node in nodes:
        if not node.writes:
            continue
        if not is_inside(node.schema, prefix):
            wrong.append(f"{node.unique_id} ({node.file}) would be written to schema {node.schema}")
        elif database and node.database.lower() != database.lower():
            wrong.append(f"{node.unique_id} ({node.file}) would be written to database {node.database}")
        elif len(node.schema.encode()) > limit:
            wrong.append(f"{node.unique_id} ({node.file}): schema {node.schema} is longer than {limit} bytes")
    if wrong:
        raise UsageError(
            f"nothing was written, because these would leave the pull request's schemas ({prefix}, {prefix}_…"
            + (f" in database {database}" if database else "")
            + "):\n  "
            + "\n  ".join(wrong[:20])
            + (f"\n  … and {len(wrong) - 20} more" if len(wrong) > 20 else "")
            + "\nLet generate_schema_name begin with target.schema for this target, use `schema:` instead of a "
            "snapshot's `target_schema`, and leave `database:` to the target."
        )
