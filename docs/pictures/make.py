"""Take the README's pictures of a real run, in a real browser: `make pictures` (needs Chromium on the PATH).

The example's pull request, with a mistake in it, is validated; what pytest prints, and the Markdown of the pull
request's comment, become two PNG files in this folder.
"""

from __future__ import annotations

import html
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from markdown_it import MarkdownIt
from PIL import Image

from examples import demo

HERE = Path(__file__).parent
OPTIONS = (
    *("--dbt-ci", "--dbt-ci-pr=1066", "--dbt-ci-target=ci", "--dbt-ci-defer-target=prod", "--dbt-ci-compare=auto"),
    *("-v", "--color=yes"),
)
PROMPT = "\x1b[32m$\x1b[0m pytest --dbt-ci --dbt-ci-target=ci --dbt-ci-defer-target=prod --dbt-ci-compare=auto -v\n"
COLUMNS = 118

_UNTOLD = re.compile(r"rootdir:|configfile:|plugins:|dbt-ci: summary in|dbt-ci: \d+ of \d+ nodes,")
"""Beginnings of lines that are about the machine, or say how far a slow one has come."""

_SIGNS = {"❌": "#cf222e", "✅": "#1a7f37", "⚠️": "#bf8700", "⏭️": "#6e7781"}
"""Emoji that the browser may have no font for, and the colour of the dot that is drawn instead."""

_COLOURS = {"31": "#ff7b72", "32": "#56d364", "33": "#e3b341", "34": "#79c0ff", "35": "#d2a8ff", "36": "#56d4dd"}
_PAGE = """<!doctype html><meta charset="utf-8"><style>
body {{ margin: 0; }}
{style}
</style><body>{body}</body>"""
_TERMINAL = """
body { background: #0d1117; color: #e6edf3; }
pre { font: 13px/1.35 "DejaVu Sans Mono", "Liberation Mono", monospace; margin: 0; padding: 14px 18px; }
pre { white-space: pre-wrap; }
"""
_COMMENT = """
body { background: #fff; color: #1f2328; padding: 14px; }
body { font: 14px/1.5 "DejaVu Sans", "Liberation Sans", Arial, sans-serif; }
article { border: 1px solid #d0d7de; border-radius: 6px; padding: 0 16px 8px; }
h1, h2, h3 { border-bottom: 1px solid #d0d7de; padding-bottom: .3em; font-size: 18px; } h3 { font-size: 15px; }
table { border-collapse: collapse; margin: 0 0 14px; } th, td { border: 1px solid #d0d7de; padding: 4px 10px; }
tr:nth-child(2n) { background: #f6f8fa; } th { background: #fff; }
code { background: #eff1f3; border-radius: 5px; padding: .15em .35em; font: 12px "DejaVu Sans Mono", monospace; }
pre { background: #f6f8fa; border-radius: 6px; padding: 12px; overflow: hidden; } pre code { padding: 0; }
"""


def main() -> None:
    """Make the example, validate it, and write terminal.png and comment.png."""
    with tempfile.TemporaryDirectory() as folder:
        directory = Path(folder, "dogs")
        demo.make_repository(directory)
        demo.release(directory)
        demo.open_pull_request(directory)
        _make_a_mistake(directory)
        printed, comment = _validate(directory, Path(folder, "comment.md"))
    body = "".join(_spans(PROMPT + printed))
    _shoot(_PAGE.format(style=_TERMINAL, body=f"<pre>{body}</pre>"), HERE / "terminal.png", 980)
    # GitHub draws the graph; a browser alone shows its text.
    comment = re.sub(r"### Lineage\n.*?\n(?=### )", "", comment, flags=re.DOTALL)
    body = MarkdownIt("commonmark", {"html": True}).enable("table").render(comment)
    for sign, colour in _SIGNS.items():
        body = body.replace(sign, f'<span style="color: {colour}">●</span>')
    _shoot(_PAGE.format(style=_COMMENT, body=f"<article>{body}</article>"), HERE / "comment.png", 980)


def _make_a_mistake(directory: Path) -> None:
    """Join so that one stay comes twice."""
    path = directory / "models" / "staging" / "fact_dogs.sql"
    path.write_text(path.read_text() + "left join (values (1017), (1017)) as twice (stay) on twice.stay = stay_id\n")
    demo.git(directory, "commit", "--quiet", "--all", "--message=Join")


def _validate(directory: Path, summary: Path) -> tuple[str, str]:
    """Return what pytest prints, and the comment's text."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("GITHUB_", "TF_", "BUILD_", "CI"))}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *OPTIONS, f"--dbt-ci-summary={summary}"],
        cwd=directory,
        env={**environment, "COLUMNS": str(COLUMNS), "DBT_PROFILES_DIR": str(directory)},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 1:
        raise SystemExit(
            f"the run was to fail by one test, and ended with {done.returncode}:\n{done.stdout}{done.stderr}"
        )
    lines = done.stdout.replace(str(directory) + os.sep, "").splitlines(keepends=True)
    begin = next(i for i, line in enumerate(lines) if line.startswith("dbt-ci: PR"))
    shown = [line for line in lines[begin:] if not _UNTOLD.match(line)]
    return "".join(shown), summary.read_text(encoding="utf-8")


def _spans(text: str) -> Iterator[str]:
    """Yield HTML for text with the colours that a terminal is told."""
    style: dict[str, str] = {}
    for part in re.split(r"(\x1b\[[\d;]*m)", text):
        if not part.startswith("\x1b"):
            look = ";".join(f"{name}:{value}" for name, value in style.items())
            yield f'<span style="{look}">{html.escape(part)}</span>'
            continue
        for code in part[2:-1].split(";"):
            if code in ("", "0"):
                style.clear()
            elif code == "1":
                style["font-weight"] = "bold"
            elif code in _COLOURS:
                style["color"] = _COLOURS[code]


def _shoot(page: str, picture: Path, width: int) -> None:
    """Write a picture of the whole page."""
    browser = next((b for n in ("chromium", "chromium-browser", "google-chrome") if (b := shutil.which(n))), None)
    if browser is None:
        raise SystemExit("there is no Chromium on the PATH (`apt-get install chromium`)")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "page.html")
        measure = "<script>document.title = document.documentElement.scrollHeight</script>"
        file.write_text(page.replace("</body>", f"{measure}</body>"), encoding="utf-8")
        flags = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--disable-lcd-text"]
        command = [browser, *flags, f"--user-data-dir={folder}/profile", "--virtual-time-budget=2000"]
        dumped = subprocess.run(
            [*command, f"--window-size={width},200", "--dump-dom", file.as_uri()],
            capture_output=True,
            text=True,
            check=True,
        )
        height = re.search(r"<title>(\d+)</title>", dumped.stdout)
        assert height is not None, dumped.stdout[:500]
        size = f"--window-size={width},{int(height[1]) + 2}"
        subprocess.run([*command, size, f"--screenshot={picture}", file.as_uri()], capture_output=True, check=True)
    with Image.open(picture) as drawn:
        drawn.convert("RGB").quantize(128, method=Image.Quantize.MAXCOVERAGE).save(picture, optimize=True)
    print(f"{picture.name}: {picture.stat().st_size // 1000} kB")


if __name__ == "__main__":
    main()
