"""Tell trouble of the warehouse, or a full disk here, from a wrong model, by the words of it."""

from __future__ import annotations

import re

HERE = "disk full on this machine"
"""The kind of trouble in which no warehouse has a part, unless it is DuckDB, which runs on this machine."""

_KINDS: tuple[tuple[str, str], ...] = (
    (HERE, r"\[errno (28|122)\]|^\s*(\w+ error.*\n\s*)?io error: .*no space left on device"),
    # dbt-redshift shows no more of a serializable violation than its number, in a line of its own.
    (
        "serializable isolation violation",
        r"^\s*(error:\s*)?1023\s*$|serializable isolation violation|could not serialize",
    ),
    ("conflict with another session", r"conflict with concurrent transaction|deadlock detected|transaction conflict"),
    ("relation replaced by another session", r"could not open relation with oid|tuple concurrently (updated|deleted)"),
    (
        "too many connections",
        r"too many (clients|connections)|connection limit .*exceeded|connection slots are reserved",
    ),
    (
        "connection lost",
        r"server closed the connection|server socket closed|connection (was )?closed by|connection already closed"
        r"|terminating connection|ssl connection has been closed|ssl syscall error|broken pipe|connection reset"
        r"|could not (send|receive) data|lost synchronization",
    ),
    ("login refused", r"password authentication failed|fatal: +(role|user|database) .* does not exist"),
    (
        "warehouse not reachable",
        r"connection refused|could not connect to server|connection to server at|communication error"
        r"|connection timed? ?out|could not translate host name|name or service not known"
        r"|temporary failure in name resolution|the database system is (starting|shutting|in recovery)"
        r"|no route to host|network is unreachable",
    ),
    ("disk full", r"disk full|no space left on device|disk quota exceeded|could not extend file"),
    ("out of memory", r"^\s*(database error.*\n\s*)?out of (shared )?memory"),
    ("lock timeout", r"lock timeout|could not set lock on file|lock has not yet been released|waiters for this lock"),
    (
        "query cancelled by the warehouse (a timeout, a queue's rule, or somebody)",
        r"cancell?ed on user's request|canceling statement due to|cancelled by wlm|statement timeout"
        r"|reached its statement or warehouse timeout|sql execution canceled",
    ),
)
_PATTERNS = tuple((name, re.compile(pattern, re.IGNORECASE | re.MULTILINE)) for name, pattern in _KINDS)

# dbt's kinds of errors that no warehouse had a part in.
_OWN = re.compile(r"\s*(Compilation|Parsing|Dependency|Validation|Contract|Internal) Error")


def kind_of_trouble(message: str) -> str:
    """Name the trouble that the message tells of; an empty text where it tells of none."""
    if _OWN.match(message):
        return ""
    return next((name for name, pattern in _PATTERNS if pattern.search(message)), "")


def explain(kind: str, message: str) -> str:
    """Return the message as an item shows it: what kind of trouble it was, and what to do."""
    if kind == HERE:
        return f"{kind}, which says nothing about the node\n{message.strip()}\n\nFree space there, and run it again."
    return (
        f"{kind}: the warehouse's trouble, which says nothing about the node\n{message.strip()}\n\n"
        "dbt's adapter had repeated what it repeats (`retries`, `retry_all` of the profile). "
        "Run it again; should it come back, look at the warehouse."
    )
