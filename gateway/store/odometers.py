"""Totals: one head per register, differences between time neighbours, in any order (decision 001).

A difference row carries the register's value at its end, so that a late total splits the row it falls in; a
refused jump is remembered for the same reason. Every stretch between neighbours is judged on its own, so any
order of arrival gives the same books.
"""

from __future__ import annotations

from dataclasses import dataclass

from gateway.model import MAX_INTERVAL_MS, Register, Resets, Stamp
from gateway.registers import Kind, Rule, Verdict, judge, judge_low
from gateway.store.batch import Batch
from gateway.store.memory import HOUR_MS, Head, Line
from gateway.store.plan import SIDE_IN, SIDE_OUT, SIDE_PASSES, Figures
from gateway.store.readings import DELETE, insert, is_long, stretch

# The stored difference of a register around an instant: it starts before and does not end before it.
AROUND = (
    "SELECT start_ms, end_ms, ins+outs+passes, total FROM readings WHERE long=? AND start_ms>? AND start_ms<?"
    " AND line_id=? AND end_ms>=? AND side=? AND total IS NOT NULL"
)
JUMP_AROUND = (
    "SELECT start_ms, end_ms, from_total, to_total, persons FROM jumps"
    " WHERE line_id=? AND side=? AND start_ms<? AND end_ms>=?"
)


@dataclass(frozen=True, slots=True)
class Sight:
    """One total as it came: who, when, how much."""

    line: Line
    side: int
    at_ms: int
    total: int
    rule: Rule
    quality: int
    stamp: Stamp
    polled: bool  # stamped by us: elapsed time is the monotonic clock's, within a boot

    def elapsed_ms(self, head: Head) -> int:
        if self.polled and head.boot == self.stamp.boot:
            return self.stamp.mono_ms - head.mono_ms
        return self.at_ms - head.at_ms


def figures_of(side: int, persons: int) -> Figures:
    """Persons of one side in the order of `COLUMNS`."""
    return (
        persons if side == SIDE_IN else 0,
        persons if side == SIDE_OUT else 0,
        persons if side == SIDE_PASSES else 0,
        0,
        0,
        0,
    )


def book_register(
    batch: Batch, line: Line, reading: Register, at_ms: int, stamp: Stamp, quality: int
) -> None:
    """Each side of a register by itself; either may be absent."""
    rule = Rule(
        reading.modulus,
        reading.restart,
        line.rule.max_per_s,
        line.rule.down,
        line.rule.resets is not Resets.NEVER,
    )
    sides = (
        (SIDE_IN, reading.total_in),
        (SIDE_OUT, reading.total_out),
        (SIDE_PASSES, reading.total_passes),
    )
    for side, total in sides:
        if total is not None:
            polled = reading.at_ms is None
            sight = Sight(line, side, at_ms, total, rule, quality, stamp, polled)
            _book_total(batch, sight, reading.epoch)
    batch.touched[line.id] = line


def polled_ms(batch: Batch, line: Line, stamp: Stamp) -> int | None:
    """The instant of a polled answer: wall time, never behind the line's last in (boot, monotonic) order.

    None: this boot has already had a later answer.
    """
    at_ms = stamp.wall_ms
    for side in (SIDE_IN, SIDE_OUT, SIDE_PASSES):
        head = batch.memory.heads.get((line.id, side))
        if head is None:
            continue
        if head.boot == stamp.boot and stamp.mono_ms < head.mono_ms:
            return None
        newest = max(head.at_ms, head.held_until_ms or 0)
        if head.boot != stamp.boot or stamp.mono_ms > head.mono_ms:
            at_ms = max(at_ms, newest + 1)
    return at_ms


def _book_total(batch: Batch, sight: Sight, epoch: str) -> None:
    head = batch.memory.heads.get((sight.line.id, sight.side))
    if head is None or (head.epoch != epoch and sight.at_ms > head.at_ms):
        before = 0
        if head is not None:
            batch.reset(sight.line, Kind.SWAP)
            before = max(head.at_ms, head.held_until_ms or 0)
        _new_head(batch, sight, epoch, before)
        return
    batch.heads[sight.line.id, sight.side] = head
    if head.epoch != epoch:
        batch.reset(sight.line, Kind.STALE)
    elif sight.at_ms > head.at_ms:
        _newest(batch, sight, head)
    elif sight.at_ms < head.first_ms:
        _before_first(batch, sight, head)
    elif sight.at_ms == head.at_ms or sight.at_ms == head.first_ms:
        same = head.total if sight.at_ms == head.at_ms else head.first_total
        if same != sight.total:
            batch.reset(sight.line, Kind.STALE)
        elif head.boot == sight.stamp.boot:
            head.mono_ms = max(head.mono_ms, sight.stamp.mono_ms)
    else:
        _between(batch, sight)


