"""The upstream seam: who takes our events, and how a driver is found by its name.

A driver sends and interprets answers; pacing, back-off, order and settling live once, in `forward`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol, TypeAlias

from gateway.clock import Clock
from gateway.driver import Options
from gateway.errors import UnknownDriver
from gateway.model import Event, Receipt

Secrets: TypeAlias = Callable[[str], Path]  # a `*_file` option's text → where that file is
DRIVERS = {"http": "gateway.upstreams.http"}


class Upstream(Protocol):
    """A receiver. Laws (`tests/contracts/test_upstream_laws.py`): `send` never raises for what a peer does,
    ends within a bounded time, and calls accepted only what the receiver has said is stored."""

    async def send(self, batch: Sequence[Event]) -> Receipt: ...

    async def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class UpstreamDriver:
    """What a driver module shows as `DRIVER`: its options and how to open one (which touches no network)."""

    name: str
    options: type[Options]
    open: Callable[[Any, Secrets, Clock], Upstream]


def load_upstream(name: str) -> UpstreamDriver:
    """The driver `name`, imported only now. Raises UnknownDriver, naming the known ones."""
    if name not in DRIVERS:
        raise UnknownDriver(f"unknown upstream driver {name!r}; known: {', '.join(sorted(DRIVERS))}")
    driver: UpstreamDriver = import_module(DRIVERS[name]).DRIVER
    return driver
