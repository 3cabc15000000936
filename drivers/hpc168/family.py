"""HPC168: options, what is asked, and what the answers mean."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from functools import partial
from typing import cast

from pydantic import Field

from drivers import single
from drivers.hpc168 import codec
from drivers.hpc168.codec import Ask, Counts, Door, Question
from gateway.driver import Device, Family, Kind, LineOptions, Options, Request, Response
from gateway.model import MAIN_LINE, Basis, Damaged, DeviceState, Ignored, Item, Register, Resets, Status

FACTORY_ADDRESS = "0001"
MODULUS = 1 << 32


class HpcOptions(Options):
    """One counter on the line."""

    address: str = Field(
        FACTORY_ADDRESS, description="the counter's ID: four decimal digits", pattern="^[0-9]{4}$"
    )
    door: bool = Field(False, description="also ask whether the door is open, and show it")
    timeout_s: float = Field(0.5, description="longest wait for an answer, in seconds", gt=0, le=60)


class Hpc:
    """Exchange: asks the counts at each poll, and the door where it is wanted."""

    def __init__(self, device: Device) -> None:
        self._options = cast("HpcOptions", device.options)
        self._door: Status | None = None  # as last told

    def poll(self, now_ms: int) -> Generator[Request, Response, Iterable[Item]]:  # noqa: ARG002 - no clock here
        items: list[Item] = []
        counted = yield from self._ask(Ask.COUNTS, items)
        if counted and self._options.door:
            yield from self._ask(Ask.DOOR, items)
        return [item for item in items if not self._told(item)]

    def answer(self, request: bytes, response: Response) -> Iterable[Item]:
        """What one question and its answer say by themselves. Without a question the answer names itself."""
        question = codec.read_question(request)
        if question is None and request:
            return [Ignored("not a question of ours")]
        return [] if response.data is None else [_item(codec.read_reply(question, response.data))]

    def _ask(self, ask: Ask, items: list[Item]) -> Generator[Request, Response, bool]:
        """True if anything at all was said; silence says nothing."""
        question = Question(ask, self._options.address)
        wait_ms = round(self._options.timeout_s * 1000)
        response = yield Request(codec.build(question), wait_ms, partial(codec.whole, question), named=True)
        if response.data is not None:
            items.append(_item(codec.read_reply(question, response.data)))
        return response.data is not None

    def _told(self, item: Item) -> bool:
        """A door that stays as it is need not be told again."""
        if not isinstance(item, Status):
            return False
        known, self._door = self._door, item
        return item == known


def _item(reply: codec.Reply) -> Item:
    if isinstance(reply, Counts):
        return Register(
            reply.address,
            MAIN_LINE,
            None,
            total_in=reply.ins,
            total_out=reply.outs,
            epoch=reply.address,
            modulus=MODULUS,
        )
    if isinstance(reply, Door):
        return Status(reply.address, None, DeviceState.OK, f"door {'open' if reply.open else 'closed'}")
    return reply if isinstance(reply, Damaged) else Ignored("answer to something else")


FAMILY = Family(
    name="hpc168",
    summary="MRB HPC168 / HPC088 door counters on RS-232 or RS-485: polled totals in and out",
    kind=Kind.EXCHANGE,
    over=frozenset({"serial", "tcp"}),
    options=HpcOptions,
    line_options=LineOptions,
    open=Hpc,
    match=lambda device: single.match(device, cast("HpcOptions", device.options).address),
    basis=Basis.TOTAL,
    resets=Resets.POWER,
    problems=single.problems,
)
