"""Who owns a schema: make a run's schemas ready, and give them up."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from datetime import timedelta

from pytest_dbtci.dbt_client.protocol.values import Mark, Opened, Owner
from pytest_dbtci.dbt_host.runner import DbtFailed
from pytest_dbtci.dbt_host.warehouses.generic import Warehouse

Place = tuple[str, str]

_TAKES = 5
"""How often a run puts its mark in place of another one that came meanwhile."""

_CREATES = re.compile(r"\bcreate\s+(?:or\s+replace\s+)?(?:transient\s+)?schema\b", re.IGNORECASE)


@dataclass(kw_only=True)
class Ownership:
    """What one run owns.

    `begun` tells that there may be such schemas, `abandoned` that the warehouse may still work for the run although
    nobody waits: for a process that is dead, or on a connection that was given up, by its numbers one of `sessions`
    where it can't be known otherwise. `opened` are
    those of the `planned` ones that this process made ready, `strangers` schemas without a mark that were there before,
    `statements` those by which dbt made schemas since.
    """

    owner: Owner
    begun: bool = False
    abandoned: bool = False
    sessions: tuple[int, ...] = ()
    opened: list[Place] = field(default_factory=list)
    planned: frozenset[Place] = frozenset()
    strangers: frozenset[Place] = frozenset()
    statements: list[str] = field(default_factory=list)

    @property
    def mark(self) -> Mark:
        """Return the mark that the run's schemas carry."""
        return self.owner.mark

    def start(self, warehouse: Warehouse) -> None:
        """Let the mark say when the run began, by the warehouse's clock, if it does not yet."""
        if not self.mark.started:
            began = warehouse.clock() - timedelta(seconds=self.owner.age)
            started = began.isoformat(timespec="microseconds")
            self.owner = replace(self.owner, mark=replace(self.mark, started=started))

    def reserve(self, warehouse: Warehouse, place: Place) -> str:
        """Create the first schema unless it exists; say whose it is where another repository or project has it.

        What keeps it from being created otherwise, `open` will meet, too. A warehouse that one process has for itself
        is left alone: a run that only plans must not even make its file.
        """
        if not warehouse.is_shared:
            return ""
        database, schema = place
        self.start(warehouse)
        if not any(warehouse.same(s) == warehouse.same(schema) for s in warehouse.list_schemas(database)):
            try:
                warehouse.create(database, schema, self.mark)
                self.begun = True
                return ""
            except DbtFailed:
                pass  # maybe somebody else was quicker: the mark will tell
        mark = warehouse.read_mark(database, schema)
        return "" if mark is None or mark.pr != self.mark.pr or mark.is_of(self.mark) else mark.whose

    def open(self, warehouse: Warehouse, schemas: Iterable[Place], reuse: str) -> Opened:
        """Make every schema ready, empty and marked.

        A schema of the same pull request that an earlier run left is taken over and made anew, unless all are there
        as the run `reuse` left them; one without a mark, or of a newer run, stops everything before a write.
        """
        if unsafe := [s for _, s in schemas if '"' in s]:
            raise DbtFailed(f"schema {unsafe[0]}: dbt can't work with a quotation mark in a name; nothing was written.")
        dropped, found = [], self._found(warehouse)
        wanted = {(d, warehouse.same(s)): (d, s) for d, s in schemas}
        self.start(warehouse)
        now = warehouse.clock().isoformat(timespec="microseconds")
        self.planned = frozenset(wanted)
        self.strangers = frozenset(place for place, mark in found.items() if mark is None)
        for (database, schema), mark in found.items():
            self._check(schema, mark, now, is_wanted=(database, warehouse.same(schema)) in wanted)
        self.begun = True
        others = {p: m for p, m in found.items() if m and m.is_of(self.mark) and m.run != self.mark.run}
        # The mark first: the earlier run, if it lives, then knows that its time is over.
        theirs = {p: taken for p, m in others.items() if (taken := self._take(warehouse, p, m))}
        as_it_is = bool(reuse) and _can_stay(warehouse, theirs, wanted.keys(), reuse)
        for run in sorted({mark.run for mark in theirs.values()}):
            warehouse.end_sessions(run, [s for (_, s), mark in theirs.items() if mark.run == run])
        for place, mark in found.items():
            if mark and mark.is_of(self.mark) and mark.run == self.mark.run:
                self.opened.append(wanted.pop((place[0], warehouse.same(place[1])), place))
        for database, schema in theirs:
            key = (database, warehouse.same(schema))
            if as_it_is and key in wanted:
                self.opened.append(wanted.pop(key))
            else:
                self._drop(warehouse, (database, schema), [s for _, s in theirs])
                dropped.append(schema)
        for database, schema in wanted.values():
            warehouse.create(database, schema, self.mark)
            self.opened.append((database, schema))
        return Opened(reused=as_it_is, dropped=tuple(dropped))

    def lost(self, warehouse: Warehouse) -> str:
        """Return which schema is no longer this run's, empty while all is well; one look, at the first schema."""
        database, schema = self.opened[0]
        mark = warehouse.read_mark(database, schema)
        if mark is None:
            return _vanished(schema)
        return "" if mark.run == self.mark.run else _newer(schema, mark)

    def hear(self, sql: str) -> None:
        """Note a statement of the build if it makes a schema."""
        if _CREATES.search(sql):
            self.statements.append(sql)

    def adopt(self, warehouse: Warehouse) -> list[str]:
        """Mark the schemas that hooks and flags of this run made beside its own; say of which that can't be done."""
        return self._adopt(warehouse, self._found(warehouse))

    def close(self, warehouse: Warehouse, keep: bool) -> tuple[str, ...]:
        """Drop every schema that carries this run's mark, unless `keep`; give the names that went.

        Raises DbtFailed, after doing what can be done, when a schema was taken over by a newer run (it stays), has
        vanished, or can't be dropped: then what this run found out may be wrong.
        """
        if not self.begun:
            return ()
        everything = self._found(warehouse)
        trouble = self._adopt(warehouse, everything)
        found = {place: mark for place, mark in everything.items() if mark and mark.is_of(self.mark)}
        mine = sorted(place for place, mark in found.items() if mark.run == self.mark.run)
        if self.abandoned and not keep:
            warehouse.end_sessions(self.mark.run, [s for _, s in mine], self.sessions)
        trouble += [_newer(schema, mark) for (_, schema), mark in found.items() if mark.run != self.mark.run]
        present = {(d, warehouse.same(s)) for d, s in found}
        trouble += [_vanished(s) for d, s in self.opened if (d, warehouse.same(s)) not in present]
        dropped = []
        for database, schema in () if keep else mine:
            try:
                self._drop(warehouse, (database, schema), [s for _, s in mine])
            except DbtFailed as error:
                trouble.append(str(error))
                continue
            dropped.append(schema)
            # Asked once more after trouble, it must not be missed.
            key = (database, warehouse.same(schema))
            self.opened = [(d, s) for d, s in self.opened if (d, warehouse.same(s)) != key]
        if trouble:
            raise DbtFailed("\n".join(trouble), usage=False)
        return tuple(dropped)

    def _adopt(self, warehouse: Warehouse, found: dict[Place, Mark | None]) -> list[str]:
        if any(mark and mark.is_of(self.mark) and mark.run != self.mark.run for mark in found.values()):
            return []  # a newer run has taken over, and makes such schemas, too
        trouble = []
        for database, schema in [place for place, mark in found.items() if mark is None]:
            if (database, warehouse.same(schema)) in self.planned:
                continue  # made by somebody else just before this run would have, as `open` said
            was_there = (database, schema) in self.strangers
            is_made_here = any(_names(schema, sql) for sql in self.statements)
            if was_there and not is_made_here:
                continue
            if was_there or not is_made_here:
                trouble.append(_stray(schema, was_there=was_there))
                continue
            try:
                warehouse.mark(database, schema, self.mark)
                found[database, schema] = self.mark
            except DbtFailed as error:
                trouble.append(f"schema {schema} was made by this run and could not be marked: {error}")
        return trouble

    def _take(self, warehouse: Warehouse, place: Place, mark: Mark) -> Mark | None:
        """Put this run's mark in place of an earlier run's; return the one that went, None where the schema did.

        Where another run does so at the same time, the newer one takes the schema from the other.
        """
        for _ in range(_TAKES):
            warehouse.take_over(*place, self.mark, mark)
            now_there = warehouse.read_mark(*place)
            if now_there is None or now_there.run == self.mark.run:
                return mark if now_there is not None else None
            self._check(place[1], now_there, warehouse.clock().isoformat(timespec="microseconds"), is_wanted=True)
            mark = now_there
        raise DbtFailed(f"schema {place[1]}: its mark could not be changed, so nothing was written there.", usage=False)

    def _drop(self, warehouse: Warehouse, place: Place, inside: Sequence[str]) -> None:
        """Drop a schema that is this run's own, with a last look: the drop of another one may have waited long."""
        if (mark := warehouse.read_mark(*place)) is None or mark.run != self.mark.run:
            raise DbtFailed(_newer(place[1], mark) if mark is not None else _vanished(place[1]), usage=False)
        warehouse.drop(*place, inside)

    def _check(self, schema: str, mark: Mark | None, now: str, *, is_wanted: bool) -> None:
        if mark is None:
            if is_wanted:
                raise DbtFailed(_foreign(schema))
        elif mark.is_of(self.mark):
            # Version 0.1 asked its own machine for the time: what lies ahead of the warehouse's says nothing.
            if mark.run != self.mark.run and self.mark.started < mark.started <= now:
                raise DbtFailed(_newer(schema, mark), usage=False)
        elif is_wanted:
            raise DbtFailed(_another(schema, mark))

    def _found(self, warehouse: Warehouse) -> dict[Place, Mark | None]:
        found = dict[Place, Mark | None]()
        for database in self.owner.databases:
            names = warehouse.list_schemas(database)
            ours = own(names, self.owner.prefix)
            found.update({(database, s): warehouse.read_mark(database, s) for s in ours})
            others = {s for prefix in self.owner.also for s in own(names, prefix)}.difference(ours)
            marks = {(database, s): warehouse.read_mark(database, s) for s in sorted(others)}
            found.update({place: mark for place, mark in marks.items() if mark and mark.is_of(self.mark)})
        return found


