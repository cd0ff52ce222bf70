"""The build that a CI provider's environment describes, and what reading it takes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import quote

from pytest_dbtci.errors import UsageError


@dataclass(frozen=True, kw_only=True)
class FileLinks:
    """Where the provider's site shows a file at a commit: a template for the file, and what a line adds to it."""

    file: str
    line: str

    def address(self, commit: str, path: str, line: int | None = None) -> str:
        """Return the address of a file of the repository (POSIX path), at a line where one is given."""
        address = self.file.format(commit=commit, path=quote(path))
        return address + (self.line.format(line=line, after=line + 1) if line else "")


@dataclass(frozen=True, kw_only=True)
class Build:
    """What the environment says about this build; None is "the provider doesn't say".

    `provider` is "ci" where CI is set and nothing else is known. `pr` is digits only, so it is safe in a
    schema name. Branches are short names (`release/1.0`), `ref` is the full ref the build runs on
    (`refs/heads/feature/master`, `refs/pull/17/merge`). `head_sha` is the tip of the pull request's branch,
    never a merge commit. `base_sha` is the merge base as the provider recorded it: for when git lacks the
    history to find it, not before, as older GitLab keeps the old one when the target branch is changed.
    `url` is for people: the pull request, else the build. `run` is the build's own page, `artifacts` where it shows
    what it published. `files` leads to files at a commit.
    """

    provider: str
    pr: str | None = None
    target_branch: str | None = None
    source_branch: str | None = None
    default_branch: str | None = None
    ref: str | None = None
    head_sha: str | None = None
    base_sha: str | None = None
    is_fork: bool = False
    url: str | None = None
    run: str | None = field(default=None, compare=False)
    artifacts: str | None = field(default=None, compare=False)
    files: FileLinks | None = field(default=None, compare=False)


class Environment:
    """Read variables; an empty one counts as unset, as every provider leaves some empty."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ

    def __call__(self, *names: str) -> str | None:
        """Return the first of the variables that is set."""
        return next((value for name in names if (value := self._environ.get(name, "").strip())), None)

    def true(self, name: str) -> bool:
        return (self(name) or "").lower() not in ("", "0", "false", "no", "off")

    def number(self, *names: str) -> str | None:
        """Return the first set variable as a pull request's number; raise UsageError where it is not one."""
        name = next((name for name in names if self(name)), None)
        return name and digits(self(name) or "", name)


def digits(value: str, source: str) -> str:
    """Return `value` if it is a pull request's number; it ends up in schema names, so nothing else passes."""
    if not re.fullmatch(r"[0-9]{1,18}", value):
        raise UsageError(
            f"{source} is {value[:80]!r}, which is not a pull request's number. A schema is named after it, "
            "so only digits are taken. Correct it, or unset it and pass the number with --dbt-ci-pr."
        )
    return value


def short(ref: str | None) -> str | None:
    """Return a branch's short name: `refs/heads/release/1.0` becomes `release/1.0`."""
    return re.sub(r"^refs/heads/", "", ref, flags=re.IGNORECASE) if ref else None


def full_ref(branch: str | None, tag: str | None = None) -> str | None:
    """Return the full ref of a tag or a branch given by short name."""
    return f"refs/tags/{tag}" if tag else f"refs/heads/{branch}" if branch else None


def pr_of(ref: str | None) -> str | None:
    found = re.fullmatch(r"refs/(?:pull|pull-requests|merge-requests)/([0-9]{1,18})/\w+", ref or "")
    return found[1] if found else None


def branch_of(ref: str | None) -> str | None:
    return short(ref) if ref and ref.lower().startswith("refs/heads/") else None


def address(*parts: str | None) -> str | None:
    """Join the parts of an address; None where one of them is missing."""
    return "".join(part for part in parts if part) if all(parts) else None


def file_links(repository: str | None, site: str) -> FileLinks | None:
    """Return where a kind of site shows files; None for an unknown one, or where the repository's address is."""
    if not repository or "{" in repository or "}" in repository:
        return None
    home = re.sub(r"^(https?://)[^/@]*@", r"\1", repository).removesuffix(".git")
    position = "&line={line}&lineEnd={after}&lineStartColumn=1&lineEndColumn=1"
    return {
        "github": FileLinks(file=home + "/blob/{commit}/{path}", line="#L{line}"),
        "gitlab": FileLinks(file=home + "/-/blob/{commit}/{path}", line="#L{line}"),
        "bitbucket": FileLinks(file=home + "/src/{commit}/{path}", line="#lines-{line}"),
        "tfsgit": FileLinks(file=home + "?path=/{path}&version=GC{commit}", line=position),
    }.get(site)


_SITES = {
    "github": r"(https?://[^/]+/[^/]+/[^/]+)/pull/[0-9]+|(?:https://|git@)(github\.com)[:/](.+)",
    "gitlab": r"(https?://[^/]+/.+)/-/merge_requests/[0-9]+|(?:https://|git@)(gitlab\.com)[:/](.+)",
    "bitbucket": r"(https://bitbucket\.org/[^/]+/[^/]+)/pull-requests/[0-9]+|(?:https://|git@)(bitbucket\.org)[:/](.+)",
}
"""What addresses of pull requests and clones look like on a kind of site."""


def links_beside(url: str | None) -> FileLinks | None:
    """Return where the site of a pull request, or of a clone, shows files; None for an unknown one."""
    for site, pattern in _SITES.items():
        if found := re.fullmatch(pattern, url or ""):
            return file_links(found[1] or f"https://{found[2]}/{found[3]}", site)
    return None


def owner_and_name(url: str | None) -> str:
    """Return `owner/name` of a clone URL of any form, in lower case."""
    return "/".join(re.split(r"[/:]", (url or "").removesuffix(".git").lower())[-2:])
