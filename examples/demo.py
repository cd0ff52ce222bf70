"""Make a git repository of the example project, with a released master and pull request 1066 checked out.

    python examples/demo.py DIR               make it
    python examples/demo.py DIR --validate    make it, run `pytest --dbt-ci` in it, and say what that changed

The functions do one step each, for whoever needs a real repository to try something on.
"""

import argparse
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import duckdb

PROJECT = Path(__file__).parent / "dogs"
PATCH = Path(__file__).parent / "pull_request_1066.patch"
BRANCH = "feature/long-stay-discount"
VALIDATE = "--dbt-ci --dbt-ci-pr 1066 --dbt-ci-target ci --dbt-ci-defer-target prod -v"

# What dbt, DuckDB and pytest leave behind in a project folder; a copy starts without it.
LEFTOVERS = ("target", "logs", "*.duckdb", "*.duckdb.wal", ".user.yml", "__pycache__", ".pytest_cache")
# The environment variables that pytest gets. Those of a CI job stay out: the demo plays a laptop.
KEPT = {"PATH", "HOME", "USER", "TMPDIR", "TEMP", "TMP", "TERM", "COLUMNS", "SYSTEMROOT", "DOGS_WAREHOUSE"}
KEPT_PREFIXES = ("LANG", "LC_", "PYTHON")


def make_repository(directory: Path) -> None:
    """Commit the example on `master` of a new git repository, pushed to a bare `origin` inside its `.git`.

    The commit's hash is the same wherever and whenever it is made.
    Raises FileExistsError if `directory` holds anything.
    """
    if directory.exists() and any(directory.iterdir()):
        raise FileExistsError(f"{directory} exists and is not empty: name another folder, or remove it")
    shutil.copytree(PROJECT, directory, ignore=shutil.ignore_patterns(*LEFTOVERS), dirs_exist_ok=True)
    git(directory, "init", "--quiet", "--initial-branch=master")
    git(directory, "config", "user.name", "Anton")
    git(directory, "config", "user.email", "anton@example.com")
    # --force: what a global ignore file hides is part of the example all the same.
    git(directory, "add", "--all", "--force")
    git(directory, "commit", "--quiet", "--message=Open the boarding house", date="2024-06-03T09:00:00+02:00")
    git(directory, "init", "--quiet", "--bare", "--initial-branch=master", str(_origin(directory)))
    git(directory, "remote", "add", "origin", str(_origin(directory)))
    git(directory, "push", "--quiet", "--set-upstream", "origin", "master")
    git(directory, "remote", "set-head", "origin", "master")


def release(directory: Path) -> None:
    """Build what is checked out into the prod schemas (`analytics`, `analytics_staging` …).

    Takes one dbt process, some six seconds; leaves nothing but the warehouse behind.
    Raises RuntimeError with dbt's output if dbt does.
    """
    with tempfile.TemporaryDirectory() as aside:
        dbt = [sys.executable, "-c", "from dbt.cli.main import cli; cli()"]
        places = ["--project-dir=.", "--profiles-dir=.", f"--target-path={aside}", f"--log-path={aside}"]
        environment = {key: value for key, value in os.environ.items() if not key.startswith("DBT_")}
        _run([*dbt, "build", "--target=prod", *places], directory, environment)


def open_pull_request(directory: Path) -> None:
    """Commit the change of pull request 1066 on a branch of its own, push it and leave it checked out."""
    git(directory, "switch", "--quiet", "--create", BRANCH)
    git(directory, "apply", "--index", str(PATCH.resolve()))
    message = "--message=Take a tenth off for a week or longer"
    git(directory, "commit", "--quiet", message, date="2024-06-04T10:30:00+02:00")
    git(directory, "push", "--quiet", "--set-upstream", "origin", BRANCH)


def copy_repository(source: Path, directory: Path) -> None:
    """Copy a repository that `make_repository` made, warehouse and origin included, to a new folder."""
    shutil.copytree(source, directory, symlinks=True)
    git(directory, "remote", "set-url", "origin", str(_origin(directory)))


def contents(directory: Path) -> dict[str, tuple[int, int]]:
    """Return each relation of the warehouse (`schema.name`): its number of rows and a hash of their values."""
    with _warehouse(directory) as connection:
        relations = "select table_schema, table_name from information_schema.tables order by all"
        return {
            f"{schema}.{name}": connection.execute(
                f'select count(*), coalesce(sum(hash(row)), 0) from "{schema}"."{name}" as row'
            ).fetchone()
            for schema, name in connection.execute(relations).fetchall()
        }


