"""What a plugin of the user's wants changed in a selection: nodes added, nodes vetoed, each with its reason."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from pytest_dbtci.errors import UsageError
from pytest_dbtci.manifest import BUILDABLE, Manifest
from pytest_dbtci.plan import Reason
from pytest_dbtci.selection.selector import Choice


@dataclass(frozen=True, kw_only=True)
class Add:
    """Build a node, by name or unique_id, although the pull request does not touch it."""

    node: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class Veto:
    """Don't validate a node, by name or unique_id; the plan's notes say so, and why."""

    node: str
    reason: str


def adjust(choice: Choice, wishes: Iterable[object], head: Manifest) -> Choice:
    """Apply the wishes, vetoes last; UsageError for a node that the project does not have.

    A vetoed node that something selected reads is deferred, or built where it can't be. Tests of a vetoed model
    are vetoed with it.
    """
    reasons, notes = dict(choice.reasons), list(choice.notes)
    for wish in sorted(wishes, key=lambda w: isinstance(w, Veto)):
        if not isinstance(wish, Add | Veto):
            raise UsageError(f"a plugin's pytest_dbtci_select gives {wish!r}, which is neither an Add nor a Veto.")
        for unique_id in _find(wish.node, head):
            if isinstance(wish, Add):
                reasons.setdefault(unique_id, Reason(kind="selected", text=wish.reason))
            elif reasons.pop(unique_id, None) is not None:
                lost = [u for u in head.children.get(unique_id, ()) if head.nodes[u].attached == unique_id]
                lost += [u for u in head.children.get(unique_id, ()) if head.nodes[u].resource_type == "unit_test"]
                tests = sum(reasons.pop(u, None) is not None for u in dict.fromkeys(lost))
                along = f" with {tests} test{'s' * (tests != 1)}" if tests else ""
                notes.append(f"{head.nodes[unique_id].name} is left out{along}: {wish.reason}")
    return replace(choice, reasons=reasons, notes=tuple(notes))


def _find(name: str, head: Manifest) -> list[str]:
    found = [u for u, n in head.nodes.items() if name in (u, n.name) and n.resource_type in BUILDABLE]
    if not found:
        raise UsageError(f"a plugin's pytest_dbtci_select names {name!r}, which is no node of this dbt project.")
    return found
