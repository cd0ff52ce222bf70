"""Upload a release's documentation page and its manifest to the docs bucket, and nothing else.

    python deploy/upload_docs.py DIR BUCKET

DIR is what `pytest --dbt-ci-release TARGET --dbt-ci-docs DIR` wrote: one HTML page and manifest.json.
The page becomes docs/index.html (CloudFront serves it), the manifest state/manifest.json (it does not).
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import boto3
from botocore.exceptions import BotoCoreError, ClientError


def find_page(directory: Path) -> Path:
    """Return the one HTML page in the directory; ValueError if there is none, or more than one."""
    pages = sorted(directory.glob("*.html"))
    if len(pages) != 1:
        found = ", ".join(page.name for page in pages) or "none"
        raise ValueError(f"{directory} must hold one HTML page, found {found}: was it written by --dbt-ci-docs?")
    return pages[0]


def find_manifest(directory: Path) -> Path:
    """Return the directory's dbt manifest; ValueError if it is missing or is not one."""
    manifest = directory / "manifest.json"
    try:
        content = json.loads(manifest.read_bytes())
    except (OSError, ValueError) as error:
        raise ValueError(f"{manifest} can't be read as JSON: {error}") from error
    if not isinstance(content, dict) or "nodes" not in content:
        raise ValueError(f"{manifest} is no dbt manifest: it has no nodes")
    return manifest


def upload(directory: Path, bucket: str) -> None:
    """Put the page and the manifest into the bucket, after both were found good."""
    files = (
        ("state/manifest.json", find_manifest(directory), "application/json"),
        ("docs/index.html", find_page(directory), "text/html; charset=utf-8"),
    )
    s3 = boto3.client("s3")
    for key, path, content_type in files:
        with path.open("rb") as body:
            s3.put_object(Bucket=bucket, Key=key, Body=body, ContentType=content_type, CacheControl="no-cache")
        print(f"{path} -> s3://{bucket}/{key}")


def main(arguments: list[str] | None = None) -> int:
    """Return 0 when both are uploaded, 1 with the reason on stderr when not."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("directory", type=Path, metavar="DIR", help="what --dbt-ci-docs wrote")
    parser.add_argument("bucket", metavar="BUCKET", help="the docs bucket's name")
    options = parser.parse_args(arguments)
    try:
        upload(options.directory, options.bucket)
    except (ValueError, BotoCoreError, ClientError) as error:
        print(f"upload_docs: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
