"""Who a build is, by its environment; and that nobody's text can speak to the provider."""

from __future__ import annotations

import json
import re
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_dbtci.ci.build import Build, Environment
from pytest_dbtci.ci.detect import detect, verdict
from pytest_dbtci.ci.providers import PROVIDERS, Provider, azure, github, provider_of
from pytest_dbtci.errors import UsageError
from tests.support.ci_environments import (
    AZURE,
    BITBUCKET,
    BUILDKITE,
    CASES,
    CIRCLECI,
    CODEBUILD,
    GITHUB,
    GITHUB_PULL_REQUEST,
    GITLAB,
    JENKINS,
    WOODPECKER,
    Case,
)


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_tells_the_build_and_its_kind_from_the_environment(case: Case, tmp_path: Path) -> None:
    environ = dict(case.environ)
    if case.event is not None:
        event = tmp_path / "event.json"
        event.write_text(json.dumps(case.event), "utf-8")
        environ["GITHUB_EVENT_PATH"] = str(event)
    build = detect(environ)
    assert build == case.build
    assert verdict(build) == case.kind


@pytest.mark.parametrize("number", ["17; drop schema prod", "17/../prod", "１７", "-1", "1.5", "$(pr)", "9" * 19])
@pytest.mark.parametrize(
    ("environ", "variable"),
    [
        (AZURE, "SYSTEM_PULLREQUEST_PULLREQUESTNUMBER"),
        (AZURE, "SYSTEM_PULLREQUEST_PULLREQUESTID"),
        (GITLAB, "CI_MERGE_REQUEST_IID"),
        (GITLAB, "CI_EXTERNAL_PULL_REQUEST_IID"),
        (BITBUCKET, "BITBUCKET_PR_ID"),
        (BUILDKITE, "BUILDKITE_PULL_REQUEST"),
        (CIRCLECI, "CIRCLE_PR_NUMBER"),
        (WOODPECKER, "CI_COMMIT_PULL_REQUEST"),
        (JENKINS, "CHANGE_ID"),
    ],
)
def test_refuses_a_pull_request_that_is_not_a_number(environ: dict[str, str], variable: str, number: str) -> None:
    with pytest.raises(UsageError, match=rf"{variable} is .* only digits .*--dbt-ci-pr"):
        detect({**environ, variable: number})


@pytest.mark.parametrize(
    "environ",
    [
        {**CIRCLECI, "CIRCLE_PULL_REQUEST": "https://github.com/kennel/our-datamart/pull/17;x"},
        {**CODEBUILD, "CODEBUILD_WEBHOOK_TRIGGER": "pr/17'"},
        {**CODEBUILD, "CODEBUILD_SOURCE_VERSION": "pr/"},
    ],
)
def test_refuses_a_link_or_trigger_without_a_number(environ: dict[str, str]) -> None:
    with pytest.raises(UsageError, match="only digits"):
        detect(environ)


@pytest.mark.parametrize("ref", ["refs/pull/1x/merge", "refs/pull/17/merge/x", "refs/pull//merge", "pull/17/merge"])
def test_takes_no_number_from_a_ref_that_only_resembles_a_pull_requests(ref: str) -> None:
    build = detect({**AZURE, "BUILD_SOURCEBRANCH": ref})
    assert build.pr is None
    assert verdict(build) == "other_branch"


def test_refuses_pull_request_target_whose_number_is_unknown_instead_of_taking_it_for_main() -> None:
    environ = {**GITHUB, "GITHUB_EVENT_NAME": "pull_request_target", "GITHUB_REF": "refs/heads/main"}
    with pytest.raises(UsageError, match=r"pull_request\.number in GITHUB_EVENT_PATH"):
        detect(environ)


def test_refuses_an_event_that_is_not_json(tmp_path: Path) -> None:
    event = tmp_path / "event.json"
    event.write_text("{", "utf-8")
    with pytest.raises(UsageError, match="GITHUB_EVENT_PATH"):
        detect({**GITHUB_PULL_REQUEST, "GITHUB_EVENT_PATH": str(event)})


@pytest.mark.parametrize("event", [[], "text", {"pull_request": "17"}, {"pull_request": {"head": None, "base": []}}])
def test_reads_a_misshapen_event_as_one_that_says_nothing(event: object, tmp_path: Path) -> None:
    path = tmp_path / "event.json"
    path.write_text(json.dumps(event), "utf-8")
    build = detect({**GITHUB_PULL_REQUEST, "GITHUB_EVENT_PATH": str(path)})
    assert (build.pr, build.head_sha, build.is_fork) == ("17", None, False)


def test_the_providers_default_branch_comes_before_what_git_guesses() -> None:
    on_main = detect({**GITLAB, "CI_DEFAULT_BRANCH": "develop", "CI_COMMIT_BRANCH": "main"})
    on_develop = detect({**GITLAB, "CI_DEFAULT_BRANCH": "develop", "CI_COMMIT_BRANCH": "develop"})
    assert verdict(on_main, "main") == "other_branch"
    assert verdict(on_develop, "main") == "default_branch"


