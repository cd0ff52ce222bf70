"""The two trees that are compared: the base, parsed or given as a manifest, and the head."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pytest_dbtci.dbt_client.client import Host
from pytest_dbtci.dbt_client.protocol.tree_requests import Parse, Read
from pytest_dbtci.dbt_client.protocol.values import Invocation
from pytest_dbtci.dbt_words import reason
from pytest_dbtci.errors import UsageError
from pytest_dbtci.manifest import READABLE, Manifest
from pytest_dbtci.planning.base_manifest import BASE, Base, ParsedBase
from pytest_dbtci.project.profile import Profile
from pytest_dbtci.project.project import Project
from pytest_dbtci.selection.macro_reach import Macros


@dataclass(frozen=True, kw_only=True)
class Trees:
    """Parse with `invocation` in the host; `tell` says what was done."""

    host: Host
    project: Project
    profile: Profile
    invocation: Invocation
    tell: Callable[[str], None]

    def parse_base(self, base: Base) -> ParsedBase | None:
        """Parse the base, or find it parsed; None where it has no such project."""
        if not base.exists():
            return None
        try:
            found = base.parse(BASE, self.profile, self.profile.target, self.invocation)
        except UsageError:
            # A fault of the profile or the environment shows in both trees: then it is not the base's.
            self._parse()
            raise
        self.tell("base: cached" if found.cached else "base: parsed")
        return found

    def read_state(self, folder: Path) -> ParsedBase:
        """Read the manifest that another run of dbt wrote; UsageError where there is none or it is unreadable."""
        folder = folder.parent if folder.name == "manifest.json" else folder
        if not (folder / "manifest.json").is_file():
            raise UsageError(f"--dbt-ci-state: there is no manifest.json in {folder}. Name the folder that holds it.")
        try:
            manifest = self.host.ask(Read(folder=str(folder)))
        except UsageError as error:
            raise UsageError(f"--dbt-ci-state: {error}\nWrite it anew with this dbt: `dbt parse`.") from None
        return ParsedBase(folder=folder, manifest=manifest, cached=False)

    def parse_head(self, before: ParsedBase | None) -> Manifest:
        """Parse the head, as far as possible from the base's own parse."""
        partial = before.folder / "partial_parse.msgpack" if before else None
        if before is None or partial is None or not partial.is_file():
            return self._parse()
        head = self._parse(str(partial), known=True).completed(before.manifest)
        if head.parsed == "partly" and _may_be_stale(before.manifest, head):
            # dbt does not look again at unchanged files.
            head = self._parse()
        self.tell("head: parsed where it differs" if head.parsed == "partly" else "head: parsed in full")
        return head

    def _parse(self, partial_parse: str = "", *, known: bool = False) -> Manifest:
        try:
            return self.host.ask(
                Parse(
                    tree="head",
                    invocation=self.invocation,
                    partial_parse=partial_parse,
                    packages_dir=self.project.packages_dir,
                    write=False,
                    shared=True,
                    known=known,
                )
            )
        except UsageError as error:
            raise UsageError(f"dbt can't parse the project: {reason(str(error))}") from None


def _may_be_stale(base: Manifest, head: Manifest) -> bool:
    """Whether something in an unchanged file can mean another macro, node, source or doc block than in the base.

    What reads a node that is disabled now dbt refuses only where it parses the reader.
    """
    if head.disabled.keys() - base.disabled.keys():
        return True
    then, now = _packages_by_name(base), _packages_by_name(head)
    shared = (then[n] != now[n] and len(then[n] | now[n]) > 1 for n in then.keys() & now.keys())
    return any(shared) or Macros(base, head).may_be_parsed_stale()


def _packages_by_name(manifest: Manifest) -> dict[tuple[str, str], set[str]]:
    """Map the names by which models, sources and doc blocks are referred to to the packages that have one."""
    found: dict[tuple[str, str], set[str]] = {}
    for unique_id in (*manifest.nodes, *manifest.docs):
        kind, package, name = unique_id.split(".", 2)
        found.setdefault(("ref" if kind in READABLE else kind, name), set()).add(package)
    return found
