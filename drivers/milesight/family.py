"""Milesight: options, and how its lines are told apart."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal, cast

from pydantic import Field

from drivers import uplink
from drivers.milesight import codec
from gateway.driver import Device, Family, Kind, LineOptions, Match, Message, Options
from gateway.model import Basis, Item

JSON = "json"


class MilesightOptions(Options):
    """One sensor: a model that speaks JSON, or a LoRaWAN model behind a network server."""

    model: Literal["json", "vs121", "vs132", "vs133", "vs135", "vs350", "vs351", "vs360"] = Field(
        "json", description="json for VS125, VS12x-P and VS13x-P; a LoRaWAN sensor's own model"
    )
    topic: str | None = Field(
        None, description="MQTT topic (or filter) of the sensor, or of the network server's uplinks"
    )
    serial: str | None = Field(
        None,
        description="serial number of the sensor (json) or its DevEUI (LoRaWAN), when several share a topic",
    )
    report_s: int = Field(
        0,
        ge=0,
        le=86_400,
        description="LoRaWAN: reporting period of a sensor that reports on the dot with its time, in seconds",
    )


class MilesightLine(LineOptions):
    """One line of the sensor."""

    line: int | None = Field(None, ge=1, le=16, description="number of the line at the sensor")


class Milesight:
    """Messages: stateless."""

    def __init__(self, device: Device) -> None:
        options = cast("MilesightOptions", device.options)
        model = None if options.model == JSON else options.model
        configured = bool(device.lines or options.topic or options.serial)
        self._sensor = codec.Sensor(model, options.report_s * 1000, camera=configured and model is None)

    def decode(self, message: Message) -> Iterable[Item]:
        return codec.decode(message.payload, self._sensor)


def _match(device: Device) -> Match:
    options = cast("MilesightOptions", device.options)
    serial = options.serial
    if serial and options.model != JSON:
        serial = uplink.eui(serial)
    numbers = {ours: cast("MilesightLine", line).line for ours, line in device.lines.items()}
    return Match(serial, {str(number): ours for ours, number in numbers.items() if number is not None})


def _basis(device: Device) -> Basis:
    """LoRaWAN loses frames: totals make good what a lost one held."""
    return Basis.DELTA if cast("MilesightOptions", device.options).model == JSON else Basis.TOTAL


def _problems(device: Device) -> Sequence[str]:
    options = cast("MilesightOptions", device.options)
    if options.model == JSON and uplink.is_topic(options.topic):
        return ("model: the topic is a network server's, so say which LoRaWAN model it is",)
    return ()


FAMILY = Family(
    name="milesight",
    summary="Milesight VS sensors: JSON reports, and LoRaWAN frames through ChirpStack or The Things Stack",
    kind=Kind.MESSAGES,
    over=frozenset({"mqtt", "push"}),
    options=MilesightOptions,
    line_options=MilesightLine,
    open=Milesight,
    match=_match,
    basis=Basis.DELTA,
    basis_of=_basis,
    problems=_problems,
)
