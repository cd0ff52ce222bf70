"""Run `dbt build` once, as the scheduled container does, with its exit code as the container's.

    python entrypoint.py [more arguments of `dbt build`]

Environment:
    DBT_PROJECT_S3    s3://bucket/key of a gzipped tar with dbt_project.yml at its top; fetched at start
    DBT_PROJECT_DIR   the project, when it is not fetched (default: `project` beside this file)
    DBT_PROFILES_DIR  where profiles.yml is (default: beside this file)
    and what that profiles.yml reads.
dbt writes one JSON object a line to stdout. What fails before dbt runs is written alike and ends with 2.
"""

from __future__ import annotations

import json
import os
import sys
import tarfile
import tempfile
import zlib
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path

HERE = Path(__file__).resolve().parent


class StartError(Exception):
    """Say why dbt can't be started."""


def fetch_project(uri: str, into: Path) -> Path:
    """Download and unpack the archive that the S3 URI names; StartError if that can't be done."""
    import boto3
    from botocore.exceptions import BotoCoreError, ClientError

    bucket, _, key = uri.removeprefix("s3://").partition("/")
    if not (uri.startswith("s3://") and bucket and key):
        raise StartError(f"DBT_PROJECT_S3 must be s3://bucket/key, not {uri!r}")
    archive = into / "project.tar.gz"
    project = into / "project"
    try:
        boto3.client("s3").download_file(bucket, key, str(archive))
        with tarfile.open(archive, "r:gz") as tar:
            # "data" refuses absolute paths, links that lead outside and devices.
            tar.extractall(project, filter="data")
    except (BotoCoreError, ClientError, tarfile.TarError, zlib.error, EOFError, OSError) as error:
        raise StartError(f"{uri} can't be fetched: {error}") from error
    return project


def build_command(arguments: Sequence[str], environment: Mapping[str, str], scratch: Path) -> list[str]:
    """Return the dbt command line; everything that dbt writes goes below `scratch`."""
    uri = environment.get("DBT_PROJECT_S3")
    project = fetch_project(uri, scratch) if uri else Path(environment.get("DBT_PROJECT_DIR", HERE / "project"))
    if not (project / "dbt_project.yml").is_file():
        raise StartError(f"{uri or project} has no dbt_project.yml at its top")
    options = {
        "--project-dir": project,
        "--profiles-dir": environment.get("DBT_PROFILES_DIR", HERE),
        "--profile": "scheduler",
        "--target-path": scratch / "target",
        "--log-path": scratch / "logs",
        "--log-level-file": "none",
        "--log-format": "json",
    }
    dbt = Path(sys.executable).with_name("dbt")
    flat = [str(part) for option in options.items() for part in option]
    # dbt puts colours into the messages even of its JSON log unless told not to.
    return [str(dbt), "build", "--no-use-colors", *flat, *arguments]


def log_error(message: str) -> None:
    """Write one line in the form of dbt's JSON log, so that the alarm on error lines sees it."""
    info = {
        "level": "error",
        "msg": message,
        "name": "StartError",
        "ts": datetime.now(timezone.utc).isoformat(),
    }
    print(json.dumps({"data": {}, "info": info}), flush=True)


def main() -> int:
    """Become dbt; return 2 if it can't be started."""
    scratch = Path(tempfile.mkdtemp(prefix="dbt-"))
    try:
        command = build_command(sys.argv[1:], os.environ, scratch)
        # Replaced, not called: a stop signal reaches dbt itself, which cancels its queries.
        os.execv(command[0], command)
    except (StartError, OSError) as error:
        log_error(str(error))
    return 2


if __name__ == "__main__":
    sys.exit(main())
