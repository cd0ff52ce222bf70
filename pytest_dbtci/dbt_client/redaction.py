"""Keep credentials out of everything that is shown or written: they become `***` in the words of dbt and warehouse."""

from __future__ import annotations

import json
import re
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus, unquote

from pytest_dbtci.errors import DbtCiError

STARS = "***"

_VARIABLE = re.compile(
    r"^DBT_ENV_SECRET|(TOKEN|PASSWORD|PASSWD|PASSPHRASE|SECRET|CREDENTIAL|_PWD?|_PASS|_PAT|_JWT"
    r"|(API|ACCESS|PRIVATE|ACCOUNT|SECRET|SIGNING|ENCRYPTION|MASTER|STORAGE|DEPLOY|SSH)_?KEY"
    r"|WEBHOOK(_UR[LI])?)(S|_?V?\d+|_(ID|VALUE|TEXT|JSON|PEM|B64|BASE64))*$",
    re.IGNORECASE,
)
"""Names of environment variables that hold a secret: the CI provider's tokens, the cloud's keys, anybody's password."""

_FIELD = re.compile(
    r"pass|pwd|secret|token|credential|(access|private|account|encryption|signing)_?key|key_?id|api_?key|request_data|keyfile_json",
    re.IGNORECASE,
)
_NO_SECRET = re.compile(r"(_path|_file|_url|_uri|_endpoint)$", re.IGNORECASE)
_CALL = re.compile(r"\b(?P<call>env_var|var)\(\s*(['\"])(?P<name>.*?)\2\s*(?:,\s*(['\"])(?P<default>.*?)\4)?")
_SWITCH = re.compile(r"\d{1,3}|true|false|yes|no|on|off|none|null|file|env|default", re.IGNORECASE)
_IN_ADDRESS = re.compile(
    r"://[^\s/@:{}]*:(?P<user>(?:\{\{.*?\}\}|[^\s/@])+)@"
    r"|(?P<name>\w*(?:pass|pwd|secret|token|credential|(?:access|account|api)_?key)\w*)\s*=\s*"
    r"(?P<quote>['\"])?(?P<named>\{\{.*?\}\}|(?(quote)[^'\"]+|[^\s&;,'\"]+))",
    re.IGNORECASE,
)
"""A password in an address or a connection string, such as `postgres://me:PASSWORD@host` or `md:db?token=TOKEN`."""

# Replaced even inside a word; a shorter one could be a part of any (a user `dbt` with the password `dbt`).
_LONG = 6

# A longer one is a key's text, which has lines of its own.
_ONE_LINE = 200
_BREAK = r"(?:\s*\n\s*)?"