def schemas(directory: Path) -> list[str]:
    """Return the schemas of the warehouse, without DuckDB's own."""
    with _warehouse(directory) as connection:
        rows = connection.execute(
            "select schema_name from duckdb_schemas()"
            " where database_name = current_database() and not internal order by all"
        ).fetchall()
    return [name for (name,) in rows if name != "main"]


def git(directory: Path, *arguments: str, date: str = "2024-06-03T09:00:00+02:00") -> str:
    """Run git in `directory` and give its output, without the user's or the machine's git configuration."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}
    environment |= {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
    environment |= {"GIT_AUTHOR_DATE": date, "GIT_COMMITTER_DATE": date}
    return _run(["git", *arguments], directory, environment)


def demonstrate(directory: Path) -> int:
    """Validate the pull request in `directory` with pytest, saying what that changed; give the exit code."""
    before, schemas_before = contents(directory), schemas(directory)
    pytest_there = os.path.relpath(Path(sys.executable).with_name("pytest"), directory)
    command = f"cd {shlex.quote(str(directory))} && {shlex.quote(pytest_there)} {VALIDATE}"
    _say(f"Validate pull request 1066:  {command}")
    environment = {k: v for k, v in os.environ.items() if k in KEPT or k.startswith(KEPT_PREFIXES)}
    pytest = [sys.executable, "-m", "pytest", *VALIDATE.split()]
    exit_code = subprocess.run(pytest, cwd=directory, env=environment, check=False).returncode

    after, schemas_after = contents(directory), schemas(directory)
    left = [name for name in schemas_after if name not in schemas_before]
    touched = [name for name, content in before.items() if after.get(name) != content]
    _say("What that did to the warehouse")
    print(f"   schemas before: {', '.join(schemas_before)}")
    print(f"   schemas after:  {', '.join(schemas_after)}")
    if left:
        print(f"   FAILED: left behind: {', '.join(left)}")
    if touched:
        print(f"   FAILED: changed on master: {', '.join(touched)}")
    if not left and not touched:
        print("   Pull request 1066 was built in schemas of its own, and they are gone.")
        print(f"   Master's {len(before)} relations hold the same rows as before.")
    _say("Now you: change a model there, say models/staging/fact_dogs.sql, and run it again")
    print(f"   {command}")
    return exit_code or bool(left or touched)


def main() -> int:
    """Make the repository, and validate its pull request if asked to; give the exit code."""
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("directory", type=Path, metavar="DIR", help="a folder that is new or empty")
    parser.add_argument("--validate", action="store_true", help="then run `pytest --dbt-ci` in it")
    arguments = parser.parse_args()
    directory: Path = arguments.directory

    _say(f"Make a git repository of the example project: {directory}")
    try:
        make_repository(directory)
    except FileExistsError as error:
        parser.error(str(error))
    print("   master is committed and pushed to a bare origin")

    _say("Release master to the prod schemas:  dbt build --target prod")
    release(directory)
    for name, (rows, _) in contents(directory).items():
        print(f"   {rows:>3} rows in {name}")

    _say(f"Open pull request 1066:  git switch --create {BRANCH}")
    open_pull_request(directory)
    print("   " + git(directory, "show", "--stat", "--format=%s").replace("\n", "\n   ").rstrip())

    return demonstrate(directory) if arguments.validate else 0


def _origin(directory: Path) -> Path:
    # Inside .git, so that one folder is the whole example and can be copied or removed as one.
    return directory.resolve() / ".git" / "origin.git"


@contextmanager
def _warehouse(directory: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open the warehouse for reading, which DuckDB allows while no other process writes to it."""
    path = directory / os.environ.get("DOGS_WAREHOUSE", "warehouse.duckdb")
    with duckdb.connect(str(path), read_only=True) as connection:
        yield connection


def _run(command: list[str], directory: Path, environment: Mapping[str, str]) -> str:
    done = subprocess.run(
        command, cwd=directory, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False
    )
    output = done.stdout.decode(errors="replace")
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} in {directory} ended with {done.returncode}:\n{output}")
    return output


def _say(step: str) -> None:
    # Flushed, so that it stands before what a child process prints next.
    print(f"\n== {step}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
