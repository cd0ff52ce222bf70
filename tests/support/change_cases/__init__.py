"""The kinds of change: for each what has to be selected, why, and what becomes of every changed path."""

from __future__ import annotations

from tests.support.change_cases.case import Case
from tests.support.change_cases.nodes import MODELS, SEEDS_AND_SOURCES, TESTS
from tests.support.change_cases.project import MACROS, PACKAGES, PROJECT_FILES

__all__ = ["CASES", "Case"]

CASES = (*MODELS, *SEEDS_AND_SOURCES, *TESTS, *MACROS, *PROJECT_FILES, *PACKAGES)
