"""What can go wrong, told apart by who can mend it."""

from __future__ import annotations


class DbtCiError(Exception):
    """Say what failed, on what, and what to do next; the text is complete and meant for the user.

    Raised as it stands it is trouble with dbt, git or the warehouse: the run is red and the items that it
    touches are errors, not failures.
    """


class HeldUp(DbtCiError):
    """Say what another failure, or the session's stop after it, has left undone: a skip, which `--lf` does again."""


class UsageError(DbtCiError):
    """Say what is wrong with the call, the settings or the repository; pytest ends with exit code 4."""
