"""What differs between warehouses in the SQL of a comparison: how a type's values are told apart."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

NUMBER, FLOAT, REAL, TEXT, DATE, MOMENT, BOOLEAN, PLAIN = (
    *("number", "float", "real", "text", "date", "moment", "boolean", "plain"),
)
"""Families of types whose values the warehouse itself compares with `=`; any other is compared in another form."""

FLOATS = (FLOAT, REAL)
RELATIVE = {FLOAT: 1e-9, REAL: 1e-6}
"""The relative difference up to which two floats are equal: some thousand units in the last place of a double, some
ten of a single."""

DIGITS = {FLOAT: 9, REAL: 6}
"""The significant digits to which a float is rounded where rows are compared as a bag."""

COLLATE = " collate "
"""What stands between a text's type and its collation."""


@dataclass(frozen=True, kw_only=True)
class Dialect:
    """One warehouse's types: `families` by type name, and how a value of another type is written as a comparable one.

    `forms` maps a type's name to SQL with a `{}`; `other` is the form for types that are not listed, empty where
    there is none that is sure to work. `texts` gives a family's text where the plain cast to `text` does not. `hash`
    is of any number of values, 64 bits, of which only equal values of one type have the same, as far as 64 bits tell:
    `hashed` is a pattern for the types of which that is true. It is empty where it costs more than to compare them.
    `sampled` gives some rows of a table, the same each time, without reading the others.
    `digest` makes a whole number of a text, the same each time; `lossy` is a pattern for the types whose texts leave
    something out, `alike` one for those of which equal values can have several texts. `moment` is the type that has no
    zone; `uncollated` gives a text without the collation of its column, by which other texts may be equal.
    """

    families: Mapping[str, str]
    forms: Mapping[str, str] = field(default_factory=dict)
    other: str = ""
    text: str = "text"
    texts: Mapping[str, str] = field(default_factory=dict)
    logarithm: str = "log({})"
    hash: str = ""
    hashed: str = ""
    sampled: str = ""
    digest: str = ""
    lossy: str = ""
    alike: str = ""
    moment: str = "timestamp"
    uncollated: str = "{}"

    def family(self, dtype: str) -> str:
        """Return the family of a type, `text` for one that is compared in a text form, empty for one that can't be."""
        name = base_name(dtype)
        return self.families.get(name) or (TEXT if self.forms.get(name, self.other) else "")

    def form(self, dtype: str, expression: str) -> str:
        """Return the expression in the form that is compared."""
        name = base_name(dtype)
        form = self.forms.get(name, "{}" if name in self.families else self.other)
        return form.format(self.uncollated.format(expression) if COLLATE in dtype else expression)

    def is_hashed(self, dtype: str) -> bool:
        """Whether values of the type are compared by their hashes."""
        return re.fullmatch(self.hashed, dtype) is not None

    def as_text(self, family: str, expression: str) -> str:
        """Return the expression's text."""
        return self.texts.get(family, f"cast({{}} as {self.text})").format(expression)

    def rounded(self, expression: str, digits: int) -> str:
        """Return a float rounded to so many significant digits, itself where it is zero, extreme or no number."""
        size = f"abs({expression})"
        power = f"power({double('10')}, floor({self.logarithm.format(size)}) - {digits - 1})"
        plain = f"{expression} = 0 or not ({size} between {double('1e-280')} and {double('1e280')})"
        return f"case when {plain} then {expression} else round({expression} / {power}) * {power} end"


def double(number: str) -> str:
    """Return SQL for a float: what a warehouse takes a bare `1e-290` for is its own affair."""
    return f"cast('{number}' as double precision)"


def base_name(dtype: str) -> str:
    """Return the type's name in lower case, without sizes; a list or a struct keeps what tells it from its parts."""
    name = " ".join(dtype.lower().partition(COLLATE)[0].split())
    return name if name.endswith("]") else re.sub(r"\s*\([^()]*\)", "", name)


def families(**named: tuple[str, ...]) -> dict[str, str]:
    """Return the family of each type, given the types of each family."""
    return {name: family for family, names in named.items() for name in names}
