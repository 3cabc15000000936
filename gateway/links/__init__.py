"""All the input I/O there is: one module for each kind of link, imported only when one is configured."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, Protocol

from gateway.clock import Clock
from gateway.errors import LinkError


class Link(Protocol):
    """One port, bus or broker. `run` returns when `stop` is set and never raises for what happens outside."""

    id: str

    @property
    def state(self) -> Any: ...  # supervise.LinkState
    async def run(self, stop: asyncio.Event) -> None: ...


class Configured(Protocol):
    """A `[link]` table: what carries it and that carrier's options."""

    @property
    def over(self) -> str: ...
    @property
    def options(self) -> Any: ...


def open_link(
    name: str,
    link: Configured,
    sources: Sequence[Any],
    clock: Clock,
    ingest: Any,
    gateway_id: str,
    sessions: Any,
    coverage: Any = None,
) -> Link:
    """The link `name`, nothing opened yet. Raises LinkError for a carrier that is not built."""
    if link.over == "mqtt":
        from gateway.links.mqtt import MqttLink

        return MqttLink(name, link.options, sources, clock, ingest, sessions, gateway_id=gateway_id)
    if link.over == "serial":
        from gateway.links.serial import SerialLink, Tap

        serial = SerialLink if link.options.port else Tap
        return serial(name, link.options, sources, clock, ingest)
    if link.over == "tcp":
        from gateway.links.tcp import TcpLink

        return TcpLink(name, link.options, sources, clock, ingest)
    if link.over == "gpio":
        from gateway.links.gpio import GpioLink

        return GpioLink(name, link.options, sources, clock, ingest)
    if link.over == "pull":
        from gateway.links.pull import PullLink

        return PullLink(name, link.options, sources, clock, ingest, coverage)
    raise LinkError(f"links over {link.over} are not built")
