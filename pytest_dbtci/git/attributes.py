"""Which files git checks out otherwise though it stores them alike: those that a changed .gitattributes rules."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from pytest_dbtci.git.checkout import check_out
from pytest_dbtci.git.process import Git

NAME = ".gitattributes"

_OF_CHECKOUTS = ("text", "eol", "crlf", "ident", "filter", "working-tree-encoding")
"""The attributes by which a file on the disk is another than the one that git stores."""


@dataclass(frozen=True, kw_only=True)
class Ruled:
    """The files that a changed .gitattributes rules otherwise than before, as the disk has them.

    `differing` maps those that a checkout of the base has with other bytes to the .gitattributes that do it; `same` are
    the others.
    """

    differing: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    same: frozenset[str] = frozenset()

    def with_submodule(self, module: str, inside: Ruled) -> Ruled:
        """Return both, the paths of the submodule as the superproject knows them."""
        differing = {f"{module}/{p}": tuple(f"{module}/{r}" for r in rules) for p, rules in inside.differing.items()}
        same = self.same.union(f"{module}/{p}" for p in inside.same)
        return Ruled(differing={**self.differing, **differing}, same=same)


def ruled_otherwise(git: Git, base: str, changed: Iterable[str]) -> Ruled:
    """Compare the files that the changed paths rule, if any is a .gitattributes, with a checkout of the base."""
    rules = sorted(path for path in changed if PurePosixPath(path).name == NAME)
    if not rules:
        return Ruled()
    found = _ruled_here(git, base, rules)
    for module, commit in _submodules(git, base):
        inside = [rule.removeprefix(f"{module}/") for rule in rules if rule.startswith(f"{module}/")]
        there = Git(git.directory / module)
        # Without its base's commit a submodule stands as one changed path.
        if inside and there.ask("rev-parse", "--quiet", "--verify", f"{commit}^{{commit}}"):
            found = found.with_submodule(module, ruled_otherwise(there, commit, inside))
    return found


def _submodules(git: Git, base: str) -> list[tuple[str, str]]:
    """Return the submodules that a commit names and that are checked out, each with its commit."""
    listed = (entry.partition("\t") for entry in git("ls-tree", "-r", "-z", "--full-tree", base).split("\0"))
    found = [(path, said.split(" ")[2]) for said, _, path in listed if said.startswith("160000")]
    return [(path, commit) for path, commit in found if (git.directory / path / ".git").exists()]


def _ruled_here(git: Git, base: str, rules: Sequence[str]) -> Ruled:
    git_dir = Path(git("rev-parse", "--absolute-git-dir"))
    with tempfile.TemporaryDirectory(prefix="dbt-ci-attributes-") as work:
        ruled = _Rules(git, git_dir, Path(work), base).of(rules)
        if not ruled:
            return Ruled()
        tree = Path(work, "tree")
        check_out(git, git_dir, base, tree, tuple(ruled))
        same = frozenset(path for path in ruled if (tree / path).read_bytes() == (git.directory / path).read_bytes())
    return Ruled(differing={p: found for p, found in ruled.items() if p not in same}, same=same)


class _Rules:
    """Ask git for the attributes of the base's files that are on the disk, too, in `work`, a folder of our own."""

    def __init__(self, git: Git, git_dir: Path, work: Path, base: str) -> None:
        self._git, self._git_dir, self._work = git, git_dir, work
        own = Git(git.directory, environment=self._index)
        own("read-tree", base)
        listed = (entry.partition("\t") for entry in own("ls-files", "--stage", "-z").split("\0"))
        files = [(path, git.directory / path) for mode, _, path in listed if mode.startswith("100")]
        self._files = [path for path, here in files if here.is_file() and not here.is_symlink()]

    def of(self, rules: Sequence[str]) -> dict[str, tuple[str, ...]]:
        """Map the files whose attributes are others than the base's to those of the rules that make them so."""
        then, now = self._with(()), self._attributes(self._git)
        alone = {rule: self._with((rule,)) for rule in rules} if len(rules) > 1 else {}
        differing = [path for path in self._files if now[path] != then[path]]
        found = {path: tuple(r for r in alone if alone[r][path] != then[path]) for path in differing}
        return {path: causes or tuple(rules) for path, causes in found.items()}

    def _with(self, rules: Iterable[str]) -> dict[str, list[str]]:
        """Return each file's attributes as the base has them, but for these rules, which are those of the disk."""
        place = Path(tempfile.mkdtemp(dir=self._work))
        for rule in rules:
            (place / rule).parent.mkdir(parents=True, exist_ok=True)
            (place / rule).touch()  # for one that is gone; what is not in the work tree is taken from the index
            if (self._git.directory / rule).is_file():
                shutil.copyfile(self._git.directory / rule, place / rule)
        options = (f"--git-dir={self._git_dir}", f"--work-tree={place}")
        return self._attributes(Git(place, *options, environment=self._index))

    def _attributes(self, git: Git) -> dict[str, list[str]]:
        stdin = "".join(f"{path}\0" for path in self._files)
        said = git("check-attr", "-z", "--stdin", *_OF_CHECKOUTS, stdin=stdin).split("\0")
        found: dict[str, list[str]] = {path: [] for path in self._files}
        # Each answer is a path, an attribute and its value.
        for path, value in zip(said[:-1:3], said[2::3], strict=True):
            found[path].append(value)
        return found

    @property
    def _index(self) -> dict[str, str]:
        return {"GIT_INDEX_FILE": str(self._work / "index")}
