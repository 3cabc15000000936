"""What the writer thread remembers of the file, for the hot paths; reloaded after every rollback."""

from __future__ import annotations

import json
import sqlite3
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from gateway.model import Basis, LineRule, Member, Role, Stamp
from gateway.store.exits import ExitRatio, learnt
from gateway.store.in_force import Factors, in_force, load_factors
from gateway.store.opening import Opening, Openings, load_openings
from gateway.store.plan import Grid
from gateway.windows import starts

HOUR_MS = 3_600_000  # readings longer than this are filed apart
DAY_MS = 86_400_000
FAR_MS = 1 << 62
WRITTEN = "SELECT value FROM meta WHERE name='written'"  # changes with everything that is not a reading


@dataclass(slots=True)
class Line:
    """One configured line or till and what its pulse is."""

    id: int
    rule: LineRule
    open_from_ms: int = 0  # everything from here on is in no closed window
    period_ms: int = 0
    longest_ms: int = 1
    last_ms: int = 0  # trusted wall time of the last sign of life
    newest_ms: int = 0  # end of the latest reading
    quality: int = 0
    watch_start_ms: int | None = None
    watch_end_ms: int | None = None
    since_ms: int = 0  # what is older was counted by another basis
    sides: int = 0  # which of ins, outs and passes it has ever given

    @property
    def assumed(self) -> bool:
        """Silence says nothing: an event line from which no heartbeat is expected."""
        return self.rule.basis is Basis.EVENT and self.rule.expect_s is None


@dataclass(slots=True)
class Head:
    """Where one register stands; `held_*` is a decrease that waits for the next reading."""

    line_id: int
    side: int
    epoch: str
    first_ms: int
    first_total: int
    at_ms: int
    total: int
    boot: str
    mono_ms: int
    held_ms: int | None
    held_until_ms: int | None
    held_total: int | None
    not_before_ms: int  # the end of the epoch before: this one does not reach back past it


@dataclass(frozen=True, slots=True)
class GridSpan:
    """A window size and the stretch of time it is kept for; `base` is the configured one."""

    size_s: int
    from_ms: int
    to_ms: int
    base: bool


@dataclass(frozen=True, slots=True)
class ZoneMember:
    line_id: int
    sign: int
    role: Role


@dataclass(frozen=True, slots=True)
class ZoneVersion:
    version: int
    from_ms: int
    members: tuple[ZoneMember, ...]
    gone: bool = False  # from here on the zone is not configured


@dataclass(slots=True)
class Zone:
    """An active or former zone."""

    id: int
    zone: str
    kind: str
    name: str
    parent: str | None
    active: bool
    versions: list[ZoneVersion] = field(default_factory=list)
    openings: Openings = field(default_factory=Openings)

    def at(self, start_ms: int) -> ZoneVersion:
        """The version in force at a window's start."""
        found = self.versions[0]
        for version in self.versions:
            if version.from_ms <= start_ms:
                found = version
        return found

    def present_ms(self, start_ms: int) -> int | None:
        """The first moment from `start_ms` on at which the zone is configured; None: no more."""
        if not self.at(start_ms).gone:
            return start_ms
        later = sorted(one.from_ms for one in self.versions if one.from_ms > start_ms)
        return next((from_ms for from_ms in later if not self.at(from_ms).gone), None)


def stored_plan(con: sqlite3.Connection) -> Grid:
    """The grid of the last configuration; the default before the first."""
    row = con.execute("SELECT value FROM meta WHERE name='plan'").fetchone()
    return Grid(**json.loads(row[0])) if row else Grid()


class Plans:
    """The grids of all configurations: what is said of a window is what was so when it was closed."""

    def __init__(self, con: sqlite3.Connection) -> None:
        rows = con.execute("SELECT from_ms, plan FROM plans ORDER BY from_ms").fetchall()
        self._since = [row[0] for row in rows]
        self._grids = [Grid(**json.loads(row[1])) for row in rows]

    def at(self, closed_ms: int) -> Grid:
        """The one in force at that moment; the first for all before it."""
        if not self._grids:
            return Grid()
        return self._grids[max(0, bisect_right(self._since, closed_ms) - 1)]