def _can_stay(warehouse: Warehouse, theirs: Mapping[Place, Mark], wanted: Set[Place], reuse: str) -> bool:
    """Whether exactly the wanted schemas are there, as that run left them, so that a build can go on in them."""
    left = {(d, warehouse.same(s)) for (d, s), mark in theirs.items() if mark.run == reuse and mark.repository}
    # Another one, made by a hook, say, would go, and with it what reads it here.
    if not wanted == left == {(d, warehouse.same(s)) for d, s in theirs}:
        return False
    # dbt drops what it replaces with a cascade: what depends on it elsewhere forbids that as it does a drop of ours.
    inside = {schema for _, schema in theirs}
    return not any(warehouse.dependents(*place, inside) for place in theirs)


def own(schemas: Sequence[str], prefix: str) -> tuple[str, ...]:
    """Return the schemas that are `prefix` itself or begin with it and an underscore, whatever the case."""
    wanted = prefix.lower()
    return tuple(s for s in schemas if s.lower() == wanted or s.lower().startswith(wanted + "_"))


def _foreign(schema: str) -> str:
    return (
        f"schema {schema} exists and was not created by this tool (it carries no mark), so nothing was written. "
        "Drop or rename it, or choose another name with --dbt-ci-schema or --dbt-ci-pr."
    )


def _another(schema: str, mark: Mark) -> str:
    return (
        f"schema {schema} belongs to another pull request ({mark.whose.removeprefix('pull request ')}), so nothing "
        "was written. Choose another name with --dbt-ci-pr, or with {project} or {repository} in --dbt-ci-schema."
    )


def _newer(schema: str, mark: Mark) -> str:
    return (
        f"schema {schema} was taken over by a newer run of pull request {mark.pr} (started {mark.started}). "
        "That run's result counts; this one neither builds in it nor drops it."
    )


def _stray(schema: str, *, was_there: bool) -> str:
    if was_there:
        what = "was there before this run and carries no mark, but a hook of this run would have made it"
    else:
        what = "appeared during this run, carries no mark, and no statement of this run is known to have made it"
    return f"schema {schema} {what}, so it stays. If nobody needs it, drop it by hand; else rename it or the hook's."


def _names(schema: str, sql: str) -> bool:
    return re.search(rf"(?<!\w){re.escape(schema)}(?!\w)", sql, re.IGNORECASE) is not None


def _vanished(schema: str) -> str:
    return (
        f"schema {schema} is gone although this run did not drop it: a newer run of the pull request, a sweep or a "
        "person did, maybe while this run was building. Run it again."
    )
