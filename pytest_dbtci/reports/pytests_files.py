"""The files that pytest itself writes and CI providers publish: they hold what Python tests printed and compared.

A file that can't be cleaned is removed, or emptied where it can't be removed; what went wrong is returned as text.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

from pytest_dbtci.errors import next_step_of


def clean_junit(path: Path, redact: Callable[[str], str]) -> str:
    """Take secrets out of all that a JUnit file says, names too; return what is wrong, empty where nothing is.

    Where a failure's message is the beginning of its text, one line of it stays: providers show both.
    """
    try:
        if not _is_plain(path):
            return ""
        tree, is_clean = ElementTree.parse(path), True
        for element in tree.iter():
            said = {name: redact(value) for name, value in element.items()}
            text = redact(element.text or "")
            if element.tag in ("failure", "error") and text.startswith(first := said["message"].partition("\n")[0]):
                said["message"] = first
            if said != element.attrib or text != (element.text or ""):
                element.text, is_clean = text, False
                element.attrib.update(said)
        if not is_clean:
            _replace(path, ElementTree.tostring(tree.getroot(), encoding="utf-8", xml_declaration=True))
    except ElementTree.ParseError as error:
        return (
            f"what pytest wrote to {path} is no XML, so secrets can't be taken out of it ({error}): {_remove(path)}. "
            "Has a test a name for record_property or record_xml_attribute that XML does not allow?"
        )
    except OSError as error:
        return _unclean(path, error)
    return ""


def clean_text(path: Path, redact: Callable[[str], str]) -> str:
    """Take secrets out of a text file; return what is wrong, empty where nothing is."""
    try:
        text = path.read_text(encoding="utf-8", errors="surrogateescape") if _is_plain(path) else ""
        if (said := redact(text)) != text:
            _replace(path, said.encode("utf-8", "surrogateescape"))
    except OSError as error:
        return _unclean(path, error)
    return ""


def _is_plain(path: Path) -> bool:
    """Whether it is a file, not a device, a pipe, or where the output goes, such as /dev/stdout."""
    return path.is_file() and path.parts[1:2] not in (("dev",), ("proc",))


def _replace(path: Path, content: bytes) -> None:
    """Put the content in the file's place, whole; a link to the file stays one."""
    path = path.resolve()
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        beside.touch(0o600)
        shutil.copymode(path, beside)
        beside.write_bytes(content)
        beside.replace(path)
    except OSError:
        beside.unlink(missing_ok=True)
        raise


def _unclean(path: Path, error: OSError) -> str:
    return f"secrets can't be taken out of {path} ({error}): {_remove(path)}. {next_step_of(error)}"


def _remove(path: Path) -> str:
    """Remove the file, or empty it; return what became of it."""
    path = path.resolve()
    try:
        path.unlink()
    except OSError:
        try:
            os.truncate(path, 0)
        except OSError as error:
            return f"it stays, with secrets in it, as it can't be removed ({error}): do not publish it"
        return "it was emptied"
    return "it was removed"
