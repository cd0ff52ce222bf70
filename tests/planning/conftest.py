"""The bench that plans are made on."""

from tests.selection.conftest import planning_bench

__all__ = ["planning_bench"]
