"""Choose the commit to compare with, on a laptop and in whatever clone a CI system has made.

Whichever way is taken, the base must lose no change of the branch: an older base only adds changes of others
to the comparison, a younger one would hide the branch's own. So the one answer that could be too young comes
last, and without any answer there is an error, never an empty comparison.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from pathlib import Path

from pytest_dbtci.errors import UsageError
from pytest_dbtci.git.process import Git, GitError

# Commits to add to a shallow clone, round by round, before all of its history is fetched.
_DEEPEN = ("--deepen=50", "--deepen=500", "--unshallow")


@dataclass(frozen=True, kw_only=True)
class Base:
    """Name the commit to compare with: its full sha, what the user calls it, and how it was found."""

    commit: str
    ref: str
    how: str


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """Hold what the user (`base`) and the CI system (the rest) say about the base; None where they don't.

    `remedy` says, in half a sentence, how to get a clone with its whole history.
    """

    base: str | None
    target: str | None
    provider_base: str | None
    provider_head: str | None
    remedy: str


def find_base(git: Git, head: str, wanted: Wanted) -> Base:
    """Return the commit to compare `head` with; UsageError when there is none or it can't be known.

    Tried in this order: the merge base with the wanted branch as this clone has it; the other parent when
    HEAD is the merge commit that a CI system made of the pull request; the merge base after fetching the
    branch and deepening a shallow clone; the base commit that the CI system names.
    """
    name = wanted.base or wanted.target or default_branch(git)
    if not name:
        raise UsageError(
            f"There is nothing to compare with: {git.directory} has neither a remote default branch nor a "
            "branch master or main. Say which branch the changes will go to: --dbt-ci-base BRANCH."
        )
    base = _merge_base(git, head, name, explicit=bool(wanted.base))
    if wanted.base in (None, wanted.target):
        merged = _merged_into(git, head, name, wanted.provider_head)
        if merged and (base is None or base.commit != merged.commit):
            base = merged  # nearer, where a reused clone still has the branch as it was some runs ago
    if base is not None:
        return base
    base, trouble = _fetched_merge_base(git, head, name, explicit=bool(wanted.base))
    if base is None and wanted.base is None and wanted.provider_base:
        base = _named_by_provider(git, head, wanted.provider_base)
    if base is None:
        raise _no_base(git, head, name, trouble, wanted.remedy)
    return base


def remote(git: Git) -> str | None:
    """Return the remote that pull requests go to: origin, else the first; None without any."""
    names = git("remote").split("\n")
    return "origin" if "origin" in names else names[0] or None


def default_branch(git: Git, *, ask: bool = False) -> str | None:
    """Return the short name of the default branch: what this clone knows of the remote, None where nothing is known.

    The remote itself is asked where the clone can't be right (its note of the remote's HEAD dangles) or may be
    stale (the remote has both master and main), and always with `ask`. Where it can't be reached, the clone's word
    counts.
    """
    where = remote(git)
    prefix = f"refs/remotes/{where}/"
    noted = (git.ask("symbolic-ref", "--quiet", f"{prefix}HEAD") or "").removeprefix(prefix)
    tracked = [name for name in ("master", "main") if _exists(git, prefix + name)]
    known = noted if noted and _exists(git, prefix + noted) else tracked[0] if tracked and not noted else ""
    if where and (ask or not known or len(tracked) > 1) and (said := _remote_head(git, where)):
        return said
    # A local branch may be older than the remote's renaming, which a note that dangles gives away.
    local = (name for name in ("master", "main") if name != noted and _exists(git, f"refs/heads/{name}"))
    return known or (tracked[0] if tracked else None) or next(local, None)


def _remote_head(git: Git, where: str) -> str | None:
    """Return the branch that the remote's HEAD names just now; None where the remote can't be reached or has none."""
    try:
        listed = git.network("ls-remote", "--symref", where, "HEAD")
    except GitError:
        return None
    named = listed.partition("\t")[0]
    return named.removeprefix("ref: refs/heads/") if named.startswith("ref: refs/heads/") else None


def _exists(git: Git, ref: str) -> bool:
    return git.ask("show-ref", "--verify", "--quiet", ref) is not None


def _branch(git: Git, name: str) -> str | None:
    """Return the full ref of a branch; the remote's own comes before a local one, which may be stale."""
    refs = (f"refs/remotes/{remote(git)}/{name}", f"refs/heads/{name}")
    return next((ref for ref in refs if _exists(git, ref)), None)


def _commit(git: Git, revision: str) -> str | None:
    if revision.startswith("-"):
        return None  # it would be read as an option
    return git.ask("rev-parse", "--quiet", "--verify", f"{revision}^{{commit}}")


def _resolve(git: Git, name: str, *, explicit: bool) -> tuple[str, str] | None:
    """Return (full sha, name to show) of what the user or the CI system calls the base, None if not here.

    A CI system always names a branch. A user may as well name a tag, a commit or `HEAD~1`.
    """
    ref = _branch(git, name)
    local = ref is not None and _exists(git, f"refs/heads/{name}")
    if explicit and not local and (commit := _commit(git, name)):
        return commit, name
    if ref is None or (commit := _commit(git, ref)) is None:
        return None
    return commit, ref.removeprefix("refs/remotes/").removeprefix("refs/heads/")


