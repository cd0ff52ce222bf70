"""The libraries below dbt give what they always gave, with less work."""

from __future__ import annotations

import io
import json
from collections import OrderedDict
from datetime import date
from json import JSONEncoder
from typing import Any

import pytest
from jinja2 import Environment, nodes

from pytest_dbtci.dbt_host.libraries import MOST, dump_at_once, parse_once


@pytest.fixture
def parsed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the texts that Jinja has parsed."""
    found: list[str] = []
    parse = Environment.parse

    def noted(self: Environment, source: str, name: str | None = None, filename: str | None = None) -> nodes.Template:
        found.append(source)
        return parse(self, source, name, filename)

    monkeypatch.setattr(Environment, "parse", noted)
    parse_once()
    return found


def test_a_tree_is_given_twice(parsed: list[str]) -> None:
    first, second, third = (Environment().parse("{{ a }}") for _ in range(3))
    assert first is second
    assert third is not first
    assert parsed == ["{{ a }}", "{{ a }}"]


@pytest.mark.parametrize(
    "other",
    [Environment(block_start_string="[%"), Environment(extensions=["jinja2.ext.do"]), type("E", (Environment,), {})()],
)
def test_another_environment_has_trees_of_its_own(other: Environment, parsed: list[str]) -> None:
    assert Environment().parse("[% do %]") is not other.parse("{{ a }}")
    Environment().parse("{{ a }}")
    assert parsed == ["[% do %]", "{{ a }}", "{{ a }}"]


def test_so_many_trees_are_kept(parsed: list[str]) -> None:
    texts = [f"{{{{ a{n} }}}}" for n in range(MOST + 1)]
    for text in texts:
        Environment().parse(text)
    Environment().parse(texts[-1])
    assert len(parsed) == MOST + 1
    Environment().parse(texts[0])
    assert len(parsed) == MOST + 2


class Dates(JSONEncoder):
    def default(self, o: Any) -> Any:
        return str(o) if isinstance(o, date) else super().default(o)


VALUES = {"a": [1, 1.5, True, None, 'ü\n"', float("inf"), date(2026, 1, 2)], 2: OrderedDict(b={}, c=()), None: []}


@pytest.mark.parametrize("how", [{}, {"indent": 2}, {"sort_keys": True, "skipkeys": True}, {"ensure_ascii": False}])
def test_json_is_dumped_as_before(monkeypatch: pytest.MonkeyPatch, how: dict[str, Any]) -> None:
    def dumped() -> str:
        file = io.StringIO()
        json.dump(
            {k: v for k, v in VALUES.items() if isinstance(k, str) or "sort_keys" not in how}, file, cls=Dates, **how
        )
        return file.getvalue()

    before = dumped()
    monkeypatch.setattr(JSONEncoder, "iterencode", JSONEncoder.iterencode)
    dump_at_once()
    assert dumped() == before
    assert json.dumps("a") == '"a"'
    with pytest.raises(TypeError, match="set is not JSON serializable"):
        json.dump({1}, io.StringIO())
