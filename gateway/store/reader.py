"""Read-only: live figures, history, the books. Each call is short; use it off the loop."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gateway import measures
from gateway.errors import StoreError
from gateway.model import Interval, Role, TimeQuality
from gateway.store import outbox
from gateway.store.aggregates import FLAGS
from gateway.store.batch import REPLACED
from gateway.store.books import books
from gateway.store.coverage import gaps
from gateway.store.memory import Line, Memory, Plans, Zone
from gateway.store.opening import Openings
from gateway.store.plan import NOTHING, Books, Figures, Grid, LineTotals, Pending, ZoneLive
from gateway.store.readings import Sums, window_sums
from gateway.store.schema import FILE
from gateway.store.schema import reader as connect
from gateway.store.sums import LineWindow, ZoneSum
from gateway.windows import business_date, day_of

AGGREGATES = (
    "SELECT z.zone, z.kind, a.size_s, a.start_ms, a.revision, a.ins, a.outs, a.passersby, a.sales, a.returns,"
    " a.amount AS amount_minor, a.watched_ms, a.base_ms, a.estimated_ins, a.estimated_outs, a.occupancy,"
    " a.occupancy_raw, a.flags, a.quality, a.lines, a.reason, a.closed_ms, max(a.revision) FROM"
    " zone_aggregates a"
    " JOIN zones z ON z.id=a.zone_id WHERE (:zone IS NULL OR z.zone=:zone)"
    " AND (a.size_s=:size OR :size IS NULL AND EXISTS (SELECT 1 FROM grids g WHERE g.base=1"
    " AND g.size_s=a.size_s AND g.from_ms<=a.start_ms AND (g.to_ms IS NULL OR g.to_ms>a.start_ms)))"
    " AND a.start_ms>=:from"
    " AND a.start_ms<:to AND (:as_of IS NULL OR a.closed_ms<=:as_of) GROUP BY a.zone_id, a.start_ms"
    " ORDER BY a.start_ms, z.zone"
)
READINGS = (
    "SELECT l.counter, l.line, l.till, r.side, r.start_ms, r.end_ms, r.key, r.ins, r.outs, r.passes, r.sales,"
    " r.returns, r.amount AS amount_minor, r.quality FROM readings r JOIN lines l ON l.id=r.line_id"
    " WHERE r.long=? AND r.start_ms>=? AND r.start_ms<? ORDER BY r.start_ms, l.counter, l.line"
)
TODAY = (
    "SELECT ins, outs, passersby, sales, returns, amount, watched_ms, base_ms, estimated_ins, estimated_outs,"
    " occupancy, occupancy_raw, flags, quality, max(revision) FROM zone_aggregates WHERE zone_id=?"
    " AND size_s=?"
    " AND start_ms>=? AND start_ms<? GROUP BY start_ms ORDER BY start_ms"
)


@dataclass(frozen=True, slots=True)
class Kept:
    """What a report must know of a zone besides its windows."""

    openings: Openings
    through_ms: int


class Reader:
    """One `mode=ro` connection; a lock, so that threads may share it."""

    def __init__(self, data_dir: Path) -> None:
        self._path = data_dir / FILE if data_dir.is_dir() else data_dir
        if not self._path.is_file():
            raise StoreError(f"there is no buffer at {self._path}")
        self._con = connect(self._path)
        self._lock = threading.Lock()

    def close_file(self) -> None:
        self._con.close()

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            self._con.execute("BEGIN")
            try:
                yield self._con
            except sqlite3.Error as error:
                raise StoreError(f"the buffer cannot be read: {error}") from error
            finally:
                self._con.execute("ROLLBACK")

    def books(self, *, since_ms: int = 0) -> Books:
        """The balances of semantics 6, recomputed; `since_ms` bounds the zone check."""
        with self._lock:
            return books(self._con, since_ms=since_ms)

    def pending(self) -> list[Pending]:
        with self._reading() as con:
            return outbox.pending(con)

    def aggregates(
        self, zone: str | None, from_ms: int, to_ms: int, size_s: int | None, as_of_ms: int | None = None
    ) -> list[dict[str, Any]]:
        """Current revisions (as of an instant) of windows that start in `[from, to)`, oldest first.

        `size_s` None: of the configured size of their time, so that every moment is told once.
        """
        binds = {"zone": zone, "from": from_ms, "to": to_ms, "size": size_s, "as_of": as_of_ms}
        with self._reading() as con:
            plans = Plans(con)
            return [_shown(plans.at(row["closed_ms"]), row) for row in _dicts(con.execute(AGGREGATES, binds))]

    def readings(self, from_ms: int, to_ms: int) -> list[dict[str, Any]]:
        """Stored readings that start in `[from, to)`; `key` 0 is a delta or a difference."""
        with self._reading() as con:
            return [row for long in (0, 1) for row in _dicts(con.execute(READINGS, (long, from_ms, to_ms)))]

    def lines(self) -> list[LineTotals]:
        """Every line ever configured."""
        with self._reading() as con:
            memory = Memory(con)
            ledger = {(row[0], row[1]): row[2:] for row in con.execute("SELECT * FROM ledger")}
            resets: dict[int, dict[str, int]] = {}
            for line_id, kind, n in con.execute("SELECT line_id, kind, n FROM resets"):
                resets.setdefault(line_id, {})[kind] = n
        return [self._totals(line, ledger, resets) for line in memory.by_id.values()]

    def _totals(
        self, line: Line, ledger: dict[tuple[int, str], Figures], resets: dict[int, dict[str, int]]
    ) -> LineTotals:
        refused = {
            account.partition(":")[2]: sum(figures[:5])
            for (owner, account), figures in ledger.items()
            if owner == line.id and account.startswith("refused:")
        }
        ins, outs, passes, sales, returns, amount = ledger.get((line.id, "shown"), NOTHING)
        rule = line.rule
        quality = list(TimeQuality)[line.quality].value
        last = (
            line.watch_end_ms if line.watch_end_ms and line.watch_end_ms > line.newest_ms else line.newest_ms
        )
        return LineTotals(
            counter=rule.counter,
            line=rule.line,
            till=rule.till,
            ins=ins,
            outs=outs,
            passes=passes,
            sales=sales,
            returns=returns,
            amount_minor=amount,
            refused=refused,
            replaced=sum(ledger.get((line.id, REPLACED), NOTHING)[:5]),
            resets=resets.get(line.id, {}),
            last_reading_ms=last or None,
            quality=quality,
        )

    def gaps(self, counter: str, from_ms: int, to_ms: int) -> list[Interval]:
        """When the counter was not watched, oldest first, between two times that it was."""
        with self._reading() as con:
            return gaps(con, counter, from_ms, to_ms)

    def zones(self) -> list[dict[str, Any]]:
        """Active zones and their lines."""
        with self._reading() as con:
            memory = Memory(con)
        return [_zone_row(memory, zone) for zone in memory.zones.values() if zone.active]

    def zone_names(self) -> list[str]:
        """Every zone there ever was, those no longer configured too."""
        with self._reading() as con:
            return sorted({zone.zone for zone in Memory(con).zones.values()})

    def kept(self, size_s: int | None = None) -> dict[str, Kept]:
        """Every zone there ever was: its opening hours, and until when its windows of that size are closed.

        `size_s` None: of the configured size of their time.
        """
        with self._reading() as con:
            memory = Memory(con)
        grids = [grid for grid in memory.grids if (grid.base if size_s is None else grid.size_s == size_s)]
        return {
            zone.zone: Kept(
                zone.openings,
                max(
                    (min(memory.zone_through.get((zone.id, one.size_s), 0), one.to_ms) for one in grids),
                    default=0,
                ),
            )
            for zone in memory.zones.values()
        }

    def sizes_s(self) -> list[int]:
        """Every window size there ever was, seconds, shortest first."""
        with self._reading() as con:
            return sorted({grid.size_s for grid in Memory(con).grids})

    def poison(self) -> int:
        with self._reading() as con:
            return int(con.execute("SELECT count(*) FROM poison").fetchone()[0])

    def bytes(self) -> int:
        """Size of the file's used pages."""
        with self._reading() as con:
            (pages,) = con.execute("PRAGMA page_count").fetchone()
            (size,) = con.execute("PRAGMA page_size").fetchone()
            return int(pages) * int(size)

    def live(self, now_ms: int) -> list[ZoneLive]:
        """Each active zone's business day so far: closed windows and those not yet closed."""
        with self._reading() as con:
            memory = Memory(con)
            # a clock that has gone back must not make all that was closed since into today
            now_ms = max(now_ms, memory.trusted_ms, *memory.zone_through.values(), 0)
            sums: dict[tuple[int, int], Sums] = {}
            return [_live(con, memory, zone, now_ms, sums) for zone in memory.zones.values() if zone.active]


