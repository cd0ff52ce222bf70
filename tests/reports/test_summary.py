from __future__ import annotations

import html
import os
import re
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from pytest_dbtci.ci.build import Build, file_links
from pytest_dbtci.ci.providers import PROVIDERS, provider_of
from pytest_dbtci.errors import DbtCiError
from pytest_dbtci.plan import Commits, Exposure, PathChange, Plan, Reason
from pytest_dbtci.reports.markdown import block, code, html_code, prose
from pytest_dbtci.reports.summary import SUMMARY_LIMIT, markdown, room, write
from pytest_dbtci.reports.summary_head import counts
from pytest_dbtci.reports.table import plain
from pytest_dbtci.results import REUSED, Result
from tests.support import finished_run as dogs_run
from tests.support.finished_run import HOSTILE, PLAN, RESULTS, failed, node, write_project

GITHUB = Build(provider="github", pr="7", target_branch="main", url="https://github.com/o/dogs/pull/7")
RENDER = MarkdownIt("commonmark", {"html": True}).enable("table").render


def rendered(text: str) -> str:
    return str(RENDER(text))


def outside_code(page: str) -> str:
    """Return the text that a provider searches for mentions and references."""
    page = re.sub(r"<(code|pre)\b.*?</\1>", "", page, flags=re.DOTALL)
    return html.unescape(re.sub(r"<[^>]*>", "", page))


def words(text: str) -> str:
    """Return what a reader sees of a text, blanks left out."""
    return "".join(plain(text).replace("\u200b", "").split())


def sections(text: str) -> list[str]:
    return re.findall(r"^#{2,3} (.*)$", text, re.MULTILINE)


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    return write_project(tmp_path)


def test_tells_a_failed_run_in_the_order_in_which_it_is_read(plan: Plan) -> None:
    text = markdown(plan, RESULTS, GITHUB, 12.34)
    assert sections(text) == [
        "❌ dbt: 2 failed, 4 skipped, 1 warning, 3 passed",
        "Failures",
        "What changed",
        "Lineage",
        "Built, and why",
        "The same on your machine",
    ]
    assert (
        "project `dogs` · pull request [7](<https://github.com/o/dogs/pull/7>) into `main` · "
        "base `3f2c1aa0c` (origin/main, merge base) · head `9d8c7b6a5` · target `ci` (duckdb) · "
        "unbuilt parents from `prod` · 12.3 s" in text
    )
    assert "Schemas: `d.dbt_build_7`, `d.dbt_build_7_staging`" in text
    assert "- macros/hooks.sql has SQL that can't be checked beforehand: on-run-end" in text
    assert "   17 | 3 | 狗子                         | a↵b" in text
    assert "| `models/fact_dogs.sql` | modified | selects `fact_dogs` |" in text
    assert "| `README.md` | modified | affects nothing in dbt |" in text
    assert "| `models/old.sql` | deleted | removed, and nothing needs it |" in text
    assert "| ❌ `fact_dogs` | modified: body, `models/fact_dogs.sql` | 1 of 2 tests failed | 1.84 |" in text
    assert "- `models/walks.sql::walks`: unit test human_years failed upstream" in text
    assert "pytest --dbt-ci --dbt-ci-base=origin/main --dbt-ci-target=ci --dbt-ci-defer-target=prod\n" in text


def test_says_green_when_it_is_green(plan: Plan) -> None:
    results = {n.unique_id: Result(unique_id=n.unique_id, status="success") for n in plan.items}
    text = markdown(plan, results, GITHUB)
    assert text.startswith("## ✅ dbt: 10 passed\n")
    assert "### Failures" not in text
    assert "❌" not in text


def test_says_first_that_something_else_failed(plan: Plan) -> None:
    results = {n.unique_id: Result(unique_id=n.unique_id, status="success") for n in plan.items}
    assert markdown(plan, results, GITHUB, red=True).startswith("## ❌ dbt: failed elsewhere, 10 passed\n")
    assert markdown(plan, {}, GITHUB, red=True, trouble="locked").startswith("## ❌ dbt: 10 not run\n")


