"""The summary and the comment, written where the CI provider shows them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

from pytest_dbtci.ci.build import Build
from pytest_dbtci.ci.providers import provider_of
from pytest_dbtci.errors import DbtCiError, UsageError
from pytest_dbtci.git.repository import Repository
from pytest_dbtci.project.find import find_project
from pytest_dbtci.project.profile import name_in, project_name
from pytest_dbtci.reports import summary
from pytest_dbtci.settings import Settings

Page = Callable[[int], str]
"""The page, in at most so many bytes."""


def write_summary(page: Page, build: Build, settings: Settings, send: Callable[[str], None]) -> Iterator[str]:
    """Write the build's summary and say where it is; `send` takes the lines that make the provider show it."""
    given, provider = settings.summary, provider_of(build.provider)
    path = settings.invocation_dir / given if given else provider.summary_file(settings.environ)
    if path is not None:
        commands = summary.write(page(summary.room(build, path)), build, path)
        for command in () if given else commands:
            send(command)
        yield f"dbt-ci: summary in {path}"


def write_comment(page: Page, build: Build, settings: Settings, project: str = "") -> Iterator[str]:
    """Write the pull request's comment, if one is asked for, and say where it is."""
    if not (settings.comment and build.pr):
        return
    # It brings HTTP and TLS along.
    from pytest_dbtci.reports import comment

    name = project or _project(settings, build)
    url = comment.post(build, settings.environ, page(provider_of(build.provider).comment_limit), name)
    yield f"dbt-ci: comment at {url}"


def _project(settings: Settings, build: Build) -> str:
    """Return the project's name, which is in its file where there is no plan; without the file, in git."""
    try:
        return project_name(find_project(settings.project_dir, settings.rootdir, settings.invocation_dir))
    except UsageError as error:
        if known := _in_git(settings, build):
            return known
        raise DbtCiError(
            f"an earlier run's comment may be out of date, as it is not known which project's it is: {error}"
        ) from None


def _in_git(settings: Settings, build: Build) -> str:
    """Return the name of the project that HEAD or the target branch has there, else the only one that they have."""
    try:
        repository = Repository.find(settings.rootdir)
        place = Path(os.path.relpath(settings.invocation_dir / settings.project_dir, repository.root)).as_posix()
        found = repository.project_names(build.target_branch)
    except UsageError:
        return ""
    names = {name_in(text) for text in ([found[place]] if place in found else found.values())}
    return names.pop() if len(names) == 1 else ""