def _dicts(cursor: sqlite3.Cursor) -> Iterator[dict[str, Any]]:
    names = [column[0] for column in cursor.description]
    for row in cursor:
        yield dict(zip(names, row, strict=True))


def _shown(plan: Grid, row: dict[str, Any]) -> dict[str, Any]:
    row.pop("max(a.revision)")
    row.pop("lines")
    complete = measures.completeness(row["watched_ms"], row["base_ms"])
    return {
        **row,
        "business_date": business_date(row["start_ms"], plan.timezone, plan.day_start_min).isoformat(),
        "completeness": complete,
        "flags": [name for bit, name in FLAGS.items() if row["flags"] & bit],
        "time_quality": list(TimeQuality)[row.pop("quality")].value,
    }


def _zone_row(memory: Memory, zone: Zone) -> dict[str, Any]:
    members = [
        {"line": memory.by_id[member.line_id].rule.ref, "sign": member.sign, "role": member.role.value}
        for member in zone.versions[-1].members
    ]
    return {
        "zone": zone.zone,
        "kind": zone.kind,
        "name": zone.name,
        "parent": zone.parent,
        "members": members,
    }


def _live(
    con: sqlite3.Connection, memory: Memory, zone: Zone, now_ms: int, known: dict[tuple[int, int], Sums]
) -> ZoneLive:
    plan = memory.plan
    low_ms, _high = day_of(now_ms, plan.timezone, plan.day_start_min)
    size_s = next(grid.size_s for grid in memory.grids if grid.base and grid.from_ms <= low_ms < grid.to_ms)
    through = max(memory.zone_through.get((zone.id, size_s), low_ms), low_ms)
    rows = con.execute(TODAY, (zone.id, size_s, low_ms, through)).fetchall()
    total = ZoneSum()
    for row in rows:
        total.ins += row[0]
        total.outs += row[1]
        total.passersby += row[2]
        total.sales += row[3]
        total.returns += row[4]
        total.amount += row[5]
        total.estimated_ins += row[8]
        total.estimated_outs += row[9]
        total.quality = max(total.quality, row[13])
    clamped, raw = (rows[-1][10], rows[-1][11]) if rows else (0, 0)
    flags = 0
    for row in rows:
        flags |= row[12]
    span = (through, max(now_ms, through + 1))
    if span not in known:  # zones that are closed equally far share one look at the readings
        known[span] = window_sums(con, *span, size_s, memory.longest_short_ms())
    open_sum = _open_sum(con, zone, size_s, through, known[span])
    change = open_sum.ins - open_sum.outs
    members = zone.versions[-1].members
    return ZoneLive(
        zone=zone.zone,
        name=zone.name,
        kind=zone.kind,
        parent=zone.parent,
        business_date=business_date(now_ms, plan.timezone, plan.day_start_min).isoformat(),
        day_start_ms=low_ms,
        closed_through_ms=through,
        ins=total.ins + open_sum.ins,
        outs=total.outs + open_sum.outs,
        passersby=total.passersby + open_sum.passersby,
        sales=total.sales + open_sum.sales,
        returns=total.returns + open_sum.returns,
        amount_minor=total.amount + open_sum.amount,
        currency=plan.currency,
        occupancy=max(0, clamped + change),
        occupancy_raw=raw + change,
        completeness=_completeness(rows),
        estimated_ins=total.estimated_ins + open_sum.estimated_ins,
        estimated_outs=total.estimated_outs + open_sum.estimated_outs,
        quality=list(TimeQuality)[max(total.quality, open_sum.quality)].value,
        flags=tuple(name for bit, name in FLAGS.items() if flags & bit),
        has_tills=any(member.role is Role.TILL for member in members),
        has_passing=any(member.role is Role.PASSING for member in members),
    )


