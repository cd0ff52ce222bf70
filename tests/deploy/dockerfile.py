"""Carry out a Dockerfile without an engine: the same steps, in a folder instead of a container."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

# What only makes sense inside a container, and leaves nothing in the files.
SKIPPED = ("useradd ",)


@dataclass(kw_only=True)
class Image:
    """Hold the folder that stands for `/` below `/dbt`, and what the last stage says of the container."""

    root: Path
    environment: dict[str, str] = field(default_factory=dict)
    arguments: dict[str, str] = field(default_factory=dict)
    folder: str = "/"
    user: str = "root"
    entrypoint: list[str] = field(default_factory=list)
    stop_signal: str = "SIGTERM"

    def inside(self, text: str) -> str:
        """Return the text with the image's absolute paths made paths of the folder."""
        return re.sub(r"(?<![\w./])/dbt\b", f"{self.root}/dbt", text)

    def path(self, name: str) -> Path:
        """Return where a path of the image lies, seen from its working folder."""
        return Path(self.inside(os.path.join(self.folder, name)))  # noqa: PTH118 - an image's path


def instructions(dockerfile: Path) -> Iterator[tuple[str, str]]:
    """Yield each instruction with its text, continued lines joined, comments left out."""
    lines = [line for line in dockerfile.read_text().splitlines() if line and not line.startswith("#")]
    for line in "\n".join(lines).replace("\\\n", " ").splitlines():
        name, _, text = line.partition(" ")
        yield name, text.strip()


def build(dockerfile: Path, *, context: Path, root: Path, **arguments: str) -> Image:
    """Carry out every instruction; an unknown one is a ValueError, a failing RUN a CalledProcessError."""
    image = Image(root=root)
    for name, text in instructions(dockerfile):
        if name == "FROM":
            image = Image(root=root)
        elif name == "WORKDIR":
            image.folder = text
            image.path(".").mkdir(parents=True, exist_ok=True)
        elif name == "ARG":
            argument, _, default = text.partition("=")
            image.arguments[argument] = arguments.get(argument, default)
        elif name == "ENV":
            for pair in text.split():
                variable, _, value = pair.partition("=")
                image.environment[variable] = value
        elif name == "COPY":
            _copy(image, context, text)
        elif name == "RUN":
            _run(image, text)
        elif name == "USER":
            image.user = text
        elif name == "STOPSIGNAL":
            image.stop_signal = text
        elif name == "ENTRYPOINT":
            image.entrypoint = [image.inside(part) for part in json.loads(text)]
        else:
            raise ValueError(f"{dockerfile}: {name} is not carried out here")
    return image


def _copy(image: Image, context: Path, text: str) -> None:
    """Copy from the context; what a later stage takes from an earlier one lies in the folder already."""
    if text.startswith("--from="):
        return
    for argument, value in image.arguments.items():
        text = text.replace("${" + argument + "}", value)
    *sources, target = text.split()
    for source in sources:
        if (context / source).is_dir():
            shutil.copytree(context / source, image.path(target), dirs_exist_ok=True)
        else:
            shutil.copy(context / source, image.path(target))


def _run(image: Image, command: str) -> None:
    if command.startswith(SKIPPED):
        return
    path = f"{Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/bin"
    kept = {name: value for name, value in os.environ.items() if name.startswith("PIP_")}
    environment = {**kept, **image.environment, "PATH": path, "HOME": str(image.root)}
    subprocess.run(["sh", "-ec", image.inside(command)], cwd=image.path("."), env=environment, check=True)
