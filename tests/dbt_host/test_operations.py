"""The host's methods answer exactly the protocol's requests, with the types that these name."""

from __future__ import annotations

from typing import Any, get_type_hints

import pytest

from pytest_dbtci.dbt_client.protocol.lines import REQUESTS
from pytest_dbtci.dbt_client.protocol.request import Request, answer_type
from pytest_dbtci.dbt_host.operations import ANSWERS


def test_every_request_has_its_method() -> None:
    assert set(ANSWERS) == set(REQUESTS.values())


@pytest.mark.parametrize("request_type", ANSWERS)
def test_a_method_takes_its_request_and_gives_the_answer_that_it_names(request_type: type[Request[Any]]) -> None:
    hints = get_type_hints(ANSWERS[request_type])
    assert hints == {"request": request_type, "return": get_type_hints_of(answer_type(request_type))}


def get_type_hints_of(kind: Any) -> Any:
    """Return a type as `get_type_hints` does, without annotations such as `Words`."""

    def annotated() -> None: ...

    annotated.__annotations__ = {"return": kind}
    return get_type_hints(annotated)["return"]
