"""Run a command and measure what it costs: wall time, CPU time and memory of all its processes together."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

SAMPLE_SECONDS = 0.1


class CommandFailed(Exception):
    """Say which command failed and show the end of its output."""


@dataclass(frozen=True, kw_only=True)
class Cost:
    """Hold what a command cost: seconds, seconds, and MiB at the worst moment."""

    wall: float
    cpu: float
    peak: float


def measure(command: Sequence[str], *, cwd: Path, environ: Mapping[str, str], log: Path) -> Cost:
    """Run a command to its end, its output in the file `log`, and return its cost.

    Raises CommandFailed when it ends with another code than 0, or leaves processes behind, whose cost would
    not be known.
    """
    with log.open("wb") as output:
        began = time.perf_counter()
        process = subprocess.Popen(
            command, cwd=cwd, env=environ, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT
        )
        memory = _Memory(psutil.Process(process.pid))
        memory.start()
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    orphans = memory.stop()
    if process.returncode != 0 or orphans:
        said = f"exit code {process.returncode}" if process.returncode else f"left {orphans} behind"
        tail = log.read_text(encoding="utf-8", errors="replace")[-3000:]
        raise CommandFailed(f"{' '.join(command)}: {said}\n{tail}")
    return Cost(wall=wall, cpu=usage.ru_utime + usage.ru_stime, peak=memory.peak / 2**20)


class _Memory(threading.Thread):
    """Sample the memory of a process and all its descendants.

    What processes share counts once where the system tells (Linux: proportional set size).
    """

    def __init__(self, root: psutil.Process) -> None:
        super().__init__(daemon=True)
        self.peak = 0
        self._root = root
        self._seen: set[psutil.Process] = set()
        self._ended = threading.Event()

    def run(self) -> None:
        while not self._ended.wait(SAMPLE_SECONDS):
            self.peak = max(self.peak, sum(self._size(process) for process in self._family()))

    def stop(self) -> tuple[str, ...]:
        """End the sampling; give the names of the descendants that still run."""
        self._ended.set()
        self.join()
        return tuple(p.name() for p in self._seen if p.is_running() and p.status() != psutil.STATUS_ZOMBIE)

    def _family(self) -> tuple[psutil.Process, ...]:
        try:
            children = self._root.children(recursive=True)
        except psutil.NoSuchProcess:
            return ()
        self._seen.update(children)
        return (self._root, *children)

    @staticmethod
    def _size(process: psutil.Process) -> int:
        try:
            memory = process.memory_full_info()
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            return 0
        return int(getattr(memory, "pss", memory.uss))
