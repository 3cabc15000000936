"""Held parcels get their time: their own boot's clock, or bounds for a boot that has ended (semantics 9)."""

from __future__ import annotations

import sqlite3

from gateway.model import Stamp
from gateway.store.batch import Batch
from gateway.store.held import decode, unhold
from gateway.store.memory import Memory
from gateway.store.recording import Recorder


def release_held(con: sqlite3.Connection, memory: Memory, recorder: Recorder, now: Stamp) -> int:
    """Book everything held, in order of arrival, in the caller's transaction. Returns parcels released."""
    rows = con.execute("SELECT id, boot, mono_ms, link, parcel FROM held ORDER BY id").fetchall()
    last_mono: dict[str, int] = {}
    for _id, boot, mono_ms, _link, _text in rows:
        last_mono[boot] = max(last_mono.get(boot, 0), mono_ms)
    low_ms = min(last_trusted_ms(memory), now.wall_ms - 1)
    batch = Batch(con, memory, now)
    for _id, boot, mono_ms, link, text in rows:
        unhold(batch, text)
        if boot == now.boot:
            stamp = Stamp(boot, mono_ms, now.wall_ms - (now.mono_ms - mono_ms))
            bound = None
        else:
            stamp = Stamp(boot, mono_ms, max(low_ms + 1, now.wall_ms - (last_mono[boot] - mono_ms)))
            bound = (low_ms, now.wall_ms)
        recorder.rebook(batch, decode(text, link, stamp), bound)
        batch.now = now
        batch.flush()
    con.execute("DELETE FROM held")
    memory.held = False
    return len(rows)


def last_trusted_ms(memory: Memory) -> int:
    """The last moment the clock was believed, as far as the file knows."""
    return max(memory.trusted_ms, *(line.last_ms for line in memory.by_id.values()), memory.generation * 1000)
