"""Find what changed in its formatting alone, so that neither it nor what reads it has to be built."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pytest_dbtci.dbt_client.client import Host
from pytest_dbtci.dbt_client.protocol.tree_requests import CompareFormatting, Forget
from pytest_dbtci.dbt_client.protocol.values import Invocation
from pytest_dbtci.git.repository import Repository
from pytest_dbtci.planning.base_manifest import Base, ParsedBase
from pytest_dbtci.project.project import Project
from pytest_dbtci.selection.evidence import Affected, Evidence

_COMMENTS_AND_BLANKS = re.compile(r"--[^\n]*|/\*.*?\*/|\{#.*?#\}|\s+", re.DOTALL)


@dataclass(frozen=True, kw_only=True)
class Formatting:
    """Compare both trees; `invocation` is what they are parsed with, `before` the base, whose commit is `commit`."""

    host: Host
    project: Project
    repository: Repository
    commit: str
    base: Base
    before: ParsedBase
    invocation: Invocation
    work: Path

    def find(self, evidence: Evidence, affected: Affected) -> frozenset[str]:
        """Return the nodes whose own file is all that changed of them, and compiles to the same tokens as before."""
        asked = tuple(sorted(self._asked(evidence, affected)))
        if not asked or affected.everything:
            return frozenset()
        invocation, _ = self.base.parse_again("before", self.invocation, self.before.folder)
        same = self.host.ask(
            CompareFormatting(
                before="before",
                before_invocation=invocation,
                tree="head",
                invocation=self.invocation,
                unique_ids=asked,
            )
        )
        self.host.ask(Forget(trees=("before",)))
        return frozenset(same)

    def _asked(self, evidence: Evidence, affected: Affected) -> Iterator[str]:
        """Yield what may be such a node by a glance at its file: it spares most changes the cost of compiling."""
        changed = [c for c in evidence.changes if c.status == "modified" and c.path.endswith(".sql")]
        if changed:
            self.repository.checkout(self.commit, self.work / "before", [c.path for c in changed])
        alike = {
            c.path
            for c in changed
            if (text := _glanced(self.work / "before" / c.path)) and text == _glanced(self.repository.root / c.path)
        }
        for unique_id, reason in affected.reasons.items():
            node = evidence.head.nodes[unique_id]
            own = self.project.place(node.package, node.file)
            causes = {path for path, found in affected.by_path.items() if unique_id in found}
            if reason.text == "modified: body" and own in alike and causes == {own}:
                yield unique_id


def _glanced(file: Path) -> str:
    """Return the text without comments, white space and letters' case; what Jinja trims counts as white space."""
    if not file.is_file():
        return ""
    text = file.read_text(encoding="utf-8", errors="surrogateescape")
    return _COMMENTS_AND_BLANKS.sub("", text.replace("{%-", "{%").replace("-%}", "%}")).lower()
