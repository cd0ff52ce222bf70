"""What must hold before anything is released; every refusal says what to do, and nothing has been written by then."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import PurePosixPath

from pytest_dbtci.ci import detect as ci
from pytest_dbtci.ci.build import Build, short
from pytest_dbtci.errors import UsageError
from pytest_dbtci.git.repository import Repository
from pytest_dbtci.manifest import Manifest
from pytest_dbtci.options import DEFAULT_SELECT
from pytest_dbtci.plan import Plan
from pytest_dbtci.project.project import Project
from pytest_dbtci.settings import Settings

# Caches that pytest itself makes; and what comes with the environment and belongs into no repository.
_NOT_REVIEWED = frozenset({"__pycache__", ".pytest_cache", "profiles.yml", ".env"})


@dataclass(frozen=True, kw_only=True)
class Origin:
    """Where a release comes from: the default branch's short name, the commit, and how far the two agree."""

    branch: str
    commit: str
    how: str


def check_options(settings: Settings) -> None:
    """Refuse what would release only a part, or what belongs to a pull request."""
    given = {
        "select": settings.select if settings.select != DEFAULT_SELECT else "",
        "exclude": settings.exclude,
        "state": settings.state,
        "pr": settings.pr,
    }
    default = {"select": DEFAULT_SELECT}
    for name, value in given.items():
        if value:
            raise UsageError(
                f"--dbt-ci-{name} {value} does not go with --dbt-ci-release: a release builds and tests the whole "
                "project, so that what is documented is what is there. Leave it out (if it stands in the ini file: "
                f"`-o dbt_ci_{name}={default.get(name, '')}`)."
            )


def check_origin(repository: Repository, build: Build, *, behind: bool) -> Origin:
    """Refuse any commit but the tip of the remote's default branch; with `behind`, any that it does not hold.

    In CI the provider's full ref decides which branch this is (HEAD is detached there), else the branch that is
    checked out. DbtCiError when the remote can't be asked.
    """
    branch, commit = _branch(repository, build), repository.head()
    tip = repository.remote_tip(branch)
    if tip is None:
        raise UsageError(
            f"The remote has no branch {branch}, so nothing says that {commit[:10]} was reviewed and merged. "
            "`git remote -v` shows which remote that is, `git ls-remote --symref origin HEAD` its default branch: "
            "release that one."
        )
    if commit == tip:
        return Origin(branch=branch, commit=commit, how="the remote's tip")
    if not behind:
        raise UsageError(
            f"HEAD ({commit[:10]}) is not the tip of the remote's {branch} ({tip[:10]}), and only that is released. "
            f"`git pull` to release the newest, or pass --dbt-ci-release-behind if an earlier commit of {branch} "
            "is what you want."
        )
    if not repository.contains(branch, commit):
        raise UsageError(
            f"HEAD ({commit[:10]}) is not in the remote's {branch} ({tip[:10]}): it was never merged, or {branch} was "
            "rewritten since. Merge it first; --dbt-ci-release-behind is for earlier commits of the same branch."
        )
    return Origin(branch=branch, commit=commit, how=f"behind the remote's tip {tip[:7]}")


def _branch(repository: Repository, build: Build) -> str:
    default = repository.default_branch(ask=True)
    verdict = ci.verdict(build, default)
    if verdict == "pull_request":
        raise UsageError(
            f"This build is that of pull request {build.pr}, and only the default branch is released. "
            "Validate a pull request with --dbt-ci alone."
        )
    if verdict == "default_branch":
        return short(build.ref) or ""
    named = build.default_branch or default
    if verdict == "other_branch":
        raise UsageError(
            f"This build is of {build.ref or 'no branch'}, and only the default branch "
            f"(refs/heads/{named or 'master or refs/heads/main'}) is released. Merge, then release from there."
        )
    if named is None:
        raise UsageError(
            "Which branch is the default one is not known: there is neither a remote's HEAD nor a branch master or "
            "main. `git remote set-head origin --auto` makes git ask the remote."
        )
    here = repository.branch()
    if here not in (None, named):
        raise UsageError(
            f"The branch {here} is checked out, and only the default branch ({named}) is released. "
            f"`git switch {named}`, then release."
        )
    return named


def check_whole(plan: Plan, unique_ids: frozenset[str]) -> None:
    """Raise UsageError where not every node of the release was asked for."""
    if left_out := [n for n in plan.items if n.unique_id not in unique_ids]:
        raise UsageError(
            f"nothing was released, because {len(left_out)} of {len(plan.items)} nodes were deselected "
            f"({left_out[0].label} …), and a release builds and tests the whole project. "
            "Leave out paths, -k, -m, --deselect, --lf and the like."
        )


def check_clean(repository: Repository, project: Project, commit: str) -> None:
    """Refuse a work tree in which a file differs from the commit, or dbt can see one that git does not know."""
    changes = repository.compare(base=commit, target=None, provider_base=None, provider_head=None).changes
    wrong = [c.path for c in changes if c.status != "added" or _is_seen(project, c.path)]
    _refuse(wrong)
    if missing := sorted(filter(project.is_read, repository.left_out())):
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise UsageError(
            f"This sparse checkout leaves out {missing[0]}{more}, which dbt would read, so the release would not be of "
            "the whole project. `git sparse-checkout disable` brings everything back."
        )


def check_sources(repository: Repository, project: Project, head: Manifest, commit: str) -> None:
    """Refuse if dbt has read a file that the commit does not hold: one that git ignores, for example."""
    known = repository.files(commit)
    reviewed = {project.name, *project.local_packages}
    read = {(n.package, n.file) for n in head.nodes.values() if n.file}
    read |= {(m.package, m.file) for m in head.macros.values()}
    described = (*(n.patch or "" for n in head.nodes.values()), *head.docs.values())
    read |= {(package, file) for package, _, file in (d.partition("://") for d in described) if file}
    paths = {project.places(package, file)[0] for package, file in read if package in reviewed}
    _refuse(path for path in paths if path not in known and known.isdisjoint(_above(path)))


def _refuse(paths: Iterable[str]) -> None:
    found = sorted(set(paths))
    if found:
        more = f"\n  … and {len(found) - 10} more" if len(found) > 10 else ""
        raise UsageError(
            "These files are not as the commit has them, so what would be released is not what was reviewed:\n  "
            + "\n  ".join(found[:10])
            + more
            + "\nCommit and merge them, or put them aside (`git stash --include-untracked`)."
        )


def _is_seen(project: Project, path: str) -> bool:
    return project.can_matter(path) and _NOT_REVIEWED.isdisjoint(PurePosixPath(path).parts)


def _above(path: str) -> set[str]:
    """Return the folders above a path; a commit knows one by its name only if it is a submodule."""
    return {str(p) for p in PurePosixPath(path).parents}
