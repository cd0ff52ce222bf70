"""One environment, and the build that it means."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pytest_dbtci.ci.build import Build
from pytest_dbtci.ci.detect import Verdict

HEAD = "5bc8e2a4f1d97c60e3b2a18f4d7c9e605a1b3c2d"
MERGE = "c0ffee00d1e2f30415263748596a7b8c9dae0f12"
BASE = "9049f1265b7d61be4a8904a9a27120d2064dab3b"
TARGET = "83a20ec058e2fb00e7fa4558c4c6e81e2dcf253d"


@dataclass(frozen=True, kw_only=True)
class Case:
    environ: Mapping[str, str]
    build: Build
    kind: Verdict
    event: Mapping[str, object] | None = None
