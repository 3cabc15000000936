"""What people entered in place of what was counted: readings are masked, never deleted (decision 012).

A correction is a reading that covers others. All of it is shared out by the integer formula of semantics 2,
so what is masked and what is put in its place add up for every partition of time.
"""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from typing import Any

from gateway.amendments import Correction
from gateway.model import TimeQuality, line_ref
from gateway.store.coverage import watched_ms
from gateway.store.in_force import ByLine, InForce, in_force, touching
from gateway.store.plan import SIDE_IN, SIDE_OUT, SIDE_PASSES, Figures
from gateway.store.readings import Sums, raw_sums

SIDES = (SIDE_IN, SIDE_OUT, SIDE_PASSES)
NAMES = {SIDE_IN: "ins", SIDE_OUT: "outs", SIDE_PASSES: "passes"}
EMPTY = (0,) * 9 + (TimeQuality.GATEWAY.rank,)  # sums of a line that counted nothing

KEPT = (
    "SELECT c.id, l.counter, l.line, c.start_ms, c.end_ms, c.side, c.ins, c.outs, c.passes, c.reason, c.by,"
    " c.made_ms, c.undone_ms, c.undone_by, c.undone_reason FROM corrections c JOIN lines l ON l.id=c.line_id"
)
FREEZE = (
    "UPDATE corrections SET masked_ins=masked_ins+?, masked_outs=masked_outs+?,"
    " masked_passes=masked_passes+? WHERE line_id=? AND start_ms=? AND undone_ms IS NULL"
)


def window_sums(
    con: sqlite3.Connection, lo_ms: int, hi_ms: int, size_s: int, back_ms: int, corrections: ByLine
) -> Sums:
    """What every line counts in `[lo, hi)`: what is entered stands where it masks readings."""
    sums = raw_sums(con, lo_ms, hi_ms, size_s, back_ms)
    for line_id in corrections:
        for one in touching(corrections, line_id, lo_ms, hi_ms):
            sums[line_id] = _corrected(con, one, sums.get(line_id, EMPTY), (lo_ms, hi_ms), size_s, back_ms)
    return sums


def _corrected(
    con: sqlite3.Connection,
    one: InForce,
    row: tuple[int, ...],
    span: tuple[int, int],
    size_s: int,
    back_ms: int,
) -> tuple[int, ...]:
    """A line's sums with one correction: less what it masks, plus what it puts there."""
    masked = raw_sums(con, *one.clip(*span), size_s, back_ms, one.line_id).get(one.line_id, EMPTY)
    estimated = one.end_ms - one.start_ms > size_s * 1000
    sums = list(row)
    for index, (bit, put) in enumerate(zip(SIDES, one.put(*span), strict=True)):
        if one.side & bit:
            sums[index] += put - masked[index]
            sums[index + 6] += (put if estimated else 0) - masked[index + 6]
    return tuple(sums)


def masked_by(con: sqlite3.Connection, one: InForce, lo_ms: int, hi_ms: int, back_ms: int) -> tuple[int, ...]:
    """Ins, outs and passes counted in `[lo, hi)` that a correction hides."""
    low, high = one.clip(lo_ms, hi_ms)
    if low >= high:
        return 0, 0, 0
    counted = raw_sums(con, low, high, 1, back_ms, one.line_id).get(one.line_id, EMPTY)
    return tuple(counted[index] if one.side & bit else 0 for index, bit in enumerate(SIDES))


def effect(con: sqlite3.Connection, one: InForce, lo_ms: int, hi_ms: int, back_ms: int) -> Figures:
    """What a correction adds to `[lo, hi)`, negative where it takes away; for spans that are not frozen."""
    low, high = one.clip(lo_ms, hi_ms)
    if low >= high:
        return 0, 0, 0, 0, 0, 0
    masked = masked_by(con, one, low, high, back_ms)
    ins, outs, passes = (put - less for put, less in zip(one.put(low, high), masked, strict=True))
    return ins, outs, passes, 0, 0, 0


def whole_effect(con: sqlite3.Connection, one: InForce, frozen_ms: int, back_ms: int) -> Figures:
    """What a correction adds in all, also where the readings it masks have been pruned."""
    masked = masked_by(con, one, max(frozen_ms, one.start_ms), one.end_ms, back_ms)
    ins, outs, passes = (
        put - gone - less for put, gone, less in zip(one.persons, one.masked, masked, strict=True)
    )
    return ins, outs, passes, 0, 0, 0


def freeze(con: sqlite3.Connection, before_ms: int, edge_ms: int, back_ms: int) -> None:
    """Remember what is masked before the new frozen edge: its readings are about to go."""
    for ones in in_force(con, before_ms).values():
        for one in ones:
            gone = masked_by(con, one, before_ms, edge_ms, back_ms)
            con.execute(FREEZE, (*gone, one.line_id, one.start_ms))


def vouched_ms(con: sqlite3.Connection, corrections: ByLine, line_id: int, lo_ms: int, hi_ms: int) -> int:
    """Milliseconds of `[lo, hi)` that nothing watched but a person vouches for."""
    spans = [one.clip(lo_ms, hi_ms) for one in touching(corrections, line_id, lo_ms, hi_ms)]
    return sum(high - low - watched_ms(con, line_id, low, high) for low, high in spans)


def kept(con: sqlite3.Connection, where: str = "", *binds: object) -> list[Correction]:
    """Corrections, also undone ones, in the order of their making."""
    rows = con.execute(f"{KEPT} {where} ORDER BY c.made_ms, c.id", binds)
    return [_correction(row) for row in rows]


def _correction(row: tuple[Any, ...]) -> Correction:
    id_, counter, line, start_ms, end_ms, side, *persons, reason, by, made_ms, undone_ms, who, why = row
    ins, outs, passes = (count if side & bit else None for bit, count in zip(SIDES, persons, strict=True))
    told = Correction(id_, line_ref(counter, line), start_ms, end_ms, ins, outs, passes, reason, by)
    return replace(told, made_ms=made_ms, undone_ms=undone_ms, undone_by=who, undone_reason=why)
