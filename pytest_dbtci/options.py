"""The options, declared once: command-line flag, ini key, row of the options page and the kind of the value."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

DEFAULT_SELECT = "state:modified+"
"""What changed and all that reads it."""


@dataclass(frozen=True, kw_only=True)
class Option:
    """Declare one option.

    `name` gives the flag `--dbt-ci-NAME` and the ini key `dbt_ci_NAME`; `kind` is how the value is written
    (`flag`: no value on the command line, a boolean in the ini file); `bare` is what the flag means without
    its value, where it may stand without one; `several` choices may stand with commas between
    them; `least` is the smallest number. `in_ini` is False for what belongs
    to a single run.
    """

    name: str
    help: str
    kind: Literal["text", "number", "flag", "choice", "words"] = "text"
    default: str = ""
    default_help: str = ""
    choices: tuple[str, ...] = ()
    several: bool = False
    metavar: str = "VALUE"
    bare: str | None = None
    least: int = 0
    in_ini: bool = True

    @property
    def flag(self) -> str:
        return f"--dbt-ci-{self.name}"

    @property
    def ini(self) -> str:
        return "dbt_ci_" + self.name.replace("-", "_")

    @property
    def dest(self) -> str:
        return "dbtci_" + self.name.replace("-", "_")


OPTIONS: tuple[Option, ...] = (
    Option(
        name="project-dir",
        metavar="DIR",
        help="folder of dbt_project.yml",
        default_help="rootdir, else the one found below it",
    ),
    Option(name="profiles-dir", metavar="DIR", help="as dbt's own", default_help="dbt's own"),
    Option(name="profile", metavar="NAME", help="as dbt's own", default_help="dbt's own"),
    Option(name="target", metavar="NAME", help="target to build in", default_help="dbt's own"),
    Option(name="vars", metavar="YAML", help="passed to dbt", default_help="none"),
    Option(name="threads", metavar="N", kind="number", least=1, help="passed to dbt", default_help="dbt's own"),
    Option(name="full-refresh", kind="flag", help="rebuild incremental models and seeds from scratch", default="false"),
    Option(
        name="base",
        metavar="REF",
        help="branch or commit to compare with",
        default_help="the pull request's target branch, else origin/HEAD, master, main",
    ),
    Option(
        name="select",
        metavar="SELECTOR",
        help="dbt's node selection",
        default=DEFAULT_SELECT,
    ),
    Option(name="exclude", metavar="SELECTOR", help="dbt's node exclusion", default_help="none"),
    Option(
        name="state",
        metavar="DIR",
        help="folder of a manifest.json to compare with instead of the parsed base",
        default_help="parsed base",
    ),
    Option(
        name="defer-target",
        metavar="NAME",
        help="target whose relations stand in for parents that are not built",
        default_help="none: build the parents",
    ),
    Option(
        name="pr",
        metavar="ID",
        help="pull request's number, or a name",
        default_help="from the CI provider; locally user and branch",
    ),
    Option(
        name="schema",
        metavar="TEMPLATE",
        help="name of the schema to build in, with {pr} and, if you like, {project} and {repository}",
        default="dbt_build_{pr}",
    ),
    Option(
        name="keep-schema",
        kind="choice",
        choices=("never", "failed", "always"),
        metavar="WHEN",
        help="when the schemas stay after the run",
        default="never",
    ),
    Option(
        name="incremental",
        kind="choice",
        choices=("build", "clone"),
        metavar="HOW",
        help="`clone`: copy the deferral target's incremental models and snapshots first, so that is_incremental() is "
        "tested; `build`: build them from scratch",
        default="build",
    ),
    Option(
        name="compare",
        kind="choice",
        choices=("none", "auto", "base", "prod"),
        metavar="WITH",
        bare="auto",
        help="compare the contents of what is built with production's relation (`prod`), with the base's version built "
        "beside it (`base`), or with production's where its inputs are the same (`auto`)",
        default="none",
    ),
    Option(
        name="compare-budget",
        kind="number",
        metavar="SECONDS",
        help="what the base's versions may take to build, by the time that the pull request's own took",
        default_help="as long as the pull request's own build",
    ),
    Option(
        name="compare-rows",
        kind="number",
        least=1000,
        metavar="N",
        help="how many rows of a table are compared; of a larger one that has a key, a sample of about so many",
        default_help="all",
    ),
    Option(
        name="compare-timeout",
        kind="number",
        least=1,
        metavar="SECONDS",
        help="how long a comparison may take; one that takes longer is skipped, or an error where it has a `fail_if`",
        default_help="no bound",
    ),
    Option(
        name="compare-rules",
        metavar="YAML",
        help="rules for every comparison, as in `meta: {dbt_ci: …}`, whose own come first: '{exclude: [loaded_at]}'",
        default_help="none",
    ),
    Option(
        name="compare-values",
        kind="flag",
        help="show values from the data in the summary, the comment and the page, too, not in the terminal alone",
        default="false",
    ),
    Option(
        name="build-less",
        kind="choice",
        choices=("none", "formatting", "contents", "reuse", "all"),
        several=True,
        metavar="RULES",
        help="leave out what cannot differ, by rules with commas between them: `formatting`, models and singular tests "
        "that compile to the same SQL but for white space, comments and letters' case, and what only they select; "
        "`contents`, with --dbt-ci-compare, what reads only relations that hold what the base's hold; `reuse`, with "
        "--dbt-ci-keep-schema=always, what the pull request's last run built from the same; `all`",
        default="none",
    ),
    Option(
        name="reuse-age",
        metavar="AGE",
        help="how old what is reused may be, such as 12h or 7d: what changed in the sources since then is not seen",
        default="1d",
    ),
    Option(
        name="fresh",
        kind="flag",
        help="reuse nothing: build all that is selected, in empty schemas",
        in_ini=False,
    ),
    Option(
        name="known",
        kind="choice",
        choices=("fail", "warn"),
        metavar="HOW",
        help="where contents are compared: a data test that fails on the base with the same rows fails here, too "
        "(`fail`), or only warns (`warn`)",
        default="fail",
    ),
    Option(
        name="release",
        metavar="TARGET",
        help="build and test the whole project in this target's own schemas, from the default branch only",
        default_help="off: validate a pull request",
        in_ini=False,
    ),
    Option(
        name="release-behind",
        kind="flag",
        help="release a commit that the remote's default branch holds, even if it is not its tip",
        default="false",
        in_ini=False,
    ),
    Option(
        name="rehearse",
        kind="flag",
        help="build and test a release in schemas of its own first, and release only if all of it is green",
        default="false",
    ),
    Option(
        name="docs",
        metavar="DIR",
        help="after a green release, write its documentation page and manifest.json there",
        default_help="none",
        in_ini=False,
    ),
    Option(
        name="sweep",
        kind="choice",
        choices=("off", "list", "drop"),
        metavar="WHAT",
        bare="list",
        help="only list, or drop, the marked schemas that earlier runs left",
        default="off",
        in_ini=False,
    ),
    Option(
        name="sweep-age",
        metavar="AGE",
        help="the sweep drops schemas at least this old, such as 12h or 7d",
        default_help="any",
        in_ini=False,
    ),
    Option(
        name="sweep-pr",
        metavar="IDS",
        help="the sweep drops schemas of these pull requests, such as 12,15, or of those that are closed",
        default_help="any",
        in_ini=False,
    ),
    Option(
        name="batch-tests",
        kind="flag",
        help="ask many data tests in one query, those that nothing waits for; the others stay with dbt",
        default="false",
    ),
    Option(
        name="show-rows",
        kind="number",
        metavar="N",
        help="failing rows shown for a data test",
        default="5",
    ),
    Option(
        name="summary",
        metavar="FILE",
        help="Markdown summary file",
        default_help="the provider's own place",
        in_ini=False,
    ),
    Option(
        name="report",
        metavar="FILE",
        help="write the run as one HTML page: impact graph, failures, timeline, cost",
        default_help="none",
        in_ini=False,
    ),
    Option(
        name="comment",
        kind="flag",
        help="post the summary as one comment on the pull request, which later runs update",
        default="false",
    ),
    Option(
        name="timings",
        metavar="FILE",
        help="write what each step took, as JSON",
        default_help="none",
        in_ini=False,
    ),
)
