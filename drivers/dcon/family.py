"""DCON: options, what is asked in which order, and what the answers mean for the configured lines."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from dataclasses import dataclass
from functools import cache
from typing import cast

from pydantic import Field, field_validator, model_validator

from drivers import polled
from drivers.dcon import codec
from drivers.dcon.codec import Answer, Ask, Dialect, NotOurs, Question, Refused
from gateway.driver import Device, Family, Kind, LineOptions, Options, Request, Response
from gateway.model import Basis, Damaged, DamageReason, DeviceState, Ignored, Item, Status

FACTORY_ADDRESS = "01"
RUNNING_EVERY = 60  # polls between two questions whether the module still counts
ASK_AGAIN = 3  # polls after a survey that ask once more for a maximum or preset lost to noise
GIVE_UP = 2  # unanswered questions after which the rest of a survey waits

_BUILT = cache(codec.build)


class DconOptions(Options):
    """One module on the bus."""

    address: str = Field(
        FACTORY_ADDRESS, description="module address: two hex digits", pattern="^[0-9A-Fa-f]{2}$"
    )
    dialect: Dialect = Field(
        Dialect.ICP, description="how the module writes numbers: icp, adam (hex), decimal"
    )
    checksum: bool = Field(False, description="the module is configured to append a checksum")
    timeout_s: float = Field(0.3, description="longest wait for an answer, in seconds", gt=0, le=60)

    @field_validator("address")
    @classmethod
    def _upper(cls, address: str) -> str:
        return address.upper()


class DconLine(LineOptions):
    """Which channels count which direction: `in` and/or `out`, or `both` where the beam knows none."""

    in_: int | None = Field(None, alias="in", description="channel that counts persons going in", ge=0, le=1)
    out: int | None = Field(None, description="channel that counts persons going out", ge=0, le=1)
    both: int | None = Field(None, description="channel of a beam without direction", ge=0, le=1)

    @model_validator(mode="after")
    def _sides(self) -> DconLine:
        if self.both is not None and (self.in_ is not None or self.out is not None):
            raise ValueError("either `both`, or `in` and `out`")
        if self.both is None and self.in_ is None and self.out is None:
            raise ValueError("a channel is missing: `in` and `out`, or `both`")
        if self.in_ is not None and self.in_ == self.out:
            raise ValueError("`in` and `out` name the same channel")
        return self


@dataclass(frozen=True, slots=True)
class _Line:
    """Our line name and the channel of each side."""

    name: str
    total_in: int | None = None
    total_out: int | None = None
    total_passes: int | None = None

    @property
    def sides(self) -> tuple[tuple[str, int], ...]:
        sides = (
            ("total_in", self.total_in),
            ("total_out", self.total_out),
            ("total_passes", self.total_passes),
        )
        return tuple((side, channel) for side, channel in sides if channel is not None)

    @property
    def remapped(self) -> str:
        """Changes with the channels a side is read from."""
        return ",".join(str(channel) for _, channel in self.sides)


@dataclass(slots=True)
class _Channel:
    """What the module said of a channel: None is not known (yet)."""

    maximum: int | None = None
    preset: int | None = None
    running: bool | None = None

    @property
    def turn(self) -> tuple[int | None, int]:
        """Modulus and restart value, of use only when they fit together."""
        if self.maximum is None:
            return None, 0
        preset = self.preset or 0
        return self.maximum + 1, preset if preset <= self.maximum else 0


class Dcon:
    """Exchange: surveys a module at the start and after each failure, then asks its counts at each poll."""

    def __init__(self, device: Device) -> None:
        self._options = cast("DconOptions", device.options)
        self._bare = not device.lines
        self._lines = _lines(device)
        used = {channel for line in self._lines for _, channel in line.sides}
        self._channels = {channel: _Channel() for channel in sorted(used)}
        self._surveyed = False
        self._polls = 0
        self._unanswered = 0

    def poll(self, now_ms: int) -> Generator[Request, Response, Iterable[Item]]:  # noqa: ARG002 - no clock here
        """One round of questions. Silence of the module ends the round."""
        items: list[Item] = []
        if not self._surveyed:
            self._surveyed = yield from self._survey(items)
            self._polls = 0
        elif self._polls % RUNNING_EVERY == 0 or (self._polls <= ASK_AGAIN and self._incomplete()):
            yield from self._look_around(items)
        if self._surveyed:
            self._polls += 1
            yield from self._count(items)
        return items

    def answer(self, request: bytes, response: Response) -> Iterable[Item]:
        """What one question and its answer say by themselves."""
        question = codec.read_question(request, summed=self._options.checksum)
        if question is None:
            return [Ignored("not a question of ours")]
        if not self._bare and question.address != self._options.address:
            return [Ignored("another module")]
        items: list[Item] = []
        if response.data is not None:
            value = self._value(question, self._read(question, response.data), items)
            if value is not None:
                items += self._meaning(question, value)
        return items

    def _meaning(self, question: Question, value: int) -> Iterable[Item]:
        if question.ask is Ask.CONFIG:
            return [self._type_status(value, question.address)]
        if question.ask is Ask.COUNT:
            return self._registers({cast("int", question.channel): value}, question.address)
        if question.ask is Ask.RUNNING:
            return [self._running_status(bool(value), question)]
        return [Ignored(f"{question.ask.name.lower()} {value}")]

    def _survey(self, items: list[Item]) -> Generator[Request, Response, bool]:
        """Is it a counter, where does it wrap, does it count? True when its totals can be believed."""
        kind = yield from self._ask(Ask.CONFIG, None, items)
        if kind is None:
            return False
        status = self._type_status(kind, self._options.address)
        if status.state is not DeviceState.OK:
            items.append(status)
            return False
        for channel in self._channels.values():
            channel.maximum = channel.preset = channel.running = None
        yield from self._look_around(items)
        return True

    def _incomplete(self) -> bool:
        return any(None in (channel.maximum, channel.preset) for channel in self._channels.values())

    def _look_around(self, items: list[Item]) -> Generator[Request, Response, None]:
        """Ask what is not known yet and whether the channels count. A module may know none of this."""
        self._unanswered = 0
        for number, channel in self._channels.items():
            if self._unanswered >= GIVE_UP:
                break
            if channel.maximum is None:
                channel.maximum = yield from self._ask(Ask.MAXIMUM, number, items, optional=True)
            if channel.preset is None:
                channel.preset = yield from self._ask(Ask.PRESET, number, items, optional=True)
            running = yield from self._ask(Ask.RUNNING, number, items, optional=True)
            if running is not None:
                channel.running = bool(running)
        stopped = [number for number, channel in self._channels.items() if channel.running is False]
        question = Question(Ask.RUNNING, self._options.address, stopped[0] if stopped else None)
        items.append(self._running_status(not stopped, question))

    def _count(self, items: list[Item]) -> Generator[Request, Response, None]:
        totals: dict[int, int] = {}
        for number, channel in self._channels.items():
            value = yield from self._ask(Ask.COUNT, number, items)
            if value is None:
                self._surveyed = False  # it may be another module when it comes back
                break
            if channel.maximum is not None and value > channel.maximum:
                items.append(Damaged(DamageReason.SANITY, len(f">{value:08X}\r")))
                self._surveyed = False
                continue
            totals[number] = value
        items += self._registers(totals, self._options.address)

    def _ask(
        self, ask: Ask, channel: int | None, items: list[Item], *, optional: bool = False
    ) -> Generator[Request, Response, int | None]:
        """The answer's value; None for silence, noise or a refusal (noted in `items`)."""
        question = Question(ask, self._options.address, channel)
        payload = _BUILT(question, summed=self._options.checksum)
        response = yield Request(payload, round(self._options.timeout_s * 1000), codec.whole)
        if response.data is None:
            self._unanswered += 1
            return None
        self._unanswered = 0
        reply = self._read(question, response.data)
        if optional and isinstance(reply, Refused):
            return None
        return self._value(question, reply, items)

    def _read(self, question: Question, data: bytes) -> codec.Reply:
        return codec.read_reply(question, data, self._options.dialect, summed=self._options.checksum)

    def _value(self, question: Question, reply: codec.Reply, items: list[Item]) -> int | None:
        if isinstance(reply, Answer):
            return reply.value
        if isinstance(reply, Damaged):
            items.append(reply)
        elif isinstance(reply, NotOurs):
            items.append(Ignored("answer to something else"))
        else:
            items.append(Status(question.address, None, DeviceState.DEGRADED, "command refused"))
        return None

    def _type_status(self, kind: int, address: str) -> Status:
        if kind == codec.COUNTER_TYPE:
            return Status(address, None, DeviceState.OK)
        if kind == codec.FREQUENCY_TYPE:
            return Status(address, None, DeviceState.FAULT, "channel is a frequency input")
        return Status(address, None, DeviceState.FAULT, f"module type {kind:02X} is no counter")

    def _running_status(self, running: bool, question: Question) -> Status:
        if running:
            return Status(question.address, None, DeviceState.OK)
        detail = f"counter stopped (channel {question.channel})"
        return Status(question.address, None, DeviceState.DEGRADED, detail)

    def _registers(self, totals: dict[int, int], address: str) -> list[Item]:
        found: list[Item] = []
        for line in self._lines:
            sides = [
                (side, totals[channel], *self._channels[channel].turn)
                for side, channel in line.sides
                if channel in totals
            ]
            found += polled.registers(address, line.name, f"{address}/{line.remapped}", sides)
        return found


def _lines(device: Device) -> tuple[_Line, ...]:
    """The configured lines; without any, each channel is a line of its own."""
    if not device.lines:
        return tuple(_Line(str(channel), total_passes=channel) for channel in (0, 1))
    return tuple(
        _Line(name, options.in_, options.out, options.both)
        for name, options in device.lines.items()
        if isinstance(options, DconLine)
    )


FAMILY = Family(
    name="dcon",
    summary="DCON / ADAM ASCII counter modules on RS-485 (I-7080, ADAM-4080, CB-7080): polled totals",
    kind=Kind.EXCHANGE,
    over=frozenset({"serial"}),
    options=DconOptions,
    line_options=DconLine,
    open=Dcon,
    match=polled.match,
    basis=Basis.TOTAL,
)
