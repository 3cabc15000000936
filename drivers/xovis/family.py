"""Xovis over MQTT, HTTP push and TCP, and its memory: options, and how its lines are told apart."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from typing import cast

from pydantic import Field

from drivers.objects import Objects
from drivers.xovis import codec, memory
from drivers.xovis.stream import ROOT
from gateway.driver import (
    Device,
    Family,
    Fetch,
    Kind,
    LineOptions,
    Match,
    Message,
    Options,
    Response,
    Side,
)
from gateway.model import DEVICE, Basis, Damaged, Item


class XovisOptions(Options):
    """One sensor's data push."""

    topic: str | None = Field(
        None, description="MQTT topic (or filter) that the sensor's connection publishes to"
    )
    serial: str | None = Field(
        None,
        description="serial number (firmware 3 and 4: the MAC) the package must carry, "
        "when several sensors share a topic or link",
    )


class XovisLine(LineOptions):
    """One line of the sensor."""

    logic: str | None = Field(None, description="name of the sensor's logic (live events: of its geometry)")


class Xovis:
    """Messages; over TCP a Stream, which holds less than one object; and a memory that can be asked."""

    def __init__(self, device: Device) -> None:
        self._counter = cast("XovisOptions", device.options).serial or DEVICE
        self._objects = Objects(ROOT)

    def decode(self, message: Message) -> Iterable[Item]:
        return codec.decode(message.payload)

    def feed(self, data: bytes, at_ms: int, side: Side = Side.DEVICE) -> Iterable[Item]:  # noqa: ARG002 - packages tell their times
        items: list[Item] = []
        for found in self._objects.feed(data):
            items += [found] if isinstance(found, Damaged) else codec.decode(found)
        return items

    def reopened(self, side: Side) -> None:  # noqa: ARG002 - a stream has one
        self._objects.reopened()

    def recall(self, from_ms: int, to_ms: int) -> Generator[Fetch, Response, Iterable[Item]]:
        """In minutes, from the sensor's store."""
        response = yield memory.question(from_ms, to_ms)
        return [] if response.data is None else memory.answer(response.data, self._counter)

    def told_at(self, end_ms: int) -> int:
        """When the minute in which a gap ends is over: half of it would take the place of shorter records."""
        return -(-end_ms // memory.MINUTE_MS) * memory.MINUTE_MS


def _match(device: Device) -> Match:
    options = cast("XovisOptions", device.options)
    lines = {
        cast("XovisLine", line).logic: ours
        for ours, line in device.lines.items()
        if cast("XovisLine", line).logic
    }
    return Match(options.serial, cast("dict[str, str]", lines))


FAMILY = Family(
    name="xovis",
    summary="Xovis sensors: JSON data push (firmware 5, and bundles of 3 and 4), with their history",
    kind=Kind.MESSAGES,
    over=frozenset({"mqtt", "push", "tcp"}),
    options=XovisOptions,
    line_options=XovisLine,
    open=Xovis,
    match=_match,
    basis=Basis.DELTA,
)
