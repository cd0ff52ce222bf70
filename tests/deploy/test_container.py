"""The scheduled job as its Dockerfile makes it, against the Redshift stand-in; no engine is needed."""

from __future__ import annotations

import io
import random
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import boto3
import pytest
from moto import mock_aws
from moto.server import ThreadedMotoServer

from deploy import entrypoint
from tests.deploy import DEPLOY
from tests.deploy.dockerfile import Image, build, instructions
from tests.deploy.jobs import Run, run_job, write_project
from tests.support.warehouses import Server, Warehouse, run_server

DOCKERFILE = DEPLOY / "Dockerfile"
SLEEPING = """
    select count(*) from pg_stat_activity
    where state = 'active' and query like '%pg_sleep(600)%' and pid <> pg_backend_pid()
"""
DOGS = "{{ config(materialized='table') }} select 1 as dog_id"


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Image:
    """Build the image's files once, from a repository with one dbt project in a folder."""
    repository = tmp_path_factory.mktemp("repository")
    (repository / "deploy").symlink_to(DEPLOY)
    write_project(repository / "warehouse" / "kennel", dogs=DOGS)
    root = tmp_path_factory.mktemp("image")
    return build(DOCKERFILE, context=repository, root=root, PROJECT_DIR="warehouse/kennel")


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """Run the Redshift stand-in."""
    with run_server() as running:
        yield running


@pytest.fixture
def redshift(server: Server) -> Iterator[Warehouse]:
    """Offer an empty database."""
    with server.database("redshift") as database:
        yield database


def container_environment(image: Image, redshift: Warehouse) -> dict[str, str]:
    """Return what the container has: the image's variables and those that the task definition gives it."""
    profile = redshift.profile
    return {
        **image.environment,
        "DBT_TARGET": "prod",
        "REDSHIFT_SCHEMA": "kennel",
        "REDSHIFT_HOST": str(profile["host"]),
        "REDSHIFT_PORT": str(profile["port"]),
        "REDSHIFT_USER": str(profile["user"]),
        "REDSHIFT_DATABASE": str(profile["dbname"]),
        "DBT_ENV_SECRET_REDSHIFT_PASSWORD": str(profile["password"]),
        "REDSHIFT_SSLMODE": "disable",  # the stand-in speaks no TLS
    }


def run_container(image: Image, redshift: Warehouse, *arguments: str, **environment: str) -> Run:
    """Run the image's entry point with the container's environment alone."""
    python, script = image.entrypoint
    whole = {**container_environment(image, redshift), **environment}
    return run_job(whole, *arguments, python=python, script=Path(script))


def files(root: Path) -> dict[str, int]:
    """Return every file of the image but bytecode, with its time of change."""
    return {str(path): path.stat().st_mtime_ns for path in root.rglob("*") if "__pycache__" not in path.parts}


# --- the Dockerfile ---


def test_the_dockerfile_is_clean_for_hadolint() -> None:
    hadolint = Path(sys.executable).with_name("hadolint")
    done = subprocess.run([hadolint, DOCKERFILE], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "")


def test_the_dockerfile_pins_its_bases_and_drops_root() -> None:
    found = list(instructions(DOCKERFILE))
    bases = [text.split()[0] for name, text in found if name == "FROM"]
    assert [base.split(":")[1].count(".") for base in bases] == [2, 2]
    assert "slim" in bases[-1]
    names = [name for name, _ in found]
    assert names.index("USER") < names.index("ENTRYPOINT")
    assert dict(found)["USER"] == "10001"


def test_every_requirement_is_pinned() -> None:
    lines = (DEPLOY / "requirements.txt").read_text().splitlines()
    assert all("==" in line for line in lines if line and not line.startswith("#"))


@pytest.mark.slow
def test_the_requirements_are_all_that_is_installed(image: Image) -> None:
    python, _ = image.entrypoint
    frozen = subprocess.run([python, "-m", "pip", "freeze"], capture_output=True, text=True, check=True)
    wanted = (DEPLOY / "requirements.txt").read_text().splitlines()
    assert set(frozen.stdout.split()) == {line for line in wanted if "==" in line}


# --- the job ---


@pytest.mark.slow
def test_builds_the_project_with_the_credentials_in_its_environment(image: Image, redshift: Warehouse) -> None:
    before = files(image.root / "dbt")
    run = run_container(image, redshift)
    assert (run.code, run.stderr) == (0, "")
    assert "Concurrency: 4 threads (target='prod')" in run.messages
    assert "Done. PASS=2" in run.messages
    assert redshift.contents() == {"kennel.dogs": [(1,)]}
    assert files(image.root / "dbt") == before, "the job wrote into the image"


@pytest.mark.slow
def test_passes_arguments_on_and_ends_as_dbt_does(image: Image, redshift: Warehouse) -> None:
    run = run_container(image, redshift, "--select", "resource_type:test", "--vars", "{}")
    assert run.code == 1
    assert "Database Error in test unique_dogs_dog_id" in run.messages