def test_of_a_path_that_affects_nothing_it_says_why_once(plan: Plan) -> None:
    note = "the selection leaves out walks"
    change = PathChange(path="models/walks.sql", status="modified", effect="none", note=note)
    text = markdown(replace(plan, changes=(change,)), {}, GITHUB)
    assert f"| `models/walks.sql` | modified | {note} |" in text


def test_is_not_green_while_a_node_has_no_result(plan: Plan) -> None:
    results = {n.unique_id: Result(unique_id=n.unique_id, status="success") for n in plan.items[1:]}
    text = markdown(plan, results, GITHUB)
    assert text.startswith("## ❌ dbt: 9 passed, 1 without a result\n")
    assert "💥 Without a result: `raw_dogs`" in text


def test_names_what_was_reused_with_each_run_that_built_it(plan: Plan) -> None:
    runs = ["reused: run a of noon UTC built it from the same code"] * 7 + ["reused: run b"] * 2
    results = {
        n.unique_id: Result(unique_id=n.unique_id, status=REUSED, message=message)
        for n, message in zip(plan.items, runs, strict=False)
    }
    text = markdown(plan, results, GITHUB)
    listed = text.partition("<summary>9 reused</summary>")[2].partition("</details>")[0].split("\n")
    first, second = (line for line in listed if line)
    assert first.startswith("- reused: run a of noon UTC built it from the same code: `raw_dogs`, ")
    assert first.endswith(" and 1 more")
    assert second.startswith("- reused: run b: ")


def test_tells_what_kept_nodes_from_being_built_before_all_else(plan: Plan) -> None:
    text = markdown(plan, {}, GITHUB, trouble="the schemas could not be made ready: no `right`")
    assert text.startswith("## ❌ dbt: 10 not run\n")
    assert text.count("no `right`") == 1
    assert text.index("no `right`") < text.index("⏭️ Not run: `raw_dogs`, ") < text.index("### What changed")
    assert "Built, and why" not in text


def test_tells_a_cause_once_and_names_the_others(plan: Plan) -> None:
    same = "Compilation Error in model {0} (models/{0}.sql)\n  'spell' is undefined"
    results = {
        n.unique_id: Result(unique_id=n.unique_id, status="error", message=same.format(n.name))
        for n in plan.items
        if n.resource_type == "model"
    }
    first, *others = (n for n in plan.items if n.unique_id in results)
    text = markdown(plan, results, GITHUB)
    assert text.count("'spell' is undefined") == 1
    named = ", ".join(f"`{n.name}`" for n in others)
    assert f"❌ `{first.label}`\n\n```text\nCompilation Error: 'spell' is undefined" in text
    assert f"The same in {named}\n" in text


def test_tells_a_failure_that_is_of_no_planned_node(plan: Plan) -> None:
    hook = Result(unique_id="operation.dogs.x-on-run-end-0", status="error", message="Database Error\n  no")
    text = markdown(plan, {**RESULTS, hook.unique_id: hook}, GITHUB)
    assert "❌ `operation.dogs.x-on-run-end-0`\n\n```text\nDatabase Error: no\n```" in text


def test_says_why_nothing_was_built() -> None:
    nothing = Plan(
        mode="nothing",
        status="No change affects dbt.",
        warning="Not a pull request.",
        changes=(PathChange(path="README.md", status="modified", effect="none"),),
    )
    text = markdown(nothing, {}, Build(provider="azure"))
    assert text.startswith("## ⏭️ dbt: nothing was built\n")
    assert "No change affects dbt." in text
    assert "- ⚠️ Not a pull request." in text
    assert sections(text)[1:] == ["What changed"]


def test_draws_mermaid_where_it_renders(plan: Plan) -> None:
    text = markdown(plan, RESULTS, GITHUB)
    chart = text.partition("```mermaid\n")[2].partition("```")[0]
    assert '  n2["❌ fact_dogs<br/>1 of 2 tests failed"]\n' in chart
    assert "  n1 --> n2\n" in chart
    assert "  class n2,n3 failed\n" in chart
    assert "  class n2 changed\n" in chart
    assert "unique_fact_dogs_id" not in chart


