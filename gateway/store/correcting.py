"""Making and undoing corrections: refused with words naming the key, or in force with the windows dirty."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from dataclasses import replace

from gateway.amendments import Correction
from gateway.errors import EntryConflict, EntryRefused
from gateway.instants import rfc3339_seconds
from gateway.model import MAIN_LINE, MAX_COUNT, MAX_INTERVAL_MS, Stamp
from gateway.store.batch import Batch
from gateway.store.corrections import NAMES, SIDES, kept
from gateway.store.memory import Line, Memory

WHY = "correction"  # the reason of the revisions
ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,63}")
LONGEST_TEXT = 500
INSERT = (
    "INSERT INTO corrections (id, line_id, start_ms, end_ms, side, ins, outs, passes, reason, by, made_ms)"
    " VALUES (?,?,?,?,?,?,?,?,?,?,?)"
)
UNDO = "UPDATE corrections SET undone_ms=?, undone_by=?, undone_reason=? WHERE id=?"
OVERLAPPING = "WHERE c.line_id=? AND c.start_ms<? AND c.end_ms>? AND c.undone_ms IS NULL"


def correct(con: sqlite3.Connection, memory: Memory, wanted: Correction, now: Stamp) -> Correction:
    """Put it in force. Raises EntryRefused, EntryConflict."""
    if not ID.fullmatch(wanted.id):
        raise EntryRefused("id: 1 to 64 letters, digits, dots, colons, dashes or underscores")
    wanted = replace(wanted, line=wanted.line.removesuffix(f"/{MAIN_LINE}"))  # as it will be told
    for before in kept(con, "WHERE c.id=?", wanted.id):
        if before.content != wanted.content:
            raise EntryConflict(f"id: {wanted.id} was used before for another correction")
        return before
    line = find_line(memory, wanted.line)
    _refuse_time(memory, wanted.start_ms, wanted.end_ms, now)
    _refuse_counts(memory, line, wanted)
    check_text("reason", wanted.reason)
    for other in kept(con, OVERLAPPING, line.id, wanted.end_ms, wanted.start_ms):
        span = f"{rfc3339_seconds(other.start_ms)} to {rfc3339_seconds(other.end_ms)}"
        raise EntryRefused(f"from: {other.id} is in force for {wanted.line} from {span}; undo it first")
    side = sum(bit for bit, count in _counts(wanted) if count is not None)
    counts = [count or 0 for _, count in _counts(wanted)]
    span_ms = (wanted.start_ms, wanted.end_ms)
    con.execute(INSERT, (wanted.id, line.id, *span_ms, side, *counts, wanted.reason, wanted.by, now.wall_ms))
    return _in_effect(con, memory, line, wanted.id, now)


def undo(con: sqlite3.Connection, memory: Memory, id_: str, reason: str, by: str, now: Stamp) -> Correction:
    """What was counted stands again; undone once more it stays as it is. Raises EntryRefused."""
    found = kept(con, "WHERE c.id=?", id_)
    if not found:
        raise EntryRefused(f"id: there is no correction {id_}")
    if found[0].undone_ms is not None:
        return found[0]
    check_text("reason", reason)
    refuse_doubt(now)
    if found[0].start_ms < memory.frozen_ms:
        raise EntryRefused(
            f"id: {id_} begins before {rfc3339_seconds(memory.frozen_ms)}: those windows are final"
        )
    con.execute(UNDO, (now.wall_ms, by, reason, id_))
    return _in_effect(con, memory, find_line(memory, found[0].line), id_, now)


def _in_effect(con: sqlite3.Connection, memory: Memory, line: Line, id_: str, now: Stamp) -> Correction:
    """Its windows are to be restated; what is remembered of corrections is read anew."""
    [correction] = kept(con, "WHERE c.id=?", id_)
    batch = Batch(con, memory, now, WHY)
    batch.soil(line, correction.start_ms, correction.end_ms)
    batch.flush()
    memory.load_corrections()
    memory.stir()
    return correction


def find_line(memory: Memory, ref: str) -> Line:
    """A counter's line that is or was configured."""
    counter, _, name = ref.partition("/")
    for line in memory.by_id.values():
        rule = line.rule
        if (rule.till, rule.counter, rule.line) == (False, counter, name or MAIN_LINE):
            return line
    known = sorted(line.rule.ref for line in memory.by_id.values() if not line.rule.till)
    raise EntryRefused(f"line: no line {ref} has ever counted here; there is {', '.join(known) or 'none'}")


def sides_of(memory: Memory, line: Line) -> int:
    """Which of ins, outs and passes it has ever counted; 0: nothing yet."""
    sides = line.sides
    for owner, bit in memory.heads:
        sides |= bit if owner == line.id else 0
    return sides


def refuse_doubt(now: Stamp) -> None:
    """What is entered begins or ends at a moment: wait until one is believed."""
    if not now.trusted:
        raise EntryRefused("the clock is not believed yet: enter it when it is")


def _refuse_time(memory: Memory, start_ms: int, end_ms: int, now: Stamp) -> None:
    refuse_doubt(now)
    if end_ms <= start_ms:
        raise EntryRefused("to: must lie after from")
    if end_ms - start_ms > MAX_INTERVAL_MS:
        raise EntryRefused("to: a correction spans 31 days at most")
    if end_ms > now.wall_ms:
        raise EntryRefused(f"to: {rfc3339_seconds(end_ms)} is not over yet")
    if start_ms < memory.frozen_ms:
        raise EntryRefused(f"from: windows before {rfc3339_seconds(memory.frozen_ms)} are final")


def _counts(wanted: Correction) -> Iterator[tuple[int, int | None]]:
    return zip(SIDES, (wanted.ins, wanted.outs, wanted.passes), strict=True)


def _refuse_counts(memory: Memory, line: Line, wanted: Correction) -> None:
    """No side at all, one that the line does not have, or more people than could have passed."""
    sides = sides_of(memory, line)
    told = {bit: count for bit, count in _counts(wanted) if count is not None}
    if not told:
        raise EntryRefused("ins, outs or passes: say how many")
    seconds = (wanted.end_ms - wanted.start_ms) / 1000
    for bit, count in told.items():
        name, most = NAMES[bit], line.rule.max_per_s * seconds
        if not 0 <= count <= MAX_COUNT:
            raise EntryRefused(f"{name}: {count} is not a number of persons")
        if line.rule.max_per_s and count > max(most, 1):
            raise EntryRefused(
                f"{name}: {count} persons in {seconds:g} s are more than max_per_s = {line.rule.max_per_s:g}"
            )
        if sides and not sides & bit:
            has = ", ".join(NAMES[one] for one in SIDES if sides & one)
            raise EntryRefused(f"{name}: {wanted.line} does not count {name}, it counts {has}")


def check_text(key: str, text: str) -> None:
    """Why something was entered: asked of whoever looks later. Raises EntryRefused."""
    if not text.strip() or len(text) > LONGEST_TEXT:
        raise EntryRefused(f"{key}: say why, in 1 to {LONGEST_TEXT} characters")
