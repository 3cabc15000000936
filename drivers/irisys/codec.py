"""Vector 4D count logs: registers that only rise, told at the end of each logging period."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from drivers.bodies import LONGEST_MS, Noise, Table, name, parse_json, tables, utc_ms, whole
from gateway.model import (
    DEVICE,
    Crossings,
    Damaged,
    DamageReason,
    Ignored,
    Item,
    Register,
)

MAX_TOTAL = 2**53 - 1

Place: TypeAlias = str | int  # a register's name, or its number


@dataclass(frozen=True, slots=True)
class Sides:
    """One line and the registers that count its directions; `both` where a register knows none."""

    line: str
    ins: Place | None = None
    outs: Place | None = None
    both: Place | None = None


@dataclass(frozen=True, slots=True)
class _Count:
    """One register in one log entry. `rise`: since the entry before, where the firmware tells it."""

    number: int
    label: str
    tags: frozenset[str]
    total: int
    rise: int | None


@dataclass(frozen=True, slots=True)
class _Entry:
    """One log entry; `start_ms` is None where older firmware does not tell it or it is absurd."""

    counter: str
    number: str
    start_ms: int | None
    at_ms: int


def decode(payload: bytes, lines: Sequence[Sides] = ()) -> list[Item]:
    """The items of one body; without `lines` each register is a line by its own name. Never raises."""
    size = len(payload)
    if not payload.strip():
        return [Ignored("empty message")]
    try:
        body = parse_json(payload)
        if not isinstance(body, dict):
            return [Damaged(DamageReason.SYNTAX, size)]
        counter = name(body.get("FriendlyDeviceSerial")) or DEVICE
    except Noise as noise:
        return [Damaged(noise.reason, size)]
    logs = tables(body.get("CountLogs"))
    return [item for log in logs for item in _log(log, counter, lines, size)] or [Ignored("no count logs")]


def _log(log: Table, counter: str, lines: Sequence[Sides], size: int) -> Iterator[Item]:
    if "Counts" not in log:
        yield Ignored("the clock was set" if "ClockChangedFrom" in log else "log entry without counts")
        return
    counts: list[_Count] = []
    try:
        entry = _entry(log, counter)
    except Noise as noise:
        yield Damaged(noise.reason, size)
        return
    for row in tables(log["Counts"]):
        try:
            counts.append(_count(row))
        except Noise as noise:  # the other registers are sound
            yield Damaged(noise.reason, size)
    found = _found(entry, counts, lines or _all(counts))
    yield from found or [Ignored("registers of no line")]


def _entry(log: Table, counter: str) -> _Entry:
    at_ms, start_ms = utc_ms(log.get("Timestamp")), None
    if log.get("StartTimestamp") is not None:
        start_ms = utc_ms(log["StartTimestamp"])
        if start_ms >= at_ms:
            raise Noise
        if at_ms - start_ms > LONGEST_MS:
            start_ms = None  # no interval to believe in, but the totals at its end are sound
    return _Entry(counter, name(log.get("LogEntryId")) or "-", start_ms, at_ms)


def _count(row: Table) -> _Count:
    number, total = whole(row.get("RegisterId")), whole(row.get("Value"), MAX_TOTAL)
    if number is None or total is None:
        raise Noise
    tags = row.get("Tags")
    return _Count(
        number,
        name(row.get("Name")) or str(number),
        frozenset(str(tag).lower() for tag in tags) if isinstance(tags, list) else frozenset(),
        total,
        whole(row.get("LogPeriodValue")),
    )


def _all(counts: Sequence[_Count]) -> list[Sides]:
    """Every register for itself; two of one name get their numbers behind it."""
    twins = Counter(count.label for count in counts)
    return [
        _alone(one, one.label if twins[one.label] == 1 else f"{one.label} #{one.number}") for one in counts
    ]


def _alone(count: _Count, line: str) -> Sides:
    if "direction=in" in count.tags:
        return Sides(line, ins=count.number)
    if "direction=out" in count.tags:
        return Sides(line, outs=count.number)
    return Sides(line, both=count.number)


def _found(entry: _Entry, counts: Sequence[_Count], lines: Sequence[Sides]) -> list[Item]:
    """A name that two registers bear says nothing; their numbers do."""
    twins = Counter(count.label for count in counts)
    places: dict[Place, _Count] = {count.label: count for count in counts if twins[count.label] == 1}
    places |= {count.number: count for count in counts}
    return [item for line in lines for item in _line(entry, line, places)]


def _line(entry: _Entry, line: Sides, places: Mapping[Place, _Count]) -> Iterator[Item]:
    ins, outs, both = (
        places.get(place) if place is not None else None for place in (line.ins, line.outs, line.both)
    )
    there = [side for side in (ins, outs, both) if side]
    if not there:
        return
    key = f"{entry.number}/{'+'.join(str(side.number) for side in there)}"
    yield Register(
        entry.counter,
        line.line,
        entry.at_ms,
        ins.total if ins else None,
        outs.total if outs else None,
        both.total if both else None,
        key,
    )
    if entry.start_ms is None or any(side.rise is None for side in there):
        return
    yield Crossings(
        entry.counter,
        line.line,
        entry.start_ms,
        entry.at_ms,
        ins.rise if ins else None,
        outs.rise if outs else None,
        both.rise if both else None,
        key,
    )
