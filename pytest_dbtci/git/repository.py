"""The repository: what a branch changed, and the files that it started from."""

from __future__ import annotations

import getpass
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from pytest_dbtci.errors import DbtCiError, UsageError
from pytest_dbtci.git.attributes import ruled_otherwise
from pytest_dbtci.git.checkout import check_out, object_id
from pytest_dbtci.git.diff import Change, changed_files, left_out
from pytest_dbtci.git.identity import identity
from pytest_dbtci.git.merge_base import Wanted, default_branch, find_base, parents_of, remote, same
from pytest_dbtci.git.process import Git, GitError
from pytest_dbtci.git.remote import contains, files

__all__ = ["Change", "Comparison", "Repository"]


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Hold what was compared, and every path that differs, sorted.

    `base` and `head` are full shas; `base_ref` is what the user would call the base ("origin/master");
    `how` says how it was found. The work tree counts as it is on the disk: commits, staged and unstaged
    changes, and untracked files that aren't ignored. `attributed` maps files that git stores alike and checks out
    otherwise to the .gitattributes that changed above them.
    """

    base: str
    base_ref: str
    head: str
    how: str
    changes: tuple[Change, ...]
    attributed: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


class Repository:
    """Ask one git repository; nothing here changes HEAD, the index or the work tree."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._git = Git(root)

    @classmethod
    def find(cls, path: Path) -> Repository:
        """Return the repository whose work tree holds the directory `path`; UsageError if there is none.

        Its root is resolved: symbolic links on the way to it are gone, so resolve a path before relating it.
        """
        try:
            return cls(Path(Git(path)("rev-parse", "--show-toplevel")))
        except GitError as error:
            raise _unusable(path, error) from error

    @classmethod
    def of_changes(cls, path: Path, started_in: Path, head: str | None) -> Repository:
        """Return the repository whose changes count for the directory `path`: its own, or one with it as a submodule.

        That is the one that holds `head`, the commit that a CI system names; without one, the one that the run was
        started in; inside a submodule the superproject where no branch is checked out, so that nobody works in it.
        """
        found = [cls.find(path)]
        while outer := found[-1].superproject:
            found.append(outer)
        if len(found) == 1:
            return found[0]
        if head:
            return next((r for r in found if r.holds(head)), found[0])
        around = next((r for r in found if started_in.resolve().is_relative_to(r.root.resolve())), found[-1])
        return found[1] if around is found[0] and around.branch() is None else around

    @property
    def superproject(self) -> Repository | None:
        """Return the repository that has this one as a submodule, None where there is none."""
        outer = self._git("rev-parse", "--show-superproject-working-tree")
        return Repository(Path(outer)) if outer else None

    def head(self) -> str:
        """Return the full sha of HEAD; UsageError when there is no commit yet."""
        if commit := self._git.ask("rev-parse", "--quiet", "--verify", "HEAD^{commit}"):
            return commit
        raise UsageError(
            f"{self.root} has no commit yet, so there is nothing to compare with. Commit the project as it "
            "is (`git add -A`, then `git commit`); what you change from then on is validated."
        )

    def branch(self) -> str | None:
        """Return the short name of the branch that is checked out, None when HEAD is detached."""
        ref = self._git.ask("symbolic-ref", "--quiet", "HEAD")
        return ref.removeprefix("refs/heads/") if ref else None

    def identity(self) -> str:
        """Return what tells this repository from others, the same in every clone; see `identity`."""
        return identity(self._git)

    def project_files(self) -> tuple[str, ...]:
        """Return every `dbt_project.yml` that git tracks, POSIX, from the root."""
        listed = self._git("ls-files", "-z", "--full-name", "--", ":(top,glob)**/dbt_project.yml")
        return tuple(f for f in listed.split("\0") if f)

    def project_names(self, branch: str | None) -> dict[str, str]:
        """Return the line with the name in each `dbt_project.yml` of HEAD and of the remote's branch, by its folder."""
        found: dict[str, str] = {}
        for commit in ("HEAD", f"{remote(self._git)}/{branch}"):
            if self._git.ask("rev-parse", "--quiet", "--verify", f"{commit}^{{commit}}"):
                lines = (
                    self._git.ask(
                        "grep", "-z", "--full-name", "-E", "^name *:", commit, "--", ":(top,glob)**/dbt_project.yml"
                    )
                    or ""
                )
                for line in lines.splitlines():
                    path, _, text = line.removeprefix(f"{commit}:").partition("\0")
                    found.setdefault(str(Path(path).parent), text)
        return found

    def default_branch(self, *, ask: bool = False) -> str | None:
        """Return the short name of the default branch, with `ask` as the remote names it now; None where unknown."""
        return default_branch(self._git, ask=ask)

    def user(self) -> str:
        """Return git's user.name, else the local part of user.email, else the system's user, else "user"."""
        name = self._git.ask("config", "--get", "user.name") or ""
        email = self._git.ask("config", "--get", "user.email") or ""
        if known := name.strip() or email.partition("@")[0].strip():
            return known
        try:
            return getpass.getuser()
        except (OSError, KeyError, ImportError):  # a container whose uid has no name, by version of Python
            return "user"

    def holds(self, commit: str) -> bool:
        """Whether HEAD is that commit (its sha may be shortened), was merged from it, or descends from it."""
        head = self.head()
        if any(same(known, commit) for known in (head, *parents_of(self._git, head))):
            return True
        try:
            return self._git.ask("merge-base", "--is-ancestor", commit, head) is not None
        except GitError:
            return False  # this clone doesn't know the commit, so HEAD, with all its parents, isn't made of it

    def compare(
        self,
        *,
        base: str | None,
        target: str | None,
        provider_base: str | None,
        provider_head: str | None,
        remedy: str = "run `git fetch --unshallow`",
    ) -> Comparison:
        """Compare the work tree with the commit that the branch started from.

        `base` is the user's word (branch, tag, commit; compared at its merge base with HEAD), the others are
        the CI system's: the pull request's target branch by its short name, its base commit, its head commit.
        `remedy` says how to get a clone with its whole history.
        UsageError when the base is unknown, unrelated, or cut off by a shallow clone that can't be deepened.
        """
        head = self.head()
        wanted = Wanted(
            base=base, target=target, provider_base=provider_base, provider_head=provider_head, remedy=remedy
        )
        found = find_base(self._git, head, wanted)
        changes = sorted(changed_files(self._git, found.commit), key=lambda change: change.path)
        ruled = ruled_otherwise(self._git, found.commit, (p for c in changes for p in (c.path, c.old_path) if p))
        return Comparison(
            base=found.commit,
            base_ref=found.ref,
            head=head,
            how=found.how,
            changes=tuple(replace(c, exact=c.exact or c.path in ruled.same) for c in changes),
            attributed={p: rules for p, rules in ruled.differing.items() if p not in {c.path for c in changes}},
        )

    def checkout(
        self, commit: str, into: Path, paths: Sequence[str] = (), *, ruled: Collection[str] = ()
    ) -> tuple[str, ...]:
        """Write the files of `commit`, or only those under `paths`, into a directory of its own.

        `into` mirrors the repository's layout. Line endings and filters (LFS) apply as in any checkout, but where the
        work tree has a file in another form that git stores alike, it gets that one; not those that a changed
        .gitattributes rules (`ruled`). A path that the commit lacks is left out. Returns the submodules left empty, as
        they aren't here; UsageError when one of `paths` lies in such a submodule.
        """
        git_dir = Path(self._git("rev-parse", "--absolute-git-dir"))
        return check_out(self._git, git_dir, commit, into.resolve(), paths, ruled)

    def tree(self, commit: str, path: str = "") -> str | None:
        """Return the object id of a directory (or file) as `commit` has it, None when it has none there.

        Submodules are entered; UsageError where one's commit isn't here.
        """
        return object_id(self._git, Path(self._git("rev-parse", "--absolute-git-dir")), commit, path)

    def object_ids(self, commit: str, paths: Iterable[str]) -> dict[str, str | None]:
        """Return `tree` of many paths at once."""
        wanted = sorted(set(paths))
        lines = "".join(f"{commit}:{'' if path == '.' else path}\n" for path in wanted)
        listed = self._git("cat-file", "--batch-check=%(objectname)", stdin=lines).split("\n") if wanted else []
        found = dict(zip(wanted, listed, strict=True))
        # What is missing may lie in a submodule.
        return {path: self.tree(commit, path) if " " in sha else sha for path, sha in found.items()}

    def ignored(self, paths: Iterable[str]) -> frozenset[str]:
        """Return those of the paths that git ignores, so that no commit has them."""
        stdin = "".join(f"{path}\0" for path in sorted(set(paths)))
        try:
            listed = self._git.ask("check-ignore", "-z", "--stdin", stdin=stdin) if stdin else None
        except GitError:
            return frozenset()  # one of them lies in a submodule, which git does not look into
        return frozenset((listed or "").split("\0")) - {""}

    def left_out(self) -> frozenset[str]:
        """Return the paths that a sparse checkout leaves out of the work tree."""
        return left_out(self._git)

    def remote_tip(self, branch: str) -> str | None:
        """Return the sha of a branch at the remote, asked just now; None without remote or such a branch.

        DbtCiError when the remote can't be reached.
        """
        if not (where := remote(self._git)):
            return None
        try:
            listed = self._git.network("ls-remote", where, f"refs/heads/{branch}")
        except GitError as error:
            raise DbtCiError(
                f"The remote {where} can't be asked for the branch {branch}:\n{error.stderr}\n"
                "Check the network and this job's credentials (Azure Pipelines: `persistCredentials: true`)."
            ) from error
        return listed.split("\t")[0] or None

    def contains(self, branch: str, commit: str) -> bool:
        """Whether a branch of the remote, fetched just now, holds the commit; see `remote.contains`."""
        return contains(self._git, remote(self._git) or "", branch, commit)

    def files(self, commit: str) -> frozenset[str]:
        """Return every path of the commit; see `remote.files`."""
        return files(self._git, commit)

    def is_clean(self) -> bool:
        """Whether the work tree is HEAD's: nothing changed, staged, conflicting or untracked."""
        return not self._git("status", "--porcelain", "-z", "--untracked-files=normal", "--ignore-submodules=none")


def _unusable(path: Path, error: GitError) -> UsageError:
    if not path.is_dir():
        return UsageError(f"{path} is not a directory. Run pytest in the dbt project, or set --dbt-ci-project-dir.")
    if "dubious ownership" in error.stderr:
        return UsageError(
            f"git doesn't read the repository of {path}: it belongs to another user, as is usual in a "
            f"container. Tell git to trust it, as it says itself:\n{error.stderr}"
        )
    if "must be run in a work tree" in error.stderr:
        return UsageError(
            f"{path} is in a bare repository or in a .git directory: there are no files to validate. "
            "Run pytest in a clone of it."
        )
    if "not a git repository" in error.stderr:
        return UsageError(
            f"{path} is in no git repository, so there is nothing to compare with. Run pytest in a clone of "
            "the project, or make a repository of it: `git init`, `git add -A`, `git commit`."
        )
    return UsageError(str(error))
