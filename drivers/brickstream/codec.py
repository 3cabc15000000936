"""Brickstream metrics, versions 1 to 5: days, zones and rows of one body, in the device's local time."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from drivers.bodies import MAX_NAME, Noise, decimal, name, to_ms, unix_ms, whole
from drivers.markup import Element, inner, parse_xml
from gateway.model import (
    DEVICE,
    MAIN_LINE,
    Crossings,
    Damaged,
    DamageReason,
    DeviceState,
    Ignored,
    Item,
    Status,
)

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
CHANGES_MS = (HOUR_MS, DAY_MS - HOUR_MS)  # by which a row across a change of the clock seems too long
FARTHEST_H = 15  # from UTC
SOUND = 0  # the status of a row of which nothing is to be said


@dataclass(frozen=True, slots=True)
class _Body:
    """What holds for every row."""

    counter: str
    offset_ms: int | None
    interval_ms: int | None


@dataclass(frozen=True, slots=True)
class _Row:
    line: str
    start_ms: int
    end_ms: int
    ins: int | None
    outs: int | None
    status: int

    @property
    def empty(self) -> bool:
        return not self.ins and not self.outs


def decode(payload: bytes, believed: Collection[int] = ()) -> list[Item]:
    """The items of one body; zeros are believed under status 0 and these. Never raises."""
    size = len(payload)
    if not payload.strip():
        return [Ignored("empty message")]
    try:
        root = parse_xml(payload)
        if root.tag != "Metrics":
            return [Ignored("no metrics")]
        found = [item for data in inner(root, "ReportData") for item in _data(root, data, size)]
    except Noise as noise:
        return [Damaged(noise.reason, size)]
    rows = [one for one in found if isinstance(one, _Row)]
    sound = {SOUND, *believed}
    counted: list[Item] = [_crossings(device_id(root), row, sound) for row in rows]
    rest: list[Item] = [one for one in found if not isinstance(one, _Row)]
    told = [_status(root, rows, sound)] if rows else []
    return [*counted, *rest, *told] or [Ignored("no rows")]


def device_id(root: Element) -> str:
    """The MAC address; what else names the device is free text. Raises Noise."""
    properties = _properties(root)
    mac = name(properties.get("MacAddress"))
    return (
        mac.lower() if mac else name(properties.get("SerialNumber")) or name(root.get("@DeviceId")) or DEVICE
    )


def _properties(root: Element) -> Element:
    return next(iter(inner(root, "Properties")), Element("", {}))


def _data(root: Element, data: Element, size: int) -> Iterator[_Row | Item]:
    minutes = whole(data.get("@Interval"))
    body = _Body(device_id(root), _offset_ms(_properties(root)), minutes and minutes * 60_000)
    reports = inner(data, "Report")
    numbers: dict[str, set[str]] = {}
    for zone in (zone for report in reports for zone in inner(report, "Object")):
        numbers.setdefault(str(zone.get("@Name")), set()).add(str(zone.get("@Id")))
    for report in reports:
        for zone in inner(report, "Object"):
            yield from _zone(body, report, zone, size, twin=len(numbers[str(zone.get("@Name"))]) > 1)


def _offset_ms(properties: Element) -> int | None:
    """Local time less UTC: the zone's hours and those of summer. Raises Noise."""
    zone, summer = properties.get("Timezone"), properties.get("DST")
    if zone is None:
        return None
    hours = decimal(zone) + decimal(summer or "0")
    if abs(hours) > FARTHEST_H:
        raise Noise
    return int(hours * HOUR_MS)


def _zone(body: _Body, report: Element, zone: Element, size: int, *, twin: bool) -> Iterator[_Row | Item]:
    rows = inner(zone, "Count")
    if not rows:
        yield Ignored("zone of another kind")
    for row in rows:
        try:
            number = name(zone.get("@Id"))
            line = name(zone.get("@Name")) or number or MAIN_LINE
            yield _row(body, f"{line} #{number}" if twin else line, report.get("@Date"), row)
        except Noise as noise:
            yield Damaged(noise.reason, size)


def _row(body: _Body, line: str, day: object, row: Element) -> _Row:
    """Raises Noise."""
    ins, outs = whole(row.get("@Enters")), whole(row.get("@Exits"))
    if ins is None and outs is None:
        raise Noise(DamageReason.SYNTAX)
    first_ms, last_ms = _local_ms(day, row.get("@StartTime")), _local_ms(day, row.get("@EndTime"))
    length_ms = (last_ms - first_ms) % DAY_MS or DAY_MS
    if body.interval_ms and (length_ms - body.interval_ms) % DAY_MS in CHANGES_MS:
        length_ms = body.interval_ms
    if last_ms <= first_ms and body.interval_ms and length_ms > body.interval_ms:
        raise Noise  # behind no midnight: its clock was set back, and a day of others would go under it
    start_ms = _start_ms(body, first_ms, row.get("@UnixStartTime"))
    return _Row(line, start_ms, start_ms + length_ms, ins, outs, whole(row.get("@Status")) or SOUND)


def _start_ms(body: _Body, local_ms: int, unix: object) -> int:
    if unix is not None:
        return unix_ms(unix, 1000)
    if body.offset_ms is None:
        raise Noise
    return local_ms - body.offset_ms


def _local_ms(day: object, clock: object) -> int:
    """As if it were UTC. Raises Noise."""
    text = f"{day} {clock}"[:MAX_NAME]
    try:
        moment = datetime.strptime(text, "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC)
    except ValueError:
        raise Noise from None
    return to_ms(moment)


def _crossings(counter: str, row: _Row, sound: Collection[int]) -> Crossings:
    unwatched = row.empty and row.status not in sound
    return Crossings(counter, row.line, row.start_ms, row.end_ms, row.ins, row.outs, unwatched=unwatched)


def _status(root: Element, rows: list[_Row], sound: Collection[int]) -> Status:
    """What the newest rows say; and how many of all are not taken for watched time."""
    newest_ms = max(row.end_ms for row in rows)
    state = DeviceState.OK
    if any(row.status not in sound for row in rows if row.end_ms == newest_ms):
        state = DeviceState.DEGRADED
    left_out = sum(row.status not in sound and row.empty for row in rows)
    told = sorted({row.status for row in rows if row.status not in sound})[:5]
    detail = f"status {', '.join(map(str, told))}: {left_out} of {len(rows)} rows not watched" if told else ""
    return Status(device_id(root), _sent_ms(root) or newest_ms, state, detail)


def _sent_ms(root: Element) -> int | None:
    sent = _properties(root).get("TransmitTime")
    try:
        return None if sent is None else unix_ms(sent, 1000)
    except Noise:
        return None
