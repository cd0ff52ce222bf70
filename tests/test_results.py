"""Results: what dbt's words mean to pytest."""

from __future__ import annotations

import pytest

from pytest_dbtci.results import Result


@pytest.mark.parametrize("status", ["", "succes", "Success", "no result", "partial"])
def test_a_status_that_is_not_known_is_an_error(status: str) -> None:
    result = Result(unique_id="model.shop.m", status=status)
    assert result.outcome == "error"
    assert result.is_bad
