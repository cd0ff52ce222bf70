"""Run git in one directory: unmoved by a hook's environment, and never asking anybody anything."""

from __future__ import annotations

import os
import re
import shlex
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from pytest_dbtci.errors import DbtCiError, UsageError

NETWORK_SECONDS = 120.0
"""After this long a git command that talks to a remote is killed."""

# The variables that `git rev-parse --local-env-vars` prints: a hook (pre-push, pre-commit) or a wrapper sets
# them for *its* repository. The two of them that carry `git -c` settings stay, as they do when git enters a
# submodule: they can hold the credentials.
_OF_ANOTHER_REPOSITORY = (
    *("GIT_DIR", "GIT_COMMON_DIR", "GIT_WORK_TREE", "GIT_IMPLICIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX"),
    *("GIT_OBJECT_DIRECTORY", "GIT_ALTERNATE_OBJECT_DIRECTORIES", "GIT_SHALLOW_FILE", "GIT_GRAFT_FILE"),
    *("GIT_NO_REPLACE_OBJECTS", "GIT_REPLACE_REF_BASE", "GIT_INTERNAL_SUPER_PREFIX", "GIT_CONFIG"),
)
# These bend how paths are read, which attributes hold and which refs a remote shows.
_BENDING = (
    *("GIT_LITERAL_PATHSPECS", "GIT_GLOB_PATHSPECS", "GIT_NOGLOB_PATHSPECS", "GIT_ICASE_PATHSPECS"),
    *("GIT_ATTR_SOURCE", "GIT_NAMESPACE", "GIT_QUARANTINE_PATH"),
)
_UNATTENDED = {"GIT_TERMINAL_PROMPT": "0", "GCM_INTERACTIVE": "never", "GIT_OPTIONAL_LOCKS": "0"}


class GitError(DbtCiError):
    """Show a git command that failed: the command, the directory, its exit code, its words."""

    def __init__(self, arguments: tuple[str, ...], directory: Path, code: int, stderr: str) -> None:
        # git hides the password of a remote's URL in most of what it says; this is for the rest, a token that stands in
        # place of the user among it.
        self.stderr = re.sub(r"(?<=://)[^\s/]+@|[^\s/@:]+:[^\s/@]+@", "***@", stderr.strip())
        super().__init__(
            f"`git {shlex.join(arguments)}` ended with code {code} in {directory}:\n"
            f"{self.stderr or '(git wrote nothing to stderr)'}\n"
            "Run the command there by hand; when it works, run pytest again."
        )


class Git:
    """Call git in `directory`; `options` stand before the command, as in `git <options> diff`."""

    def __init__(self, directory: Path, *options: str, environment: Mapping[str, str] | None = None) -> None:
        self.directory = directory
        self._options = options
        self._environment = {**_UNATTENDED, **(environment or {})}

    def __call__(self, *arguments: str, stdin: str = "", seconds: float | None = None) -> str:
        """Return what the command prints, without its last newline; raise GitError unless it ends with 0."""
        code, stdout, stderr = self._run(arguments, stdin, seconds)
        if code:
            raise GitError(arguments, self.directory, code, stderr)
        return stdout

    def ask(self, *arguments: str, stdin: str = "") -> str | None:
        """Return what the command prints, or None when it ends with 1, which is git's "no"."""
        code, stdout, stderr = self._run(arguments, stdin)
        if code not in (0, 1):
            raise GitError(arguments, self.directory, code, stderr)
        return None if code else stdout

    def network(self, *arguments: str) -> str:
        """Call a command that talks to a remote, for NETWORK_SECONDS at most; ssh asks nothing either."""
        ssh = os.environ.get("GIT_SSH_COMMAND") or self.ask("config", "--get", "core.sshCommand")
        ssh = ssh or ("" if "GIT_SSH" in os.environ else "ssh")
        environment = dict(self._environment)
        if ssh and Path(shlex.split(ssh)[0]).stem == "ssh":  # plink and wrappers have options of their own
            environment["GIT_SSH_COMMAND"] = f"{ssh} -o BatchMode=yes -o ConnectTimeout=20"
        slow = ("-c", "http.lowSpeedLimit=1", "-c", "http.lowSpeedTime=30")
        git = Git(self.directory, *self._options, *slow, environment=environment)
        return git(*arguments, seconds=NETWORK_SECONDS)

    def _run(self, arguments: tuple[str, ...], stdin: str = "", seconds: float | None = None) -> tuple[int, str, str]:
        try:
            import git  # here, because GitPython looks for git while it is imported
        except ImportError as error:
            raise _no_git(error) from error
        # No hook of the user's runs because we look: fetch and read-tree would call some.
        options = ("-C", str(self.directory), "-c", "core.hooksPath=/dev/null", *self._options)
        with _without(*_OF_ANOTHER_REPOSITORY, *_BENDING), tempfile.TemporaryFile() as source:
            source.write(os.fsencode(stdin))
            source.seek(0)
            try:
                return git.Git().execute(
                    [git.Git.GIT_PYTHON_GIT_EXECUTABLE or "git", *options, *arguments],
                    istream=source,
                    with_extended_output=True,
                    with_exceptions=False,
                    env=self._environment,
                    # GitPython can't kill on Windows; git's low-speed limit and ssh's timeout remain there.
                    kill_after_timeout=None if sys.platform == "win32" else seconds,
                )
            except git.GitCommandNotFound as error:
                raise _no_git(error) from error


def _no_git(error: Exception) -> UsageError:
    return UsageError(
        "git could not be started, and --dbt-ci needs it to see what changed: install git, put it on PATH, "
        f"or name it in GIT_PYTHON_GIT_EXECUTABLE. ({str(error).strip().splitlines()[0]})"
    )


@contextmanager
def _without(*names: str) -> Iterator[None]:
    """Hide variables for a while: GitPython can add to the environment that git inherits, not remove."""
    kept = {name: os.environ.pop(name) for name in names if name in os.environ}
    try:
        yield
    finally:
        os.environ.update(kept)
