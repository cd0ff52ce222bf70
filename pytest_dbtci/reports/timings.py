"""What each step of a run took, as JSON in the file of `--dbt-ci-timings`."""

from __future__ import annotations

import json
from collections.abc import Mapping

from pytest_dbtci.settings import Settings


def write_timings(settings: Settings, seconds: Mapping[str, float]) -> str:
    """Write the seconds of each step if the user wants that; return why it could not be done, empty if it was."""
    if not settings.timings:
        return ""
    file = settings.invocation_dir / settings.timings
    steps = [{"step": step, "seconds": took} for step, took in seconds.items()]
    try:
        file.write_text(json.dumps(steps, indent=1), encoding="utf-8")
    except OSError as error:
        return f"--dbt-ci-timings: {file} could not be written: {error.strerror}"
    return ""
