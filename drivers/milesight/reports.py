"""Milesight's JSON reports: deltas of a period, running totals, single crossings, people in regions."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, timedelta, timezone
from typing import TypeAlias

from drivers.bodies import LONGEST_MS, Noise, Table, name, parse_aware, table, tables, to_ms, whole
from gateway.model import (
    DEVICE,
    MAIN_LINE,
    Basis,
    Crossings,
    Damaged,
    Ignored,
    Item,
    Occupancy,
    Register,
)

STANDARD_TIME = re.compile(r"UTC([+-])(\d{1,2}):(\d{2})")
NO_COUNTS = Ignored("report without counts")


@dataclass(frozen=True, slots=True)
class Times:
    """Of one report: when it was made, and the period it is about."""

    at_ms: int | None
    start_ms: int | None
    end_ms: int | None

    def period(self) -> tuple[int, int]:
        """Raises Noise when it has none, ends before it begins or is longer than any period."""
        if self.start_ms is None or self.end_ms is None:
            raise Noise
        if not 0 < self.end_ms - self.start_ms <= LONGEST_MS:
            raise Noise
        return self.start_ms, self.end_ms


Reader: TypeAlias = Callable[[str, Table, Times], Item]  # device, row, when


def is_report(body: Table) -> bool:
    return "device_info" in body


def read(body: Table, size: int) -> list[Item]:
    """The items of one report of `size` bytes. Raises Noise."""
    about = table(body["device_info"])
    device = name(about.get("device_sn")) or name(about.get("device_mac")) or DEVICE
    times = _times(table(body.get("time_info")))
    regions = table(body.get("region_data")) or body
    found: list[Item] = []
    for rows, reader in (
        (body.get("line_periodic_data"), _period),
        (body.get("line_total_data"), _total),
        (body.get("line_trigger_data"), _crossing),
        (regions.get("region_count_data"), _region),
    ):
        found += _sound(rows, device, times, reader, size)
    if "current_total" in body:  # VS121-P: all it sees
        found += _sound([{"total": body}], device, times, _region, size)
    return found or [NO_COUNTS]


def _sound(rows: object, device: str, times: Times, reader: Reader, size: int) -> Iterator[Item]:
    """A damaged row takes no other with it."""
    for row in tables(rows):
        try:
            yield reader(device, row, times)
        except Noise as noise:
            yield Damaged(noise.reason, size)


def _line(row: Table) -> str:
    return name(row.get("line")) or name(row.get("line_uuid")) or MAIN_LINE


def _sides(row: Table, ins: str, outs: str) -> tuple[int | None, int | None]:
    """Of all people: those in groups are among them. Raises Noise."""
    people = table(row.get("total"))
    sides = whole(people.get(ins)), whole(people.get(outs))
    if sides == (None, None):
        raise Noise
    return sides


def _period(device: str, row: Table, times: Times) -> Item:
    ins, outs = _sides(row, "in", "out")
    return Crossings(device, _line(row), *times.period(), ins, outs)


def _total(device: str, row: Table, times: Times) -> Item:
    ins, outs = _sides(row, "in_counted", "out_counted")
    epoch = name(row.get("line_uuid")) or ""  # a line drawn anew counts anew
    return Register(device, _line(row), times.end_ms or times.at_ms, ins, outs, epoch=epoch)


def _crossing(device: str, row: Table, times: Times) -> Item:
    ins, outs = _sides(row, "in", "out")
    at_ms = times.at_ms or times.end_ms
    end_ms = None if at_ms is None else at_ms + 1
    return Crossings(device, _line(row), at_ms, end_ms, ins, outs, basis=Basis.EVENT)


def _region(device: str, row: Table, times: Times) -> Item:
    persons = whole(table(row.get("total")).get("current_total"))
    if persons is None:
        raise Noise
    region = name(row.get("region"))
    place = f"region {region}"[:128] if region else "all regions"
    return Occupancy(device, place, times.end_ms or times.at_ms, persons)


def _times(about: Table) -> Times:
    """Raises Noise."""
    shift = _shift(about)
    at = about.get("trigger_time") or about.get("time")
    return Times(
        _instant(at, shift), *(_instant(about.get(end), shift) for end in ("start_time", "end_time"))
    )


def _instant(value: object, shift: timezone) -> int | None:
    """RFC 3339; older models leave the offset out and write slashes. Raises Noise."""
    if value is None or value == "":
        return None
    if not isinstance(value, str):
        raise Noise
    moment = parse_aware(value.replace("/", "-"))
    return to_ms(moment if moment.tzinfo else moment.replace(tzinfo=shift))


def _shift(about: Table) -> timezone:
    """Of times without an offset: standard time as the report names it, and the hour that summer adds."""
    text = about.get("time_zone") or about.get("timezone")
    found = STANDARD_TIME.match(text) if isinstance(text, str) else None
    if found is None:
        return UTC
    sign, hours, minutes = found.groups()
    standard = timedelta(hours=int(hours), minutes=int(minutes)) * (-1 if sign == "-" else 1)
    shift = standard + timedelta(hours=1 if about.get("dst_status") is True else 0)
    return timezone(shift) if abs(shift) < timedelta(days=1) else UTC
