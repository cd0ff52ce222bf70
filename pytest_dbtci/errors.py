"""What can go wrong, grouped by who must act."""

from __future__ import annotations

import errno

DISK_FULL = "disk full on this machine"
"""What the host calls it when no warehouse has a part in it; this machine's own errors are told the same way."""

_NEXT_STEPS = {
    "disk full": "The warehouse's disk is full: free space there.",
    DISK_FULL: "This machine's disk is full: a run writes to the temporary folder (TMPDIR names another), to "
    "target/dbt_ci and to the files that pytest is asked for, DuckDB to its own.",
    "lock timeout": "Another session has it open (a notebook, a shell, another run): end that one, or wait for it.",
    "login refused": "Look at the target's user and password, and at the database that it names.",
    "warehouse not reachable": "Look at the target's host, port, user and password, and at the network between.",
}


def next_step_of(error: OSError) -> str:
    """Return what to do about a file that could not be read or written."""
    return (
        _NEXT_STEPS[DISK_FULL] if error.errno in (errno.ENOSPC, errno.EDQUOT) else "May this user read and write there?"
    )


class DbtCiError(Exception):
    """What failed, on what, and what to do next; the text is complete and meant for the user.

    Raised as it stands it is trouble with dbt, git or the warehouse: the run is red and the items that it
    touches are errors, not failures. `trouble` names its kind if it is the warehouse's, or this machine's.
    """

    def __init__(self, text: str, *, trouble: str = "") -> None:
        super().__init__(text)
        self.trouble = trouble

    @property
    def next_step(self) -> str:
        """Return what to do about that trouble, as a line of its own; empty where that is not known."""
        step = _NEXT_STEPS.get(self.trouble)
        return f"\n{step}" if step else ""


class HeldUp(DbtCiError):
    """What another failure, or the session's stop after it, has left undone: a skip, which `--lf` does again."""


class UsageError(DbtCiError):
    """What is wrong with the call, the settings or the repository; pytest ends with exit code 4."""
