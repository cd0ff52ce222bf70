"""Which repository this is: the same for every clone, on every machine, whatever the address says besides."""

from __future__ import annotations

import re
from pathlib import Path

from pytest_dbtci.git.merge_base import remote
from pytest_dbtci.git.process import Git

# What these serve over SSH stands under another name than over HTTPS.
_HOSTS = {
    "ssh.github.com": "github.com",
    "altssh.gitlab.com": "gitlab.com",
    "altssh.bitbucket.org": "bitbucket.org",
    "ssh.dev.azure.com": "dev.azure.com",
}
# These read the letters of a path in either case.
_FOLDING = ("github.com", "gitlab.com", "bitbucket.org", "dev.azure.com")
_PORTS = {"ssh": "22", "https": "443", "http": "80", "git": "9418"}


def identity(git: Git) -> str:
    """Return the address of the remote that pull requests go to, normalised; see `normalise`.

    A repository without a remote is known by its folder and its first commit: a copy of it elsewhere is another one.
    """
    where = remote(git)
    address = git.ask("ls-remote", "--get-url", where) if where else None
    if address:
        return normalise(address, git.directory)
    folder = Path(git("rev-parse", "--path-format=absolute", "--git-common-dir")).resolve()
    first = (git.ask("rev-list", "--max-parents=0", "HEAD") or "").split("\n")[-1]
    return f"{folder.parent if folder.name == '.git' else folder} ({first[:12] or 'no commit'})"


def normalise(address: str, directory: Path) -> str:
    """Return `host/path` without credentials, protocol and `.git`; a local remote's absolute path.

    `https://TOKEN@github.com/Org/shop.git` and `git@github.com:org/shop` are one. A port other than the protocol's own
    stays, as another server may listen there; so do the letters' cases where the host is not known to fold them.
    """
    url = re.fullmatch(r"([a-z][a-z0-9+.-]*)://(?:[^/]*@)?(\[[^]]*\]|[^/:]*)(?::(\d*))?/*(.*)", address, re.IGNORECASE)
    scp = re.fullmatch(r"(?:[^/:]+@)?(\[[^]]*\]|[^/:@\\]{2,}):(?!//)/*(.+)", address)
    if url and url[1].lower() != "file":
        scheme, host, port, path = url[1].lower(), url[2].lower(), url[3] or "", url[4]
    elif scp and not url:
        scheme, host, port, path = "ssh", scp[1].lower(), "", scp[2]
    else:
        path = url[4] if url else address
        return str((directory / ("/" + path if url else path)).resolve())
    known = _HOSTS.get(host)
    port = "" if known or port == _PORTS.get(scheme.removeprefix("git+")) else port
    host = known or host
    path = re.sub(r"(\.git)?/*$", "", path.split("?")[0].split("#")[0])
    host, path = _azure(host, path)
    place = f"{host}{':' + port if port else ''}/{path}"
    return place.lower() if host in _FOLDING else place


def _azure(host: str, path: str) -> tuple[str, str]:
    """Return Azure's one form, `dev.azure.com/ORGANISATION/PROJECT/REPOSITORY`, for its four."""
    old = re.fullmatch(r"([^.]+)\.visualstudio\.com", host)
    if host != "dev.azure.com" and not old:
        return host, path
    if old and old[1] not in ("vs-ssh", "ssh"):
        path = f"{old[1]}/{re.sub('^DefaultCollection/', '', path, flags=re.IGNORECASE)}"
    parts = [p for p in re.sub(r"^v\d+/", "", path).split("/") if p != "_git"]
    return "dev.azure.com", "/".join([parts[0], parts[1], parts[1]] if len(parts) == 2 else parts)
