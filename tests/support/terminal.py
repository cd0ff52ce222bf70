"""Run a command in a real pseudo-terminal of a given width, and read what a person sees there."""

from __future__ import annotations

import os
import re
import select
import struct
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.warm_start import warm

LIVE = re.compile(r"\x1bD\x1b\[A\x1b7\x1b\[B\r\x1b\[K([^\x1b]*)\x1b8")
_COLOURS = re.compile(r"\x1b\[[\d;]*m")


@dataclass(frozen=True, kw_only=True)
class Screen:
    """What a command left: its exit code, all it wrote, and the seconds until it wrote anything."""

    code: int
    written: str
    silence: float

    @property
    def live(self) -> list[str]:
        """Return the texts that stood in the row which is drawn anew."""
        return LIVE.findall(self.written)

    @property
    def text(self) -> str:
        """Return what stays, without colours."""
        return _COLOURS.sub("", LIVE.sub("", self.written)).replace("\r\n", "\n")


def on_a_terminal(
    directory: Path, command: Sequence[str], environ: Mapping[str, str], columns: int = 80, seconds: float = 240
) -> Screen:
    """Run the command to its end."""
    pty = pytest.importorskip("pty", reason="Windows has no pseudo-terminals")
    fcntl, termios = pytest.importorskip("fcntl"), pytest.importorskip("termios")
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    began, silence, written = time.monotonic(), 0.0, b""
    with subprocess.Popen(
        command, cwd=directory, env={**warm(environ), "TERM": "xterm"}, stdin=theirs, stdout=theirs, stderr=theirs
    ) as process:
        os.close(theirs)
        while time.monotonic() < began + seconds:
            if select.select([ours], [], [], 1)[0]:
                try:
                    written += os.read(ours, 65536)
                except OSError:
                    break
                silence = silence or time.monotonic() - began
            elif process.poll() is not None:
                break
        else:
            process.kill()
        os.close(ours)
    return Screen(code=process.returncode, written=written.decode(errors="replace"), silence=silence)
