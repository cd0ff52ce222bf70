"""How the contents of two relations differ: what to ask, and the answer, as frozen values that know no warehouse."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from pytest_dbtci.codec import Words

Place = tuple[str, str, str]
"""Database, schema and identifier of a relation."""

PREFIX = "compare."
"""What the result of a comparison is called: this, then the node's unique_id."""

SchemaKind = Literal["added", "removed", "renamed", "retyped", "reordered"]


@dataclass(frozen=True, kw_only=True)
class Pair:
    """Two relations to compare, and how.

    `key` names the columns that identify a row (none: rows are compared as a bag); `unique` tells that a test of this
    run has shown them unique on the head's side. `tolerance` maps a column to the difference that does not count,
    `where` restricts both sides, `examples` is how many rows of each kind are shown. Of tables with a key and more
    than `most_rows` rows only a sample is compared.
    """

    head: Place
    base: Place
    key: tuple[str, ...] = ()
    unique: bool = False
    exclude: tuple[str, ...] = ()
    tolerance: Mapping[str, float] = field(default_factory=dict)
    where: str = ""
    examples: int = 5
    most_rows: int | None = None


@dataclass(frozen=True, kw_only=True)
class Declaration:
    """What a project declares of a node that matters for its comparison.

    `rules` is the text of its `dbt_ci` in `meta`, as JSON, and `file` where the node stands. `key` names columns that
    identify a row, `key_from` where that is said, `unique_tests` the data tests that show it. `exclude` are columns of
    dbt's own, `volatile` is what in its text makes every build differ.
    """

    rules: str = "{}"
    file: str = ""
    key: tuple[str, ...] = ()
    key_from: str = ""
    unique_tests: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    volatile: str = ""


@dataclass(frozen=True, kw_only=True)
class Counterpart:
    """A node whose relation is compared, decided before anything is built.

    `base` is what with: a base `twin`, production's relation (`prod`), or nothing, and `why` says why. `pair` names the
    relations, `stand_in` production's where a twin may turn out too dear. `drift` says why production's may hold other
    data than the base would build now, `volatile` what in the node's text makes every build differ. `unique_tests`
    are the data tests that make the key unique. `fail_if` is the condition under which the comparison fails.
    """

    unique_id: str
    base: Literal["twin", "prod", ""]
    why: str
    pair: Pair | None = None
    stand_in: Place | None = None
    drift: str = ""
    volatile: str = ""
    key_from: str = ""
    unique_tests: tuple[str, ...] = ()
    fail_if: str = ""


@dataclass(frozen=True, kw_only=True)
class SchemaChange:
    """One difference between the columns of the two relations; `before` and `after` are types, names or positions.

    Of a column that is gone or has another type, `named_by` are the nodes of the head that name it, `reaches` all that
    it may reach through them, `contracts` the nodes whose enforced contract has it.
    """

    kind: SchemaKind
    column: str
    before: str = ""
    after: str = ""
    named_by: tuple[str, ...] = ()
    reaches: tuple[str, ...] = ()
    contracts: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Profile:
    """One column on one side, values as texts; `mean` is empty unless it holds numbers."""

    nulls: int
    distinct: int
    least: Words
    greatest: Words
    mean: str = ""


@dataclass(frozen=True, kw_only=True)
class ColumnChange:
    """One column whose values differ: in how many rows (None where rows have no key), and before and after."""

    column: str
    rows: int | None = None
    before: Profile | None = None
    after: Profile | None = None


@dataclass(frozen=True, kw_only=True)
class Example:
    """One row that differs, values as texts: `key` by column, then each differing column before and after.

    Without a key, `values` holds the whole row, on the side where it is.
    """

    kind: Literal["added", "removed", "changed"]
    key: tuple[tuple[str, Words], ...] = ()
    values: tuple[tuple[str, Words | None, Words | None], ...] = ()


@dataclass(frozen=True, kw_only=True)
class Differences:
    """What a comparison found.

    `key` is what rows were matched by; it is empty where they were compared as a bag, which knows no changed rows,
    and `note` says why. `keyless` counts the rows on either side whose key is null: they are compared as a bag.
    `left_out` are columns that can't be compared or were excluded, each with the reason. Where `sample` is more than
    1, all numbers are those of about one row in so many, chosen by the key.
    """

    key: tuple[str, ...] = ()
    head_rows: int = 0
    base_rows: int = 0
    added: int = 0
    removed: int = 0
    changed: int = 0
    keyless: int = 0
    columns: tuple[ColumnChange, ...] = ()
    schema: tuple[SchemaChange, ...] = ()
    left_out: tuple[tuple[str, str], ...] = ()
    examples: tuple[Example, ...] = ()
    note: str = ""
    sample: int = 1

    @property
    def same_rows(self) -> bool:
        """Whether the compared columns hold the same rows, as far as they were compared."""
        return not (self.added or self.removed or self.changed)

    @property
    def identical(self) -> bool:
        """Whether nothing differs: neither rows, of which all were compared, nor columns."""
        return self.same_rows and not self.schema and self.sample == 1


@dataclass(frozen=True, kw_only=True)
class Contents:
    """Whether two relations hold exactly the same, and `why` not; `digest` is that of the head's rows."""

    same: bool
    rows: int = 0
    columns: int = 0
    digest: str = ""
    why: Words = ""


Label = Literal["new", "worse", "same", "other", "unknown"]
"""How a failed data test stands on the base: it passes there or is not there, has fewer failures, fails with the same
rows, fails with others, or that is not known."""


@dataclass(frozen=True, kw_only=True)
class OnBase:
    """How a failed data test stands on the base, in a word and in a sentence."""

    label: Label
    text: Words


@dataclass(frozen=True, kw_only=True)
class FailingRows:
    """What tells a data test's failing rows apart.

    `head` and `base` are the tested relation on each side, empty where there is not one, `key` names its columns by
    which rows are matched (none: the whole row counts, but for `exclude`). `same_inputs` tells that all that the test
    reads holds the same rows on both sides.
    """

    head: str = ""
    base: str = ""
    key: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    same_inputs: bool = False


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """What became of comparing one node: `differences`, or why there are none in `why`.

    `base` is what it was compared with in the end (`twin`, `prod`, or nothing), `drift` why that may differ for other
    reasons than this pull request, `volatile` what makes every build of the node differ.
    """

    unique_id: str
    base: Literal["twin", "prod", ""] = ""
    drift: str = ""
    volatile: str = ""
    key_from: str = ""
    differences: Differences | None = None
    why: str = ""
