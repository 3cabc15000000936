"""IMBuildings: options, and what payloads mean. A is in and B is out, unless the line is reversed."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator
from typing import cast

from pydantic import Field

from drivers import single, uplink
from drivers.bodies import Noise, Table, parse_json, table
from drivers.imbuildings import codec
from drivers.imbuildings.codec import Payload
from drivers.uplink import Uplink
from gateway.driver import Device, Family, Kind, LineOptions, Match, Message, Options
from gateway.model import (
    DEVICE,
    MAIN_LINE,
    Basis,
    Crossings,
    Damaged,
    DamageReason,
    DeviceState,
    Ignored,
    Item,
    Register,
    Status,
)

MODULUS = 1 << 16
REMEMBERED = 256  # devices whose last payload's number is known
EMPTY = Ignored("empty message")
STRANGE = Ignored("neither an uplink nor a webhook's data")
ANOTHER = Ignored("payload of another kind of device")


class ImbuildingsOptions(Options):
    """One counter behind a network server, or behind the maker's own platform."""

    topic: str | None = Field(None, description="MQTT topic (or filter) of the network server's uplinks")
    serial: str | None = Field(None, description="DevEUI or device id, when several counters share a topic")
    report_s: int = Field(
        0, ge=0, le=86_400, description="variant 4 only: reporting period of the counter, in seconds"
    )


class ImbuildingsLine(LineOptions):
    """The counter's line: it has one, with nothing to set."""


class Imbuildings:
    """Messages: remembers the number of each device's last payload, to tell what went missing."""

    def __init__(self, device: Device) -> None:
        self._report_ms = cast("ImbuildingsOptions", device.options).report_s * 1000
        self._counts: OrderedDict[str, int] = OrderedDict()

    def decode(self, message: Message) -> Iterable[Item]:
        if not message.payload.strip():
            return [EMPTY]
        try:
            heard = _heard(message.payload)
            if not isinstance(heard, Uplink):
                return [heard]
            payload = codec.read(heard.frame, heard.port)
        except Noise as noise:
            return [Damaged(noise.reason, len(message.payload))]
        return [ANOTHER] if payload is None else list(self._items(heard, payload))

    def _items(self, heard: Uplink, payload: Payload) -> Iterator[Item]:
        device = payload.device if heard.device == DEVICE else heard.device
        device = device or DEVICE
        if payload.totals:
            a, b = payload.totals
            yield Register(device, MAIN_LINE, heard.at_ms, a, b, modulus=MODULUS)
        if payload.since:
            yield self._crossings(heard, payload, device, *payload.since)
        troubles = payload.troubles
        state = DeviceState.DEGRADED if troubles else DeviceState.OK
        told = troubles + payload.told + self._missing(device, payload.count)
        yield Status(device, payload.at_ms or heard.at_ms, state, ", ".join(told))

    def _crossings(self, heard: Uplink, payload: Payload, device: str, a: int, b: int) -> Item:
        """Dated by the device: a delta. Otherwise an event, once for each payload."""
        if payload.at_ms is not None:
            start_ms = max(1, payload.at_ms - (self._report_ms or 1))
            return Crossings(device, MAIN_LINE, start_ms, payload.at_ms, a, b)
        if heard.at_ms is None:
            return Crossings(device, MAIN_LINE, None, None, a, b, basis=Basis.EVENT)
        key = f"{device}/{payload.count}"
        return Crossings(device, MAIN_LINE, heard.at_ms, heard.at_ms + 1, a, b, key=key, basis=Basis.EVENT)

    def _missing(self, device: str, count: int | None) -> list[str]:
        """How many payloads were lost before this one; an older or repeated one says nothing."""
        if count is None:
            return []
        before = self._counts.get(device)
        ahead = 1 if before is None else (count - before) % 256
        if not 0 < ahead < 128:
            return []
        self._counts[device] = count
        self._counts.move_to_end(device)
        if len(self._counts) > REMEMBERED:
            self._counts.popitem(last=False)
        return [f"{ahead - 1} payloads missing before this one"] if ahead > 1 else []


def _heard(payload: bytes) -> Uplink | Ignored:
    """Raises Noise."""
    try:
        body = parse_json(payload)
    except Noise:
        if payload[0] == codec.PEOPLE_COUNTER and len(payload) <= uplink.MAX_FRAME:
            return Uplink(payload)  # as it was on the air
        raise
    if not isinstance(body, dict):
        raise Noise(DamageReason.SYNTAX)
    if "devicePayload" in body:
        return _forwarded(body)
    return uplink.read(body) or STRANGE


def _forwarded(body: Table) -> Uplink | Ignored:
    """The webhook of the maker's platform. What it decoded itself is not looked at, but for the time."""
    frame = uplink.frame_of(body["devicePayload"])
    return (
        Uplink(frame, at_ms=uplink.instant(table(body.get("decoded")).get("received_at"))) if frame else EMPTY
    )


def _match(device: Device) -> Match:
    serial = cast("ImbuildingsOptions", device.options).serial
    return single.match(device, uplink.eui(serial) if serial else None)


FAMILY = Family(
    name="imbuildings",
    summary="IMBuildings people counters: LoRaWAN through ChirpStack or The Things Stack, and the webhook",
    kind=Kind.MESSAGES,
    over=frozenset({"mqtt", "push"}),
    options=ImbuildingsOptions,
    line_options=ImbuildingsLine,
    open=Imbuildings,
    match=_match,
    basis=Basis.TOTAL,
    problems=single.problems,
)