def test_what_git_knows_stands_in_for_a_silent_provider() -> None:
    build = Build(provider="azure", ref="refs/heads/develop")
    assert verdict(build) == "other_branch"
    assert verdict(build, "develop") == "default_branch"
    assert verdict(build, "refs/heads/develop") == "default_branch"


def test_without_a_known_default_branch_master_and_main_are_it() -> None:
    kinds = [
        verdict(Build(provider="azure", ref=f"refs/heads/{branch}"))
        for branch in ("master", "main", "trunk", "Master", "feature/main")
    ]
    assert kinds == ["default_branch", "default_branch", "other_branch", "other_branch", "other_branch"]


def test_azure_ends_with_issues_and_says_why() -> None:
    signal = provider_of("azure").warning("Not a pull request;\n100 % ##vso[task.complete result=Failed]")
    text = "Not a pull request%3B%0A100 %AZP25 # #vso[task.complete result=Failed%5D"
    assert signal == (
        f"##vso[task.logissue type=warning]{text}\n##vso[task.complete result=SucceededWithIssues;]{text}"
    )


def test_github_shows_a_warning() -> None:
    signal = provider_of("github").warning("Not a pull request:\n100 %")
    assert signal == "::warning title=dbt-ci::Not a pull request:%0A100 %25"


@pytest.mark.parametrize("provider", ["gitlab", "bitbucket", "jenkins", "ci", "local"])
def test_other_providers_have_no_signal(provider: str) -> None:
    assert provider_of(provider).warning("Not a pull request") is None


def test_escapes_what_azure_unescapes() -> None:
    assert azure.escape("50%;\r\n[a]%AZP25") == "50%AZP25%3B%0D%0A[a%5D%AZP25AZP25"


def test_escapes_what_github_unescapes() -> None:
    assert github.escape("50%: a, b\r\n") == "50%25: a, b%0D%0A"
    assert github.escape("50%: a, b\r\n", is_property=True) == "50%25%3A a%2C b%0D%0A"


def as_dotnet_sees(text: str) -> str:
    """Drop what a comparison by culture passes over: control and format characters but whitespace."""
    return "".join(c for c in text if c in "\t\n\v\f\r\x85" or unicodedata.category(c) not in ("Cc", "Cf"))


def runs_a_command(text: str, provider: str) -> bool:
    """Whether the provider's agent would take a line for a command, as its source reads it."""
    for line in re.split(r"\r\n|\r|\n", text):
        seen = as_dotnet_sees(line).lower()
        if provider == "azure" and ("##vso[" in seen or "##[" in seen):
            return True
        if provider == "github" and ("##[" in seen or seen.lstrip().startswith("::")):
            return True
    return False


ATTACKS = [
    "##vso[task.complete result=Succeeded;]ok",
    "Database error: value ##vso[task.setvariable variable=PATH]/tmp is too long",
    "##VSO[task.logissue type=error]x",
    "###vso[task.prependpath]/tmp",
    "##[error]not ours",
    "a\n##vso[build.addbuildtag]x",
    "#\u200b#vso[task.complete]",
    "##v\u00adso[task.complete]",
    "##vso\u2060[task.complete]",
    "#\x1b#\x00vso[task.complete]",
    "::error::not ours",
    "ok\n  ::add-path::/tmp",
    "ok\r::set-env name=PATH::/tmp",
    "\u00a0\u200b::stop-commands::token",
    ":\u200b:error::x",
    ":::error::x",
    "##[add-path]/tmp",
]


@pytest.mark.parametrize("provider", ["azure", "github"])
@pytest.mark.parametrize("attack", ATTACKS)
def test_text_of_the_warehouse_runs_no_command(attack: str, provider: str) -> None:
    assert runs_a_command(attack, "azure") or runs_a_command(attack, "github")
    tamed = provider_of(provider).neutralize(attack)
    assert not runs_a_command(tamed, provider)
    assert tamed.replace(" ", "") == attack.replace(" ", "")


@pytest.mark.parametrize("provider", ["azure", "github"])
@given(text=st.text(alphabet=st.sampled_from("#:[]vVsSo% \t\r\n\x00\x1b\u00ad\u200b\u00a0é|a"), max_size=40))
def test_no_text_runs_a_command(provider: str, text: str) -> None:
    tamed = provider_of(provider).neutralize(text)
    assert not runs_a_command(tamed, provider)
    assert provider_of(provider).neutralize(tamed) == tamed


