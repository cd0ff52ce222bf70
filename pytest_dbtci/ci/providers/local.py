"""No CI provider: a person's machine."""

from __future__ import annotations

from pytest_dbtci.ci.build import Environment
from pytest_dbtci.ci.providers.provider import Provider


class Local(Provider):
    """A person's machine, where a summary is a file that an editor shows."""

    name = "local"
    draws_mermaid = True

    def is_here(self, env: Environment) -> bool:
        return True