@pytest.mark.parametrize("provider", ["azure", "bitbucket", "jenkins"])
def test_draws_a_tree_where_mermaid_does_not_render(plan: Plan, provider: str) -> None:
    text = markdown(plan, RESULTS, Build(provider=provider))
    assert "mermaid" not in text
    assert (
        """
✅ raw_dogs
└─ ✅ stg_dogs
   ├─ ❌ fact_dogs (modified): 1 of 2 tests failed
   │  └─ ⏭️ top_dogs
   │     └─ ⏭️ best_dog
   └─ ⏭️ walks: 1 of 1 test failed
"""
        in text
    )


def test_draws_every_edge_in_the_tree(plan: Plan) -> None:
    both = replace(PLAN.nodes[6], parents=("model.dogs.walks", "model.dogs.fact_dogs"))
    nodes = tuple(both if n.unique_id == both.unique_id else n for n in plan.nodes)
    text = markdown(replace(plan, nodes=nodes), RESULTS, Build(provider="azure"))
    assert (
        """
   ├─ ❌ fact_dogs (modified): 1 of 2 tests failed
   │  └─ ⏭️ top_dogs …
   └─ ⏭️ walks: 1 of 1 test failed
      └─ ⏭️ top_dogs
         └─ ⏭️ best_dog
"""
        in text
    )


def test_names_who_reads_what_was_built_and_links_files_and_builds(plan: Plan) -> None:
    exposures = (
        Exposure(unique_id="exposure.dogs.board", label="Board", owner="Ada <@ada>", url="https://bi.example.com/7"),
        Exposure(unique_id="exposure.dogs.app", label="App", url="javascript:alert(1)"),
    )
    home = "https://github.com/o/dogs"
    build = replace(
        GITHUB,
        run=f"{home}/actions/runs/9",
        artifacts=f"{home}/actions/runs/9#artifacts",
        files=file_links(home, "github"),
    )
    root, name = Path(plan.project_dir).parent, Path(plan.project_dir).name
    text = markdown(
        replace(plan, exposures=exposures), RESULTS, build, repository=root, report="/agent/_temp/dbt-ci.html"
    )
    assert "### Read by\n\n- [Board](<https://bi.example.com/7>), Ada &lt;@\u200bada&gt;\n- App\n" in text
    at = f"{home}/blob/{plan.commits.head}/{name}/models"
    assert f"| [`models/fact_dogs.sql`](<{home}/blob/{plan.commits.head}/models/fact_dogs.sql>) | modified |" in text
    assert f"| ❌ [`fact_dogs`](<{at}/fact_dogs.sql>) | modified: body" in text
    assert f"](<{at}/staging.yml#L" in text
    assert "| `models/old.sql` | deleted |" in text
    assert f"[build](<{build.run}>) · page [dbt-ci.html](<{build.artifacts}>)" in text
    text = markdown(plan, RESULTS, replace(build, url=build.run))
    assert "pull request 7 " in text, "what leads to the build is not called the pull request"
    assert f"[build](<{build.run}>)" in text


@pytest.mark.parametrize("limit", sorted({p.comment_limit for p in PROVIDERS}))
@pytest.mark.parametrize("status", ["success", "error"])
def test_keeps_to_the_limit_with_five_thousand_nodes(limit: int, status: str) -> None:
    nodes = [
        node(f"model.dogs.m{i}", f"model.dogs.m{i - 1}", kind="modified", files=(f"m{i}.sql",)) for i in range(5000)
    ]
    changes = tuple(PathChange(path=f"m{i}.sql", status="modified") for i in range(5000))
    words = "no" if status == "error" else ""
    results = {n.unique_id: Result(unique_id=n.unique_id, status=status, message=f"{n.name} {words}") for n in nodes}
    text = markdown(replace(PLAN, nodes=tuple(nodes), changes=changes), results, GITHUB, limit=limit)
    assert len(text.encode()) <= limit
    assert sections(text)[-3:] == ["Lineage", "Built, and why", "The same on your machine"]
    assert "cut to the size" not in text


