"""What Axis counters say: Retail Data that is pushed, statistics and sums that are asked for."""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo

from drivers.bodies import Noise, Table, name, parse_json, table, tables, utc_ms, whole
from drivers.local import end_of, instants, wall_clock
from gateway.driver import Response
from gateway.model import DEVICE, MAIN_LINE, Crossings, Damaged, DamageReason, Ignored, Item, Register

MINUTE_MS, QUARTER_MS, DAY_MS = 60_000, 900_000, 86_400_000


def serial_of(value: object) -> str:
    """As it is written on the device or not: one notation. Raises Noise."""
    text = name(value)
    return text.replace(":", "").replace("-", "").lower() or DEVICE if text else DEVICE


# The 3D People Counter: "Axis Retail Data"


def decode_push(payload: bytes) -> list[Item]:
    """The items of one push. Never raises."""
    if not payload.strip():
        return [Ignored("empty message")]
    try:
        body = parse_json(payload)
        if not isinstance(body, dict):
            return [Damaged(DamageReason.SYNTAX, len(payload))]
        counter = serial_of(table(body.get("sensor")).get("serial"))
    except Noise as noise:
        return [Damaged(noise.reason, len(payload))]
    found = tables(table(body.get("data")).get("measurements"))
    return [_measured(counter, one, len(payload)) for one in found] or [Ignored("connection test")]


def _measured(counter: str, measurement: Table, size: int) -> Item:
    if measurement.get("kind") != "people-counts":
        return Ignored("measurement of another kind")
    try:
        start_ms, end_ms = utc_ms(measurement.get("utcFrom")), utc_ms(measurement.get("utcTo"))
        ins, outs = (_persons(measurement, way) for way in ("in", "out"))
        return _crossings(counter, start_ms, end_ms, ins, outs)
    except Noise as noise:
        return Damaged(noise.reason, size)


def _persons(measurement: Table, way: str) -> int | None:
    """Raises Noise when a direction is told twice: nobody knows which one, or the sum, is meant."""
    counts = [item.get("count") for item in tables(measurement.get("items")) if item.get("direction") == way]
    if len(counts) > 1:
        raise Noise
    return whole(counts[0]) if counts else None


def _crossings(counter: str, start_ms: int, end_ms: int, ins: int | None, outs: int | None) -> Item:
    if not 0 < end_ms - start_ms <= DAY_MS:
        raise Noise
    if ins is None and outs is None:
        return Ignored("interval without counts")
    return Crossings(counter, MAIN_LINE, start_ms, end_ms, ins, outs)


# The People Counter application: today's sum


def decode_sum(payload: bytes) -> tuple[list[Item], datetime | None]:
    """`live-sum.json`: in and out since local midnight, and what the camera's clock shows. Never raises."""
    if not payload.strip():
        return [Ignored("empty answer")], None
    try:
        body = table(parse_json(payload))
        ins, outs = whole(body.get("in")), whole(body.get("out"))
        if ins is None and outs is None:
            return [Damaged(DamageReason.SYNTAX, len(payload))], None
        serial, shown = serial_of(body.get("serial")), wall_clock(body.get("timestamp"))
    except Noise as noise:
        return [Damaged(noise.reason, len(payload))], None
    epoch = "" if serial == DEVICE else serial
    return [Register(serial, MAIN_LINE, None, ins, outs, epoch=epoch)], shown


# Statistics of either, in local time


@dataclass(frozen=True, slots=True)
class Row:
    """One stored interval as it is told: local time without an offset."""

    start: object
    stop: object
    ins: object
    outs: object
    serial: object = None


def read_json(payload: bytes) -> list[Row]:
    """`/a3dpc/api/export/json`. Raises Noise."""
    data = table(parse_json(payload)).get("data")
    if not isinstance(data, list):
        raise Noise(DamageReason.SYNTAX)
    return [Row(one.get("start"), one.get("end"), one.get("in"), one.get("out")) for one in tables(data)]


def read_csv(payload: bytes) -> list[Row]:
    """`export-csv`: its first line describes the columns. Raises Noise."""
    try:
        lines = list(csv.reader(payload.decode().strip("\ufeff \r\n").splitlines(), strict=True))
    except (ValueError, csv.Error):
        raise Noise(DamageReason.SYNTAX) from None
    columns = _columns(lines[0] if lines else [])
    return [Row(*_cells(line, columns)) for line in lines[1:] if line]


def _columns(heads: Sequence[str]) -> list[int | None]:
    """Where start, stop, in, out and, if at all, the serial number stand. Raises Noise."""
    words = [set(head.lower().split()) for head in heads]
    found = [
        next((at for at, head in enumerate(words) if head & accepted), None)
        for accepted in ({"start"}, {"stop", "end"}, {"in"}, {"out"}, {"serial"})
    ]
    if None in found[:4]:
        raise Noise(DamageReason.SYNTAX)
    return found


def _cells(line: Sequence[str], columns: Sequence[int | None]) -> list[str | None]:
    return [line[at].strip() if at is not None and at < len(line) else None for at in columns]


def decode_rows(
    read: Callable[[bytes], list[Row]],
    response: Response,
    zone: tzinfo,
    *,
    shown: datetime | None = None,
    counter: str = DEVICE,
) -> list[Item]:
    """Deltas of what was over when the device's clock had `shown`. Never raises."""
    payload = response.data
    if payload is None:
        return []
    if not payload.strip():
        return [Ignored("empty answer")]
    try:
        rows = read(payload)
    except Noise as noise:
        return [Damaged(noise.reason, len(payload))]
    spans, found = _spans(rows, len(payload))
    starts = instants([start for start, _, _ in spans], zone, response.at_ms)
    for (start, stop, row), start_ms in zip(spans, starts, strict=True):
        if shown is None or stop <= shown:
            try:
                end_ms = end_of(start, start_ms, stop, zone)
                whose = serial_of(row.serial) if row.serial else counter
                found.append(_crossings(whose, start_ms, end_ms, whole(row.ins), whole(row.outs)))
            except Noise as noise:
                found.append(Damaged(noise.reason, len(payload)))
    return found


def _spans(rows: Sequence[Row], size: int) -> tuple[list[tuple[datetime, datetime, Row]], list[Item]]:
    """Rows with their times, and the damage of those that have none."""
    spans, damaged = [], list[Item]()
    for row in rows:
        try:
            spans.append((wall_clock(row.start), wall_clock(row.stop), row))
        except Noise as noise:
            damaged.append(Damaged(noise.reason, size))
    return spans, damaged
