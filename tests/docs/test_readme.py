"""The README says what is so: its options table is the code's, and its links lead somewhere."""

from __future__ import annotations

import re
from pathlib import Path

from pytest_dbtci.settings import OPTIONS

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def options_table() -> str:
    """Write the README's options table."""
    rows = ["| option | meaning | default |", "|---|---|---|", "| `--dbt-ci` | turn it on | off |"]
    for option in OPTIONS:
        value = "\\|".join(option.choices) or option.metavar
        flag = option.flag if option.kind == "flag" else f"{option.flag}={value}"
        default = f"`{option.default}`" if option.default else option.default_help
        rows.append(f"| `{flag}` | {option.help} | {default} |")
    return "\n".join(rows) + "\n"


def test_lists_every_option_as_the_code_declares_it() -> None:
    assert options_table() in README, f"put this table into README.md:\n{options_table()}"


def test_links_lead_to_files_of_the_project() -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]+)", README)
    assert links
    assert not [link for link in links if not (ROOT / link).exists()]


def test_names_only_options_that_exist() -> None:
    known = {option.flag for option in OPTIONS} | {"--dbt-ci"}
    named = set(re.findall(r"--dbt-ci(?:-[a-z]+)*", README))
    assert named <= known


def test_names_only_make_targets_that_exist() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):", makefile, flags=re.MULTILINE))
    assert set(re.findall(r"`?make ([a-z-]+)", README)) <= targets
