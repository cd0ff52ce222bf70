"""Ask a team's own plugins: what one of them raises is said with its own lines alone."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_dbtci.errors import UsageError
from pytest_dbtci.execution.result_listener import told


def ask_plugins(config: pytest.Config, hook: str, **known: Any) -> list[Any]:
    """Return what each plugin answers; UsageError where one fails."""
    try:
        return list(getattr(config.hook, hook)(config=config, **known))
    except (UsageError, pytest.UsageError, pytest.exit.Exception):
        raise
    except Exception as error:
        raise UsageError(told(error, hook)) from None
