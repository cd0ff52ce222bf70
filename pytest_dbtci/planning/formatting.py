"""Find what changed in its formatting alone, so that neither it nor what reads it has to be built."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pytest_dbtci.dbt_client.client import Host
from pytest_dbtci.dbt_client.protocol.tree_requests import CompareFormatting
from pytest_dbtci.dbt_client.protocol.values import Invocation
from pytest_dbtci.git.repository import Repository
from pytest_dbtci.project.project import Project
from pytest_dbtci.selection.evidence import Affected, Evidence

_COMMENTS_AND_BLANKS = re.compile(r"--[^\n]*|/\*.*?\*/|\{#.*?#\}|\s+", re.DOTALL)


@dataclass(frozen=True, kw_only=True)
class Formatting:
    """Compare with the files of the base, whose commit is `commit`; `invocation` is what the head is parsed with."""

    host: Host
    project: Project
    repository: Repository
    commit: str
    invocation: Invocation
    work: Path

    def find(self, evidence: Evidence, affected: Affected) -> frozenset[str]:
        """Return the nodes whose own file is all that changed of them, and compiles to the same tokens as before."""
        before = {} if affected.everything else dict(self._asked(evidence, affected))
        if not before:
            return frozenset()
        return frozenset(self.host.ask(CompareFormatting(tree="head", invocation=self.invocation, before=before)))

    def _asked(self, evidence: Evidence, affected: Affected) -> Iterator[tuple[str, str]]:
        """Yield what may be such a node by a glance at its file, which spares most the cost of compiling, and the text
        of before."""
        changed = [c.path for c in evidence.changes if c.status == "modified" and c.path.endswith(".sql")]
        if changed:
            self.repository.checkout(self.commit, self.work / "before", changed)
        before = {path: _read(self.work / "before" / path) for path in changed}
        alike = {p for p, t in before.items() if t and _glanced(t) == _glanced(_read(self.repository.root / p))}
        for unique_id, reason in affected.reasons.items():
            node = evidence.head.nodes[unique_id]
            own = self.project.place(node.package, node.file)
            causes = {path for path, found in affected.by_path.items() if unique_id in found}
            if reason.text == "modified: body" and own in alike and causes == {own}:
                yield unique_id, before[own]


def _read(file: Path) -> str:
    """Return the file's text, as dbt takes it for a node's, ends of lines included; empty if there is none."""
    return file.read_bytes().decode("utf-8", "replace").strip() if file.is_file() else ""


def _glanced(text: str) -> str:
    """Return the text without comments, white space and letters' case; what Jinja trims counts as white space."""
    return _COMMENTS_AND_BLANKS.sub("", text.replace("{%-", "{%").replace("-%}", "%}")).lower()
