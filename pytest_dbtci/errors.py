"""What can go wrong, grouped by who must act."""

from __future__ import annotations


class DbtCiError(Exception):
    """What failed, on what, and what to do next; the text is complete and meant for the user.

    Raised as it stands it is trouble with dbt, git or the warehouse: the run is red and the items that it
    touches are errors, not failures. `trouble` names the kind of the warehouse's trouble, where it was that.
    """

    def __init__(self, text: str, *, trouble: str = "") -> None:
        super().__init__(text)
        self.trouble = trouble


class HeldUp(DbtCiError):
    """What another failure, or the session's stop after it, has left undone: a skip, which `--lf` does again."""


class UsageError(DbtCiError):
    """What is wrong with the call, the settings or the repository; pytest ends with exit code 4."""
