"""What a release asks of git: is the commit in the remote's branch, and which files does it hold."""

from __future__ import annotations

from pytest_dbtci.errors import DbtCiError
from pytest_dbtci.git.process import Git, GitError


def contains(git: Git, where: str, branch: str, commit: str) -> bool:
    """Whether the remote's branch, as it is now, holds the commit; history that is missing here is fetched.

    DbtCiError when the remote can't be reached.
    """
    tracking = f"refs/remotes/{where}/{branch}"
    shallow = git("rev-parse", "--is-shallow-repository") == "true"
    quiet = ("--quiet", "--no-tags", "--no-recurse-submodules", "--no-auto-gc")
    depth = ("--unshallow",) if shallow else ()
    try:
        git.network("fetch", *quiet, *depth, where, f"+refs/heads/{branch}:{tracking}")
    except GitError as error:
        raise DbtCiError(
            f"The branch {branch} can't be fetched from {where}, so whether it holds {commit[:10]} is not known:\n"
            f"{error.stderr}\nCheck the network and this job's credentials."
        ) from error
    return git.ask("merge-base", "--is-ancestor", commit, tracking) is not None


def files(git: Git, commit: str) -> frozenset[str]:
    """Return every path of the commit, POSIX, from the root; a submodule stands as its own path."""
    return frozenset(git("ls-tree", "-r", "-z", "--full-tree", "--name-only", commit).split("\0")) - {""}
