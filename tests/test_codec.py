"""Values go through JSON and come back the same; what does not fit is refused."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import pytest

from pytest_dbtci.codec import Words, decode, encode


@dataclass(frozen=True, kw_only=True)
class Inner:
    name: str
    note: Words = ""


@dataclass(frozen=True, kw_only=True)
class Outer:
    kind: Literal["a", "b"] = "a"
    count: int | None = None
    inner: Inner | None = None
    many: tuple[Inner, ...] = ()
    pair: tuple[str, Words] = ("", "")
    by_name: Mapping[str, Inner] = field(default_factory=dict)
    texts: Mapping[str, str] = field(default_factory=dict)
    notes: Mapping[str, Words | None] = field(default_factory=dict)


FULL = Outer(
    kind="b",
    count=0,
    inner=Inner(name="x", note="x"),
    many=(Inner(name="y"), Inner(name="z", note="x")),
    pair=("x", "x"),
    by_name={"x": Inner(name="x")},
    texts={"x": "x"},
    notes={"x": "x", "y": None},
)


@pytest.mark.parametrize("value", [Outer(), FULL])
def test_a_value_comes_back_the_same(value: Outer) -> None:
    assert decode(Outer, json.loads(json.dumps(encode(value)))) == value


def test_leaves_out_what_is_the_default() -> None:
    assert encode(Outer(inner=Inner(name=""))) == {"inner": {"name": ""}}


def test_words_and_nothing_else_pass_through_the_filter() -> None:
    assert decode(Outer, encode(FULL), lambda text: text.replace("x", "*")) == Outer(
        kind="b",
        count=0,
        inner=Inner(name="x", note="*"),
        many=(Inner(name="y"), Inner(name="z", note="*")),
        pair=("x", "*"),
        by_name={"x": Inner(name="x")},
        texts={"x": "x"},
        notes={"x": "*", "y": None},
    )


@pytest.mark.parametrize(
    "data",
    [
        None,
        [],
        "x",
        {"colour": "red"},
        {"kind": "c"},
        {"inner": {}},
        {"inner": {"name": "x", "colour": "red"}},
        {"inner": [1]},
        {"many": {"name": "x"}},
        {"many": "xy"},
        {"pair": ["x"]},
        {"pair": ["x", "y", "z"]},
        {"texts": ["x"]},
        {"by_name": {"x": "y"}},
    ],
)
def test_refuses_what_has_another_shape(data: Any) -> None:
    with pytest.raises((ValueError, TypeError), match=r"can't be read from|missing \d required|zip\(\) argument"):
        decode(Outer, data)