def _new_head(batch: Batch, sight: Sight, epoch: str, not_before_ms: int) -> None:
    """First sight books nothing."""
    head = Head(
        sight.line.id,
        sight.side,
        epoch,
        sight.at_ms,
        sight.total,
        sight.at_ms,
        sight.total,
        sight.stamp.boot,
        sight.stamp.mono_ms,
        None,
        None,
        None,
        not_before_ms,
    )
    batch.memory.heads[sight.line.id, sight.side] = head
    batch.heads[sight.line.id, sight.side] = head


def _move(head: Head, sight: Sight) -> None:
    head.at_ms, head.total = sight.at_ms, sight.total
    head.boot, head.mono_ms = sight.stamp.boot, sight.stamp.mono_ms
    head.held_ms = head.held_until_ms = head.held_total = None


def _newest(batch: Batch, sight: Sight, head: Head) -> None:
    if head.held_total is not None and head.held_ms is not None and head.held_until_ms is not None:
        if sight.at_ms <= head.held_until_ms:
            _before_held(batch, sight, head)
            return
        verdict = judge_low(sight.rule, head.total, head.held_total, head.held_ms - head.at_ms, sight.total)
        if verdict.kind is Kind.HELD:
            head.held_until_ms = sight.at_ms
            head.boot, head.mono_ms = sight.stamp.boot, sight.stamp.mono_ms
            return
        _settle_low(batch, sight, head, verdict)
    verdict = judge(sight.rule, head.total, sight.total, sight.elapsed_ms(head))
    if verdict.kind is Kind.HELD:
        head.held_ms = head.held_until_ms = sight.at_ms
        head.held_total = sight.total
        head.boot, head.mono_ms = sight.stamp.boot, sight.stamp.mono_ms
        return
    if verdict.kind is Kind.ROLLOVER:
        batch.reset(sight.line, Kind.ROLLOVER)
    _book(batch, sight, head.at_ms, sight.at_ms, head.total, sight.total, verdict)
    _move(head, sight)


def _before_held(batch: Batch, sight: Sight, head: Head) -> None:
    """A late total between the head and a waiting decrease: it moves the head, the decrease keeps waiting."""
    verdict = judge(sight.rule, head.total, sight.total, sight.at_ms - head.at_ms)
    if verdict.kind is Kind.HELD or sight.at_ms >= (head.held_ms or 0):
        if sight.total != head.held_total:
            batch.reset(sight.line, Kind.STALE)
        return
    _book(batch, sight, head.at_ms, sight.at_ms, head.total, sight.total, verdict)
    waiting = head.held_ms, head.held_until_ms, head.held_total
    _move(head, sight)
    head.held_ms, head.held_until_ms, head.held_total = waiting


def _settle_low(batch: Batch, sight: Sight, head: Head, verdict: Verdict) -> None:
    """The decrease is understood: a glitch is forgotten, a reset booked, the wrong way refused."""
    batch.reset(sight.line, verdict.kind)
    if verdict.kind is Kind.GLITCH or head.held_total is None or head.held_ms is None:
        return
    if verdict.kind is Kind.RESET:
        _store(batch, sight, head.at_ms, head.held_ms, head.held_total, verdict.persons)
        batch.count(sight.line, figures_of(sight.side, verdict.persons))
    else:
        batch.refuse(sight.line, Kind.BACKWARD, figures_of(sight.side, verdict.persons))
    head.at_ms, head.total = head.held_until_ms or head.held_ms, head.held_total
    # an earlier total can no longer be compared with what came before the decrease
    head.held_ms = head.held_until_ms = head.held_total = None


def _book(
    batch: Batch, sight: Sight, start_ms: int, end_ms: int, low: int, high: int, verdict: Verdict
) -> None:
    """A judged stretch between neighbours that was not booked before."""
    figures = figures_of(sight.side, verdict.persons)
    if verdict.kind is Kind.JUMP:
        batch.reset(sight.line, Kind.JUMP)
        batch.refuse(sight.line, Kind.JUMP, figures)
        _remember(batch, sight, start_ms, end_ms, low, high, verdict.persons)
    elif verdict.persons:
        _store(batch, sight, start_ms, end_ms, high, verdict.persons)
        batch.count(sight.line, figures)


def _remember(
    batch: Batch, sight: Sight, start_ms: int, end_ms: int, low: int, high: int, persons: int
) -> None:
    batch.con.execute(
        "INSERT OR REPLACE INTO jumps VALUES (?,?,?,?,?,?,?)",
        (sight.line.id, sight.side, start_ms, end_ms, low, high, persons),
    )


def _store(batch: Batch, sight: Sight, start_ms: int, end_ms: int, total: int, persons: int) -> None:
    """One difference row. A gap too long, or begun in frozen windows, is clipped, never lost."""
    if not persons:
        return
    line = sight.line
    start_ms = min(max(start_ms, batch.memory.frozen_ms, end_ms - MAX_INTERVAL_MS), end_ms - 1)
    stretch(line, start_ms, end_ms)
    insert(
        batch, line, start_ms, end_ms, sight.side, 0, figures_of(sight.side, persons), sight.quality, total
    )
    batch.soil(line, start_ms, end_ms)
    batch.seen(line, end_ms, sight.quality, sight.side)


