"""AWS CodeBuild."""

from __future__ import annotations

from pytest_dbtci.ci.build import Build, Environment, branch_of, digits, short
from pytest_dbtci.ci.providers.provider import Provider


class CodeBuild(Provider):
    """AWS CodeBuild."""

    name = "codebuild"
    remedy = "set `Git clone depth` of the project's source to Full (`gitCloneDepth: 0`)"

    def is_here(self, env: Environment) -> bool:
        return env("CODEBUILD_BUILD_ID") is not None

    def read(self, env: Environment) -> Build:
        kind, _, name = (env("CODEBUILD_WEBHOOK_TRIGGER") or "").partition("/")
        source = env("CODEBUILD_SOURCE_VERSION") or ""
        if not kind and source.startswith("pr/"):  # started by hand on a pull request
            kind, _, name = source.partition("/")
        pr = digits(name, "CODEBUILD_WEBHOOK_TRIGGER") if kind == "pr" else None
        head = env("CODEBUILD_WEBHOOK_HEAD_REF")
        return Build(
            provider="codebuild",
            pr=pr,
            target_branch=short(env("CODEBUILD_WEBHOOK_BASE_REF")) if pr else None,
            source_branch=branch_of(head),
            ref=None if pr else head or (source if source.startswith("refs/") else None),
            url=env("CODEBUILD_PUBLIC_BUILD_URL", "CODEBUILD_BUILD_URL"),
            run=env("CODEBUILD_PUBLIC_BUILD_URL", "CODEBUILD_BUILD_URL"),
        )
