"""All the input I/O there is: one module for each kind of link, imported only when one is configured."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from gateway.clock import Clock
from gateway.errors import LinkError

if TYPE_CHECKING:
    from gateway.links.listener import Listener


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


def open_listener(push: Any, links: Iterable[Configured], clock: Clock) -> Listener | None:
    """The port of [push], not opened yet, which its links share; None when there are none."""
    if all(link.over != "push" for link in links):
        return None
    from gateway.links.listener import Listener

    return Listener(push, clock)


def open_link(
    name: str,
    link: Configured,
    sources: Sequence[Any],
    clock: Clock,
    ingest: Any,
    gateway_id: str,
    sessions: Any,
    coverage: Any = None,
    listener: Listener | None = None,
    overhear: Sequence[str] = (),
) -> Link:
    """The link `name`, nothing opened yet. Raises LinkError for a carrier that is not built.

    `overhear`: MQTT filters to listen to, owing nothing, instead of what the sources want.
    """
    if link.over == "mqtt":
        from gateway.links.mqtt import MqttLink

        around = (clock, ingest, sessions)
        return MqttLink(name, link.options, sources, *around, gateway_id=gateway_id, overhear=overhear)
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
    if link.over == "folder":
        from gateway.links.folder import FolderLink

        return FolderLink(name, link.options, sources, clock, ingest, sessions)
    if link.over == "push":
        from gateway.links.push import PushLink

        if listener is None:
            raise LinkError(f"{name}: nobody listens for pushes")
        return PushLink(name, link.options, sources, clock, ingest, listener)
    raise LinkError(f"links over {link.over} are not built")
