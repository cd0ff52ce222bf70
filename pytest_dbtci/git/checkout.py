"""Write a commit's files into another directory, as a checkout would, without touching the repository."""

from __future__ import annotations

import tempfile
from collections.abc import Collection, Sequence
from pathlib import Path, PurePosixPath

from pytest_dbtci.errors import UsageError
from pytest_dbtci.git.disk_form import take_form_of_disk
from pytest_dbtci.git.process import Git

_SUBMODULE = "160000"


def check_out(
    git: Git, git_dir: Path, commit: str, into: Path, paths: Sequence[str], ruled: Collection[str] | None = None
) -> tuple[str, ...]:
    """Write `paths` of `commit` (all of it when empty) under `into`; return the submodules left empty.

    An index of our own makes it a real checkout: line endings and filters such as LFS apply, export-ignore
    doesn't, and neither HEAD, index nor work tree of the user are involved. A path that the commit lacks is
    left out. With `ruled` files get the form that the disk has them in; see `take_form_of_disk`.
    UsageError when a wanted path lies in a submodule whose commit isn't here.
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
        files, modules, wanted = dict[str, str](), [], frozenset(paths)
        for entry in entries:
            (mode, sha, _), path = entry.partition("\t")[0].split(" "), entry.partition("\t")[2]
            if mode == _SUBMODULE:
                modules.append((path, sha))
            elif not wanted or not wanted.isdisjoint((path, *map(str, PurePosixPath(path).parents))):
                files[path] = sha
        own("checkout-index", "--force", "-z", "--stdin", stdin="".join(f"{path}\0" for path in files))
        if ruled is not None:
            # A line of git's input holds a path.
            take_form_of_disk(own, {p: sha for p, sha in files.items() if "\n" not in p}, git.directory, ruled)
    empty: list[str] = []
    for path, sha in modules:
        inside = None if ruled is None else [rule.removeprefix(f"{path}/") for rule in ruled if _within(rule, path)]
        empty += _check_out_submodule(git, git_dir, commit, into, paths, path, sha, inside)
    return tuple(empty)


def _check_out_submodule(
    git: Git,
    git_dir: Path,
    commit: str,
    into: Path,
    paths: Sequence[str],
    module: str,
    sha: str,
    ruled: Collection[str] | None,
) -> tuple[str, ...]:
    inside = [wanted for wanted in paths if _within(wanted, module)]
    if paths and not inside and not any(_within(module, wanted) for wanted in paths):
        return ()
    (into / module).mkdir(parents=True, exist_ok=True)
    module_git = _submodule(git, git_dir, commit, module, sha)
    if module_git is None:
        if inside:
            raise missing(inside[0], module, sha, commit)
        return (module,)
    deeper = tuple(wanted[len(module) + 1 :] for wanted in inside)
    module_dir = Path(module_git("rev-parse", "--absolute-git-dir"))
    left = check_out(module_git, module_dir, sha, into / module, () if "" in deeper else deeper, ruled)
    return tuple(f"{module}/{path}" for path in left)


def missing(path: str, module: str, sha: str, commit: str) -> UsageError:
    """Return the error for a path in a submodule whose commit `sha`, which `commit` names, isn't here."""
    return UsageError(
        f"{path} lies in the submodule {module}, and its commit {sha[:10]}, which the base {commit[:10]} names, isn't "
        f"here. Get it: `git submodule update --init {module}` and then `git -C {module} fetch origin {sha}`."
    )


def object_id(git: Git, git_dir: Path, commit: str, path: str) -> str | None:
    """Return the object id of a folder or file of a commit, None where it has none there; submodules are entered.

    UsageError where the path lies in a submodule whose commit isn't here.
    """
    root = git("rev-parse", "--verify", f"{commit}^{{tree}}")
    if path in ("", "."):
        return root
    above = path.rstrip("/").split("/")
    paths = ["/".join(above[: n + 1]) for n in range(len(above))]
    listed = git("--literal-pathspecs", "ls-tree", "-z", "--full-tree", root, "--", *paths)
    found = {name: (mode, sha) for mode, _, sha, name in map(_entry, filter(None, listed.split("\0")))}
    if paths[-1] in found:
        return found[paths[-1]][1]
    module, (mode, sha) = next(reversed(found.items()), ("", ("", "")))
    if mode != _SUBMODULE:
        return None
    inside = _submodule(git, git_dir, commit, module, sha)
    if inside is None:
        raise missing(path, module, sha, commit)
    return object_id(inside, Path(inside("rev-parse", "--absolute-git-dir")), sha, path[len(module) + 1 :])


def _entry(line: str) -> tuple[str, str, str, str]:
    mode, kind, sha = line.partition("\t")[0].split(" ")
    return mode, kind, sha, line.partition("\t")[2]


def _submodule(git: Git, git_dir: Path, commit: str, module: str, sha: str) -> Git | None:
    """Return the submodule's repository, the one checked out or the one kept since it was; None if it lacks `sha`."""
    found = _submodule_repository(git, git_dir, commit, module)
    return found if found and found.ask("rev-parse", "--quiet", "--verify", f"{sha}^{{commit}}") is not None else None


def _submodule_repository(git: Git, git_dir: Path, commit: str, module: str) -> Git | None:
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
