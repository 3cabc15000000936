"""A driver as `decode` uses it: by itself, or as the configuration has it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from gateway.driver import Device, Driver, Family
from gateway.model import Item


@dataclass(frozen=True, slots=True)
class Decoder:
    """One driver instance and how its items become configured ones."""

    family: Family
    device: Device
    driver: Driver
    resolve: Callable[[Item], Iterable[Item]] = lambda item: (item,)