def _before_first(batch: Batch, sight: Sight, head: Head) -> None:
    """A total from before the first sight extends the register backwards."""
    verdict = judge(sight.rule, sight.total, head.first_total, head.first_ms - sight.at_ms)
    if (
        verdict.kind is Kind.HELD
        or head.first_ms <= batch.memory.frozen_ms
        or sight.at_ms < head.not_before_ms
    ):
        batch.reset(sight.line, Kind.STALE)
        return
    _book(batch, sight, sight.at_ms, head.first_ms, sight.total, head.first_total, verdict)
    head.first_ms, head.first_total = sight.at_ms, sight.total


def _between(batch: Batch, sight: Sight) -> None:
    """A late total inside what is known: it splits the difference or the jump it falls in."""
    row = _around(batch, sight)
    if row is not None:
        start_ms, end_ms, persons, total = row
        low = total + persons if sight.rule.down else total - persons
        if sight.rule.span and persons and not _ordered(sight.rule, low):
            low = sight.rule.restart + (low - sight.rule.restart) % sight.rule.span
        _split(batch, sight, (start_ms, end_ms, low, total, persons), jump=False)
        return
    jump = batch.con.execute(JUMP_AROUND, (sight.line.id, sight.side, sight.at_ms, sight.at_ms)).fetchone()
    if jump is not None:
        _split(batch, sight, jump, jump=True)


def _ordered(rule: Rule, low: int) -> bool:
    """Whether a start value computed from a row's end lies inside the register."""
    return rule.restart <= low and (rule.modulus is None or low < rule.modulus)


def _around(batch: Batch, sight: Sight) -> tuple[int, int, int, int] | None:
    for long, back in ((0, sight.line.longest_ms), (1, MAX_INTERVAL_MS)):
        binds = (long, sight.at_ms - back - 1, sight.at_ms, sight.line.id, sight.at_ms, sight.side)
        row = batch.con.execute(AROUND, binds).fetchone()
        if row is not None:
            found: tuple[int, int, int, int] = row
            return found
    return None


def _split(batch: Batch, sight: Sight, whole: tuple[int, int, int, int, int], *, jump: bool) -> None:
    """Judge both halves anew: what was counted or refused of them moves, nothing is received twice."""
    start_ms, end_ms, low, high, persons = whole
    if sight.at_ms == end_ms or start_ms < batch.memory.frozen_ms:
        if sight.at_ms == end_ms and sight.total != high:
            batch.reset(sight.line, Kind.STALE)
        return
    left = judge(sight.rule, low, sight.total, sight.at_ms - start_ms)
    right = judge(sight.rule, sight.total, high, end_ms - sight.at_ms)
    if Kind.HELD in (left.kind, right.kind) or left.persons + right.persons != persons:
        batch.reset(sight.line, Kind.STALE)
        return
    _remove(batch, sight, start_ms, end_ms, persons, jump=jump)
    for verdict, first, last, before, after in (
        (left, start_ms, sight.at_ms, low, sight.total),
        (right, sight.at_ms, end_ms, sight.total, high),
    ):
        _rebook(batch, sight, verdict, (first, last, before, after))


def _remove(batch: Batch, sight: Sight, start_ms: int, end_ms: int, persons: int, *, jump: bool) -> None:
    figures = figures_of(sight.side, persons)
    if jump:
        batch.con.execute(
            "DELETE FROM jumps WHERE line_id=? AND side=? AND start_ms=?",
            (sight.line.id, sight.side, start_ms),
        )
        batch.unrefuse(sight.line, Kind.JUMP, figures)
        return
    where = (is_long(start_ms, end_ms), start_ms, sight.line.id, end_ms, sight.side, 0)
    batch.con.execute(DELETE, where)
    batch.recount(sight.line, figures_of(sight.side, -persons))
    batch.soil(sight.line, start_ms, end_ms)


def _rebook(batch: Batch, sight: Sight, verdict: Verdict, stretch_: tuple[int, int, int, int]) -> None:
    """One half, already received."""
    start_ms, end_ms, low, high = stretch_
    figures = figures_of(sight.side, verdict.persons)
    if verdict.kind is Kind.JUMP:
        batch.post(sight.line, f"refused:{Kind.JUMP}", figures)
        _remember(batch, sight, start_ms, end_ms, low, high, verdict.persons)
    elif verdict.persons:
        _store(batch, sight, start_ms, end_ms, high, verdict.persons)
        batch.recount(sight.line, figures)


def spacing_ms(line: Line, at_ms: int) -> int:
    """Time since the line's last answer: its reporting period, at most what the line promises."""
    last = line.watch_end_ms
    if last is None or at_ms <= last:
        return line.period_ms
    spacing = at_ms - last
    if line.rule.expect_s is not None:
        spacing = min(spacing, round(line.rule.expect_s * 1000))
    return min(spacing, 24 * HOUR_MS)
