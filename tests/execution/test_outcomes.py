"""What stands for a result that there will be none of."""

from __future__ import annotations

import pytest

from pytest_dbtci.execution.outcomes import missing_result


@pytest.mark.parametrize(
    ("trouble", "cancelled", "outcome"),
    [("", False, "error"), ("dbt died: it was killed", False, "skipped"), ("", True, "skipped")],
    ids=["nobody knows why", "trouble of the run", "the session stopped"],
)
def test_a_node_without_a_result_is_an_error_unless_it_is_told_why_elsewhere(
    trouble: str, cancelled: bool, outcome: str
) -> None:
    assert missing_result("model.dogs.one", trouble=trouble, cancelled=cancelled).outcome == outcome
