"""Putting calibration factors in force and ending them: refused with words naming the key, or versioned."""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from typing import Any

from gateway.amendments import LineFactor
from gateway.errors import EntryRefused
from gateway.instants import rfc3339_seconds
from gateway.measures.calibrated import MILLION
from gateway.measures.calibration import FACTOR_LIMITS
from gateway.model import Stamp, line_ref
from gateway.store.correcting import find_line, refuse_doubt, sides_of
from gateway.store.memory import Memory
from gateway.store.plan import SIDE_IN, SIDE_OUT, SIDE_PASSES
from gateway.store.recalibrating import queue
from gateway.windows import next_edge_ms

SIDES = {"in": SIDE_IN, "out": SIDE_OUT, "passes": SIDE_PASSES}
NAMES = {bit: name for name, bit in SIDES.items()}
LARGEST_ERROR = 0.25  # relative: beyond, a factor says nothing
LONGEST_SOURCE = 500
LONGEST_AHEAD_MS = 366 * 86_400_000
KEPT = (
    "SELECT l.counter, l.line, c.side, c.factor_ppm, c.error_ppm, c.from_ms, c.source, c.by, c.version,"
    " c.made_ms, c.to_ms, c.ended_ms, c.ended_by FROM calibrations c JOIN lines l ON l.id=c.line_id"
)
INSERT = (
    "INSERT INTO calibrations (line_id, side, factor_ppm, error_ppm, from_ms, source, by, made_ms)"
    " VALUES (?,?,?,?,?,?,?,?)"
)
END = "UPDATE calibrations SET to_ms=?, ended_ms=?, ended_by=? WHERE version=?"


def calibrate(con: sqlite3.Connection, memory: Memory, wanted: LineFactor, now: Stamp) -> LineFactor:
    """The next version. The same as the newest of its line and side changes nothing. Raises EntryRefused."""
    refuse_doubt(now)
    line = find_line(memory, wanted.line)
    side = SIDES.get(wanted.side)
    if side is None:
        raise EntryRefused(f"side: one of {', '.join(SIDES)}, not {wanted.side}")
    has = sides_of(memory, line)
    if has and not has & side:
        counted = ", ".join(name for name, bit in SIDES.items() if has & bit)
        raise EntryRefused(f"side: {wanted.line} does not count {wanted.side}, it counts {counted}")
    _refuse_figures(wanted)
    for newest in kept(con, "WHERE c.line_id=? AND c.side=?", line.id, side)[-1:]:
        if newest.to_ms is None and _same(newest, wanted):
            return newest
    from_ms = _next_edge_ms(memory, now) if wanted.from_ms is None else wanted.from_ms
    _refuse_instant(memory, "from", from_ms, now)
    figures = (round(wanted.factor * MILLION), round(wanted.error * MILLION), from_ms)
    told = (wanted.source, wanted.by, now.wall_ms)
    version = con.execute(INSERT, (line.id, side, *figures, *told)).lastrowid
    return _in_effect(con, memory, int(version or 0), from_ms)


def end(
    con: sqlite3.Connection, memory: Memory, version: int, to_ms: int | None, by: str, now: Stamp
) -> LineFactor:
    """From `to_ms` (None: the next window) on its line's side is not calibrated. Raises EntryRefused."""
    refuse_doubt(now)
    found = kept(con, "WHERE c.version=?", version)
    if not found:
        raise EntryRefused(f"version: there is no calibration {version}")
    [factor] = found
    if factor.to_ms is not None:
        if to_ms in (None, factor.to_ms):
            return factor
        raise EntryRefused(f"version: {version} has ended at {rfc3339_seconds(factor.to_ms)} already")
    from_ms = factor.from_ms or 0
    if to_ms is not None and to_ms < from_ms:
        raise EntryRefused(f"to: calibration {version} begins at {rfc3339_seconds(from_ms)}")
    to_ms = max(_next_edge_ms(memory, now), from_ms) if to_ms is None else to_ms
    _refuse_instant(memory, "to", to_ms, now)
    con.execute(END, (to_ms, now.wall_ms, by, version))
    return _in_effect(con, memory, version, to_ms)


def kept(con: sqlite3.Connection, where: str = "", *binds: object) -> list[LineFactor]:
    """Calibrations, also ended ones, in the order of their versions."""
    rows = con.execute(f"{KEPT} {where} ORDER BY c.version", binds)  # conditions of ours
    return [_factor(row) for row in rows]


def _in_effect(con: sqlite3.Connection, memory: Memory, version: int, from_ms: int) -> LineFactor:
    """Closed windows from an instant on are to be looked at; what is remembered of factors is read anew."""
    [factor] = kept(con, "WHERE c.version=?", version)
    memory.load_factors()
    memory.stir()
    queue(con, memory, find_line(memory, factor.line).id, from_ms)
    return factor


def _refuse_figures(wanted: LineFactor) -> None:
    low, high = FACTOR_LIMITS
    if not low <= wanted.factor <= high:  # also refuses what is no number
        raise EntryRefused(f"factor: {wanted.factor:g} lies outside {low:g} to {high:g}: mend the counter")
    if not 0 <= wanted.error <= LARGEST_ERROR:
        raise EntryRefused(f"error: a relative standard error lies between 0 and {LARGEST_ERROR:g}")
    if len(wanted.source) > LONGEST_SOURCE:
        raise EntryRefused(f"source: {LONGEST_SOURCE} characters at most")


def _refuse_instant(memory: Memory, key: str, at_ms: int, now: Stamp) -> None:
    if at_ms > now.wall_ms + LONGEST_AHEAD_MS:
        raise EntryRefused(f"{key}: lies more than a year ahead")
    if at_ms < memory.frozen_ms:
        raise EntryRefused(f"{key}: windows before {rfc3339_seconds(memory.frozen_ms)} are final")


def _next_edge_ms(memory: Memory, now: Stamp) -> int:
    """No window of any size is cut in two."""
    return next_edge_ms(now.wall_ms, max((grid.size_s for grid in memory.grids), default=3600))


def _same(newest: LineFactor, wanted: LineFactor) -> bool:
    figures = round(wanted.factor * MILLION), round(wanted.error * MILLION)
    known = round(newest.factor * MILLION), round(newest.error * MILLION)
    return figures == known and wanted.from_ms in (None, newest.from_ms)


def _factor(row: tuple[Any, ...]) -> LineFactor:
    counter, line, side, factor_ppm, error_ppm, from_ms, source, by, version, *story = row
    figures = factor_ppm / MILLION, error_ppm / MILLION
    told = LineFactor(line_ref(counter, line), NAMES[side], *figures, from_ms, source, by, version)
    made_ms, to_ms, ended_ms, ended_by = story
    return replace(told, made_ms=made_ms, to_ms=to_ms, ended_ms=ended_ms, ended_by=ended_by)
