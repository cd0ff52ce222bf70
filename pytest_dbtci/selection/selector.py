"""Choose the nodes of a run: dbt's selection, with the safety net under it, and a reason for each."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pytest_dbtci.dbt_client.client import Host
from pytest_dbtci.dbt_client.protocol.tree_requests import ContractChanges, LeaveOut, Select
from pytest_dbtci.dbt_client.protocol.values import Invocation
from pytest_dbtci.dbt_words import reason
from pytest_dbtci.errors import UsageError
from pytest_dbtci.manifest import BUILDABLE, Manifest
from pytest_dbtci.plan import PathChange, Reason
from pytest_dbtci.selection import nodes as selection
from pytest_dbtci.selection.evidence import Affected, Evidence
from pytest_dbtci.selection.path_changes import explain_paths
from pytest_dbtci.selection.safety_net import find_affected

_MODIFIED = re.compile(r"\bstate:modified(?![\w.])")
_UNMODIFIED = re.compile(r"\bstate:unmodified(?![\w.])")
_NAMED = "selector:"


@dataclass(frozen=True, kw_only=True)
class Choice:
    """What is chosen, each node with its reason; what became of every changed path; what else to say.

    `changed` are all nodes and sources that changed by themselves, chosen or not. `left_out` are the nodes that would
    be chosen if their formatting, or that of what they read, counted.
    """

    reasons: Mapping[str, Reason]
    changed: frozenset[str] = frozenset()
    left_out: Mapping[str, Reason] = field(default_factory=dict)
    changes: tuple[PathChange, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Chooser:
    """Ask dbt, in the host's `head` tree, with `invocation`; `state` is the folder of the base's manifest.json.

    `work` is a folder for what dbt has to be given as files. `formatted` finds the nodes that changed in their
    formatting alone, where the run leaves them out.
    """

    host: Host
    invocation: Invocation
    state: Path
    work: Path
    formatted: Callable[[Evidence, Affected], frozenset[str]] = lambda evidence, affected: frozenset()

    def choose(self, evidence: Evidence, select: str, exclude: str) -> Choice:
        """Choose from a base and a head; `evidence.modified` is replaced by what dbt says."""
        said = self._ask("state:modified", state=str(self.state), indirect="empty", own=True)
        evidence = _with(evidence, frozenset(said))
        affected = find_affected(evidence)
        same = self.formatted(evidence, affected)
        whole, affected = affected, affected.without(same)
        head = evidence.head
        roots = frozenset(head.nodes) if affected.everything else frozenset(affected.reasons)
        chosen = self._chosen(select, exclude, roots, said, head)
        every = self._chosen(select, exclude, roots | same, said, head) if same else chosen
        reasons = {u: self._reason(u, affected, head) for u in chosen if _is_built(u, head)}
        read = {u for u in chosen if u in head.nodes and any(c in reasons for c in head.children.get(u, ()))}
        left = {u: _left_out(u, whole, same, head) for u in every if _is_built(u, head) and u not in reasons}
        changes = explain_paths(evidence, whole, frozenset(reasons) | read, same)
        contracts = (" ".join(text.split()) for text in self.host.ask(ContractChanges()))
        notes = (*_notes(affected, evidence, str(self.state)), *contracts)
        return Choice(reasons=reasons, changed=roots, left_out=left, changes=changes, notes=notes)

    def choose_of_new(self, evidence: Evidence, select: str, exclude: str) -> Choice:
        """Choose where the base has no such project: every node is new."""
        head = evidence.head
        roots = frozenset(u for u, n in head.nodes.items() if n.resource_type != "operation")
        chosen = self._chosen(select, exclude, roots, tuple(roots), head)
        reason = Reason(kind="new", text="new: the base has no such dbt project")
        inside = evidence.project.package_of
        changes = tuple(
            PathChange(path=c.path, status=c.status)
            if inside(c.path)
            else PathChange(path=c.path, status=c.status, effect="none", note="outside the dbt project")
            for c in evidence.changes
        )
        reasons = {u: reason for u in chosen if _is_built(u, head)}
        return Choice(reasons=reasons, changed=roots, changes=changes)

    def _chosen(self, select: str, exclude: str, *known: Any) -> list[str]:
        try:
            return self._find(select, exclude, *known)
        except UsageError as error:
            given = f"--dbt-ci-select {select!r}" + (f" --dbt-ci-exclude {exclude!r}" if exclude else "")
            raise UsageError(f"dbt refuses {given}: {reason(str(error))}\nTry it out with `dbt ls --select`.") from None

    def _find(
        self, select: str, exclude: str, roots: frozenset[str], said: tuple[str, ...], head: Manifest
    ) -> list[str]:
        words, names = _split(select, "--dbt-ci-select")
        unwanted, unwanted_names = _split(exclude, "--dbt-ci-exclude")
        marks = {"modified": tuple(sorted(roots))}
        if _UNMODIFIED.search(select + exclude):
            marks["unmodified"] = tuple(sorted(head.nodes.keys() - roots))
        found: dict[str, None] = {}
        if words or not names:
            state = self._state_for(words, unwanted)
            found.update(dict.fromkeys(self._ask(words, exclude=unwanted, marks=marks, state=state)))
        # Selected by itself, what is to be left out has to name something; dbt takes any exclusion.
        left_out = self._ask(unwanted, marks=marks, state=self._state_for(unwanted, "")) if unwanted else ()
        if not names and not unwanted_names:
            return list(found)
        state = self._host_state(roots, said, head)
        for name in names:
            found.update(dict.fromkeys(self._ask("", selector=name, state=state)))
        for unique_id in left_out if names else ():
            found.pop(unique_id, None)
        for name in unwanted_names:
            for unique_id in self._ask("", selector=name, state=state):
                found.pop(unique_id, None)
        return list(found)

    def _state_for(self, select: str, exclude: str) -> str:
        """Return the state folder where the selection compares with it in a way that no mark stands for."""
        rest = _marked(select) + _marked(exclude)
        return str(self.state) if "state:" in rest and (self.state / "manifest.json").is_file() else ""

    def _host_state(self, roots: frozenset[str], said: tuple[str, ...], head: Manifest) -> str:
        """Return a state folder by which dbt itself finds what the net caught: the base without these nodes."""
        missed = tuple(sorted(roots - frozenset(said)))
        if not (self.state / "manifest.json").is_file():
            return ""
        if not missed:
            return str(self.state)
        manifest_file, into = str(self.state / "manifest.json"), str(self.work / "state")
        return self.host.ask(LeaveOut(manifest_file=manifest_file, unique_ids=missed, into=into))

    def _ask(
        self,
        select: str,
        *,
        exclude: str = "",
        selector: str = "",
        state: str = "",
        indirect: str = "",
        marks: Mapping[str, tuple[str, ...]] | None = None,
        own: bool = False,
    ) -> tuple[str, ...]:
        return self.host.ask(
            Select(
                tree="head",
                invocation=self.invocation,
                select=_marked(select) if marks is not None else select,
                exclude=_marked(exclude),
                selector=selector,
                state=state,
                indirect=indirect,
                marks=marks,
                own=own,
            )
        )

    def _reason(self, unique_id: str, affected: Affected, head: Manifest) -> Reason:
        if unique_id in affected.reasons:
            return affected.reasons[unique_id]
        return affected.everything or selection.downstream_reason(unique_id, affected.reasons, head)


def _marked(selector: str) -> str:
    return _UNMODIFIED.sub("tag:dbtci_unmodified", _MODIFIED.sub("tag:dbtci_modified", selector))


def _split(selector: str, option: str) -> tuple[str, list[str]]:
    """Part a selection into what dbt's --select takes and the names of selectors from selectors.yml."""
    words = selector.split()
    names = [w.removeprefix(_NAMED) for w in words if w.startswith(_NAMED) and "," not in w and not w.endswith("+")]
    rest = [w for w in words if w.removeprefix(_NAMED) not in names or not w.startswith(_NAMED)]
    if wrong := next((w for w in rest if _NAMED in w), ""):
        raise UsageError(
            f"{option} {wrong}: a named selector stands alone, without graph operators or intersections. "
            f"Write {_NAMED}NAME, and the rest into its definition in selectors.yml."
        )
    return " ".join(rest), names


