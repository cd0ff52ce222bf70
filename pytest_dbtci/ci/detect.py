"""Detect the CI build and its kind from the environment."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Literal

from pytest_dbtci.ci.build import Build, Environment, full_ref, short
from pytest_dbtci.ci.providers import PROVIDERS

Verdict = Literal["pull_request", "default_branch", "other_branch", "local"]


def detect(environ: Mapping[str, str]) -> Build:
    """Read the build from an environment; `Build(provider="local")` outside CI.

    Touches nothing but the file GITHUB_EVENT_PATH names. Raises UsageError where the pull request's number is
    missing or is not a number.
    """
    env = Environment(environ)
    build = next(provider.read(env) for provider in PROVIDERS if provider.is_here(env))
    return build if build.pr else _of_merge_queue(build)


def _of_merge_queue(build: Build) -> Build:
    """Recognise GitHub's merge queue on any provider: a branch gh-readonly-queue/TARGET/pr-N-SHA.

    It is a pull request about to be merged. The sha is that of the entry ahead of it, whose changes are not
    in production yet, so the comparison stays with the target branch and covers both.
    """
    queue = re.fullmatch(r"refs/heads/gh-readonly-queue/(.+)/pr-([0-9]{1,18})-[0-9a-f]+", build.ref or "")
    return replace(build, target_branch=queue[1], pr=queue[2]) if queue else build


def verdict(build: Build, default_branch: str | None = None) -> Verdict:
    """Return what kind of build this is; full refs are compared, so `feature/master` is not `master`.

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
