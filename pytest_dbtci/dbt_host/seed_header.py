"""Columns of a seed that agate, which reads the CSV file for dbt, gives other names than the file does."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any


def renamed_columns(node: Any) -> str:
    """Return which columns of a seed are built under another name than its header has; empty where none is."""
    # dbt has imported it by now.
    from agate.utils import deduplicate

    path = Path(node.root_path or "", node.original_file_path)
    with path.open(encoding="utf-8-sig", newline="") as file:
        header = next(csv.reader(file, delimiter=node.config.delimiter), [])
    named = deduplicate(header, column_names=True)
    told = [
        f"column {place} {f'repeats the name {was}' if was else 'has no name'} and is built as {now}"
        for place, (was, now) in enumerate(zip(header, named, strict=True), 1)
        if was != now
    ]
    return f"{path.name}: {', '.join(told)}; name each column once in its first line" if told else ""