def _is_built(unique_id: str, head: Manifest) -> bool:
    return unique_id in head.nodes and head.nodes[unique_id].resource_type in BUILDABLE


def _with(evidence: Evidence, modified: frozenset[str]) -> Evidence:
    return replace(evidence, modified=modified)


def _left_out(unique_id: str, affected: Affected, same: frozenset[str], head: Manifest) -> Reason:
    if unique_id in same:
        return Reason(kind="formatting", text="formatting only", files=affected.reasons[unique_id].files)
    reason = selection.downstream_reason(unique_id, {u: affected.reasons[u] for u in same}, head)
    return Reason(kind="formatting", text=f"{reason.text}, formatting only")


def _notes(affected: Affected, evidence: Evidence, state: str) -> tuple[str, ...]:
    head = evidence.head
    notes = [*affected.notes, *(text for text in head.unmatched if text not in evidence.base.unmatched)]
    if affected.everything:
        notes.insert(0, f"every node {affected.everything}")
    names = [head.nodes[u].name for u in affected.unexplained if _is_built(u, head)]
    if names:
        shown = ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
        many = "nodes differ" if len(names) > 1 else "node differs"
        notes.append(
            f"{len(names)} {many} from the manifest in {state}, but no changed file explains it: left out ({shown})"
        )
    return tuple(notes)
