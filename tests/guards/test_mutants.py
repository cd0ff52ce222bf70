"""The list of mutants fits the code: `make mutants` tries them."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.guards.run import LIST, ROOT, Mutant, read


@pytest.mark.slow
@pytest.mark.parametrize("mutant", read(), ids=lambda mutant: mutant.guard)
def test_the_guard_is_found_and_its_tests_are_there(tmp_path: Path, mutant: Mutant) -> None:
    (tmp_path / mutant.file).parent.mkdir(parents=True)
    shutil.copy(ROOT / mutant.file, tmp_path / mutant.file)
    mutant.apply(tmp_path)
    assert mutant.tests
    for test in mutant.tests:
        path, *names = test.partition("[")[0].split("::")
        assert (ROOT / path).exists()
        assert all(f" {name}(" in (ROOT / path).read_text() for name in names), test


def test_a_guard_that_is_not_found_once_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "guard.py").write_text("a = 1\nb = 1\n")
    mutant = Mutant(guard="one", file="guard.py", old="= 1", new="= 2", tests=())
    with pytest.raises(ValueError, match=r"one: guard\.py holds its text 2 times, not once: '= 1'"):
        mutant.apply(tmp_path)


def test_each_guard_stands_once_in_the_list() -> None:
    assert len({m.guard for m in read()}) == LIST.read_text().count("- guard:")
