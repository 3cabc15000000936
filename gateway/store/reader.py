"""Read-only: live figures, history, the books. Each call is short; use it off the loop."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gateway import measures
from gateway.amendments import Correction, LineFactor
from gateway.errors import StoreError
from gateway.learning import Learnt
from gateway.measures.calibrated import Calibrated
from gateway.model import Entry, EntryKind, Interval, TimeQuality, line_ref
from gateway.quality import Break
from gateway.store import calibrating, entries, outbox
from gateway.store.alarms import alarms_between, breaks_between, doubted, open_alarms
from gateway.store.batch import REPLACED
from gateway.store.books import books
from gateway.store.corrections import kept
from gateway.store.coverage import gaps, tills_heard, watched_ms
from gateway.store.day_sums import door_days, zone_days
from gateway.store.events import KIND_THEN, AlarmFacts, roles
from gateway.store.exits import ZoneDay, kept_days
from gateway.store.live import Today
from gateway.store.memory import DAY_MS, FAR_MS, WRITTEN, Line, Memory, Plans, Zone
from gateway.store.opening import Openings
from gateway.store.plan import (
    NOTHING,
    Books,
    DaySum,
    Figures,
    Grid,
    LineTotals,
    Pending,
    ZoneLive,
    flag_names,
)
from gateway.store.readings import raw_sums
from gateway.store.schema import FILE
from gateway.store.schema import reader as connect
from gateway.store.teaching import KNOWN_THEN
from gateway.store.zone_lines import ZoneLine, zone_lines
from gateway.windows import Span, business_date, day_of, local_hour

# ruff: noqa: S608  statements are put together from parts of ours only
# CROSS JOIN: zones first, so that the key of aggregates finds the span; the other way round scans the file
AGGREGATES = (
    f"SELECT z.zone, {KIND_THEN}, a.size_s,"
    " a.start_ms, a.revision, a.ins, a.outs, a.passersby, a.sales, a.returns,"
    " a.amount AS amount_minor, a.watched_ms, a.base_ms, a.estimated_ins, a.estimated_outs, a.occupancy,"
    " a.occupancy_raw, a.flags, a.quality, a.lines, a.reason, a.closed_ms, a.calibration, a.cal_ins,"
    f" a.cal_outs, a.cal_passersby, a.cal_ins_ppm, a.cal_passersby_ppm, a.staff, {KNOWN_THEN},"
    " max(a.revision) FROM"
    " zones z CROSS JOIN zone_aggregates a ON a.zone_id=z.id WHERE (:zone IS NULL OR z.zone=:zone)"
    " AND a.size_s IN (SELECT size_s FROM grids WHERE size_s=:size OR :size IS NULL AND base=1)"
    " AND (:size IS NOT NULL OR EXISTS (SELECT 1 FROM grids g WHERE g.base=1"
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
QUALITIES = [quality.value for quality in TimeQuality]  # by rank
CALIBRATED = ("calibration", "cal_ins", "cal_outs", "cal_passersby", "cal_ins_ppm", "cal_passersby_ppm")


@dataclass(frozen=True, slots=True)
class Kept:
    """What a report must know of a zone besides its windows."""

    openings: Openings
    through_ms: int


class Reader:
    """One `mode=ro` connection; a lock, so that threads may share it."""

    def __init__(self, data_dir: Path) -> None:
        self._path = data_dir / FILE if data_dir.is_dir() else data_dir
        with _named():
            if not self._path.is_file():
                raise StoreError(f"there is no buffer at {self._path}")
            self._con = connect(self._path)
        self._lock = threading.Lock()
        self._today: Today | None = None
        self._written = ""

    def close_file(self) -> None:
        self._con.close()

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        with self._lock, _named():
            self._con.execute("BEGIN")
            try:
                yield self._con
            finally:
                self._con.execute("ROLLBACK")

    def books(self, *, since_ms: int = 0) -> Books:
        """The balances of semantics 6, recomputed; `since_ms` bounds the zone check."""
        with self._lock, _named():
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
            days = kept_days(con, zone, from_ms - 2 * DAY_MS, to_ms, as_of_ms)
            residuals = {(day.zone, day.day_ms): day.residual for day in days}
            rows = _dicts(con.execute(AGGREGATES, binds))
            return [_shown(plans.at(row["closed_ms"]), row, residuals) for row in rows]

    def zone_lines(
        self, zone: str, from_ms: int, to_ms: int, size_s: int | None, as_of_ms: int | None = None
    ) -> list[ZoneLine]:
        """Each line (no tills) in each of those windows of a zone, oldest first."""
        with self._reading() as con:
            refs = {
                id_: line_ref(*names) for id_, *names in con.execute("SELECT id, counter, line FROM lines")
            }
            found = con.execute("SELECT id FROM zones WHERE zone=?", (zone,)).fetchone()
            return [*zone_lines(con, refs, found[0], (from_ms, to_ms), size_s, as_of_ms)] if found else []

    def tills_heard(self, zone: str, from_ms: int, to_ms: int) -> bool:
        """Whether a till that the zone had in `[from, to)` said anything then."""
        with self._reading() as con:
            return tills_heard(con, zone, from_ms, to_ms)

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

    def alarms(self) -> list[AlarmFacts]:
        """What is wrong with a line now, oldest first."""
        with self._reading() as con:
            return open_alarms(con)

    def alarms_between(self, from_ms: int, to_ms: int) -> list[AlarmFacts]:
        """What was wrong with a line at any time of `[from, to)`, oldest first."""
        with self._reading() as con:
            return alarms_between(con, from_ms, to_ms)

    def doubted(self, from_ms: int, to_ms: int) -> list[AlarmFacts]:
        """When a line was stuck or dead in `[from, to)`, and nobody has said that it counted right."""
        with self._reading() as con:
            return doubted(con, from_ms, to_ms)

    def breaks(self, from_ms: int, to_ms: int) -> list[Break]:
        """Where in `[from, to)` a line began to count at another level: it is not comparable across these."""
        with self._reading() as con:
            return breaks_between(con, from_ms, to_ms)

    def gaps(self, counter: str, from_ms: int, to_ms: int) -> list[Interval]:
        """When the counter was not watched, oldest first, between two times that it was."""
        with self._reading() as con:
            return gaps(con, counter, from_ms, to_ms)

    def entries(
        self,
        kind: EntryKind,
        subject: str | None = None,
        from_ms: int = 0,
        to_ms: int = FAR_MS,
        *,
        withdrawn: bool = False,
    ) -> list[Entry]:
        """What was entered about `[from, to)`, oldest first; `withdrawn`: what no longer counts too."""
        with self._reading() as con:
            return entries.listed(con, kind, subject, from_ms, to_ms, withdrawn=withdrawn)

    def taps(self, from_ms: int, to_ms: int) -> dict[str, tuple[int, int]]:
        """Zone → (taps, of them with a bag) of `[from, to)`."""
        with self._reading() as con:
            return entries.taps(con, from_ms, to_ms)

    def counted(self, counter: str, line: str, from_ms: int, to_ms: int) -> tuple[int, int, int] | None:
        """(ins, outs, passes) of a line by its readings, shared out over `[from, to)`.

        None when not all of it was watched, or when its readings are gone.
        """
        with self._reading() as con:
            row = con.execute(
                "SELECT id FROM lines WHERE till=0 AND counter=? AND line=?", (counter, line)
            ).fetchone()
            memory = Memory(con)
            if row is None or from_ms < memory.frozen_ms:
                return None
            if watched_ms(con, row[0], from_ms, to_ms) < to_ms - from_ms:
                return None
            sums = raw_sums(con, from_ms, to_ms, 1, memory.longest_short_ms(), row[0]).get(row[0])
        return sums[:3] if sums else (0, 0, 0)  # type: ignore[return-value]

    def zone_days(self, zone: str, days: list[Span]) -> list[DaySum | None]:
        """A zone's sums of each business day; None where not all of it is closed. Raises StoreError."""
        with self._reading() as con:
            memory = Memory(con)
            return zone_days(con, memory, _zone_named(memory, zone), days)

    def door_days(self, zone: str, days: list[Span]) -> dict[str, list[DaySum | None]]:
        """The same for each entrance of the zone, by the line's name. Raises StoreError."""
        with self._reading() as con:
            memory = Memory(con)
            return door_days(con, memory, _zone_named(memory, zone), days)

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
        return {
            zone.zone: Kept(zone.openings, memory.closed_through(zone.id, size_s))
            for zone in memory.zones.values()
        }

    def sizes_s(self) -> list[int]:
        """Every window size there ever was, seconds, shortest first."""
        with self._reading() as con:
            return sorted({grid.size_s for grid in Memory(con).grids})

    def corrections(self) -> list[Correction]:
        """All that were ever made, undone ones too, in the order of their making."""
        with self._reading() as con:
            return kept(con)

    def calibrations(self) -> list[LineFactor]:
        """All that were ever made, ended ones too, by version."""
        with self._reading() as con:
            return calibrating.kept(con)

    def days(self, zone: str | None, from_ms: int, to_ms: int, as_of_ms: int | None = None) -> list[ZoneDay]:
        """Business days that are over and begin in `[from, to)`, with what was left inside of each zone."""
        with self._reading() as con:
            return kept_days(con, zone, from_ms, to_ms, as_of_ms)

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
            (written,) = con.execute(WRITTEN).fetchone()
            if self._today is None or written != self._written:
                self._today, self._written = Today(Memory(con)), written
            return self._today.live(con, now_ms)


