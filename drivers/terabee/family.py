"""TeraRanger Evo: what the unasked frames mean."""

from __future__ import annotations

from collections.abc import Iterable

from drivers import single
from drivers.terabee import codec
from drivers.terabee.codec import Distance, Passage
from gateway.driver import Device, Family, Kind, LineOptions, Options, Side
from gateway.model import (
    DEVICE,
    MAIN_LINE,
    Basis,
    Damaged,
    DamageReason,
    DeviceState,
    Item,
    Register,
    Resets,
    Status,
)

TOLD_BYTES = 11  # noise is told in pieces as long as the shortest passage
ALIVE_EVERY_MS = 30_000  # distances come many times a second: so often one of them is told


class TerabeeOptions(Options):
    """The sensor has nothing to choose."""


class Terabee:
    """Stream: holds less than one frame."""

    def __init__(self, _device: Device) -> None:
        self._held = b""
        self._likely = codec.WITHOUT_SENSOR
        self._sensor = DEVICE
        self._last: Passage | None = None  # since the port was opened
        self._noise = 0  # bytes not told yet
        self._told = 0  # bytes ahead that are told as part of a damaged frame
        self._status: Status | None = None  # as last told
        self._status_ms = 0

    def feed(self, data: bytes, at_ms: int, side: Side = Side.DEVICE) -> Iterable[Item]:  # noqa: ARG002
        data, at, items = self._held + data, 0, list[Item]()
        while not isinstance(found := codec.frame_at(data, at, self._likely), codec.More):
            if isinstance(found, Passage | Distance):
                at += found.size
                items += [*self._rest_of_noise(), *self._meaning(found, at_ms)]
            elif isinstance(found, Damaged):
                at += 1
                items += self._fail(found)
            else:
                at += found.size
                items += self._skip(found.size)
        self._held = data[at:]
        return items

    def reopened(self, side: Side) -> None:  # noqa: ARG002
        """It may have lost its power with the port."""
        self._last = None

    def _fail(self, found: Damaged) -> Iterable[Item]:
        """A frame that fails is told at once and one byte skipped: another one may begin inside it."""
        if self._told:
            return self._skip(1)
        rest = self._rest_of_noise()
        self._told = found.bytes - 1
        return [*rest, found]

    def _skip(self, size: int) -> Iterable[Item]:
        told = min(size, self._told)
        self._told -= told
        pieces, self._noise = divmod(self._noise + size - told, TOLD_BYTES)
        return [Damaged(DamageReason.SYNTAX, TOLD_BYTES)] * pieces

    def _rest_of_noise(self) -> Iterable[Item]:
        noise, self._noise, self._told = self._noise, 0, 0
        return [Damaged(DamageReason.SYNTAX, noise)] if noise else []

    def _meaning(self, found: Passage | Distance, at_ms: int) -> Iterable[Item]:
        if isinstance(found, Distance):
            return self._alive(found, at_ms)
        known = found.came_round or (self._last is not None and found.goes_on_from(self._last))
        self._likely, self._last = found.size, found
        self._sensor = DEVICE if found.sensor is None else str(found.sensor)
        return [
            Register(
                self._sensor,
                MAIN_LINE,
                None,
                total_in=found.ins,
                total_out=found.outs,
                epoch="" if found.sensor is None else self._sensor,
                modulus=codec.MODULUS if known else None,
            )
        ]

    def _alive(self, found: Distance, at_ms: int) -> Iterable[Item]:
        """Told when it changes, and now and then."""
        if found.counting:
            status = Status(self._sensor, None, DeviceState.OK)
        else:
            status = Status(self._sensor, None, DeviceState.DEGRADED, "presence mode: nobody is counted")
        if status == self._status and 0 <= at_ms - self._status_ms < ALIVE_EVERY_MS:
            return []
        self._status, self._status_ms = status, at_ms
        return [status]


FAMILY = Family(
    name="terabee",
    summary="Terabee TeraRanger Evo people counters on USB or UART: totals with every passage",
    kind=Kind.STREAM,
    over=frozenset({"serial", "tcp"}),
    options=TerabeeOptions,
    line_options=LineOptions,
    open=Terabee,
    match=single.match,
    basis=Basis.TOTAL,
    resets=Resets.POWER,
    problems=single.problems,
)
