"""A page in a real headless browser: what it draws, and what it says in the console."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

BROWSER = next(
    (found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), ""
)

needs_browser = pytest.mark.skipif(not BROWSER, reason="no Chromium on the PATH (`apt-get install chromium`)")

_FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update", "--enable-logging=stderr"),
)


@dataclass(frozen=True, kw_only=True)
class Visit:
    """What a page left: its document after all scripts ran, console lines, and what `ask` evaluated to."""

    document: str
    console: tuple[str, ...]
    answer: Any


def visit(page: Path, ask: str = "null", *, milliseconds: int = 20_000, picture: Path | None = None) -> Visit:
    """Open the page, wait until it is drawn, evaluate the JavaScript function body `ask`, and close it.

    `picture` gets a screenshot instead of an answer. The page's own file stays as it is.
    """
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "page.html"
        script = (
            "<script>(function wait() { if (document.body.dataset.ready !== 'all') return setTimeout(wait, 20);"
            f" const answer = (() => {{ {ask if 'return' in ask else f'return {ask}'} }})();"
            " const pre = document.createElement('pre'); pre.id = 'answer'; pre.textContent = JSON.stringify(answer);"
            " document.body.append(pre); })();</script>"
        )
        text = page.read_text("utf-8")
        copy.write_text(text if picture else text.replace("</body>", f"{script}</body>"), "utf-8")
        how = [f"--screenshot={picture}", "--window-size=1300,2400"] if picture else ["--dump-dom"]
        done = subprocess.run(
            [
                BROWSER,
                *_FLAGS,
                f"--user-data-dir={folder}/profile",
                f"--virtual-time-budget={milliseconds}",
                *how,
                copy.as_uri(),
            ],
            capture_output=True,
            text=True,
            timeout=480,
            check=True,
        )
    console = tuple(line for line in done.stderr.splitlines() if ":CONSOLE:" in line)
    answer = re.search(r'<pre id="answer">(.*?)</pre>', done.stdout, re.DOTALL)
    unescaped = answer[1].replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&") if answer else "null"
    return Visit(document=done.stdout, console=console, answer=json.loads(unescaped))
