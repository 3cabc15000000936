"""Brickstream sensors by HTTP push: options, and how their zones are told apart."""

from __future__ import annotations

from collections.abc import Iterable
from typing import cast

from pydantic import Field

from drivers.brickstream import codec
from gateway.driver import Device, Family, Kind, LineOptions, Match, Message, Options
from gateway.model import Basis, Item


class BrickstreamOptions(Options):
    """One sensor."""

    serial: str | None = Field(
        None, description="MAC address the body must carry, when several sensors share a link"
    )
    believed_status: list[int] = Field(
        default=[],
        description="numbers of a row's Status, besides 0, under which zeros mean that nobody came",
    )


class BrickstreamLine(LineOptions):
    """One zone of the sensor."""

    zone: str | None = Field(None, description="the zone's name in the sensor")


class Brickstream:
    """Messages: stateless."""

    def __init__(self, device: Device) -> None:
        self._believed = cast("BrickstreamOptions", device.options).believed_status

    def decode(self, message: Message) -> Iterable[Item]:
        return codec.decode(message.payload, self._believed)


def _match(device: Device) -> Match:
    serial = cast("BrickstreamOptions", device.options).serial
    lines = {
        cast("BrickstreamLine", line).zone: ours
        for ours, line in device.lines.items()
        if cast("BrickstreamLine", line).zone
    }
    return Match(serial and serial.lower(), cast("dict[str, str]", lines))


FAMILY = Family(
    name="brickstream",
    summary="FLIR Brickstream 2300, 3D and 3D Gen2: XML metrics by HTTP push",
    kind=Kind.MESSAGES,
    over=frozenset({"push"}),
    options=BrickstreamOptions,
    line_options=BrickstreamLine,
    open=Brickstream,
    match=_match,
    basis=Basis.DELTA,
)
