"""The pytest plugin: options and markers; everything else is loaded only with `--dbt-ci`."""

from __future__ import annotations

import os
import warnings
from collections.abc import Generator, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from pluggy import PluginValidationError

from pytest_dbtci.options import OPTIONS
from pytest_dbtci.session.beginning import fit_to_show, say_hello, usage_error
from pytest_dbtci.session.fixtures import SESSION, dbt_build, dbt_compare, dbt_plan, dbt_query, dbt_relation, dbt_schema
from pytest_dbtci.settings import Settings, change, check_unused, read_settings

if TYPE_CHECKING:
    from pytest_dbtci.dbt_client.client import Host

__all__ = ["dbt_build", "dbt_compare", "dbt_plan", "dbt_query", "dbt_relation", "dbt_schema"]

MARKERS = {
    "dbt": "every dbt node that `--dbt-ci` reports",
    "dbt_model": "dbt models",
    "dbt_seed": "dbt seeds",
    "dbt_snapshot": "dbt snapshots",
    "dbt_test": "dbt data tests",
    "dbt_unit_test": "dbt unit tests",
    "dbt_function": "dbt functions",
    "dbt_operation": "dbt on-run-start and on-run-end hooks",
    "dbt_compare": "comparisons of what was built with the base",
    "dbt_needs(*names, deferred=False)": "the dbt nodes that a Python test needs",
}


_INI_TYPES: dict[str, Any] = {"flag": "bool", **({"number": "int"} if pytest.version_tuple >= (8, 4) else {})}
"""The types of ini values, by kind of option; text where none is named. pytest knows numbers since 8.4."""


def pytest_addoption(parser: pytest.Parser, pluginmanager: pytest.PytestPluginManager) -> None:
    """Declare `--dbt-ci` and what `settings.OPTIONS` lists, as flags and as ini keys."""
    config = pluginmanager.get_plugin("pytestconfig")
    if config is not None and "--dbt-ci" in config.invocation_params.args:
        say_hello(config, config.invocation_params.args)
    group = parser.getgroup("dbt-ci", "validate a dbt pull request in schemas of its own")
    group.addoption("--dbt-ci", action="store_true", default=False, help="build and test what the branch changed")
    for option in OPTIONS:
        text = option.help.replace("%", "%%") + f" (default: {option.default or option.default_help})"
        if option.kind == "flag":
            group.addoption(option.flag, dest=option.dest, action="store_const", const="true", default=None, help=text)
        else:
            extra: dict[str, Any] = {} if option.bare is None else {"nargs": "?", "const": option.bare}
            shown = "|".join(option.choices) or option.metavar
            group.addoption(option.flag, dest=option.dest, metavar=shown, default=None, help=text, **extra)
        if option.in_ini:
            parser.addini(option.ini, help=option.help, type=_INI_TYPES.get(option.kind), default=None)


def pytest_addhooks(pluginmanager: pytest.PytestPluginManager) -> None:
    """Declare the hooks for a team's own plugins."""
    from pytest_dbtci import hookspecs

    pluginmanager.add_hookspecs(hookspecs)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config, args: list[str]) -> Generator[None, Any, Any]:
    """Refuse what pytest would misunderstand without a word that helps: misspelt options, paths after a space.

    The word that something begins is still to be said where the option stands in the ini file.
    """
    if any(arg.startswith("--dbt-ci") for arg in args):
        from pytest_dbtci.session.command_line import check, check_ini

        if "--dbt-ci" in args and "PYTEST_XDIST_WORKER" not in os.environ:
            from pytest_dbtci.session.unbegun import Unbegun

            if "--dbt-ci" not in early_config.invocation_params.args:
                say_hello(early_config, args)
            early_config.pluginmanager.register(Unbegun(early_config))
            if any(arg.startswith("--debug") for arg in args):
                from pytest_dbtci.session.pytests_files import DEBUG, DebugFile

                early_config.pluginmanager.register(DebugFile(early_config), DEBUG)
            check_ini(_ini_values(early_config))
        check(args, Path(early_config.invocation_params.dir), early_config.inipath)
    try:
        return (yield)
    except PluginValidationError as error:
        raise usage_error(str(error)) from None


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> Generator[None, Any, Any]:
    """Take secrets and commands to the CI provider out of pytest's usage errors, which repeat what was asked for."""
    try:
        return (yield)
    except pytest.UsageError as error:
        if not config.pluginmanager.has_plugin(SESSION):
            raise
        raise pytest.UsageError(*(fit_to_show(str(text)) for text in error.args)) from None


