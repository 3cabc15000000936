"""Another device under the same counter: its registers begin anew, its history stays."""

from __future__ import annotations

import sqlite3

from gateway.errors import StoreError
from gateway.model import Stamp
from gateway.store import alarms
from gateway.store.memory import Memory


def replace(con: sqlite3.Connection, memory: Memory, counter: str, now: Stamp) -> int:
    """The next total of each register is a first sight; returns how many registers. Raises StoreError."""
    lines = {line.id for line in memory.by_id.values() if line.rule.counter == counter}
    if not lines:
        raise StoreError(f"no counter {counter} has ever been configured here")
    heads = [head for head in memory.heads.values() if head.line_id in lines]
    for head in heads:
        head.epoch = f"replaced {now.boot} {now.mono_ms}"  # no device calls itself that: a swap
    memory.save_heads(heads)
    con.execute("DELETE FROM adopted WHERE counter=?", (counter,))
    alarms.end(con, memory, lines, now)
    for table in ("detectors", "cells"):  # what is usual of the old device says nothing of the new one
        con.executemany(f"DELETE FROM {table} WHERE line_id=?", [(line,) for line in lines])  # noqa: S608
    return len(heads)
