"""What a CI provider is to a run: one file in this folder, one line in its registry."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pytest_dbtci.ci.build import Build, Environment
from pytest_dbtci.errors import DbtCiError

if TYPE_CHECKING:
    from pytest_dbtci.ci.http_api import CommentApi, PullsApi

# Characters that may lie between those of a command without breaking it: .NET compares by culture, which
# passes over control and zero-width characters. Anything but printable ASCII and whitespace is taken for one;
# at worst an innocent "#é#[" gets a space.
HIDDEN = r"[^\t-\r -~]*"
HASH = re.compile(rf"#(?={HIDDEN}#{HIDDEN}(?:v{HIDDEN}s{HIDDEN}o{HIDDEN})?\[)", re.IGNORECASE)
HASHES = re.compile(rf"#{HIDDEN}#{HIDDEN}(?:v{HIDDEN}s{HIDDEN}o{HIDDEN})?\[", re.IGNORECASE)
"""The first character, and the whole, of a mark that Azure's agent and GitHub's runner look for in a line."""


@dataclass(frozen=True, kw_only=True)
class Annotation:
    """A failure or a warning on a line of a file.

    `file` is absolute, `path` relative to the repository (None outside of it), `line` 1-based. `title` names the node
    in a few words, `headline` is one line that stands alone, `text` is what dbt or the warehouse said.
    """

    level: Literal["error", "warning"]
    file: Path
    path: str | None
    line: int | None
    title: str
    headline: str
    text: str


class Provider:
    """A CI provider; what a method or an attribute says here is true of one that offers nothing of the kind.

    `remedy` is the setting for a clone with its whole history, as half a sentence. `marks` find the commands that the
    provider runs when it sees them in a log. `comment_limit` is what a comment may hold (bytes, a little under what is
    taken), `run_number` the variables that count runs and, in a run, attempts.
    """

    name = "ci"
    remedy = "run `git fetch --unshallow origin`"
    marks: tuple[re.Pattern[str], ...] = ()
    annotates = False
    draws_mermaid = False
    appends_summaries = False
    comment_limit = 65_000
    run_number: tuple[str, str] = ("", "")

    def is_here(self, env: Environment) -> bool:
        """Whether the environment is that of one of the provider's builds."""
        return env.true("CI")

    def read(self, env: Environment) -> Build:
        """Return the build; UsageError where the pull request's number is missing or is not a number."""
        return Build(provider=self.name)

    def neutralize(self, text: str) -> str:
        """Return the text with every command of the provider's broken, still readable; give whole texts."""
        return text

    def warning(self, message: str) -> str | None:
        """Return what to print on stdout so that a warning is shown; None where there is no such thing."""
        return None

    def annotation(self, annotation: Annotation) -> str:
        """Return the line to print on stdout that puts it on a line of the pull request."""
        return annotation.headline

    def notice(self, text: str) -> str:
        """Return the line to print on stdout for a word about the annotations."""
        return f"dbt-ci: {text}"

    def summary_file(self, environ: Mapping[str, str]) -> Path | None:
        """Return the file that is shown as a run's summary; None where there is none."""
        return None

    def show_summary(self, path: Path) -> tuple[str, ...]:
        """Return the lines to print on stdout so that the summary in the file is shown."""
        return ()

    def comments(self, build: Build, environ: Mapping[str, str]) -> CommentApi:
        """Return the way to comment on the build's pull request; DbtCiError where there is none, or no token."""
        raise DbtCiError(
            f"Comments on pull requests are not possible on {build.provider}, only on Azure Repos, GitHub "
            "and GitLab. Leave --dbt-ci-comment out; the summary has the same text."
        )

    def pulls(self, environ: Mapping[str, str]) -> PullsApi:
        """Return the way to ask whether a pull request is closed; DbtCiError where there is none, or no token."""
        where = "in a local run" if self.name == "local" else f"on {self.name}"
        raise DbtCiError(
            f"It can't be known {where} which pull requests are closed, only on Azure Repos, Bitbucket, GitHub and "
            "GitLab."
        )

    def run_order(self, environ: Mapping[str, str]) -> int:
        """Return a number that grows from run to run, as the provider counts them; 0 where it doesn't."""
        run, attempt = (environ.get(name, "") for name in self.run_number)
        if not run.isdecimal():
            return 0
        return int(run) * 1000 + (int(attempt) if attempt.isdecimal() else 0)
