"""Write a commit's files into another directory, as a checkout would, without touching the repository."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

from pytest_dbtci.errors import UsageError
from pytest_dbtci.git.process import Git

_SUBMODULE = "160000"


def check_out(git: Git, git_dir: Path, commit: str, into: Path, paths: Sequence[str]) -> tuple[str, ...]:
    """Write `paths` of `commit` (all of it when empty) under `into`; return the submodules left empty.

    An index of our own makes it a real checkout: line endings and filters such as LFS apply, export-ignore
    doesn't, and neither HEAD, index nor work tree of the user are involved. A path that the commit lacks is
    left out. UsageError when a wanted path lies in a submodule whose commit isn't here.
    """
    into.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="dbt-ci-index-") as private:
        own = Git(
            into,
            *("-c", "core.fsmonitor=false", f"--git-dir={git_dir}", f"--work-tree={into}"),
            environment={"GIT_INDEX_FILE": str(Path(private) / "index")},
        )
        own("read-tree", commit)
        # All of the commit goes into the index, so that a .gitattributes above the paths counts.
        entries = [entry for entry in own("ls-files", "--stage", "-z").split("\0") if entry]
        files, modules = [], []
        for entry in entries:
            (mode, sha, _), path = entry.partition("\t")[0].split(" "), entry.partition("\t")[2]
            if mode == _SUBMODULE:
                modules.append((path, sha))
            elif not paths or any(_within(path, wanted) for wanted in paths):
                files.append(path)
        own("checkout-index", "--force", "-z", "--stdin", stdin="".join(f"{path}\0" for path in files))
    empty: list[str] = []
    for path, sha in modules:
        empty += _check_out_submodule(git, git_dir, commit, into, paths, path, sha)
    return tuple(empty)


def _check_out_submodule(
    git: Git, git_dir: Path, commit: str, into: Path, paths: Sequence[str], module: str, sha: str
) -> tuple[str, ...]:
    inside = [wanted for wanted in paths if _within(wanted, module)]
    if paths and not inside and not any(_within(module, wanted) for wanted in paths):
        return ()
    (into / module).mkdir(parents=True, exist_ok=True)
    module_git = _submodule(git, git_dir, commit, module)
    if module_git is None or module_git.ask("rev-parse", "--quiet", "--verify", f"{sha}^{{commit}}") is None:
        if inside:
            raise UsageError(
                f"{inside[0]} lies in the submodule {module}, and its commit {sha[:10]}, which the base "
                f"{commit[:10]} names, isn't here. Get it: `git submodule update --init {module}` and then "
                f"`git -C {module} fetch origin {sha}`."
            )
        return (module,)
    deeper = tuple(wanted[len(module) + 1 :] for wanted in inside)
    module_dir = Path(module_git("rev-parse", "--absolute-git-dir"))
    left = check_out(module_git, module_dir, sha, into / module, () if "" in deeper else deeper)
    return tuple(f"{module}/{path}" for path in left)


def _submodule(git: Git, git_dir: Path, commit: str, module: str) -> Git | None:
    """Return the submodule's repository: the one checked out, or the one kept since it was."""
    here = git.directory / module
    if (here / ".git").exists():
        return Git(here)
    names = git.ask("config", "--blob", f"{commit}:.gitmodules", "-z", "--get-regexp", r"^submodule\..*\.path$")
    for key, _, path in (setting.partition("\n") for setting in (names or "").split("\0")):
        kept = git_dir / "modules" / key.removeprefix("submodule.").removesuffix(".path")
        if path == module and (kept / "HEAD").exists():
            return Git(kept, f"--git-dir={kept}", f"--work-tree={kept}")  # its core.worktree is gone
    return None


def _within(path: str, folder: str) -> bool:
    return path == folder or path.startswith(f"{folder}/")
