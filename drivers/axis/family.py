"""AXIS 3D People Counter (P8815-2): pushes minutes; its own memory is asked for what was missed."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from datetime import timedelta
from typing import cast

from pydantic import Field, field_validator

from drivers.axis import codec
from drivers.local import ZoneName, days, local, step_end, within, zone_for
from gateway.driver import Device, Family, Fetch, Kind, LineOptions, Match, Message, Options, Response
from gateway.model import DEVICE, Basis, Item

EXPORT = "/a3dpc/api/export/json?start={from}&end={to}&resolution=minute"
TIMEOUT_MS = 30_000


class AxisOptions(Options):
    """One camera."""

    serial: str | None = Field(
        None,
        min_length=1,
        description="serial number (MAC address) the push must carry, when several share a link",
    )
    zone: ZoneName = Field(
        "site", description="time zone of the camera's clock, for what it remembers: site, utc or a name"
    )

    @field_validator("serial")
    @classmethod
    def _one_notation(cls, text: str | None) -> str | None:
        return codec.serial_of(text) if text else None


class AxisLine(LineOptions):
    """The camera has one line."""


class Axis:
    """Messages; stateless. What was missed is exported by the minute."""

    def __init__(self, device: Device) -> None:
        options = cast("AxisOptions", device.options)
        self._counter = options.serial or DEVICE
        self._zone = zone_for(options.zone, device.site)

    def decode(self, message: Message) -> Iterable[Item]:
        return codec.decode_push(message.payload)

    def recall(self, from_ms: int, to_ms: int) -> Generator[Fetch, Response, Iterable[Item]]:
        """Whole days are asked for, the end not included; what lies outside the gap is left out."""
        asked = days(from_ms, to_ms, self._zone)
        words = {"from": f"{asked[0]:%Y%m%d}", "to": f"{asked[-1] + timedelta(days=1):%Y%m%d}"}
        response = yield Fetch(EXPORT.format(**words), timeout_ms=TIMEOUT_MS)
        shown = local(response.at_ms, self._zone)
        minutes = codec.decode_rows(codec.read_json, response, self._zone, shown=shown, counter=self._counter)
        return within(minutes, from_ms, to_ms)

    def told_at(self, end_ms: int) -> int:
        """When the minute in which a gap ends is over."""
        return step_end(end_ms, codec.MINUTE_MS, self._zone)


def _match(device: Device) -> Match:
    return Match(cast("AxisOptions", device.options).serial)


FAMILY = Family(
    name="axis",
    summary="AXIS 3D People Counter (P8815-2): Retail Data pushed by the minute, with its history",
    kind=Kind.MESSAGES,
    over=frozenset({"push"}),
    options=AxisOptions,
    line_options=AxisLine,
    open=Axis,
    match=_match,
    basis=Basis.DELTA,
)
