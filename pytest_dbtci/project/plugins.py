"""Plugins of dbt, which bring nodes of other projects into this one, from files that only they know."""

from __future__ import annotations

import importlib.util
import pkgutil
import re
from pathlib import Path

_PLUGINS = re.compile(r"^plugins\s*[:=]", re.MULTILINE)


def has_dbt_plugins() -> bool:
    """Whether a module is installed that dbt takes for a plugin: `dbt_…`, with a list `plugins`."""
    for name in sorted({m.name for m in pkgutil.iter_modules() if m.name.startswith("dbt_")}):
        spec = importlib.util.find_spec(name)
        if spec is None or spec.origin is None or not spec.origin.endswith(".py"):
            continue
        if _PLUGINS.search(Path(spec.origin).read_text(encoding="utf-8", errors="replace")):
            return True
    return False
