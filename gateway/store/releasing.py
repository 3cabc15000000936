"""Held parcels get their time: their own boot's clock, or bounds for a boot that has ended (semantics 9)."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from dataclasses import dataclass

from gateway.model import MAX_INTERVAL_MS, Stamp
from gateway.store.batch import COUNTED, HELD, REFUSED, Batch
from gateway.store.held import decode, unhold
from gateway.store.memory import DAY_MS, Memory
from gateway.store.plan import negative
from gateway.store.poison import attempt, bury
from gateway.store.recording import Recorder


@dataclass(frozen=True, slots=True)
class _Held:
    """One kept parcel and the moment it is given."""

    link: str
    text: str
    stamp: Stamp
    bound: tuple[int, int] | None  # where in time its boot may have been; None: the boot is still running


def release_held(con: sqlite3.Connection, memory: Memory, recorder: Recorder, now: Stamp) -> int:
    """Book everything held, in order of arrival, in the caller's transaction. Returns parcels released."""
    released = 0
    for held in _dated(con, memory, now):
        error = attempt(con, memory, lambda held=held: _rebook(con, memory, recorder, held, now))  # type: ignore[misc]
        if error is not None:
            digest = hashlib.sha256(held.text.encode()).hexdigest()
            bury(con, digest, held.link, held.stamp.wall_ms, error)
        released += 1
    con.execute("DELETE FROM held")
    memory.held = False
    _refuse_rest(con, memory, now)
    return released


def _dated(con: sqlite3.Connection, memory: Memory, now: Stamp) -> list[_Held]:
    rows = con.execute("SELECT boot, mono_ms, link, parcel FROM held ORDER BY id").fetchall()
    last_mono: dict[str, int] = {}
    for boot, mono_ms, _link, _text in rows:
        last_mono[boot] = max(last_mono.get(boot, 0), mono_ms)
    low_ms = _earliest_ms(memory, now)
    found = []
    for boot, mono_ms, link, text in rows:
        if boot == now.boot:
            found.append(_Held(link, text, Stamp(boot, mono_ms, now.wall_ms - (now.mono_ms - mono_ms)), None))
        else:
            wall_ms = max(low_ms + 1, now.wall_ms - (last_mono[boot] - mono_ms))
            found.append(_Held(link, text, Stamp(boot, mono_ms, wall_ms), (low_ms, now.wall_ms)))
    return found


def _earliest_ms(memory: Memory, now: Stamp) -> int:
    """Since when an ended boot may have run; as far back as a reading may lie, for a box that lay unused."""
    reach_ms = min(MAX_INTERVAL_MS, memory.plan.readings_days * DAY_MS)
    earliest_ms = max(last_trusted_ms(memory), memory.frozen_ms, now.wall_ms - reach_ms)
    return min(earliest_ms, now.wall_ms - 1)


def _rebook(con: sqlite3.Connection, memory: Memory, recorder: Recorder, held: _Held, now: Stamp) -> None:
    """Out of what is held, into the books. Lines that are no longer configured are refused, not forgotten."""
    batch = Batch(con, memory, now)
    unhold(batch, held.text)
    configured = {line.id for line in memory.lines.values()}
    for line_id, figures in json.loads(held.text)["books"]:
        if line_id not in configured:
            batch.refuse(memory.by_id[line_id], "unconfigured", tuple(figures))
    recorder.rebook(batch, decode(held.text, held.link, held.stamp), held.bound)
    batch.now = now
    batch.flush()


def _refuse_rest(con: sqlite3.Connection, memory: Memory, now: Stamp) -> None:
    """What is still held when nothing is kept any more was poison: received, and refused."""
    batch = Batch(con, memory, now)
    for line_id, *rest in con.execute(
        "SELECT line_id, ins, outs, passes, sales, returns, amount FROM ledger WHERE account=?", (HELD,)
    ).fetchall():
        ins, outs, passes, sales, returns, amount = rest
        figures = (ins, outs, passes, sales, returns, amount)
        line = memory.by_id[line_id]
        if any(figures):
            batch.post(line, HELD, negative(figures))
            batch.post(line, COUNTED, negative(figures))
            batch.post(line, REFUSED + "poison", figures)
    batch.flush()


def last_trusted_ms(memory: Memory) -> int:
    """The last moment the clock was believed, as far as the file knows."""
    return max(memory.trusted_ms, *(line.last_ms for line in memory.by_id.values()), memory.generation * 1000)