def _merge_base(git: Git, head: str, name: str, *, explicit: bool) -> Base | None:
    """Return the base if this clone knows it for certain, None if it must fetch more to know."""
    if (resolved := _resolve(git, name, explicit=explicit)) is None:
        return None
    tip, ref = resolved
    shallow = _shallow_commits(git)
    found = (git.ask("merge-base", "--all", head, tip) or "").split()
    if found == [tip]:
        # Nothing can be nearer to HEAD than the branch's own tip, however much history is cut off.
        return Base(commit=tip, ref=ref, how="given base" if explicit else "merge base")
    if shallow and not (found and shallow.isdisjoint(git("rev-list", head, tip, "--not", *found).split())):
        return None  # behind a cut there may be a merge base, or a younger one
    if not found:
        raise UsageError(
            f"HEAD ({head[:10]}) and {ref} ({tip[:10]}) have no commit in common, their histories are "
            "unrelated. Name the branch that this one was made from: --dbt-ci-base BRANCH."
        )
    if len(found) > 1:
        # Criss-cross merges. A file can be the same in HEAD and in one merge base and yet be changed by the
        # merge, as it differs from another base: with the first as the base that change would be missing. But
        # merging never changes a file that is the same in HEAD and at the tip, so the tip misses nothing.
        return Base(commit=tip, ref=ref, how=f"tip of the branch, as there are {len(found)} merge bases")
    return Base(commit=found[0], ref=ref, how="merge base")


def _merged_into(git: Git, head: str, name: str, provider_head: str | None) -> Base | None:
    """Return the parent of a CI system's merge commit that isn't the pull request's head.

    Which parent comes first differs: Azure, GitHub and GitLab merge the pull request into the target,
    Bitbucket and Jenkins the target into the pull request. The commit names both, even where a shallow
    clone ends, and most servers give a commit by its sha.
    """
    parents = parents_of(git, head)
    others = [parent for parent in parents if not same(parent, provider_head)]
    if len(parents) != 2 or len(others) != 1:
        return None
    parent = others[0]
    if _commit(git, parent) is None:
        try:  # one commit is enough; it isn't here, so a depth can't cut off any history
            _fetch(git, parent, "--depth=1")
        except GitError:
            return None
    where = remote(git)
    return Base(commit=parent, ref=f"{where}/{name}" if where else name, how="parent of the merge commit")


def parents_of(git: Git, commit: str) -> tuple[str, ...]:
    """Return the parents that a commit names, whether or not a shallow clone holds them."""
    header = git("cat-file", "commit", commit).partition("\n\n")[0].split("\n")
    return tuple(line.removeprefix("parent ") for line in header if line.startswith("parent "))


def same(commit: str, named: str | None) -> bool:
    """Whether a CI system's name, which may be shortened (Bitbucket's is), means `commit`."""
    return named is not None and len(named) >= 7 and commit.startswith(named.lower())


def _fetched_merge_base(git: Git, head: str, name: str, *, explicit: bool) -> tuple[Base | None, str]:
    """Return the base after fetching the branch, deeper and deeper; else None and what git said."""
    if not (where := remote(git)):
        return None, ""
    trouble = ""
    for deepen in _DEEPEN if _shallow_commits(git) else ("",):
        if not deepen or _shallow_commits(git):
            try:
                _fetch_named(git, where, name, *filter(None, [deepen]))
            except GitError as error:
                trouble = error.stderr
                break
        if base := _merge_base(git, head, name, explicit=explicit):
            return base, ""
    return None, trouble


def _fetch_named(git: Git, where: str, name: str, *options: str) -> None:
    """Fetch what the remote has of this name: a branch, else a tag, else a commit; GitError if nothing."""
    short = name.removeprefix(f"{where}/")
    if git.ask("check-ref-format", f"refs/heads/{short}") is None:
        return
    # The refspec names where the branch goes: `git fetch origin main` alone may store it nowhere.
    refspecs = [
        f"+refs/heads/{short}:refs/remotes/{where}/{short}",
        f"refs/tags/{short}:refs/tags/{short}",
        short,
    ]
    while refspecs:
        try:
            _fetch(git, refspecs.pop(0), *options)
            return
        except GitError as error:
            if not refspecs or "couldn't find remote ref" not in error.stderr:
                raise


def _fetch(git: Git, refspec: str, *options: str) -> None:
    where = remote(git)
    if where is None:
        return
    quiet = ("--quiet", "--no-tags", "--no-recurse-submodules", "--no-auto-gc")
    git.network("fetch", *quiet, *options, where, refspec)


def _shallow_commits(git: Git) -> frozenset[str]:
    """Return the commits behind which a shallow clone has been cut off; empty when it's complete."""
    path = git.directory / Path(git("rev-parse", "--git-path", "shallow"))
    return frozenset(path.read_text().split()) if path.exists() else frozenset()


def _named_by_provider(git: Git, head: str, commit: str) -> Base | None:
    full = _commit(git, commit)
    if full is None or git.ask("merge-base", "--is-ancestor", full, head) is None:
        return None
    return Base(commit=full, ref=commit, how="the provider's base commit")


def _no_base(git: Git, head: str, name: str, trouble: str, remedy: str) -> UsageError:
    said = f"\ngit said: {trouble}" if trouble else ""
    if _shallow_commits(git):
        return UsageError(
            f"This clone is shallow: it has too little history to find where HEAD ({head[:10]}) left {name}, "
            "and the rest can't be fetched. Clone all of it: "
            f"{remedy}.{said}"
        )
    names = git("for-each-ref", "--format=%(refname:short)", "refs/heads", "refs/remotes", "refs/tags").split()
    near = difflib.get_close_matches(name, names, n=5) or names[:5]
    return UsageError(
        f"The base {name!r} is no branch, tag or commit of {git.directory}"
        f"{', nor of its remote' if remote(git) else ''}. "
        f"Change --dbt-ci-base, or fetch it first. There are: {', '.join(near) or 'no branches'}.{said}"
    )
