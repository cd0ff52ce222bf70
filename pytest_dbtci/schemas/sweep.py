"""The sweep: find the marked schemas that runs left behind, decide which may go, and drop them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

from pytest_dbtci.ci.detect import detect
from pytest_dbtci.ci.providers import provider_of
from pytest_dbtci.dbt_client.client import Host
from pytest_dbtci.dbt_client.private import PrivateFolder
from pytest_dbtci.dbt_client.protocol.values import FoundSchema, Invocation
from pytest_dbtci.dbt_client.protocol.warehouse_requests import Attach, DropLeftover, ListLeftovers, Redate
from pytest_dbtci.dbt_client.redaction import Redaction, secrets_of
from pytest_dbtci.errors import DbtCiError, UsageError
from pytest_dbtci.git.repository import Repository
from pytest_dbtci.project.profile import Profile, project_file, read_profile
from pytest_dbtci.project.project import read_project
from pytest_dbtci.project.siblings import project_identity, siblings
from pytest_dbtci.schemas.names import PLACEHOLDER, fill, in_mark, is_inside, schema_name, templates
from pytest_dbtci.settings import Settings, age_of

CLOSED = "closed"
"""What is given in place of the numbers of pull requests."""

_TROUBLES = 3
"""After so many answers of no use the provider is asked no more."""


@dataclass(frozen=True, kw_only=True)
class Leftover:
    """A schema whose name fits the template.

    `pr`, `run` and `age` come from its mark; an empty `pr` says that it carries none, and so is not ours. `age` is
    None where the mark's time can't be read. `owner` is the repository and project it belongs to where these are not
    the sweep's own, `is_of_us` tells that the mark names just these. `state` is whether the pull request is `open` or
    `closed`, where its provider was asked and said so. `relations` leaves the mark out; `size` is in bytes, None where
    the warehouse does not tell. `trouble` says why nothing is known.
    """

    database: str
    schema: str
    pr: str = ""
    run: str = ""
    owner: str = ""
    is_of_us: bool = False
    state: str = ""
    age: timedelta | None = None
    relations: int = 0
    size: int | None = None
    trouble: str = ""

    def __str__(self) -> str:
        if not self.pr:
            return "carries no mark, so it is not ours"
        of = (f" of {self.owner}" if self.owner else "") + (f" ({self.state})" if self.state else "")
        old = "of unknown age" if self.age is None else f"{_amount(self.age)} old"
        size = "" if self.size is None else f", {_bytes(self.size)}"
        return f"of pull request {self.pr}{of}, {old}, {self.relations} relation{'s' * (self.relations != 1)}{size}"


@dataclass(frozen=True, kw_only=True)
class Criteria:
    """What may go: schemas at least `age` old, or those of `prs`; with both, those that meet both.

    With `closed` those of closed pull requests may go, too, whatever their age.
    """

    age: timedelta | None = None
    prs: tuple[str, ...] = ()
    closed: bool = False

    def reason_to_keep(self, leftover: Leftover) -> str:
        """Return why the schema stays; empty if it may be dropped."""
        if not leftover.pr:
            return "it carries no mark, so it is not ours"
        if leftover.owner:
            return "only a run or a sweep of that repository and project drops it"
        if self.closed and leftover.state == "closed":
            return ""
        if self.age is None and not self.prs:
            unknown = f"it is {'open' if leftover.state else 'not known to be closed'}"
            return f"pull request {leftover.pr}: {unknown}" if self.closed else "it was only listed"
        if self.prs and leftover.pr not in self.prs:
            return f"pull request {leftover.pr} was not asked for"
        if self.age is not None and leftover.age is None:
            return "its age is unknown: name its pull request with --dbt-ci-sweep-pr to drop it"
        if self.age is not None and leftover.age is not None and max(leftover.age, timedelta()) < self.age:
            return f"it is younger than {_amount(self.age)}"
        return ""


def read_criteria(settings: Settings) -> Criteria:
    """Read what the options ask for; UsageError for a value that means nothing, or a drop without a limit."""
    age = None
    if settings.sweep_age:
        age = age_of(settings.sweep_age, "--dbt-ci-sweep-age")
    given = [p for p in re.split(r"[,\s]+", settings.sweep_pr) if p]
    prs, closed = tuple(p for p in given if p != CLOSED), CLOSED in given
    if "all" in prs or "*" in prs:
        raise UsageError(
            f"--dbt-ci-sweep-pr={settings.sweep_pr}: name pull requests, such as 12,15, or closed. "
            "--dbt-ci-sweep-age=0d means those of all."
        )
    if settings.sweep == "drop" and age is None and not given:
        raise UsageError(
            "--dbt-ci-sweep=drop: say what may go, with --dbt-ci-sweep-age (such as 7d) or --dbt-ci-sweep-pr (such as "
            "12,15, or closed). `--dbt-ci-sweep` alone lists what there is."
        )
    return Criteria(age=age, prs=prs, closed=closed)


def with_states(leftovers: Iterable[Leftover], environ: Mapping[str, str]) -> tuple[tuple[Leftover, ...], str]:
    """Return the schemas with the states of their pull requests as the provider tells them, and why it may not have.

    It is asked of what this repository's runs left, and of numbers: other names are no pull request's.
    """
    leftovers = tuple(leftovers)
    states, trouble = dict[str, str](), list[str]()
    try:
        pulls = provider_of(detect(environ).provider).pulls(environ)
        for number in sorted({found.pr for found in leftovers if found.is_of_us and found.pr.isdecimal()}):
            try:
                states[number] = "closed" if pulls.is_closed(number) else "open"
            except DbtCiError as error:
                trouble.append(f"{number}: {error}")
                if len(trouble) == _TROUBLES:
                    break
    except DbtCiError as error:
        trouble.append(str(error))
    return tuple(replace(found, state=states.get(found.pr, "")) if found.is_of_us else found for found in leftovers), (
        " · ".join(trouble)
    )


class Sweep:
    """List and drop with the profile's credentials; no plan, and the project's models stay unread.

    Of git only the repository's identity is asked. Raises UsageError where the profile or the schema template is at
    fault. Close it in the end.
    """

    def __init__(self, settings: Settings, project_dir: Path) -> None:
        self._beginning = settings.schema.split("{")[0]
        self._templates = {t for several in (False, True) for t in templates(settings.schema, several=several)}
        self._project, self._repository = _identity(project_dir, settings)
        placeholder = schema_name(settings.schema, PLACEHOLDER, "", project=self._project, repository=self._repository)
        profile = _read_profile(settings, project_dir)
        environ = {**settings.environ, "PR_NUMBER": settings.environ.get("PR_NUMBER") or PLACEHOLDER}
        self._folder = PrivateFolder()
        work = self._folder.path
        redaction = Redaction(secrets_of(profile.outputs, settings.environ))
        self._host = Host(project_dir, environ, work / "dbt.log", redaction=redaction, private=self._folder)
        self._attached = False
        self._invocation = Invocation(
            project_dir=str(work / "empty"),
            profiles_dir=str(profile.write(work / "profiles", profile.target, placeholder)),
            target_path=str(work / "target"),
            log_path=str(work / "logs"),
            profile=profile.name,
            target=profile.target,
        )

    def leftovers(self) -> tuple[Leftover, ...]:
        """Return every schema that fits the template, by name; DbtCiError where the warehouse does not answer."""
        if not self._attached:
            self._host.ask(Attach(invocation=self._invocation))
            self._attached = True
        there = self._host.ask(ListLeftovers(beginning=self._beginning))
        found = (self._leftover(s) for s in there if any(_fits(s, template) for template in self._templates))
        return tuple(sorted(found, key=lambda leftover: leftover.schema))

    @property
    def nothing(self) -> str:
        """Return what to say where no schema is there: which names were looked for."""
        return f"no schema was left: none is named as {' or '.join(sorted(self._templates))} makes it"

    def settle(self, leftover: Leftover) -> None:
        """Re-date a mark from the future to now, so that its schema can reach the age to be dropped."""
        if leftover.age is not None and leftover.age < timedelta() and not leftover.owner:
            self._host.ask(Redate(database=leftover.database, schema=leftover.schema, run=leftover.run))

    def drop(self, leftover: Leftover, going: Iterable[Leftover]) -> None:
        """Drop the schema; DbtCiError where it changed hands, is in use, or may not be dropped.

        `going` are all that are to be dropped: what depends on the schema may lie in those of its pull request.
        """
        inside = tuple(g.schema for g in going if g.pr == leftover.pr and not g.owner)
        self._host.ask(
            DropLeftover(database=leftover.database, schema=leftover.schema, run=leftover.run, inside=inside)
        )

    def _leftover(self, found: FoundSchema) -> Leftover:
        leftover = Leftover(database=found.database, schema=found.schema, trouble=found.trouble)
        if (mark := found.mark) is None:
            return leftover
        is_ours = (mark.repository, mark.project) in (("", ""), (self._repository, self._project))
        return replace(
            leftover,
            pr=mark.pr,
            run=mark.run,
            owner="" if is_ours else f"project {mark.project} in {mark.repository}",
            is_of_us=is_ours and bool(mark.repository),
            age=None if found.age is None else timedelta(seconds=found.age),
            relations=found.relations,
            size=found.size,
        )

    def close(self) -> None:
        """End the host and remove what was written; safe to call more than once."""
        self._host.close()
        self._folder.remove()


def _read_profile(settings: Settings, project_dir: Path) -> Profile:
    project_file(project_dir)
    return read_profile(
        project_dir,
        settings.environ,
        profiles_dir=settings.profiles_dir and str(settings.invocation_dir / settings.profiles_dir),
        profile=settings.profile,
        target=settings.target,
    )


def _identity(project_dir: Path, settings: Settings) -> tuple[str, str]:
    """Return what marks call the project and its repository, which is empty where git knows none."""
    try:
        head = detect(settings.environ).head_sha
        repository = Repository.of_changes(project_dir, settings.invocation_dir, head)
        root = repository.root.resolve()
        project = read_project(project_dir, root)
        name = project_identity(project, siblings(project, root, repository.project_files()))
        return in_mark(name), in_mark(repository.identity())
    except DbtCiError:
        return str(project_file(project_dir)["name"]), ""


def _fits(found: FoundSchema, template: str) -> bool:
    """Whether the name is what the template makes of the mark's pull request, or of any where no mark is."""
    if found.mark:
        mark = found.mark
        return is_inside(found.schema, fill(template, mark.pr, mark.project, mark.repository))
    pattern = re.sub(r"\\{\w+\\}", r"\\w+?", re.escape(template))
    return re.fullmatch(rf"{pattern}(_.*)?", found.schema, re.IGNORECASE) is not None


def _amount(age: timedelta) -> str:
    minutes = max(0, int(age.total_seconds() // 60))
    if minutes < 120:
        return f"{minutes} min"
    return f"{minutes // 60} h" if minutes < 48 * 60 else f"{minutes // (24 * 60)} days"


def _bytes(size: int) -> str:
    amount = float(size)
    for unit in ("B", "kB", "MB", "GB"):
        if amount < 1024:
            return f"{amount:.0f} {unit}"
        amount /= 1024
    return f"{amount:.1f} TB"
