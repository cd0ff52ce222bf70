"""Ask dbt where it looks for a project's files: its settings, rendered."""

from __future__ import annotations

import os
from typing import Any

from pytest_dbtci.dbt_client.protocol.values import Invocation
from pytest_dbtci.dbt_host.macro_lookup import builtin_packages
from pytest_dbtci.dbt_host.runner import DbtFailed, run_dbt
from pytest_dbtci.layout import Layout, Package

_PATHS = (
    *("model_paths", "seed_paths", "test_paths", "analysis_paths", "macro_paths", "snapshot_paths", "function_paths"),
    *("docs_paths", "asset_paths"),
)


def layout(invocation: Invocation, *, installed: bool) -> Layout:
    """Return the layout, with what is `installed` or of the project alone; DbtFailed where a package is missing."""
    from dbt.adapters.factory import FACTORY, reset_adapters
    from dbt.contracts.graph.manifest import Manifest
    from dbt.task.deps import _create_sha1_hash
    from dbt_common.exceptions import DbtBaseException

    reset_adapters()
    try:
        # With a manifest dbt parses nothing, and reads its settings all the same.
        run_dbt(invocation, "parse", "--no-write-json", manifest=Manifest())
    except DbtFailed:
        # With the settings read, all that can fail is a query comment, whose macros are not there yet.
        if not FACTORY.adapters:
            raise
    (adapter,) = FACTORY.adapters.values()
    config: Any = adapter.config
    try:
        found = config.load_dependencies() if installed else {config.project_name: config}
    except DbtBaseException as error:
        raise DbtFailed(str(error)) from None
    builtin = builtin_packages(adapter.type())
    packages = (_package(p, config.project_root) for name, p in found.items() if name not in builtin)
    own_first = sorted(packages, key=lambda package: package.name != config.project_name)
    named = config.packages.packages
    return Layout(
        packages=tuple(own_first),
        packages_dir=config.packages_install_path,
        # What `dbt deps` compares with the lock, for which dbt has no other name.
        named=_create_sha1_hash(named) if named else "",
    )


def _package(config: Any, project_root: str) -> Package:
    named = (getattr(package, "local", None) for package in config.packages.packages)
    return Package(
        name=config.project_name,
        root=config.project_root,
        folders=tuple(sorted({f for paths in _PATHS for f in getattr(config, paths, None) or ()})),
        # dbt takes a package's own local packages for paths from the project's folder.
        local=tuple(os.path.join(project_root, path) for path in named if path is not None),  # noqa: PTH118
    )
