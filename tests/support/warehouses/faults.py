"""Decide which statement meets which trouble on its way to the warehouse."""

from __future__ import annotations

import re
import threading
from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class Trouble:
    """Describe an error as the warehouse would report it: SQLSTATE, message, detail, severity."""

    code: str
    message: str
    detail: str = ""
    severity: Literal["ERROR", "FATAL"] = "ERROR"

    def encode(self) -> bytes:
        """Return the ErrorResponse message of the PostgreSQL protocol, version 3."""
        fields = {"S": self.severity, "C": self.code, "M": self.message, "D": self.detail}
        body = b"".join(key.encode() + text.encode() + b"\0" for key, text in fields.items() if text) + b"\0"
        return b"E" + (len(body) + 4).to_bytes(4, "big") + body


# Texts and codes as users of the driver have reported them from real clusters (aws-sdk-pandas issue 665,
# amazon-redshift-utils issue 174, AWS knowledge centre). dbt-redshift shows the message and drops the detail,
# so that all a user sees of a serializable violation is `1023`.
REDSHIFT_SERIALIZABLE = Trouble(
    code="XX000",
    message="1023",
    detail="Serializable isolation violation on table - 119371, "
    "transactions forming the cycle are: 1745830, 1745762 (pid:15021)",
)
REDSHIFT_CANCELLED = Trouble(code="57014", message="Query (28572825) cancelled on user's request")
REDSHIFT_TOO_MANY_CONNECTIONS = Trouble(
    code="53300", message='connection limit "500" exceeded for non-bootstrap users', severity="FATAL"
)
REDSHIFT_DISK_FULL = Trouble(code="53100", message="Disk Full")
POSTGRES_SERIALIZABLE = Trouble(
    code="40001",
    message="could not serialize access due to read/write dependencies among transactions",
    detail="Reason code: Canceled on identification as a pivot, during commit attempt.",
)
STATEMENT_TIMEOUT = Trouble(code="57014", message="canceling statement due to statement timeout")
POSTGRES_TOO_MANY_CONNECTIONS = Trouble(code="53300", message="sorry, too many clients already", severity="FATAL")
POSTGRES_DISK_FULL = Trouble(code="53100", message='could not extend file "base/16384/16402": No space left on device')


@dataclass(frozen=True, kw_only=True)
class Hold:
    """Keep one statement from reaching the server until it is released."""

    reached: threading.Event = field(default_factory=threading.Event)
    released: threading.Event = field(default_factory=threading.Event)

    def wait(self, timeout: float = 300) -> None:
        """Return when the statement has arrived; raise TimeoutError after `timeout` seconds."""
        if not self.reached.wait(timeout):
            raise TimeoutError(f"no statement that should be held arrived within {timeout} s")

    def release(self) -> None:
        """Let the statement go on to the server."""
        self.released.set()


class Drop:
    """Cut the connection off instead of passing the statement on."""


Action = Trouble | Drop | Hold


@dataclass(kw_only=True)
class _Fault:
    pattern: re.Pattern[str]
    action: Action
    times: int


@dataclass(frozen=True, kw_only=True)
class Statement:
    """Record a statement that a client asked the server to execute, in the client's own words."""

    user: str
    database: str
    text: str


class Faults:
    """Hold the faults to come and the statements seen; used by the tests' thread and the proxy's.

    Patterns are regular expressions, searched without regard to case in the statement as the client wrote it.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pending: list[_Fault] = []
        self._refusals: list[Trouble] = []
        self._seen: list[Statement] = []
        self._holds: list[Hold] = []
        self.latency = 0.0

    def fail(self, pattern: str, trouble: Trouble, *, times: int = 1) -> None:
        """Answer the next `times` matching statements with an error; an open transaction is aborted by it."""
        self._add(pattern, trouble, times)

    def drop(self, pattern: str, *, times: int = 1) -> None:
        """Cut the connection when a matching statement arrives, `times` times; it isn't executed."""
        self._add(pattern, Drop(), times)

    def hold(self, pattern: str) -> Hold:
        """Stop the next matching statement until `release`; its session stays, even if the client dies."""
        hold = Hold()
        self._holds.append(hold)
        self._add(pattern, hold, 1)
        return hold

    def refuse(self, trouble: Trouble, *, times: int = 1) -> None:
        """Refuse the next `times` connections with an error."""
        with self._lock:
            self._refusals.extend([trouble] * times)

    def delay(self, milliseconds: float) -> None:
        """Delay everything by this much in each direction: a round trip takes twice as long."""
        self.latency = milliseconds / 1000

    def statements(self, pattern: str = "") -> tuple[Statement, ...]:
        """Return the statements executed since the last reset that match, oldest first."""
        search = _compile(pattern).search
        with self._lock:
            return tuple(statement for statement in self._seen if search(statement.text))

    def pending(self) -> int:
        """Count the faults asked for that have not happened yet."""
        with self._lock:
            return sum(fault.times for fault in self._pending) + len(self._refusals)

    def reset(self) -> None:
        """Forget all faults and statements, and release what is held."""
        with self._lock:
            for hold in self._holds:
                hold.release()
            for forgotten in (self._pending, self._refusals, self._seen, self._holds):
                forgotten.clear()
        self.latency = 0.0

    def next_refusal(self) -> Trouble | None:
        """Take the error, if any, that the connection being opened must be refused with."""
        with self._lock:
            return self._refusals.pop(0) if self._refusals else None

    def next_action(self, statement: Statement) -> Action | None:
        """Record a statement and take the first pending fault that it matches."""
        with self._lock:
            self._seen.append(statement)
            for fault in self._pending:
                if fault.pattern.search(statement.text):
                    fault.times -= 1
                    if fault.times == 0:
                        self._pending.remove(fault)
                    return fault.action
        return None

    def _add(self, pattern: str, action: Action, times: int) -> None:
        with self._lock:
            self._pending.append(_Fault(pattern=_compile(pattern), action=action, times=times))


def _compile(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.IGNORECASE | re.DOTALL)