@pytest.mark.parametrize(
    "text",
    [
        "Got 3 results, configured to fail if != 0",
        "select '##' || x::int from t -- [1]",
        "  models/staging/fact_dogs.sql::not_null_fact_dogs_dog_id FAILED",
        "# heading\n## heading\n[link](x)",
        "\x1b[31mDatabase Error\x1b[0m",
        "größe: 5 % – naïve",
    ],
)
@pytest.mark.parametrize("provider", ["azure", "github", "gitlab", "local"])
def test_leaves_ordinary_text_alone(text: str, provider: str) -> None:
    assert provider_of(provider).neutralize(text) == text


@pytest.mark.parametrize(
    ("provider", "setting"),
    [
        ("azure", "fetchDepth: '0'"),
        ("github", "fetch-depth: 0"),
        ("gitlab", "GIT_DEPTH: '0'"),
        ("bitbucket", "depth: full"),
        ("local", "git fetch --unshallow"),
        ("ci", "git fetch --unshallow"),
    ],
)
def test_names_the_providers_own_setting_for_a_full_clone(provider: str, setting: str) -> None:
    assert setting in provider_of(provider).remedy


class Drone(Provider):
    """A provider of somebody else's, from outside of the package."""

    name = "drone"
    remedy = "set `clone: {depth: 0}`"

    def is_here(self, env: Environment) -> bool:
        return env("DRONE") is not None

    def read(self, env: Environment) -> Build:
        return Build(provider=self.name, pr=env.number("DRONE_PULL_REQUEST"), target_branch=env("DRONE_TARGET_BRANCH"))

    def warning(self, message: str) -> str | None:
        return f"[warning] {message}"


def test_a_provider_is_one_class_and_one_line_in_the_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    environ = {"CI": "true", "DRONE": "true", "DRONE_PULL_REQUEST": "17", "DRONE_TARGET_BRANCH": "main"}
    assert verdict(detect(environ)) == "other_branch"
    monkeypatch.setattr("pytest_dbtci.ci.providers.PROVIDERS", registry := [Drone(), *PROVIDERS])
    monkeypatch.setattr("pytest_dbtci.ci.detect.PROVIDERS", registry)
    build = detect(environ)
    assert (build.provider, build.pr, build.target_branch) == ("drone", "17", "main")
    assert provider_of("drone").remedy == "set `clone: {depth: 0}`"
    assert provider_of("drone").warning("not a pull request") == "[warning] not a pull request"


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        (GITHUB, "https://github.com/kennel/our-datamart/blob/c0ffee/models/a%20b.sql#L7"),
        (
            {**AZURE, "BUILD_REPOSITORY_URI": "https://kennel@dev.azure.com/kennel/Dog%20Data/_git/our-datamart"},
            "https://dev.azure.com/kennel/Dog%20Data/_git/our-datamart?path=/models/a%20b.sql&version=GCc0ffee"
            "&line=7&lineEnd=8&lineStartColumn=1&lineEndColumn=1",
        ),
        (
            {**GITLAB, "CI_PROJECT_URL": "https://gitlab.com/kennel/our-datamart"},
            "https://gitlab.com/kennel/our-datamart/-/blob/c0ffee/models/a%20b.sql#L7",
        ),
        (
            {**CIRCLECI, "CIRCLE_PULL_REQUEST": "https://github.com/kennel/our-datamart/pull/17"},
            "https://github.com/kennel/our-datamart/blob/c0ffee/models/a%20b.sql#L7",
        ),
        (BUILDKITE, "https://github.com/kennel/our-datamart/blob/c0ffee/models/a%20b.sql#L7"),
        (
            {
                **JENKINS,
                "ghprbActualCommit": "c0ffee",
                "ghprbPullLink": "https://gitlab.example.com/kennel/dogs/-/merge_requests/17",
            },
            "https://gitlab.example.com/kennel/dogs/-/blob/c0ffee/models/a%20b.sql#L7",
        ),
        (
            {**WOODPECKER, "CI_FORGE_TYPE": "github", "CI_REPO_URL": "https://github.com/kennel/our-datamart"},
            "https://github.com/kennel/our-datamart/blob/c0ffee/models/a%20b.sql#L7",
        ),
    ],
)
def test_knows_where_the_provider_shows_a_file_at_a_commit(environ: dict[str, str], expected: str) -> None:
    files = detect(environ).files
    assert files is not None
    assert files.address("c0ffee", "models/a b.sql", 7) == expected
    assert files.address("c0ffee", "models/a b.sql") == expected.split("#L7")[0].split("&line=")[0]


def test_links_to_no_file_at_a_merge_that_only_the_build_knows() -> None:
    pull = {"CHANGE_ID": "17", "CHANGE_URL": "https://github.com/kennel/our-datamart/pull/17"}
    assert detect({**JENKINS, **pull}).files is None
    assert detect({**BUILDKITE, "BUILDKITE_PULL_REQUEST_USING_MERGE_REFSPEC": "true"}).files is None
