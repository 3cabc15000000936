"""Hikvision people counting over HTTP: alerts that are pushed, and the camera's own statistics for gaps."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from typing import Literal, cast

from pydantic import Field, field_validator

from drivers.hikvision import codec
from drivers.local import ZoneName, days, step_end, within, zone_for
from gateway.driver import Device, Family, Fetch, Kind, LineOptions, Match, Message, Options, Response
from gateway.model import DEVICE, Basis, Item

SEARCH = "/ISAPI/System/Video/inputs/channels/{}/counting/search"
XML = {"Content-Type": "application/xml"}
TIMEOUT_MS = 30_000


class HikvisionOptions(Options):
    """One camera."""

    serial: str | None = Field(
        None, min_length=1, description="MAC address the alert must carry, when several cameras share a link"
    )
    trust: Literal["offset", "wall"] = Field(
        "offset", description="wall: the clock is right and the offset it writes is not; it is in zone"
    )
    zone: ZoneName = Field(
        "site",
        description="time zone of the camera's clock, where no offset is believed: site, utc or a name",
    )

    @field_validator("serial")
    @classmethod
    def _one_notation(cls, text: str | None) -> str | None:
        return codec.mac(text) if text else None


class HikvisionLine(LineOptions):
    """One counting region."""

    channel: int | None = Field(None, ge=1, description="channelID of the alert; default: 1 beside a region")
    region: int | None = Field(None, ge=1, description="regionsID of the alert; default: 1 beside a channel")


class Hikvision:
    """Messages: stateless. What was missed is searched for by the hour."""

    def __init__(self, device: Device) -> None:
        options = cast("HikvisionOptions", device.options)
        lines = [cast("HikvisionLine", line) for line in device.lines.values()]
        self._channels = sorted({line.channel or 1 for line in lines if (line.region or 1) == 1} or {1})
        self._counter = options.serial or DEVICE
        self._zone, self._wall = zone_for(options.zone, device.site), options.trust == "wall"

    def decode(self, message: Message) -> Iterable[Item]:
        return codec.decode(message.payload, codec.Clock(self._zone, message.at_ms, self._wall))

    def recall(self, from_ms: int, to_ms: int) -> Generator[Fetch, Response, Iterable[Item]]:
        """Every channel, a day at a time; hours that touch the gap and are over."""
        told: list[Item] = []
        for day in days(from_ms, to_ms, self._zone):
            for channel in self._channels:
                response = yield Fetch(SEARCH.format(channel), "POST", XML, codec.search(day), TIMEOUT_MS)
                if response.data is not None:
                    clock = codec.Clock(self._zone, response.at_ms, self._wall)
                    hours = codec.found(response.data, self._counter, str(channel), clock)
                    told += [item for item in hours if (getattr(item, "end_ms", 0) or 0) <= response.at_ms]
        return within(told, from_ms, to_ms)

    def told_at(self, end_ms: int) -> int:
        """When the hour in which a gap ends is over."""
        return step_end(end_ms, codec.HOUR_MS, self._zone)


def _match(device: Device) -> Match:
    lines = {}
    for ours, options in device.lines.items():
        line = cast("HikvisionLine", options)
        if line.channel or line.region:
            lines[codec.line_name(str(line.channel or 1), str(line.region or 1))] = ours
    return Match(cast("HikvisionOptions", device.options).serial, lines)


FAMILY = Family(
    name="hikvision",
    summary="Hikvision cameras: ISAPI people counting, pushed as XML (windows or running totals)",
    kind=Kind.MESSAGES,
    over=frozenset({"push"}),
    options=HikvisionOptions,
    line_options=HikvisionLine,
    open=Hikvision,
    match=_match,
    basis=Basis.DELTA,
)
