"""Who am I? The build, its kind, what to print so that people see it, and how to mend its clone."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Literal

from pytest_dbtci.ci.providers import PROVIDERS, Build, Environment, Provider, full_ref, short

__all__ = [
    "Build",
    "Provider",
    "Verdict",
    "defang",
    "detect",
    "escape_azure",
    "escape_github",
    "remedy",
    "verdict",
    "warning_signal",
]

Verdict = Literal["pull_request", "default_branch", "other_branch", "local"]


def detect(environ: Mapping[str, str]) -> Build:
    """Read the build from an environment; `Build(provider="local")` outside CI.

    Touches nothing but the file GITHUB_EVENT_PATH names. Raises UsageError where the pull request's number is
    missing or is not a number.
    """
    env = Environment(environ)
    build = next((read(env) for fits, read in PROVIDERS if fits(env)), Build(provider="local"))
    return build if build.pr else _of_merge_queue(build)


def _of_merge_queue(build: Build) -> Build:
    """Recognise GitHub's merge queue on any provider: a branch gh-readonly-queue/TARGET/pr-N-SHA.

    It is a pull request about to be merged. The sha is that of the entry ahead of it, whose changes are not
    in production yet, so the comparison stays with the target branch and covers both.
    """
    queue = re.fullmatch(r"refs/heads/gh-readonly-queue/(.+)/pr-([0-9]{1,18})-[0-9a-f]+", build.ref or "")
    return replace(build, target_branch=queue[1], pr=queue[2]) if queue else build


def verdict(build: Build, default_branch: str | None = None) -> Verdict:
    """Say what kind of build this is; full refs are compared, so `feature/master` is not `master`.

    `default_branch` is what git knows. The provider's own word comes before it, as a CI clone seldom has the
    remote's HEAD; where neither says anything, `master` and `main` are taken for it.
    """
    if build.pr:
        return "pull_request"
    if build.provider == "local":
        return "local"
    name = build.default_branch or short(default_branch)
    defaults = [full_ref(branch) for branch in ((name,) if name else ("master", "main"))]
    return "default_branch" if build.ref in defaults else "other_branch"


def warning_signal(build: Build, message: str) -> str | None:
    """Return what to print on stdout so that the provider shows a warning; None where it has no such thing.

    On Azure the build ends as "partially succeeded"; the exit code still has to be 0.
    """
    if build.provider == "azure":
        text = escape_azure(defang(message, "azure"))
        return f"##vso[task.logissue type=warning]{text}\n##vso[task.complete result=SucceededWithIssues;]{text}"
    if build.provider == "github":
        return f"::warning title=dbt-ci::{escape_github(defang(message, 'github'))}"
    return None


def escape_azure(text: str) -> str:
    """Escape data or a property of an Azure logging command.

    Source: CommandStringConvertor of azure-pipelines-agent. The percent sign comes first: it is what escapes.
    """
    for plain, escaped in (("%", "%AZP25"), (";", "%3B"), ("\r", "%0D"), ("\n", "%0A"), ("]", "%5D")):
        text = text.replace(plain, escaped)
    return text


def escape_github(text: str, *, is_property: bool = False) -> str:
    """Escape data of a GitHub workflow command, or a property (file, line, title), which needs more.

    Source: ActionCommand of actions/runner.
    """
    properties = ((":", "%3A"), (",", "%2C")) if is_property else ()
    for plain, escaped in (("%", "%25"), ("\r", "%0D"), ("\n", "%0A"), *properties):
        text = text.replace(plain, escaped)
    return text


# Characters that may lie between those of a command without breaking it: .NET compares by culture, which
# passes over control and zero-width characters. Anything but printable ASCII and whitespace is taken for one;
# at worst an innocent "#é#[" gets a space.
HIDDEN = r"[^\t-\r -~]*"
_HASH = re.compile(rf"#(?={HIDDEN}#{HIDDEN}(?:v{HIDDEN}s{HIDDEN}o{HIDDEN})?\[)", re.IGNORECASE)
_COLONS = re.compile(rf"(?:^|(?<=[\r\n]))([^!-~\r\n]*:)(?={HIDDEN}:)")


def defang(text: str, provider: Provider) -> str:
    """Break what the provider would run as a command in text of dbt or the warehouse; it stays readable.

    Azure runs `##vso[...]` anywhere in a line, GitHub `##[...]` anywhere and `::...::` at the start of one. A
    space goes into the mark; a zero-width character would not stop it. Give whole texts: a mark cut in two is
    not seen.
    """
    if provider in ("azure", "github"):
        text = _HASH.sub("# ", text)
    if provider == "github":
        text = _COLONS.sub(r"\1 ", text)
    return text


_REMEDIES: dict[Provider, str] = {
    "azure": "set `fetchDepth: '0'` and `persistCredentials: 'true'` on the step `- checkout: self`",
    "github": "set `with: {fetch-depth: 0}` on the step `uses: actions/checkout`",
    "gitlab": "set `variables: {GIT_DEPTH: '0'}` for the job",
    "bitbucket": "set `clone: {depth: full}` at the top of bitbucket-pipelines.yml",
    "buildkite": "take `--depth` out of BUILDKITE_GIT_CLONE_FLAGS and BUILDKITE_GIT_FETCH_FLAGS",
    "circleci": "set `method: full` on the step `checkout`",
    "woodpecker": "set `partial: false` and no `depth` under `settings` of the clone step",
    "jenkins": "take `Shallow clone` and `Honor refspec on initial clone` out of the job's clone behaviours",
    "codebuild": "set `Git clone depth` of the project's source to Full (`gitCloneDepth: 0`)",
}


def remedy(build: Build) -> str:
    """Return the provider's exact setting for a clone with its whole history, as half a sentence."""
    return _REMEDIES.get(build.provider, "run `git fetch --unshallow origin`")