@pytest.mark.parametrize("provider", ["github", "azure"])
def test_draws_thirty_nodes_and_counts_the_rest(provider: str) -> None:
    many = [node(f"model.dogs.m{i}") for i in range(100)]
    last = replace(node("model.dogs.last"), reason=Reason(kind="modified", text="modified: body"))
    results = {n.unique_id: Result(unique_id=n.unique_id, status="success") for n in (*many, last)}
    results["model.dogs.m70"] = Result(unique_id="model.dogs.m70", status="error", message="no")
    text = markdown(replace(PLAN, nodes=(*many, last)), results, Build(provider=provider))
    picture = text.partition("### Lineage")[2].partition("###")[0]
    assert len(re.findall(r"(?:✅|❌) \w+", picture)) == 30
    assert "… and 71 more" in picture
    assert "❌ m70" in picture
    assert "✅ last" in picture


def test_quotes_the_command_to_reproduce_for_a_shell(plan: Plan) -> None:
    build = Build(provider="local")
    text = markdown(replace(plan, commits=Commits(base="abc")), RESULTS, build, arguments=("--dbt-ci-vars", "{a: 1}"))
    assert (
        "pytest --dbt-ci --dbt-ci-base=abc --dbt-ci-target=ci --dbt-ci-defer-target=prod "
        "--dbt-ci-vars '{a: 1}'\n" in text
    )


def test_hostile_text_breaks_nothing_and_pings_nobody(plan: Plan) -> None:
    evil = f'x"];A-->B;%%`<script>alert(1)</script>|@team #1 \n```\n{HOSTILE}'
    nodes = tuple(replace(n, item=evil, reason=Reason(kind="new", text=evil, files=(evil,))) for n in plan.nodes)
    plan = replace(
        plan,
        nodes=nodes,
        notes=(evil, "1. *a* _b_ [x](http://y) # x && &amp; a|b", "- - x", "@team"),
        warning=evil,
        changes=(PathChange(path=evil, status="added", effect="none", note=evil),),
        commits=replace(plan.commits, base_ref=evil),
        project=evil,
    )
    results = {
        **failed(evil),
        "test.dogs.no_dupes": Result(unique_id="test.dogs.no_dupes", status="warn", message=evil),
    }
    build = replace(GITHUB, target_branch=evil, url=f"javascript:{evil}")
    page = rendered(markdown(plan, results, build))
    tags = set(re.findall(r"<(\w+)", page))
    ours = "h2 h3 p ul li code pre table thead tbody tr th td details summary"
    assert tags <= set(ours.split())
    assert not re.search(r"[@#]\w", outside_code(page))
    rows = [len(re.findall(r"<t[hd]\b", row)) for row in re.findall(r"<tr>.*?</tr>", page, re.DOTALL)]
    assert set(rows) == {3, 4}
    assert page.count("<table>") == page.count("</table>") == 3
    chart = html.unescape(page.partition('class="language-mermaid">')[2].partition("</code>")[0])
    boxes = [line for line in chart.splitlines() if line.startswith("  n") and "-->" not in line]
    label = r'[^"\[\]`<>;#]*(?:#\d+;[^"\[\]`<>;#]*)*(?:<br/>[\w ]+)?'
    assert len(boxes) == 6
    assert all(re.fullmatch(rf'  n\d\["{label}"\]', line) for line in boxes)


@given(st.text())
def test_prose_renders_as_the_text_that_went_in(text: str) -> None:
    page = RENDER(f"- {prose(text)}\n")
    inner = re.sub(r"</?(?:ul|li)>", "", page)
    assert "<" not in inner
    assert words(html.unescape(inner)) == words(text)


@given(st.text(min_size=1))
@example("\ufdd0")
def test_code_stays_in_its_cell_and_renders_as_the_text_that_went_in(text: str) -> None:
    for span in (code(text), html_code(text)):
        page = RENDER(f"| a | b |\n| --- | --- |\n| {span} | z |\n")
        cells = re.findall(r"<td>(.*?)</td>", page, re.DOTALL)
        assert len(cells) == 2
        assert cells[1] == "z"
        shown = html.unescape(re.sub(r"</?code>", "", cells[0]))
        assert words(shown) == words(text)


