"""The documentation site: the pages of this folder, built by `make docs`."""

from pathlib import Path

from pytest_dbtci import __version__
from pytest_dbtci.options import OPTIONS

project = "pytest-dbtci"
release = __version__
extensions = ["myst_parser"]
html_theme = "furo"
html_title = f"pytest-dbtci {release}"
myst_heading_anchors = 3
exclude_patterns = ["pictures"]
# Links to what lies outside of this folder (examples, deploy) lead to the repository; tests/docs checks them.
suppress_warnings = ["myst.xref_missing"]


def options_page() -> str:
    """Return the text of options.md, from the one declaration of the options."""
    rows = ["| option | meaning | default |", "|---|---|---|", "| `--dbt-ci` | turn it on | off |"]
    for option in OPTIONS:
        value = "\\|".join(option.choices) or option.metavar
        flag = option.flag if option.kind == "flag" else f"{option.flag}={value}"
        default = f"`{option.default}`" if option.default else option.default_help
        rows.append(f"| `{flag}` | {option.help} | {default} |")
    return (
        "# Options\n\n"
        "Each is also an ini key: `--dbt-ci-defer-target` is `dbt_ci_defer_target` in `pytest.ini`; what belongs\n"
        "to one run (release, sweep, files) is a flag only. A flag that means nothing without another one, `--dbt-ci` "
        "included, is\na usage error; flags in the ini file's `addopts` may wait for `--dbt-ci`. "
        "So is a key `dbt_ci_…` that is no option.\n\n" + "\n".join(rows) + "\n"
    )


Path(__file__).with_name("options.md").write_text(options_page(), encoding="utf-8")
