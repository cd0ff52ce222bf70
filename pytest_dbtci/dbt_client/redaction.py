"""Keep credentials out of everything that is shown or written: they become `***` in the words of dbt and warehouse."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

STARS = "***"

_PREFIX = "DBT_ENV_SECRET"
_VARIABLES = ("AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "PGPASSWORD")
_FIELD = re.compile(r"pass|secret|token|credential|access_key|private_key|key_?id|api_?key|request_data", re.IGNORECASE)
_NO_SECRET = re.compile(r"(_path|_file|_url|_uri|_endpoint)$", re.IGNORECASE)
_CALL = re.compile(r"\b(?P<call>env_var|var)\(\s*(['\"])(?P<name>.*?)\2\s*(?:,\s*(['\"])(?P<default>.*?)\4)?")

# Replaced even inside a word; a shorter one could be a part of any (a user `dbt` with the password `dbt`).
_LONG = 6


class Redaction:
    """Replace secrets in texts; as short as it may be, a secret is never shown as a word of its own."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        known = {form for secret in secrets if secret.strip() for form in _forms(secret)}
        # The longest first, so that of a secret that holds another one nothing stays.
        patterns = [_pattern(form) for form in sorted(known, key=len, reverse=True)]
        self._pattern = re.compile("|".join(patterns)) if patterns else None

    def text(self, text: str) -> str:
        """Give the text without secrets."""
        return self._pattern.sub(STARS, text) if self._pattern else text

    def deep(self, value: Any) -> Any:
        """Give a JSON-ready value whose texts, but for the keys of its mappings, are without secrets."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, Mapping):
            return {key: self.deep(part) for key, part in value.items()}
        return [self.deep(part) for part in value] if isinstance(value, list | tuple) else value

    def clean(self, path: Path) -> None:
        """Take the secrets out of dbt's run_results.json, if there is one: of its messages, code and arguments."""
        if self._pattern is None or not path.is_file():
            return
        text = path.read_text(encoding="utf-8")
        try:
            data = json.loads(text)
        except json.JSONDecodeError:
            # A dbt that was killed while it wrote leaves half a file, which nobody can read.
            path.unlink()
            return
        for part, keys in [(data, ("args",)), *((r, ("message", "compiled_code")) for r in data.get("results", ()))]:
            part.update({key: self.deep(part[key]) for key in keys if key in part})
        cleaned = json.dumps(data)
        if cleaned != json.dumps(json.loads(text)):
            path.write_text(cleaned, encoding="utf-8")


def secrets_of(
    outputs: Mapping[str, Any], environ: Mapping[str, str], variables: Mapping[str, Any] | None = None
) -> frozenset[str]:
    """Give the secrets that a profile and the environment hold.

    These are the values of `DBT_ENV_SECRET…` and of the profile's fields that are named like a secret: literal,
    from the environment, or from `variables` (dbt's vars).
    """
    found = {v for n, v in environ.items() if n.startswith(_PREFIX) or n in _VARIABLES}
    for field in _fields(outputs):
        calls = list(_CALL.finditer(field))
        for call in calls:
            given = environ if call["call"] == "env_var" else variables or {}
            value = given.get(call["name"], call["default"])
            found.add("" if value is None else str(value))
        if not calls:
            found.add(field)
    return frozenset(s for s in found if s.strip())


def _fields(value: Any, name: str = "") -> Iterator[str]:
    """Walk through an output and give the text of every field that is named like a secret."""
    if isinstance(value, Mapping):
        for key, part in value.items():
            yield from _fields(part, str(key))
    elif isinstance(value, list):
        for part in value:
            yield from _fields(part, name)
    elif isinstance(value, str | int) and not isinstance(value, bool) and _is_secret(name):
        yield str(value)


def _is_secret(name: str) -> bool:
    return _FIELD.search(name) is not None and _NO_SECRET.search(name) is None


def _forms(secret: str) -> Iterator[str]:
    """Give the ways in which a secret can turn up: as it is, escaped for SQL, Python, JSON or a URL, line by line."""
    lines = [line.strip() for line in secret.splitlines()]
    for text in {secret, secret.strip(), *(line for line in lines if len(line) >= _LONG)}:
        yield from (text, text.replace("'", "''"), repr(text)[1:-1], json.dumps(text)[1:-1])
        yield from (quote(text, safe=""), quote_plus(text))


def _pattern(form: str) -> str:
    exact = re.escape(form)
    return exact if len(form) >= _LONG else rf"(?<!\w){exact}(?!\w)"
