"""The ids of tests' parameters are pytest's own, but for the secrets in them."""

from __future__ import annotations

import pytest

from pytest_dbtci.session.pytests_files import ParameterIds

FORMS = """
import enum, re, pytest

class Colour(enum.Enum):
    RED = "s3cr3t"

@pytest.mark.parametrize("a", [1, 2.5, True, None, "s", b"by\\xff", Colour.RED, re.compile("r.*"), int, "", (1, 2)])
def test_values(a): pass

@pytest.mark.parametrize("a", ["a-s3cr3t", b"s3cr3t", re.compile("s3cr3t"), pytest.param(1, id="s3cr3t"), 123456789])
def test_secrets(a): pass

@pytest.mark.parametrize("a", [1, 2, 3], ids=["s3cr3t", None, 7])
def test_listed(a): pass

@pytest.mark.parametrize("a", [1, 2], ids=lambda value: None if value == 1 else "s3cr3t")
def test_called(a): pass

@pytest.mark.parametrize("a", [1, 2], ids=("s3cr3t" for _ in range(9)))
def test_generated(a): pass

@pytest.mark.parametrize(("a", "b"), [(1, 2), pytest.param(3, 4, id="s3cr3t")], ids=str)
@pytest.mark.parametrize("c", "xy")
def test_stacked(a, b, c): pass

@pytest.fixture(params=["s3cr3t", pytest.param("f", id="g")], ids=("i", None))
def given(request): return request.param

def test_fixture(given): pass

@pytest.mark.parametrize("given", ["s3cr3t"], indirect=True)
def test_indirect(given): pass

def pytest_generate_tests(metafunc):
    if "dynamic" in metafunc.fixturenames:
        metafunc.parametrize("dynamic", [1, 2], ids=["d", "s3cr3t"], scope="module")

def test_dynamic(dynamic): pass
"""
WRONG = """
import pytest

@pytest.mark.parametrize("a", {values})
def test_it(a): pass
"""


def redact(text: str) -> str:
    """Take two secrets out of the text."""
    return text.replace("s3cr3t", "***").replace("123456789", "***")


def collected(pytester: pytest.Pytester, *plugins: object) -> list[str]:
    """Return what pytest shows of a collection, but for its summary and the numbers of lines in files of its own."""
    done = pytester.runpytest_inprocess("--collect-only", "-q", "-p", "no:warnings", plugins=plugins)
    return [line for line in done.outlines if " in " not in line and "collected" not in line]


def test_only_secrets_are_taken_out_of_ids(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(FORMS)
    plain = collected(pytester)
    assert sum("::" in line for line in plain) > 30
    assert any("s3cr3t" in line for line in plain)
    cleaned = collected(pytester, ParameterIds(redact))
    # Of several ids that are one then, pytest numbers each.
    several = "test_secrets["
    assert [redact(line) for line in plain if several not in line] == [line for line in cleaned if several not in line]
    assert not [line for line in cleaned if redact(line) != line]
    assert sum(several in line for line in cleaned) == sum(several in line for line in plain)


@pytest.mark.parametrize("values", ["[1], ids=['x', 'y']", "[1], 2, 3, 4, 5, 6", "[(1, 2)], bones=1"])
def test_what_is_wrong_is_said_in_pytests_own_words(pytester: pytest.Pytester, values: str) -> None:
    pytester.makepyfile(WRONG.format(values=values))
    plain, cleaned = (
        [line for line in collected(pytester, *plugins) if line.startswith(("E  ", "In "))]
        for plugins in ((), (ParameterIds(redact),))
    )
    assert plain == cleaned