def _open_sum(con: sqlite3.Connection, zone: Zone, size_s: int, from_ms: int, sums: Sums) -> ZoneSum:
    """What is counted but not yet closed."""
    total = ZoneSum()
    for member in zone.at(from_ms).members:
        row = sums.get(member.line_id)
        if row is None:
            continue
        before = con.execute(
            "SELECT (odd_before+passes)%2 FROM line_windows WHERE line_id=? AND size_s=? AND start_ms<?"
            " ORDER BY start_ms DESC, revision DESC LIMIT 1",
            (member.line_id, size_s, from_ms),
        ).fetchone()
        total.add(member, _as_window(row, before[0] if before else 0))
    return total


def _as_window(row: tuple[int, ...], odd: int) -> LineWindow:
    ins, outs, passes, sales, returns, amount, est_ins, est_outs, est_passes, quality = row
    crossed = (ins, outs, passes, sales, returns, amount)
    return LineWindow(1, *crossed, odd, None, est_ins, est_outs, est_passes, quality)


def _completeness(rows: list[Any]) -> float | None:
    """Over the closed windows of the day."""
    if any(row[6] is None and row[7] is not None for row in rows):
        return None
    watched = sum(row[6] for row in rows if row[7] is not None)
    return measures.completeness(watched, sum(row[7] for row in rows if row[7] is not None))
