"""Put a small dbt project in front of a warehouse: one that uses what real projects use."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.support.warm_start import warm

SOURCE = Path(__file__).with_name("project")
PROFILE = "kennel"


def copy_project(destination: Path) -> Path:
    """Copy the project's files, without a profile, into a directory that may exist; return it."""
    shutil.copytree(SOURCE, destination, dirs_exist_ok=True)
    return destination


def write_profiles(directory: Path, outputs: Mapping[str, Mapping[str, object]]) -> Path:
    """Write a profiles.yml with an output for each target name, the first being the default; return it."""
    profile = {PROFILE: {"target": next(iter(outputs)), "outputs": dict(outputs)}}
    path = directory / "profiles.yml"
    path.write_text(json.dumps(profile, indent=2))
    return path


def run_dbt(project: Path, arguments: Sequence[str], *, timeout: float = 120) -> subprocess.CompletedProcess[str]:
    """Run dbt in a process of its own, with the project's directory as profiles directory too."""
    code = "from dbt.cli.main import cli; cli()"
    return subprocess.run(
        [sys.executable, "-c", code, *arguments, "--profiles-dir", str(project)],
        cwd=project,
        env=warm({**os.environ, "PYTHONWARNINGS": ""}),
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