@pytest.mark.slow
def test_never_prints_the_password(image: Image, redshift: Warehouse, tmp_path: Path) -> None:
    password = str(redshift.profile["password"])
    project = write_project(
        tmp_path / "project", dogs=f"{{{{ log('it is {password}', info=True) }}}} select 1 as dog_id"
    )
    run = run_container(image, redshift, DBT_PROJECT_DIR=str(project))
    assert "it is *****" in run.messages
    assert password not in run.stdout + run.stderr


@pytest.mark.slow
def test_the_stop_signal_ends_dbt_and_its_queries(image: Image, redshift: Warehouse, tmp_path: Path) -> None:
    project = write_project(tmp_path / "project", dogs=f"{DOGS} from (select pg_sleep(600)) as nap")
    environment = {**container_environment(image, redshift), "DBT_PROJECT_DIR": str(project)}
    # A job in the background ignores this signal, and hands that on.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        job = subprocess.Popen(image.entrypoint, env=environment, cwd="/tmp", stdout=subprocess.PIPE, text=True)
    finally:
        signal.signal(signal.SIGINT, before)
    assert _within(60, lambda: redshift.query(SLEEPING) == [(1,)])
    job.send_signal(signal.Signals[image.stop_signal])
    output, _ = job.communicate(timeout=120)
    assert job.returncode != 0, output
    assert _within(60, lambda: redshift.query(SLEEPING) == [(0,)])


def _within(seconds: float, holds: Callable[[], bool]) -> bool:
    """Say whether something comes true in time."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if holds():
            return True
        time.sleep(0.2)
    return False


# --- a project from S3 ---


def archive(project: Path) -> bytes:
    """Pack a project as the release does: the project's files at the top."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        tar.add(project, arcname=".")
    return packed.getvalue()


@pytest.mark.slow
def test_fetches_another_project_at_start(
    image: Image, redshift: Warehouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = write_project(tmp_path / "cattery", dogs=DOGS.replace("1 as", "9 as"))
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        aws = {
            "AWS_ENDPOINT_URL": f"http://{host}:{port}",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": "key",
            "AWS_SECRET_ACCESS_KEY": "secret",
        }
        for name, value in aws.items():
            monkeypatch.setenv(name, value)
        s3 = boto3.client("s3")
        s3.create_bucket(Bucket="projects")
        s3.put_object(Bucket="projects", Key="cattery/project.tar.gz", Body=archive(project))
        run = run_container(image, redshift, DBT_PROJECT_S3="s3://projects/cattery/project.tar.gz", **aws)
    finally:
        server.stop()
    assert run.code == 0, run.messages
    assert redshift.contents() == {"kennel.dogs": [(9,)]}


def escaping_archive() -> bytes:
    """Pack a file that would land outside of the folder it is unpacked to."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        tar.addfile(tarfile.TarInfo("../outside"))
    return packed.getvalue()


def cut_archive(*, damaged: bool) -> bytes:
    """Pack a file, and break off or garble what was packed in the middle."""
    packed = io.BytesIO()
    content = random.Random(7).randbytes(100_000)
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        info = tarfile.TarInfo("dbt_project.yml")
        info.size = len(content)
        tar.addfile(info, io.BytesIO(content))
    half = packed.getvalue()[:50_000]
    return half + b"\0" * 50_000 if damaged else half


@pytest.mark.parametrize(
    ("uri", "body", "reason"),
    [
        ("projects/x.tar.gz", b"", "must be s3://bucket/key"),
        ("s3://projects", b"", "must be s3://bucket/key"),
        ("s3://projects/missing.tar.gz", b"", "Not Found"),
        ("s3://projects/x.tar.gz", b"no archive", "not a gzip file"),
        ("s3://projects/x.tar.gz", escaping_archive(), "outside"),
        ("s3://projects/x.tar.gz", cut_archive(damaged=False), "can't be fetched: Compressed file ended"),
        ("s3://projects/x.tar.gz", cut_archive(damaged=True), "can't be fetched"),
    ],
    ids=[
        "no uri",
        "no key",
        "missing",
        "no archive",
        "escaping",
        "cut",
        "damaged",
    ],  # gzip writes the time: no two processes agree on it
)
def test_says_why_a_project_can_not_be_fetched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, uri: str, body: bytes, reason: str
) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    with mock_aws():
        s3 = boto3.client("s3")
        s3.create_bucket(Bucket="projects")
        s3.put_object(Bucket="projects", Key="x.tar.gz", Body=body)
        with pytest.raises(entrypoint.StartError, match=reason):
            entrypoint.build_command([], {"DBT_PROJECT_S3": uri}, tmp_path)
    assert not (tmp_path / "outside").exists()


def test_refuses_an_archive_without_a_project_at_its_top(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    write_project(tmp_path / "source" / "kennel")
    with mock_aws():
        s3 = boto3.client("s3")
        s3.create_bucket(Bucket="projects")
        s3.put_object(Bucket="projects", Key="x.tar.gz", Body=archive(tmp_path / "source"))
        with pytest.raises(entrypoint.StartError, match=r"no dbt_project\.yml at its top"):
            entrypoint.build_command([], {"DBT_PROJECT_S3": "s3://projects/x.tar.gz"}, tmp_path / "source")