@contextmanager
def _named() -> Iterator[None]:
    """What keeps a file from being read is told in one sentence."""
    try:
        yield
    except (OSError, sqlite3.Error) as error:
        why = getattr(error, "strerror", None) or error
        raise StoreError(f"the buffer cannot be read: {why}") from error


def _dicts(cursor: sqlite3.Cursor) -> Iterator[dict[str, Any]]:
    names = [column[0] for column in cursor.description]
    for row in cursor:
        yield dict(zip(names, row, strict=True))


def _shown(plan: Grid, row: dict[str, Any], residuals: Mapping[tuple[str, int], int]) -> dict[str, Any]:
    row.pop("max(a.revision)")
    had = roles(row.pop("lines"))
    cal = [row.pop(column) for column in CALIBRATED]
    hour, learnt = local_hour(row["start_ms"], plan.timezone), Learnt.of(row["learnt"])
    day_ms, _ = day_of(row["start_ms"], plan.timezone, plan.day_start_min)
    complete = measures.completeness(row["watched_ms"], row["base_ms"])
    return {
        **row,
        "business_date": business_date(row["start_ms"], plan.timezone, plan.day_start_min).isoformat(),
        "completeness": complete,
        "residual": residuals.get((row["zone"], day_ms)),
        "calibrated": None if cal[0] is None else Calibrated(*cal),
        "phi": learnt.phi_at(hour),
        "phi_day": learnt.phi_day,
        "roles": had,
        "flags": flag_names(row["flags"]),
        "time_quality": QUALITIES[row.pop("quality")],
    }


def _zone_named(memory: Memory, name: str) -> Zone:
    for zone in memory.zones.values():
        if zone.zone == name:
            return zone
    raise StoreError(f"the buffer knows no zone {name}")


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
