"""Bring lines, zones, grids and subscriptions in line with the configuration; counts stay as they were."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass

from gateway.model import LineRule, Stamp, ZoneSpec
from gateway.store import alarms
from gateway.store.memory import FAR_MS, Memory
from gateway.store.opening import Opening, set_opening
from gateway.store.outbox import queue_backlog
from gateway.store.plan import Grid, UpstreamPlan
from gateway.windows import Hours, day_of, floor_ms, next_edge_ms

LONGEST_S = 3600  # every window size divides it
COUNTED_SO_FAR = (
    "UPDATE pulse SET since_ms=max(since_ms, newest_ms, (SELECT coalesce(max(at_ms), 0) FROM heads"
    " WHERE line_id=:line)) WHERE line_id=:line"
)
Subscription = tuple[int, int, int]  # upstream, zone, window size
SUBSCRIBED = "SELECT upstream_id, zone_id, size_s FROM subscriptions"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a configuration asks of the buffer; `hours` by zone id."""

    rules: Sequence[LineRule]
    zones: Sequence[ZoneSpec]
    upstreams: Mapping[str, UpstreamPlan]
    sizes_s: Sequence[int]
    grid: Grid
    hours: Mapping[str, Hours]


class Configurer:
    """Each method is one transaction; the caller begins and commits."""

    def __init__(self, con: sqlite3.Connection, memory: Memory) -> None:
        self.con, self.memory = con, memory
        self.now = Stamp("", 0, 0)
        self.first = True
        self.waiting: Wanted | None = None  # came before the time was known
        self.upstreams: frozenset[str] = frozenset()  # those that are configured

    def take(self, wanted: Wanted, now: Stamp) -> None:
        """Apply it; what begins at a moment waits until one is believed."""
        self.upstreams = frozenset(wanted.upstreams)
        self.waiting = None if now.trusted else wanted
        if now.trusted:
            self._apply(wanted, now)
            return
        self._set_rules(wanted)
        self.memory.load()

    def catch_up(self, now: Stamp) -> None:
        """The first believed moment. The caller forgets what waited once it is committed."""
        if self.waiting is not None:
            self._apply(self.waiting, now)

    def _apply(self, wanted: Wanted, now: Stamp) -> None:
        memory, grid = self.memory, wanted.grid
        self.now, self.first = now, not memory.grids
        memory.plan = grid
        plan = json.dumps(asdict(grid))
        self.con.execute("INSERT OR REPLACE INTO meta VALUES ('plan', ?)", (plan,))
        from_ms = memory.moment_ms(now)
        if memory.plans.at(from_ms) != grid or self.first:
            self.con.execute("INSERT OR REPLACE INTO plans VALUES (?, ?)", (from_ms, plan))
            memory.tell(from_ms)
        if not memory.generation:  # the buffer was begun while nobody knew the time
            generation = str(now.wall_ms // 1000)
            self.con.execute("UPDATE meta SET value=? WHERE name='generation'", (generation,))
        self._set_rules(wanted)
        upstreams = wanted.upstreams
        sizes = {grid.size_s, *wanted.sizes_s, *(size for one in upstreams.values() for size in one.sizes_s)}
        self._set_grids(sizes, grid)
        memory.load()
        self._begin_lines()
        self._set_zones(wanted.zones, wanted.hours)
        memory.load()
        self._set_upstreams(upstreams)
        memory.stir()
        memory.load()
        alarms.subscribe(self.con, upstreams)
        configured = {line.id for line in memory.lines.values()}
        alarms.end(self.con, memory, memory.by_id.keys() - configured, now)

    def _set_rules(self, wanted: Wanted) -> None:
        self.memory.rules = {(rule.till, rule.counter, rule.line): rule for rule in wanted.rules}
        self._add_lines()

    def _add_lines(self) -> None:
        for till, counter, line in self.memory.rules:
            self.con.execute(
                "INSERT OR IGNORE INTO lines (till, counter, line) VALUES (?,?,?)", (till, counter, line)
            )
        self.con.execute("INSERT OR IGNORE INTO pulse SELECT id, 0, 1, 0, 0, 0, NULL, NULL, 0, 0 FROM lines")
        for rule in self.memory.rules.values():
            if not rule.till:
                self._set_basis(rule)

    def _set_basis(self, rule: LineRule) -> None:
        """What was counted by one basis is not counted again by another: its odometer begins anew."""
        line_id, basis = self.con.execute(
            "SELECT id, basis FROM lines WHERE till=0 AND counter=? AND line=?", (rule.counter, rule.line)
        ).fetchone()
        if basis == rule.basis.value:
            return
        self.con.execute("UPDATE lines SET basis=? WHERE id=?", (rule.basis.value, line_id))
        if basis is not None:
            self.con.execute(COUNTED_SO_FAR, {"line": line_id})
            self.con.execute("DELETE FROM heads WHERE line_id=?", (line_id,))
            self.con.execute("DELETE FROM jumps WHERE line_id=?", (line_id,))

    def _set_grids(self, sizes: set[int], grid: Grid) -> None:
        """A new size begins at the next business day; older windows keep the old grid for late data."""
        wall_ms = self._moment_ms
        day_ms = day_of(wall_ms, grid.timezone, grid.day_start_min)[1]
        change_ms = (
            0 if self.first else next_edge_ms(day_ms - 1, LONGEST_S)
        )  # no window of either size is cut
        self.con.execute("DELETE FROM grids WHERE from_ms>?", (wall_ms,))
        self.con.execute("UPDATE grids SET to_ms=NULL WHERE to_ms>?", (wall_ms,))
        wanted = {size: int(size == grid.size_s) for size in sizes}
        running = dict(self.con.execute("SELECT size_s, base FROM grids WHERE to_ms IS NULL"))
        for size, base in running.items():
            if wanted.get(size) != base:
                self.con.execute(
                    "UPDATE grids SET to_ms=? WHERE size_s=? AND to_ms IS NULL", (change_ms, size)
                )
        for size, base in wanted.items():
            if running.get(size) != base:
                self.con.execute("INSERT INTO grids VALUES (?,?,NULL,?)", (size, change_ms, base))

    def _begin_lines(self) -> None:
        """A new line's windows begin with the one around this moment; earlier ones only with late data."""
        edges = self._edges()
        self.con.executemany(
            "INSERT OR IGNORE INTO closed VALUES (?,?,?)",
            [(line_id, size_s, edge_ms) for line_id in self.memory.by_id for size_s, edge_ms in edges],
        )

    def _edges(self) -> list[tuple[int, int]]:
        """(size, where windows begin now); a grid that has ended counts as closed, for late data."""
        wall_ms = self.now.wall_ms
        newest_first = sorted(self.memory.grids, key=lambda grid: -grid.from_ms)
        return [
            (grid.size_s, min(max(floor_ms(wall_ms, grid.size_s), grid.from_ms), grid.to_ms))
            for grid in newest_first
        ]

    def _set_zones(self, zones: Sequence[ZoneSpec], hours: Mapping[str, Hours]) -> None:
        self.con.execute("UPDATE zones SET active=0")
        for zone in zones:
            row = (zone.id, zone.kind, zone.name, zone.parent, json.dumps(zone.was))
            self.con.execute(
                "INSERT INTO zones (zone, kind, name, parent, was, active) VALUES (?,?,?,?,?,1)"
                " ON CONFLICT (zone) DO UPDATE SET kind=excluded.kind, name=excluded.name,"
                " parent=excluded.parent,"
                " was=excluded.was, active=1",
                row,
            )
            (zone_id,) = self.con.execute("SELECT id FROM zones WHERE zone=?", (zone.id,)).fetchone()
            members = [self.memory.member(member) for member in zone.members]
            self._set_version(
                zone_id, [[one.line_id, one.sign, one.role.value] for one in members], zone.kind
            )
            self._begin_zone(zone_id)
            opening = Opening(self.memory.plan.timezone, hours.get(zone.id), zone.staff_a_day)
            set_opening(self.con, zone_id, opening, self._change_ms)
        for (zone_id,) in self.con.execute("SELECT id FROM zones WHERE active=0").fetchall():
            self._set_version(zone_id, None)

    def _set_version(self, zone_id: int, members: list[list[int | str]] | None, kind: str = "") -> None:
        """The first version holds from the beginning; a change from the next edge of the longest window.

        `members` None: the zone has left the configuration.
        """
        text = json.dumps(members)
        row = self.con.execute(
            "SELECT version, members, kind FROM zone_versions WHERE zone_id=? ORDER BY version DESC LIMIT 1",
            (zone_id,),
        ).fetchone()
        if row and row[1:] == (text, kind):
            return
        from_ms = self._change_ms if row else 0
        self.con.execute(
            "INSERT INTO zone_versions VALUES (?,?,?,?,?)",
            (zone_id, row[0] + 1 if row else 1, from_ms, text, kind),
        )

    @property
    def _change_ms(self) -> int:
        """When a change of zones takes hold: no window of any size has two versions, none closed another."""
        return next_edge_ms(self._moment_ms, max(grid.size_s for grid in self.memory.grids))

    @property
    def _moment_ms(self) -> int:
        """Of this configuration: no window that has been closed ends after it, whatever the clock says."""
        return self.memory.moment_ms(self.now)

    def _begin_zone(self, zone_id: int) -> None:
        self.con.executemany(
            "INSERT OR IGNORE INTO zone_closed VALUES (?,?,?)",
            [(zone_id, size_s, edge_ms) for size_s, edge_ms in self._edges()],
        )

    def _set_upstreams(self, upstreams: Mapping[str, UpstreamPlan]) -> None:
        """A new upstream starts at the next window; the very first configuration from the beginning."""
        active = {zone.zone: zone.id for zone in self.memory.zones.values() if zone.active}
        wanted: dict[Subscription, tuple[int | None, int | None]] = {}  # → asked for since, kept until
        for name, plan in upstreams.items():
            self.con.execute("INSERT OR IGNORE INTO upstreams (name) VALUES (?)", (name,))
            (upstream_id,) = self.con.execute("SELECT id FROM upstreams WHERE name=?", (name,)).fetchone()
            zones = active.values() if plan.zones is None else [active[zone] for zone in plan.zones]
            for size, to_ms in self._sizes(plan).items():
                wanted |= {(upstream_id, zone, size): (plan.from_ms, to_ms) for zone in zones}
        self.con.execute("UPDATE subscriptions SET to_ms=NULL WHERE to_ms>?", (self._moment_ms,))
        running = set(self.con.execute(SUBSCRIBED + " WHERE to_ms IS NULL"))
        for key in running - wanted.keys():
            zone = self.memory.zones[key[1]]
            self._end(key, self._ends_ms(key, wanted) if zone.active else zone.versions[-1].from_ms)
        before = set(self.con.execute(SUBSCRIBED))
        closed_before = self._closed_before
        for key in wanted.keys() - running:
            from_ms = self._begins_ms(key, wanted[key][0], before, closed_before)
            self.con.execute("INSERT OR REPLACE INTO subscriptions VALUES (?,?,?,?,NULL)", (*key, from_ms))
            queue_backlog(self.con, *key, from_ms)
        for key, (_, to_ms) in wanted.items():
            if to_ms is not None:
                self._end(key, to_ms)

    def _sizes(self, plan: UpstreamPlan) -> dict[int, int | None]:
        """Window size → until when: of an upstream that names none, also the one that another will follow."""
        if plan.sizes_s:
            return dict.fromkeys(plan.sizes_s)
        kept = [grid for grid in self.memory.grids if grid.base and grid.to_ms > self._moment_ms]
        return {grid.size_s: None if grid.to_ms == FAR_MS else grid.to_ms for grid in kept}

    def _end(self, key: Subscription, to_ms: int) -> None:
        self.con.execute(
            "UPDATE subscriptions SET to_ms=? WHERE upstream_id=? AND zone_id=? AND size_s=? AND"
            " to_ms IS NULL",
            (to_ms, *key),
        )

    def _ends_ms(self, key: Subscription, wanted: Iterable[Subscription]) -> int:
        """Until when an upstream gets windows of a size it no longer asks for: until another size begins."""
        sizes = {size for upstream_id, zone_id, size in wanted if (upstream_id, zone_id) == key[:2]}
        begins = [grid.from_ms for grid in self.memory.grids if grid.size_s in sizes]
        return max(next_edge_ms(self._moment_ms, key[2]), *begins, 0)

    def _begins_ms(
        self,
        key: Subscription,
        wanted_ms: int | None,
        before: set[Subscription],
        closed_before: set[tuple[int, int]],
    ) -> int:
        """Where an upstream begins with a zone and size. What it was once sent is not sent again."""
        upstream_id, _zone_id, size_s = key
        if wanted_ms is not None and key not in before:
            return floor_ms(wanted_ms + size_s * 1000 - 1, size_s)
        fresh_zone = key[1:] not in closed_before and any(one[0] == upstream_id for one in before)
        return 0 if self.first or fresh_zone else next_edge_ms(self._moment_ms, size_s)

    @property
    def _closed_before(self) -> set[tuple[int, int]]:
        """Zones and sizes that have been closed at least once: their history is not sent to a newcomer."""
        return set(self.con.execute("SELECT DISTINCT zone_id, size_s FROM zone_aggregates"))
