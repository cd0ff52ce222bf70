"""Keep one comment on the pull request that every run updates, where the provider has a way to."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from functools import cache

from pytest_dbtci.ci.build import Build
from pytest_dbtci.ci.http_api import Comment, CommentApi
from pytest_dbtci.ci.providers import provider_of
from pytest_dbtci.errors import DbtCiError

_TRIES = 4


def post(build: Build, environ: Mapping[str, str], text: str, project: str) -> str:
    """Write the run's comment on the pull request, or update the one of an earlier run; return its URL.

    It is found by a hidden first line that names project and pull request, so two dbt projects in one
    repository have a comment each, and by its author, who is the token's. Of several (two runs at a time wrote one
    each) that of the newest run stays; where it is not this run's, it stays as it is. The tokens are
    SYSTEM_ACCESSTOKEN, GITHUB_TOKEN, and GITLAB_TOKEN or CI_JOB_TOKEN. Raises DbtCiError that says what to grant; it
    holds no secret.
    """
    if not build.pr:
        raise DbtCiError("There is no comment to post: this build is not one of a pull request.")
    provider = provider_of(build.provider)
    api = provider.comments(build, environ)
    marker = f"<!-- dbt-ci project={re.sub(r'[^A-Za-z0-9_.]', '_', project)} pr={build.pr} -->"
    order = provider.run_order(environ)
    body = f"{marker}\n" + (f"<!-- dbt-ci run={order} -->\n" if order else "") + text
    try:
        return _settle(api, marker, body, order)
    except (AttributeError, KeyError, TypeError) as error:
        raise DbtCiError(
            f"The comment may not have been posted: {api.name} answered with JSON that is not a comment "
            f"({type(error).__name__}: {error}). Is the address of its API right?"
        ) from error


def _settle(api: CommentApi, marker: str, body: str, order: int) -> str:
    """Write, look again, and fix what another run did meanwhile, until there is one comment, the newest run's."""
    me = cache(lambda: api.me(api))
    link = ""
    for _ in range(_TRIES):
        was_known = me.cache_info().currsize
        mine = _ours(api, marker, me)
        if mine and me.cache_info().currsize > was_known:
            # To know whose they are took requests; between a look and a write there must be none.
            mine = _ours(api, marker, me)
        if not mine:
            # What was written may not be recognised as ours; a second one would help nobody.
            link = link or api.link(api.call(*api.create(body)), "")
            continue
        newest = max(mine, key=lambda c: c.order)
        stays = newest if newest.order >= order > 0 else mine[0]
        is_settled = stays.order >= order if order else stays.text.splitlines() == body.splitlines()
        if not is_settled:
            link = api.link(api.call(*api.update(stays.where, body)), stays.where)
        _remove(api, [c for c in mine if c is not stays])
        if is_settled and len(mine) == 1:
            return api.link({"id": stays.where}, stays.where) if stays.order > order or not link else link
    return link


def _ours(api: CommentApi, marker: str, me: Callable[[], str]) -> list[Comment]:
    """Return the comments with the marker that the token's user wrote.

    A quoted copy has the marker too, but not in the first place. A person can write one with it; where the token's user
    can't be known, an author must at least be no person.
    """
    marked = [c for c in api.comments(api) if c.text.startswith(marker)]
    return [c for c in marked if c.author is None or (c.author == me() if me() else c.is_bot)]


def _remove(api: CommentApi, comments: Iterable[Comment]) -> None:
    """Remove comments of other runs; what may not be removed says instead that it is out of date."""
    for comment in comments:
        try:
            api.call(*api.remove(comment.where))
        except DbtCiError:
            # Without the marker, so that no later run looks at it again.
            api.call(*api.update(comment.where, "Out of date: another comment of dbt-ci holds the last result."))