@given(st.text(alphabet="`~\n <a#-|", max_size=60))
def test_nothing_closes_a_code_block_from_inside(text: str) -> None:
    page = RENDER(block(text) + "\n\nafter\n")
    assert page.count("<pre>") == 1
    assert page.endswith("</code></pre>\n<p>after</p>\n")


@pytest.mark.parametrize("limit", [400, 2_000, 20_000, *{p.comment_limit for p in PROVIDERS}])
def test_keeps_to_the_limit_and_says_what_is_cut(limit: int) -> None:
    nodes = [node(f"model.dogs.m{i}", kind="new", files=("狗" * 40,)) for i in range(400)]
    results = {
        n.unique_id: Result(unique_id=n.unique_id, status="error", message=f"{n.name}{'x' * 900}\n" * 60) for n in nodes
    }
    text = markdown(replace(PLAN, nodes=tuple(nodes)), results, GITHUB, limit=limit)
    assert len(text.encode()) <= limit
    assert text.startswith("## ❌ dbt: 400 failed")
    assert text.endswith("… cut to the size that fits here: the rest is in the log and in the JUnit file.\n")
    if limit > 10_000:
        assert "### The same on your machine" in text


def test_a_run_of_usual_size_fits_a_comment(plan: Plan) -> None:
    assert "cut to the size" not in markdown(plan, RESULTS, GITHUB, limit=provider_of("github").comment_limit)


def test_appends_to_githubs_file_as_far_as_there_is_room(tmp_path: Path) -> None:
    path = tmp_path / "summary.md"
    path.write_text("before\n")
    assert provider_of(GITHUB.provider).summary_file({"GITHUB_STEP_SUMMARY": str(path)}) == path
    assert room(GITHUB, path) == SUMMARY_LIMIT - 7
    assert write("page\n", GITHUB, path) == ()
    assert path.read_text() == "before\npage\n"


def test_uploads_azures_file_under_a_name_of_its_own(tmp_path: Path) -> None:
    azure, environ = Build(provider="azure"), {"AGENT_TEMPDIRECTORY": str(tmp_path)}
    first = provider_of(azure.provider).summary_file(environ)
    assert first == tmp_path / "dbt-ci.md"
    assert write("page\n", azure, first) == (f"##vso[task.uploadsummary]{tmp_path}/dbt-ci.md",)
    assert provider_of(azure.provider).summary_file(environ) == tmp_path / "dbt-ci-2.md"
    assert room(azure, first) == SUMMARY_LIMIT


def test_has_no_place_where_the_provider_has_none(tmp_path: Path) -> None:
    environ = {"AGENT_TEMPDIRECTORY": str(tmp_path), "GITHUB_STEP_SUMMARY": str(tmp_path / "x")}
    assert provider_of("gitlab").summary_file(environ) is None
    assert provider_of("local").summary_file(environ) is None
    assert provider_of("azure").summary_file({}) is None


def test_replaces_a_file_that_the_user_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "new" / "summary.md"
    for text in ("one\n", "two\n"):
        assert write(text, Build(provider="local"), path) == ()
    assert path.read_text() == "two\n"


def test_says_what_to_do_when_the_file_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DbtCiError, match=re.escape(f"{tmp_path}{os.sep}file{os.sep}x.md: ") + ".*--dbt-ci-summary"):
        write("page", Build(provider="local"), tmp_path / "file" / "x.md")


def test_counts_outcomes_the_worst_first() -> None:
    statuses = ("warn", "warn", "pass", "odd", "fail", "skipped")
    results = {str(i): Result(unique_id=str(i), status=s) for i, s in enumerate(statuses)}
    assert counts(results) == "1 error, 1 failed, 1 skipped, 2 warnings, 1 passed"
    assert counts(dogs_run.RESULTS) == "2 failed, 4 skipped, 1 warning, 3 passed"
