"""What docs/python-tests.md shows is what runs: its code is taken out of the page, as it stands, and run."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from examples import demo
from tests.support.other_plugins import PLUGINS
from tests.support.validation import DEFER, Validation, validate

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "python-tests.md"


def code(page: Path) -> list[str]:
    """Return the Python code that a page shows."""
    return re.findall(r"^```python\n(.*?)^```$", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)


*TESTS, HOOKS = code(PAGE)
README_TEST = code(ROOT / "README.md")[0]
IMPORT = "import pytest\n\n\n"
NAMES = re.findall(r"^def (test_\w+)", "".join(TESTS), flags=re.MULTILINE)


def test_its_tests_are_those_of_the_example() -> None:
    example = (ROOT / "examples/dogs/tests/python/test_dogs.py").read_text(encoding="utf-8")
    assert example.split("import pytest\n", 1)[1] == "".join(f"\n\n{block.removeprefix(IMPORT)}" for block in TESTS)
    assert len(NAMES) == 3


def test_its_links_lead_to_files_of_the_project() -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]+)", PAGE.read_text(encoding="utf-8"))
    assert links
    assert not [link for link in links if not (PAGE.parent / link).exists()]


def test_every_plugin_that_it_names_is_tried() -> None:
    beside = PAGE.read_text(encoding="utf-8").split("## Beside other plugins")[1].split("##")[0]
    assert set(re.findall(r"pytest-[a-z-]+|allure-pytest", beside)) == set(PLUGINS.values())


@pytest.fixture(scope="module")
def shown(released: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example with the tests that the page and the README show, in one file."""
    directory = tmp_path_factory.mktemp("page") / "dogs"
    demo.copy_repository(released, directory)
    (directory / "tests/python/test_dogs.py").write_text("\n\n".join(["import pytest\n", *TESTS, README_TEST]))
    return directory


def outcomes(run: Validation) -> dict[str, str]:
    """Return the outcomes of the tests that the pages show."""
    return {n.split("::")[1]: c.outcome for n, c in run.cases.items() if n.startswith("tests.python.test_dogs::")}


@pytest.mark.parametrize(
    "given", [pytest.param((), id="alone"), pytest.param(("-n", "2"), id="distributed", marks=pytest.mark.slow)]
)
def test_its_tests_pass_on_the_example(shown: Path, given: tuple[str, ...]) -> None:
    run = validate(shown, *DEFER, *given)
    assert run.code == 0, run.output
    assert outcomes(run) == dict.fromkeys([*NAMES, "test_no_stay_was_lost"], "passed")


def test_its_tests_fail_for_what_they_are_there_for(shown: Path, tmp_path: Path) -> None:
    directory = tmp_path / "dogs"
    demo.copy_repository(shown, directory)
    edits = {
        "fact_dogs": ("price_ore - discount_ore", "price_ore * 2"),
        "top_dogs": ("coalesce(stays.paid_kronor, 0)", "coalesce(stays.paid_kronor, 0) * stays.dog_id * stays.dog_id"),
        "dim_dog": ("dogs.name,", "dogs.name || ' of the boarding house' as name,"),
    }
    for name, (old, new) in edits.items():
        path = next(directory.glob(f"models/*/{name}.sql"))
        assert old in path.read_text()
        path.write_text(path.read_text().replace(old, new))
    with (directory / "models/staging/fact_dogs.sql").open("a") as model:
        model.write("\nlimit 20\n")
    run = validate(directory, *DEFER, "tests/python")
    assert run.code == 1, run.output
    assert outcomes(run) == dict.fromkeys([*NAMES, "test_no_stay_was_lost"], "failed")
    assert "twelve letters can be engraved" in run.output


@pytest.fixture(scope="module")
def hooked(released: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example with the page's hooks as its conftest file, and a model that only the nightly run builds."""
    directory = tmp_path_factory.mktemp("hooks_of_the_page") / "dogs"
    demo.copy_repository(released, directory)
    demo.git(directory, "switch", "--quiet", "master")
    model = directory / "models/staging/fact_walks.sql"
    model.write_text("{{ config(tags=['nightly']) }}\n" + model.read_text())
    demo.git(directory, "commit", "--quiet", "--all", "--message=Walk at night")
    demo.git(directory, "push", "--quiet")
    demo.git(directory, "switch", "--quiet", demo.BRANCH)
    demo.git(directory, "merge", "--quiet", "--no-edit", "master")
    (directory / "conftest.py").write_text(HOOKS)
    return directory


@pytest.mark.parametrize("nightly", [{}, {"NIGHTLY": "1"}], ids=["by day", "nightly"])
def test_its_settings_hook_selects_more_at_night(hooked: Path, nightly: dict[str, str]) -> None:
    run = validate(hooked, *DEFER, "--collect-only", "-q", **nightly)
    assert run.code == 0, run.output
    assert ("models/staging/fact_walks.sql::fact_walks" in run.output) is bool(nightly)


def test_its_other_hooks_add_veto_see_results_and_add_to_the_summary(hooked: Path) -> None:
    broken = hooked / "models/staging/broken.sql"
    broken.write_text("select no_such_column from {{ ref('dim_dog') }}\n")
    run = validate(hooked, *DEFER, "-s", "models", "seeds")
    broken.unlink()
    reasons = {u: c.properties["dbt_reason"] for u, c in run.by_unique_id().items()}
    assert reasons["seed.dogs.raw_breeds"] == "is always checked", run.output
    assert not [u for u in reasons if u.endswith("top_dogs")]
    assert "is too dear to build for every change" in run.output
    assert "models/staging/broken.sql::broken Runtime Error in model broken" in run.output
    assert re.search(r"^\d+ s of warehouse time in dbt_build_1066$", run.output, flags=re.MULTILINE)
