"""Say where the script's time went, from when its dbt processes ran and what dbt logged meanwhile."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from benchmarks.script import BASE_PARSE, BUILD, CI_FOLDER, DROP

START = "Python and dbt start"
STEPS = (START, "base parse", "head parse", "selection", "schemas", "build", "drop")
"""The steps that the script and the plugin are split into; what is left over is git, JUnit and pytest."""

# What dbt logs at the end of a step, in the order of the log, and the step's name. A step whose line is missing
# did not take place.
_LOGGED = {
    BASE_PARSE: (("Running with dbt=", START),),
    BUILD: (
        ("Running with dbt=", START),
        ("Wrote artifact WritableManifest", "head parse"),
        ("Concurrency: ", "selection"),
        ("Began running node ", "schemas"),
    ),
    DROP: (("Running with dbt=", START),),
}
_LAST_STEP = {BASE_PARSE: "base parse", BUILD: "build", DROP: "drop"}
_TIME = re.compile(r"(?:\x1b\[0m)?(\d\d):(\d\d):(\d\d\.\d+) ")
_DAY = 86400.0


def script_steps(checkout: Path, timings: Path) -> dict[str, float]:
    """Return the seconds of each step, summed over the script's dbt processes."""
    spans: dict[str, tuple[float, float]] = json.loads(timings.read_text(encoding="utf-8"))
    seconds: dict[str, float] = {}
    for name, (began, ended) in spans.items():
        log = (checkout / CI_FOLDER / "logs" / name / "dbt.log").read_text(encoding="utf-8")
        at = 0.0
        for words, step in _LOGGED[name]:
            if (end := _seconds_until(words, log, began)) is not None:
                seconds[step] = seconds.get(step, 0.0) + end - at
                at = end
        step = _LAST_STEP[name]
        seconds[step] = seconds.get(step, 0.0) + ended - began - at
    return seconds


def plugin_steps(timings: Path) -> dict[str, float]:
    """Return the seconds of each step as the plugin's `--dbt-ci-timings` tells; nothing where it doesn't."""
    if not timings.is_file():
        return {}
    steps = _summed(json.loads(timings.read_text(encoding="utf-8")))
    return {START if name == "dbt start" else name: seconds for name, seconds in steps.items()}


def _summed(steps: list[Mapping[str, object]]) -> dict[str, float]:
    seconds: dict[str, float] = {}
    for step in steps:
        name = str(step["step"])
        seconds[name] = seconds.get(name, 0.0) + float(str(step["seconds"]))
    return seconds


def _seconds_until(words: str, log: str, began: float) -> float | None:
    """Return the seconds from `began` (epoch) to the first line with these words; dbt logs the time of day, UTC."""
    for line in _lines(log):
        if words in line and (found := _TIME.match(line)):
            hours, minutes, seconds = (float(part) for part in found.groups())
            return (hours * 3600 + minutes * 60 + seconds - began % _DAY) % _DAY
    return None


def _lines(log: str) -> Iterator[str]:
    return (line for line in log.splitlines() if line)
