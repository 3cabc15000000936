"""Xovis 5.x over MQTT: options, and how its lines are told apart."""

from __future__ import annotations

from collections.abc import Iterable
from typing import cast

from pydantic import Field

from drivers.xovis import codec
from gateway.driver import Device, Family, Kind, LineOptions, Match, Message, Options
from gateway.model import Basis, Item


class XovisOptions(Options):
    """One sensor's data push."""

    topic: str | None = Field(
        None, description="MQTT topic (or filter) that the sensor's connection publishes to"
    )
    serial: str | None = Field(
        None, description="serial number the package must carry, when several sensors share a topic"
    )


class XovisLine(LineOptions):
    """One line of the sensor."""

    logic: str | None = Field(None, description="name of the sensor's logic (live events: of its geometry)")


class Xovis:
    """Messages: stateless."""

    def decode(self, message: Message) -> Iterable[Item]:
        return codec.decode(message.payload)


def _match(device: Device) -> Match:
    options = cast("XovisOptions", device.options)
    lines = {
        cast("XovisLine", line).logic: ours
        for ours, line in device.lines.items()
        if cast("XovisLine", line).logic
    }
    return Match(options.serial, cast("dict[str, str]", lines))


def _topics(device: Device) -> tuple[str, ...]:
    topic = cast("XovisOptions", device.options).topic
    return (topic,) if topic else ()


FAMILY = Family(
    name="xovis",
    summary="Xovis sensors, firmware 5: JSON data push (logics, live data, status)",
    kind=Kind.MESSAGES,
    over=frozenset({"mqtt", "push"}),
    options=XovisOptions,
    line_options=XovisLine,
    open=lambda _device: Xovis(),
    match=_match,
    basis=Basis.DELTA,
    topics=_topics,
)