def pytest_configure(config: pytest.Config) -> None:
    """Register the markers; with `--dbt-ci`, the session that does the work."""
    for name, text in MARKERS.items():
        config.addinivalue_line("markers", f"{name}: {text}")
    if config.getoption("help", False) or config.getoption("version", False):
        return
    worker = getattr(config, "workerinput", None)
    if not (config.getoption("--dbt-ci") or config.getoption("dbtci_release")):
        if worker is None:
            _check_unused(config)
        return
    if worker is None:
        settings = _settings(config)
        if settings.sweep != "off":
            _check_dbt()
            from pytest_dbtci.session.pytests_files import keep_secrets
            from pytest_dbtci.session.sweep_items import Sweeping

            config.pluginmanager.register(Sweeping(config, settings), SESSION + "-sweep")
            keep_secrets(config)
            return
        _register_session(config, settings)
    elif "dbtci" in worker:
        from pytest_dbtci.execution.worker_channel import RemoteOutcomes
        from pytest_dbtci.session.participant import Participant
        from pytest_dbtci.session.pytests_files import keep_secrets

        ticket = worker["dbtci"]
        config.args += ticket["added"]
        outcomes = RemoteOutcomes(ticket)
        config.pluginmanager.register(Participant(config, outcomes, ticket["unselected"]), SESSION)
        keep_secrets(config, outcomes.redaction().long)


def _register_session(config: pytest.Config, settings: Settings) -> None:
    """Start dbt, and register what plans, builds and reports."""
    from pytest_dbtci.execution.signals import Interrupts

    interrupts = Interrupts()
    interrupts.install()
    with interrupts.patiently():
        # It imports dbt while this process imports the rest.
        host = _begin(settings)
        from pytest_dbtci.session.ci_reports import Reporting
        from pytest_dbtci.session.controller import Controller
        from pytest_dbtci.session.pytests_files import keep_secrets

        controller = Controller(config, settings, host, interrupts)
        config.pluginmanager.register(controller, SESSION)
        trouble, added = (lambda: controller.trouble), (lambda: controller.added)
        reporting = Reporting(config, controller.run, settings, controller.guard, trouble, added)
        config.pluginmanager.register(reporting, SESSION + "-reporting")
        keep_secrets(config, controller.run.redact_long, controller.late)
    if interrupts.missed:
        raise KeyboardInterrupt


def _begin(settings: Settings) -> Host:
    from pytest_dbtci.dbt_client.begin import begin

    try:
        return begin(settings.invocation_dir, settings.environ)
    except OSError as error:
        raise usage_error(
            f"there is no folder for temporary files that can be written to ({error}): set TMPDIR to one"
        ) from None


def _check_unused(config: pytest.Config) -> None:
    from pytest_dbtci.errors import UsageError

    try:
        check_unused(config.getoption, map(str, config.invocation_params.args))
    except UsageError as error:
        raise usage_error(str(error)) from None


def _check_dbt() -> None:
    from pytest_dbtci.dbt_client.requirement import check_installed
    from pytest_dbtci.errors import UsageError

    try:
        check_installed()
    except UsageError as error:
        raise usage_error(str(error)) from None


def _ini_values(config: pytest.Config) -> Mapping[str, Any]:
    """Return what the ini file holds, as it is written."""
    with warnings.catch_warnings():
        # Deprecated, but pytest has no type that is text or a list, and only warns of keys that it doesn't know.
        warnings.simplefilter("ignore")
        return getattr(config, "inicfg", {})


def _ini(config: pytest.Config, name: str) -> Any:
    """Return an ini file's value, None without one; pytest's own TOML tables may give text as a list or a table."""
    from pytest_dbtci.errors import UsageError

    try:
        return config.getini(name)
    except (TypeError, ValueError, pytest.UsageError):
        kind = next(option.kind for option in OPTIONS if option.ini == name)
        value = _ini_values(config).get(name)
        value = getattr(value, "value", value)
        if kind not in _INI_TYPES and isinstance(value, (list, dict)):
            return value
        write = {"flag": "true or false", "number": "a whole number, 0 or more"}.get(kind, "it in quotes, as text")
        raise UsageError(f"{name} = {value}: write {write}") from None


def _cache_dir(config: pytest.Config) -> Path | None:
    cache = getattr(config, "cache", None)
    try:
        return Path(cache.mkdir("dbtci")) if cache is not None else None
    except OSError:
        # It can't be written to: then nothing is kept, of which pytest warns.
        return None


def _settings(config: pytest.Config) -> Settings:
    from pytest_dbtci.errors import UsageError
    from pytest_dbtci.session.plugin_hooks import ask_plugins

    try:
        settings = read_settings(
            config.getoption,
            partial(_ini, config),
            rootdir=config.rootpath,
            invocation_dir=Path(config.invocation_params.dir),
            cache_dir=_cache_dir(config),
            environ=dict(os.environ),
        )
        changes: dict[str, Any] = {}
        for found in reversed(ask_plugins(config, "pytest_dbtci_settings", settings=settings)):
            if not isinstance(found, Mapping):
                raise UsageError(f"a plugin's pytest_dbtci_settings gives {found!r}: let it return {{name: value}}.")
            changes.update(found)
        return change(settings, changes)
    except UsageError as error:
        raise usage_error(str(error)) from None