class Redaction:
    """Replace secrets in texts; as short as it may be, a secret is never shown as a word of its own."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        given = {secret for secret in secrets if secret.strip()}
        known = {form for secret in given for form in _forms(secret)}
        # The longest first, so that of a secret that holds another one nothing stays.
        patterns = [_pattern(form) for form in sorted(known, key=len, reverse=True)]
        patterns += [_broken(secret.strip()) for secret in given if _LONG <= len(secret.strip()) <= _ONE_LINE]
        self._pattern = re.compile("|".join(patterns)) if patterns else None
        self._long = sorted((form for form in known if len(form) >= _LONG), key=len, reverse=True)

    def text(self, text: str) -> str:
        """Return the text without secrets."""
        return self._pattern.sub(STARS, text) if self._pattern else text

    def long(self, text: str) -> str:
        """Return the text without secrets of six letters or more: for texts that are mostly our own or the user's."""
        for form in self._long:
            text = text.replace(form, STARS)
        return text

    def deep(self, value: Any) -> Any:
        """Return a JSON-ready value whose texts, but for the keys of its mappings, are without secrets."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, Mapping):
            return {key: self.deep(part) for key, part in value.items()}
        return [self.deep(part) for part in value] if isinstance(value, list | tuple) else value

    def clean(self, folder: Path) -> None:
        """Take the secrets out of all files that dbt writes into a target path; a binary one that holds any is removed.

        A secret shorter than six letters is taken out of dbt's messages, code and arguments alone: in a manifest it
        is too likely to be a part of a name.
        """
        if self._pattern is None:
            return
        for path in folder.rglob("*"):
            if path.is_file() and not path.is_symlink() and "external" not in path.relative_to(folder).parts[:1]:
                try:
                    self._clean(path)
                except OSError as error:
                    raise DbtCiError(f"{path} may hold a secret, and can't be looked through: {error}") from None

    def _clean(self, path: Path) -> None:
        content = path.read_bytes()
        try:
            text = content.decode()
        except UnicodeDecodeError:
            if self.found_in(content):
                path.unlink()
            return
        cleaned = self._of_run_results(text) if path.name == "run_results.json" else text
        cleaned = self.long(cleaned)
        if cleaned != text:
            path.write_text(cleaned, encoding="utf-8")

    def _of_run_results(self, text: str) -> str:
        try:
            data = json.loads(text)
        except json.JSONDecodeError:
            # A dbt that was killed while it wrote leaves half a file, which nobody can read.
            return ""
        before = json.dumps(data)
        for part, keys in [(data, ("args",)), *((r, ("message", "compiled_code")) for r in data.get("results", ()))]:
            part.update({key: self.deep(part[key]) for key in keys if key in part})
        after = json.dumps(data)
        return after if after != before else text

    def found_in(self, content: bytes) -> bool:
        """Whether a file of this content holds a secret of six letters or more."""
        return any(form.encode() in content for form in self._long)


def secrets_of(
    outputs: Mapping[str, Any], environ: Mapping[str, str], variables: Mapping[str, Any] | None = None
) -> frozenset[str]:
    """Return the secrets that a profile and the environment hold.

    These are the values of environment variables and of the profile's fields that are named like a secret, and the
    passwords in addresses, of variables whatever their name: literal, from the environment, from `variables` (dbt's
    vars), or what Jinja makes of them.
    """
    found = {v for n, v in environ.items() if _VARIABLE.search(n) and not _SWITCH.fullmatch(v)}
    # A shell's function, which the environment can hold as well, has variables where an address has a password.
    addressed = (secret for value in environ.values() for secret in _in_addresses(value))
    found.update(secret for secret in addressed if len(secret) >= _LONG and "$" not in secret)
    for field in _fields(outputs):
        calls = list(_CALL.finditer(field))
        for call in calls:
            given = environ if call["call"] == "env_var" else variables or {}
            value = given.get(call["name"], call["default"])
            found.add("" if value is None else str(value))
        found.add(_rendered(field, environ, variables or {}) if calls else field)
    found.update([secret for text in found for secret in _in_json(text)])
    return frozenset(s for s in found if s.strip())


def _rendered(text: str, environ: Mapping[str, str], variables: Mapping[str, Any]) -> str:
    """Return what Jinja makes of the text; empty where that takes more than variables and Jinja's own filters."""
    from jinja2 import Environment, StrictUndefined, TemplateError

    jinja = Environment(undefined=StrictUndefined)
    jinja.filters |= {f"as_{kind}": lambda value: value for kind in ("text", "native", "number", "bool")}
    try:
        return jinja.from_string(text).render(env_var=dict(environ).get, var=dict(variables).get)
    except (TemplateError, TypeError, ValueError):
        return ""


def _fields(value: Any, name: str = "") -> Iterator[str]:
    """Walk through an output and yield what is named like a secret, and the secrets in addresses."""
    if isinstance(value, Mapping):
        for key, part in value.items():
            yield from _fields(part, str(key))
    elif isinstance(value, list):
        for part in value:
            yield from _fields(part, name)
    elif isinstance(value, str | int) and not isinstance(value, bool) and _is_secret(name):
        yield str(value)
    elif isinstance(value, str):
        yield from _in_addresses(value)


def _in_addresses(text: str) -> Iterator[str]:
    for match in _IN_ADDRESS.finditer(text):
        found = match["user"] or match["named"]
        yield from {found, unquote(found)}


def _in_json(text: str) -> Iterator[str]:
    """Yield the secrets in a JSON text, such as the key of a service account."""
    try:
        data = json.loads(text) if text.lstrip().startswith("{") else None
    except json.JSONDecodeError:
        return
    yield from _fields(data)


def _is_secret(name: str) -> bool:
    return _FIELD.search(name) is not None and _NO_SECRET.search(name) is None


def _forms(secret: str) -> Iterator[str]:
    """Yield the ways in which a secret can turn up: as it is, escaped for SQL, Python, JSON or a URL, line by line.

    So does what base64 makes of a longer one, also in the middle of a text, as in the header of a request.
    """
    lines = [line.strip() for line in secret.splitlines()]
    for text in {secret, secret.strip(), *(line for line in lines if len(line) >= _LONG)}:
        yield from (text, text.replace("'", "''"), repr(text)[1:-1], json.dumps(text)[1:-1])
        yield from (quote(text, safe=""), quote_plus(text))
    for before in range(3) if len(secret.strip()) >= _LONG else ():
        content = b"\0" * before + secret.strip().encode("utf-8", "surrogateescape")
        for coded in (b64encode(content), urlsafe_b64encode(content)):
            # Without the letters that depend on what stands before and behind it.
            yield coded.decode().rstrip("=")[before and before + 1 : -1 if len(content) % 3 else None]


def _pattern(form: str) -> str:
    exact = re.escape(form)
    return exact if len(form) >= _LONG else rf"(?<!\w){exact}(?!\w)"


def _broken(secret: str) -> str:
    """Return a pattern that finds a secret that somebody, dbt for one, broke at the end of a line."""
    return _BREAK.join(r"\s+" if c.isspace() else re.escape(c) for c in secret)
