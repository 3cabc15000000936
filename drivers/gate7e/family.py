"""7E/7F gates: options, which side is in, and what the health bytes mean."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping
from enum import StrEnum
from functools import partial
from typing import cast

from pydantic import Field

from drivers import polled
from drivers.gate7e import codec
from drivers.gate7e.codec import State
from gateway.driver import Device, Family, Kind, LineOptions, Options, Request, Response
from gateway.model import Basis, Damaged, DeviceState, Ignored, Item, Register, Resets, Status

MODULUS = 1 << 24


class Cabinet(StrEnum):
    """A side of the cabinet; which one is in depends on how it was mounted."""

    LEFT = "left"
    RIGHT = "right"


class GateOptions(Options):
    """One gate on the bus."""

    address: int = Field(1, description="machine number of the gate", ge=1, le=99)
    blocked_s: float = Field(
        15.0, description="a beam interrupted so long is blocked, in seconds", ge=0, le=86400
    )
    timeout_s: float = Field(0.5, description="longest wait for an answer, in seconds", gt=0, le=60)


class GateLine(LineOptions):
    """Which way is in."""

    in_: Cabinet = Field(alias="in", description="side whose count goes in: left, right; the other goes out")


class Gate:
    """Exchange: one question, one status, at each poll."""

    def __init__(self, device: Device) -> None:
        self._options = cast("GateOptions", device.options)
        self._lines = cast("Mapping[str, GateLine]", device.lines)
        self._status: Status | None = None  # as last told
        self._interrupted_ms: int | None = None  # since when the beam is

    def poll(self, now_ms: int) -> Generator[Request, Response, Iterable[Item]]:
        machine = self._options.address
        wait_ms = round(self._options.timeout_s * 1000)
        response = yield Request(codec.query(machine), wait_ms, partial(codec.whole, machine), named=True)
        if response.data is None:
            return []
        reply = codec.read_reply(machine, response.data)
        if not isinstance(reply, State):
            return [_noise(reply)]
        status = _status(reply, blocked=self._blocked(reply, now_ms))
        known, self._status = self._status, status
        return [*self._registers(reply), *([] if status == known else [status])]

    def answer(self, request: bytes, response: Response) -> Iterable[Item]:
        """What one question and its status say by themselves. Without a question the status names itself."""
        machine = codec.read_question(request)
        if machine is None and request:
            return [Ignored("not a question of ours")]
        if response.data is None:
            return []
        reply = codec.read_reply(machine, response.data)
        if not isinstance(reply, State):
            return [_noise(reply)]
        return [*self._registers(reply), _status(reply, blocked=reply.infrared != 0)]

    def _blocked(self, state: State, now_ms: int) -> bool:
        """Everybody who passes interrupts the beam; only what stays there blocks it."""
        if not state.infrared:
            self._interrupted_ms = None
            return False
        since_ms = now_ms if self._interrupted_ms is None else min(self._interrupted_ms, now_ms)
        self._interrupted_ms = since_ms
        return now_ms - since_ms >= self._options.blocked_s * 1000

    def _registers(self, state: State) -> Iterable[Item]:
        """One register for each line; without any, each side is a line of its own without direction."""
        machine, totals = str(state.machine), {Cabinet.LEFT: state.left, Cabinet.RIGHT: state.right}
        if not self._lines:
            return [
                Register(machine, side, None, total_passes=total, epoch=f"{machine}/{side}", modulus=MODULUS)
                for side, total in totals.items()
            ]
        return [
            Register(
                machine,
                name,
                None,
                total_in=totals[line.in_],
                total_out=totals[_opposite(line.in_)],
                epoch=f"{machine}/{line.in_}",
                modulus=MODULUS,
            )
            for name, line in self._lines.items()
        ]


def _opposite(side: Cabinet) -> Cabinet:
    return Cabinet.RIGHT if side is Cabinet.LEFT else Cabinet.LEFT


def _noise(reply: Damaged | codec.NotOurs) -> Item:
    return reply if isinstance(reply, Damaged) else Ignored("status of another machine")


def _status(state: State, *, blocked: bool) -> Status:
    """The source names no codes: they are told as they are."""
    words = [
        *([f"fault {state.fault:02X}"] if state.fault else []),
        *([f"alarm {state.alarm:02X}"] if state.alarm else []),
        *(["beam blocked"] if blocked else []),
    ]
    worst = DeviceState.FAULT if state.fault else DeviceState.DEGRADED if words else DeviceState.OK
    return Status(str(state.machine), None, worst, ", ".join(words))


FAMILY = Family(
    name="gate7e",
    summary="gate controllers asked with 7E, answering with 7F, on RS-485: polled totals of both sides",
    kind=Kind.EXCHANGE,
    over=frozenset({"serial", "tcp"}),
    options=GateOptions,
    line_options=GateLine,
    open=Gate,
    match=lambda device: polled.match(device, str(cast("GateOptions", device.options).address)),
    basis=Basis.TOTAL,
    resets=Resets.POWER,
)
