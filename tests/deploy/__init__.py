"""Show that the files in deploy/ do what docs/pipeline.md says of them."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
