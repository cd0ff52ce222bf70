"""The upload of a release's documentation, into a bucket of moto's."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import mock_aws

from deploy import upload_docs

BUCKET = "dbt-prod-datamart-123456789012"


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Offer an S3 with the docs bucket in it."""
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    with mock_aws():
        client = boto3.client("s3")
        client.create_bucket(Bucket=BUCKET)
        yield client


@pytest.fixture
def released(tmp_path: Path) -> Path:
    """Write what a release leaves."""
    (tmp_path / "index.html").write_text("<!doctype html><title>dbt Docs</title>")
    (tmp_path / "manifest.json").write_text(json.dumps({"metadata": {}, "nodes": {}}))
    return tmp_path


def keys(s3: Any) -> list[str]:
    return [item["Key"] for item in s3.list_objects_v2(Bucket=BUCKET).get("Contents", [])]


def test_uploads_page_and_manifest_as_what_they_are(s3: Any, released: Path) -> None:
    assert upload_docs.main([str(released), BUCKET]) == 0
    page = s3.get_object(Bucket=BUCKET, Key="docs/index.html")
    assert page["ContentType"] == "text/html; charset=utf-8"
    assert page["Body"].read() == (released / "index.html").read_bytes()
    state = s3.get_object(Bucket=BUCKET, Key="state/manifest.json")
    assert state["ContentType"] == "application/json"
    assert state["Body"].read() == (released / "manifest.json").read_bytes()
    assert page["CacheControl"] == state["CacheControl"] == "no-cache"


def test_uploads_nothing_else(s3: Any, released: Path) -> None:
    (released / "compiled").mkdir()
    (released / "compiled" / "dogs.sql").write_text("select 1")
    (released / "run_results.json").write_text("{}")
    (released / "partial_parse.msgpack").write_bytes(b"")
    assert upload_docs.main([str(released), BUCKET]) == 0
    assert keys(s3) == ["docs/index.html", "state/manifest.json"]


def test_takes_the_page_by_the_name_that_dbt_gives_it(s3: Any, released: Path) -> None:
    (released / "index.html").rename(released / "static_index.html")
    assert upload_docs.main([str(released), BUCKET]) == 0
    assert keys(s3) == ["docs/index.html", "state/manifest.json"]


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        pytest.param("index.html", None, "found none", id="no page"),
        pytest.param("catalog.html", "<html>", "found catalog.html, index.html", id="two pages"),
        pytest.param("manifest.json", None, "can't be read", id="no manifest"),
        pytest.param("manifest.json", "{", "can't be read", id="cut manifest"),
        pytest.param("manifest.json", "[]", "is no dbt manifest", id="another JSON"),
    ],
)
def test_uploads_nothing_when_something_is_wrong(
    s3: Any,
    released: Path,
    capsys: pytest.CaptureFixture[str],
    name: str,
    content: str | None,
    reason: str,
) -> None:
    if content is None:
        (released / name).unlink()
    else:
        (released / name).write_text(content)
    assert upload_docs.main([str(released), BUCKET]) == 1
    assert reason in capsys.readouterr().err
    assert keys(s3) == []


def test_says_which_bucket_is_missing(s3: Any, released: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert upload_docs.main([str(released), "no-such-bucket"]) == 1
    assert "NoSuchBucket" in capsys.readouterr().err
