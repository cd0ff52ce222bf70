"""Each provider's environment together with a clone as that provider makes it: the right base, or a clear no."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pytest_dbtci.ci import detect as ci
from pytest_dbtci.ci.build import Build
from pytest_dbtci.ci.providers import provider_of
from pytest_dbtci.dbt_client.client import Host
from pytest_dbtci.errors import UsageError
from pytest_dbtci.git.repository import Repository
from pytest_dbtci.planning.planned import Workspace
from pytest_dbtci.planning.planner import Planner
from pytest_dbtci.project.profile import Profile
from pytest_dbtci.settings import Settings
from tests.support.ci_environments import BASE, CASES, HEAD
from tests.support.repositories import CHECKOUTS, Checkout, Remote, git, remote

PULL_REQUESTS = {
    "azure repos: pull request": ("azure_shallow", "azure_full"),
    "azure with github: the visible number, not the internal id": ("azure_full",),
    "github: pull request": ("github_shallow", "github_full"),
    "github: pull request of a fork": ("github_shallow",),
    "gitlab: merge request": ("gitlab_detached",),
    "gitlab: merged results": ("gitlab_merged_result",),
    "gitlab: merge request of a fork": ("gitlab_detached",),
    "bitbucket: pull request": ("bitbucket",),
    "buildkite: pull request": ("buildkite",),
    "circleci: pull request": ("circleci",),
    "jenkins: pull request of a multibranch job": ("jenkins",),
    "jenkins: pull request of a fork": ("jenkins",),
}


@pytest.fixture(scope="module")
def origin(tmp_path_factory: pytest.TempPathFactory) -> Remote:
    return remote(tmp_path_factory.mktemp("origin"), base=PROJECT)


PROJECT = {
    "dbt_project.yml": "name: dogs\nprofile: dogs\n",
    "models/fact_dogs.sql": "select 1 as dog_id\n",
    "README.md": "dogs\n",
}


def build_of(case: str, checkout: Checkout, tmp_path: Path) -> tuple[Build, dict[str, str]]:
    """Return the provider's environment, its commits and target being those of the clone."""
    environ = {}
    for name, value in CASES[case].environ.items():
        value = value.replace(HEAD, checkout.provider_head or HEAD).replace(BASE, checkout.provider_base or BASE)
        environ[name] = value
    event = CASES[case].event
    if event is not None:
        path = tmp_path / "event.json"
        text = json.dumps(event).replace(HEAD, checkout.provider_head or HEAD)
        path.write_text(text)
        environ["GITHUB_EVENT_PATH"] = str(path)
    return ci.detect(environ), environ


def planner(path: Path, environ: dict[str, str], tmp_path: Path, base: str = "") -> Planner:
    settings = Settings(rootdir=path, invocation_dir=path, environ=environ, base=base)

    def no_host(project_dir: Path, pr: str, profile: Profile) -> Host:
        raise AssertionError("dbt is not needed here")

    workspace = Workspace(settings=settings, work=tmp_path / "work", cache=None, start_host=no_host)
    return Planner(workspace=workspace)


@pytest.mark.parametrize(("case", "how"), [(c, h) for c, hows in PULL_REQUESTS.items() for h in hows])
def test_finds_the_base_of_a_pull_request(case: str, how: str, origin: Remote, tmp_path: Path) -> None:
    checkout = CHECKOUTS[how](origin, tmp_path / "clone")
    build, _ = build_of(case, checkout, tmp_path)
    repository = Repository.find(checkout.path)
    assert ci.verdict(build, repository.default_branch()) == "pull_request"
    if build.head_sha:
        assert repository.holds(build.head_sha)
    target = build.target_branch if build.target_branch in (None, "master") else "master"
    found = repository.compare(
        base=None,
        target=target,
        provider_base=build.base_sha,
        provider_head=build.head_sha,
        remedy=provider_of(build.provider).remedy,
    )
    assert found.base == checkout.base


def test_refuses_a_checkout_that_is_not_the_pull_request(origin: Remote, tmp_path: Path) -> None:
    checkout = CHECKOUTS["github_full"](origin, tmp_path / "clone")
    git(checkout.path, "checkout", "-q", "origin/master")
    _, environ = build_of("github: pull request", checkout, tmp_path)
    with pytest.raises(UsageError, match="this checkout is not pull request") as caught:
        planner(checkout.path, environ, tmp_path).make()
    assert "fetch-depth: 0" in str(caught.value)


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.kind != "pull_request"])
def test_a_build_that_is_no_pull_request_runs_no_dbt(name: str, origin: Remote, tmp_path: Path) -> None:
    checkout = CHECKOUTS["azure_full"](origin, tmp_path / "clone")
    git(checkout.path, "checkout", "-q", "origin/master")
    build, environ = build_of(name, checkout, tmp_path)
    plan = planner(checkout.path, environ, tmp_path).make().plan
    assert plan.nodes == ()
    assert plan.status
    # Where the provider names no default branch it is this clone's, master, not the table's main.
    kind = CASES[name].kind if build.default_branch else ci.verdict(build, "master")
    assert bool(plan.warning) is (kind == "other_branch")
