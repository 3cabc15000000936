"""What a Milesight message means: a JSON report, or one frame that a network server forwards."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from drivers import uplink
from drivers.bodies import Noise, parse_json
from drivers.milesight import frames, reports
from drivers.uplink import Uplink
from gateway.model import (
    MAX_COUNT,
    Basis,
    Crossings,
    Damaged,
    DamageReason,
    DeviceState,
    Ignored,
    Item,
    Occupancy,
    Register,
    Status,
)

EMPTY = Ignored("empty message")
STRANGE = Ignored("neither a report nor an uplink")
MODEL_MISSING = "a LoRaWAN sensor, not counted: its model is not configured"


@dataclass(frozen=True, slots=True)
class Sensor:
    """What the payload does not tell: which model, and how long its report's period is (0: not said).

    `camera`: it is configured as one that speaks JSON, so that its deltas count, and no totals.
    """

    model: str | None = None
    report_ms: int = 0
    camera: bool = False


def decode(payload: bytes, sensor: Sensor) -> list[Item]:
    """The items of one message. Never raises."""
    if not payload.strip():
        return [EMPTY]
    try:
        body = parse_json(payload)
    except Noise as noise:
        return _bare(payload, sensor) or [Damaged(noise.reason, len(payload))]
    try:
        return _told(body, len(payload), sensor)
    except Noise as noise:
        return [Damaged(noise.reason, len(payload))]


def _told(body: object, size: int, sensor: Sensor) -> list[Item]:
    if not isinstance(body, dict):
        raise Noise(DamageReason.SYNTAX)
    if reports.is_report(body):
        return reports.read(body, size)
    found = uplink.read(body)
    if not isinstance(found, Uplink):
        return [found or STRANGE]
    items = list(_items(found, frames.read(found.frame, sensor.model), sensor.report_ms))
    if sensor.camera:
        items.append(Status(found.device, found.at_ms, DeviceState.DEGRADED, MODEL_MISSING))
    return items


def _bare(payload: bytes, sensor: Sensor) -> list[Item]:
    """A frame as it was on the air; nothing when not even its first channel is known."""
    if len(payload) > uplink.MAX_FRAME:
        return []
    told = frames.read(payload, sensor.model)
    return list(_items(Uplink(payload), told, sensor.report_ms)) if told.read else []


def _items(heard: Uplink, told: frames.Told, report_ms: int) -> Iterator[Item]:
    left = len(heard.frame) - told.read
    counts = [*_registers(heard, told), *_crossings(heard, told, report_ms), *_levels(heard, told)]
    yield from counts
    yield from _status(heard, told)
    for words in sorted(told.asides) if not counts else ():
        yield Ignored(words)
    for _ in range(told.insane):
        yield Damaged(DamageReason.SANITY, len(heard.frame))
    if told.unknown:
        yield Ignored(
            f"channel {told.unknown[0]:02X} {told.unknown[1]:02X} is not known: {left} bytes not read"
        )
    elif told.short:
        yield Damaged(DamageReason.LENGTH, left)


def _when(heard: Uplink, told: frames.Told, at_s: int | None) -> int | None:
    """The device's time where it gives one, else the network server's."""
    seconds = told.at_s if at_s is None else at_s
    return heard.at_ms if seconds is None else seconds * 1000


def _registers(heard: Uplink, told: frames.Told) -> Iterator[Item]:
    for (line, at_s), total in told.totals.items():
        at_ms = _when(heard, told, at_s)
        if max(total.ins or 0, total.outs or 0) > MAX_COUNT:
            yield Damaged(DamageReason.SANITY, len(heard.frame))
        else:
            yield Register(heard.device, line, at_ms, total.ins, total.outs, modulus=total.modulus)


def _crossings(heard: Uplink, told: frames.Told, report_ms: int) -> Iterator[Item]:
    """Dated by the device: a delta, which a stored record repeats. Otherwise an event, once a frame."""
    for line, at_s, ins, outs in told.periods:
        seconds = told.at_s if at_s is None else at_s
        if seconds is not None:
            start_ms = max(1, seconds * 1000 - (report_ms or 1))
            yield Crossings(heard.device, line, start_ms, seconds * 1000, ins, outs)
        elif heard.at_ms is not None:
            key = f"{heard.device}/{heard.count}/{line}"
            span = heard.at_ms, heard.at_ms + 1
            yield Crossings(heard.device, line, *span, ins, outs, key=key, basis=Basis.EVENT)
        else:
            yield Crossings(heard.device, line, None, None, ins, outs, basis=Basis.EVENT)


def _levels(heard: Uplink, told: frames.Told) -> Iterator[Item]:
    for line, at_s, persons in told.levels:
        yield Occupancy(heard.device, line, _when(heard, told, at_s), persons)


def _status(heard: Uplink, told: frames.Told) -> Iterator[Item]:
    if told.troubles:
        yield Status(heard.device, heard.at_ms, DeviceState.DEGRADED, ", ".join(told.troubles)[:160])
    elif told.well:
        yield Status(heard.device, heard.at_ms, DeviceState.OK)
