"""The dbt process of one run: settled once the project is known, replaced once it died, ended with the run's folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from pytest_dbtci.dbt_client.client import Host
from pytest_dbtci.dbt_client.protocol.events import Event
from pytest_dbtci.dbt_client.protocol.request import Answer, Request
from pytest_dbtci.dbt_client.redaction import Redaction, secrets_of
from pytest_dbtci.errors import DbtCiError
from pytest_dbtci.project.profile import Profile
from pytest_dbtci.settings import Settings

NOT_STARTED = "dbt was not started: the plan builds nothing."


class RunHost:
    """Hold the host, which is there already and whose private folder, `work`, is the run's."""

    def __init__(self, host: Host, settings: Settings) -> None:
        assert host.folder is not None
        self.work = host.folder.path
        self.redaction = Redaction(secrets_of({}, settings.environ))
        self._folder = host.folder
        self._host = host
        self._settings = settings
        self._where: tuple[Path, str] | None = None

    @property
    def is_settled(self) -> bool:
        """Whether dbt was needed."""
        return self._where is not None

    @property
    def current(self) -> Host:
        """Return the process that runs now."""
        return self._host

    def settle(self, project_dir: Path, pr: str, profile: Profile) -> Host:
        """Return the host, at work in the project's folder."""
        settings = self._settings
        self.redaction = Redaction(secrets_of(profile.outputs, settings.environ, settings.variables()))
        self._where = project_dir, pr
        self._host.settle(project_dir, self._number(pr), self.redaction)
        return self._host

    def ask(self, request: Request[Answer], on_event: Callable[[Event], None] | None = None) -> Answer:
        """Return the host's answer; DbtCiError where dbt was not needed."""
        if self._where is None:
            raise DbtCiError(NOT_STARTED)
        return self._host.ask(request, on_event)

    def cancel(self) -> None:
        """Make dbt cancel what it does: see `Host.cancel`."""
        self._host.cancel()

    def restart(self) -> Host:
        """Return another host in place of one that died."""
        assert self._where is not None
        project_dir, pr = self._where
        self._host.kill()
        self._host.close()
        environ = {**self._settings.environ, **self._number(pr)}
        log = self.work / "dbt.log"
        self._host = Host(project_dir, environ, log, redaction=self.redaction, private=self._folder)
        return self._host

    def close(self) -> None:
        """End the process and remove the run's folder."""
        if self._where is None:
            # It may still import dbt, which nobody needs any more.
            self._host.kill()
        self._host.close()
        self._folder.remove()

    def _number(self, pr: str) -> dict[str, str]:
        return {"PR_NUMBER": pr} if pr and not self._settings.environ.get("PR_NUMBER") else {}