class Memory:
    """Caches of small tables. The file is the truth: `load` brings back every one of them."""

    def __init__(self, con: sqlite3.Connection) -> None:
        self.con = con
        self.plan = stored_plan(con)
        self.rules: dict[tuple[bool, str, str], LineRule] = {}
        self.load()

    def load(self) -> None:
        self.meta = dict(self.con.execute("SELECT name, value FROM meta"))
        self.generation = int(self.meta["generation"])
        self.frozen_ms = int(self.meta["frozen_ms"])
        self.trusted_ms = int(self.meta["trusted_ms"])
        self.told_ms = int(self.meta.get("told_ms", 0))  # commands may read a file of before
        self.plans = Plans(self.con)
        self._load_grids()
        self._load_lines()
        self.heads = {(row[0], row[1]): Head(*row) for row in self.con.execute("SELECT * FROM heads")}
        self._load_zones()
        self.load_corrections()
        self.load_factors()
        self.forget_exit_ratios()
        self.held = bool(self.con.execute("SELECT 1 FROM held LIMIT 1").fetchone())

    def stir(self) -> None:
        """Something other than a reading was written: whoever remembers what was closed looks again."""
        self.con.execute("UPDATE meta SET value=CAST(value AS INTEGER)+1 WHERE name='written'")

    def moment_ms(self, now: Stamp) -> int:
        """What is closed, learnt or configured now is later than all before, even if the clock went back."""
        return max(now.wall_ms, self.told_ms + 1)

    def tell(self, at_ms: int) -> None:
        """Something bears this moment: nothing that follows bears it too, or an earlier one."""
        if at_ms > self.told_ms:
            self.told_ms = at_ms
            self.con.execute("UPDATE meta SET value=? WHERE name='told_ms'", (str(at_ms),))

    def load_corrections(self) -> None:
        """Those in force that a window not yet frozen can feel."""
        self.corrections = in_force(self.con, self.frozen_ms)

    def exit_ratio(self, zone_id: int, day_ms: int) -> ExitRatio:
        """What earlier days say of the exits of the business day that begins then."""
        key = (zone_id, day_ms)
        if key not in self._exit_ratios:
            self._exit_ratios[key] = learnt(self.con, zone_id, day_ms)
        return self._exit_ratios[key]

    def forget_exit_ratios(self) -> None:
        """A day has become known, or known better."""
        self._exit_ratios: dict[tuple[int, int], ExitRatio] = {}

    def load_factors(self) -> None:
        self.factors: Factors = load_factors(self.con)

    def _load_grids(self) -> None:
        rows = self.con.execute("SELECT size_s, from_ms, to_ms, base FROM grids ORDER BY from_ms, size_s")
        self.grids = [
            GridSpan(size, low, FAR_MS if high is None else high, bool(base))
            for size, low, high, base in rows
        ]

    def _load_lines(self) -> None:
        self.by_id: dict[int, Line] = {}
        self.lines: dict[tuple[bool, str, str], Line] = {}
        rows = self.con.execute(
            "SELECT id, till, counter, line, period_ms, longest_ms, last_ms, newest_ms, quality,"
            " watch_start_ms, watch_end_ms, since_ms, sides FROM lines JOIN pulse ON line_id=id"
        )
        for id_, till, counter, name, *pulse in rows:
            key = (bool(till), counter, name)
            rule = self.rules.get(key) or LineRule(counter, name, till=bool(till))
            line = Line(id_, rule, 0, *pulse)
            self.by_id[id_] = line
            if key in self.rules:
                self.lines[key] = line
        self._of_counter: dict[str, list[Line]] = {}
        for line in self.lines.values():
            self._of_counter.setdefault(line.rule.counter, []).append(line)
        self.load_through()

    def lines_of(self, counter: str) -> list[Line]:
        """The configured lines of one counter or till."""
        return self._of_counter.get(counter, [])

    def load_through(self) -> None:
        """Closed edges: per line and size, and the earliest per line."""
        self.through: dict[tuple[int, int], int] = {}
        for line in self.by_id.values():
            line.open_from_ms = FAR_MS
        for line_id, size_s, edge in self.con.execute("SELECT line_id, size_s, through_ms FROM closed"):
            self.set_through(line_id, size_s, edge)
        live = {grid.size_s for grid in self.grids}
        for line in self.by_id.values():
            edges = [self.through.get((line.id, size), 0) for size in live]
            line.open_from_ms = max(edges, default=0)

    def set_through(self, line_id: int, size_s: int, edge_ms: int) -> None:
        self.through[line_id, size_s] = edge_ms
        line = self.by_id[line_id]
        line.open_from_ms = edge_ms if line.open_from_ms == FAR_MS else max(line.open_from_ms, edge_ms)

    def _load_zones(self) -> None:
        self.zones: dict[int, Zone] = {}
        openings = load_openings(self.con)
        always = Openings([0], [Opening(self.plan.timezone)])
        for row in self.con.execute("SELECT id, zone, kind, name, parent, active FROM zones"):
            id_, zone, kind, name, parent, active = row
            self.zones[id_] = Zone(
                id_, zone, kind, name, parent, bool(active), openings=openings.get(id_, always)
            )
        rows = self.con.execute(
            "SELECT zone_id, version, from_ms, members FROM zone_versions ORDER BY version"
        )
        for zone_id, version, from_ms, members in rows:
            listed = json.loads(members)
            parsed = tuple(ZoneMember(line, sign, Role(role)) for line, sign, role in listed or ())
            self.zones[zone_id].versions.append(ZoneVersion(version, from_ms, parsed, gone=listed is None))
        self.zone_through = {
            (zone, size): edge
            for zone, size, edge in self.con.execute("SELECT zone_id, size_s, through_ms FROM zone_closed")
        }
        self.taught: dict[int, int] = dict(
            self.con.execute("SELECT zone_id, max(day_ms) FROM learnt GROUP BY zone_id")
        )
        self._index_zones()

    def _index_zones(self) -> None:
        self.zones_of: dict[int, set[int]] = {}
        for zone in self.zones.values():
            for version in zone.versions:
                for member in version.members:
                    self.zones_of.setdefault(member.line_id, set()).add(zone.id)

    def member(self, member: Member) -> ZoneMember:
        line = self.lines[member.role is Role.TILL, member.counter, member.line]
        return ZoneMember(line.id, member.sign, member.role)

    def closed_through(self, zone_id: int, size_s: int | None = None) -> int:
        """Until when a zone's windows are closed, of one size or of the configured size of their time.

        A size that begins tomorrow has closed nothing, although its first window is already waited for.
        """
        edges = (
            (grid, self.zone_through.get((zone_id, grid.size_s), 0))
            for grid in self.grids
            if (grid.base if size_s is None else grid.size_s == size_s)
        )
        return max((min(edge, grid.to_ms) for grid, edge in edges if edge > grid.from_ms), default=0)

    def size_s_at(self, at_ms: int) -> int:
        """The configured window size at an instant; 0 before the first."""
        sizes = (grid.size_s for grid in self.grids if grid.base and grid.from_ms <= at_ms < grid.to_ms)
        return next(sizes, 0)

    def windows(self, start_ms: int, end_ms: int) -> Iterator[tuple[int, int]]:
        """(size, start) of every window that `[start, end)` touches, of every size kept at that time."""
        for grid in self.grids:
            low, high = max(start_ms, grid.from_ms), min(end_ms, grid.to_ms)
            if low < high:
                for start in starts(low, high, grid.size_s):
                    yield grid.size_s, start

    def longest_short_ms(self) -> int:
        """How far before a window a reading of at most an hour can begin."""
        return max((line.longest_ms for line in self.by_id.values()), default=1)

    def save_pulse(self, lines: Iterable[Line]) -> None:
        self.con.executemany(
            "UPDATE pulse SET period_ms=?, longest_ms=?, last_ms=?, newest_ms=?, quality=?, watch_start_ms=?,"
            " watch_end_ms=?, sides=? WHERE line_id=?",
            [
                (
                    line.period_ms,
                    line.longest_ms,
                    line.last_ms,
                    line.newest_ms,
                    line.quality,
                    line.watch_start_ms,
                    line.watch_end_ms,
                    line.sides,
                    line.id,
                )
                for line in lines
            ],
        )

    def save_heads(self, heads: Iterable[Head]) -> None:
        self.con.executemany(
            "INSERT INTO heads VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?) ON CONFLICT (line_id, side) DO UPDATE SET"
            " epoch=excluded.epoch, first_ms=excluded.first_ms, first_total=excluded.first_total,"
            " at_ms=excluded.at_ms, total=excluded.total, boot=excluded.boot, mono_ms=excluded.mono_ms,"
            " held_ms=excluded.held_ms, held_until_ms=excluded.held_until_ms, held_total=excluded.held_total,"
            " not_before_ms=excluded.not_before_ms",
            [
                (
                    head.line_id,
                    head.side,
                    head.epoch,
                    head.first_ms,
                    head.first_total,
                    head.at_ms,
                    head.total,
                    head.boot,
                    head.mono_ms,
                    head.held_ms,
                    head.held_until_ms,
                    head.held_total,
                    head.not_before_ms,
                )
                for head in heads
            ],
        )
