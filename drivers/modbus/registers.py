"""What a register map is, and how totals and signs of trouble are read out of registers."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import Literal, TypeAlias

from pydantic import Field, field_validator, model_validator

from drivers.modbus.codec import MAX_BITS, MAX_REGISTERS, Function, Question
from gateway.driver import Options
from gateway.model import DeviceState

FLOAT_COUNTS_TO = 1 << 24  # above it a single-precision number no longer counts by one
Image: TypeAlias = dict[tuple[int, int], int]  # (function, address) → register or bit
Span: TypeAlias = tuple[Function, int, int]  # function, first address, count


class Full(StrEnum):
    """What a total does after its last value."""

    WRAP = "wrap"
    SATURATE = "saturate"


class Place(Options):
    """Where a number stands."""

    function: Literal[1, 2, 3, 4] = Field(
        3, description="1 coils, 2 inputs, 3 holding registers, 4 input registers"
    )
    address: int = Field(description="address as it is sent, from 0 (40001 is 0)", ge=0, le=0xFFFF)
    width: Literal[16, 32] = Field(16, description="bits: one register or two")
    order: Literal["low", "high"] = Field("high", description="which word of two comes first")

    @property
    def registers(self) -> int:
        return self.width // 16

    @property
    def span(self) -> Span:
        """What one request must read for the number to be of one moment."""
        return Function(self.function), self.address, self.registers

    def number(self, image: Image) -> int | None:
        """Unsigned; None unless every register of it was read."""
        words = [image.get((self.function, self.address + at)) for at in range(self.registers)]
        if self.order == "low":
            words.reverse()
        value = 0
        for word in words:
            if word is None:
                return None
            value = value << 16 | word
        return value

    @model_validator(mode="after")
    def _fits(self) -> Place:
        if self.address + self.registers > 0x1_0000:
            raise ValueError("address: two registers do not fit at the last address")
        if self.function in (1, 2) and self.width != 16:
            raise ValueError("width: functions 1 and 2 read single bits")
        return self


class Total(Place):
    """A number that only grows."""

    function: Literal[3, 4] = Field(3, description="3 holding registers, 4 input registers")
    width: Literal[16, 32] = Field(32, description="bits: one register or two")
    number_is: Literal["integer", "float"] = Field("integer", description="how it is written")
    maximum: int | None = Field(None, description="last value; default: by the width", ge=1, lt=1 << 32)
    full: Full = Field(Full.WRAP, description="after the last value: wrap to 0, or saturate (stay there)")
    maximum_at: int | None = Field(
        None, description="holding register with the last value, as wide as the total", ge=0, le=0xFFFE
    )
    preset_at: int | None = Field(
        None, description="holding register with the value after the wrap", ge=0, le=0xFFFE
    )
    closes_at: int | None = Field(
        None, description="where the device counts the other edge of the same contact", ge=0, le=0xFFFE
    )

    @model_validator(mode="after")
    def _written(self) -> Total:
        if self.number_is == "float" and self.width != 32:
            raise ValueError("width: a float has 32 bits")
        if self.maximum is not None and self.maximum >= 1 << self.width:
            raise ValueError(f"maximum: more than {self.width} bits hold")
        return self

    @property
    def last(self) -> int | None:
        """The last value as far as the map tells; None where nobody says when a float comes round."""
        if self.maximum is not None or self.number_is == "float":
            return self.maximum
        return (1 << self.width) - 1

    @property
    def span(self) -> Span:
        function, first, count = super().span
        if self.closes_at is None:
            return function, first, count
        end = max(first, self.closes_at) + count
        first = min(first, self.closes_at)
        return function, first, end - first

    @property
    def settings(self) -> Sequence[Place]:
        """Where its last value and its preset stand, if they are programmed."""
        return [self._setting(at) for at in (self.maximum_at, self.preset_at) if at is not None]

    def _setting(self, at: int) -> Place:
        return Place(function=3, address=at, width=self.width, order=self.order)

    def read(self, image: Image, last: int | None) -> int | None:
        """Persons; None when it was not read. Raises ValueError for what is no number of persons."""
        value = self.number(image)
        if value is not None and self.number_is == "float":
            value = _whole_number(value)
        if value is not None and last is not None and value > last:
            raise ValueError("above the last value")
        return value

    def programmed(self, image: Image) -> tuple[int | None, int]:
        """Last value (None: not known) and the value after the wrap."""
        last, preset = self.last, 0
        if self.maximum_at is not None:
            last = self._setting(self.maximum_at).number(image)
        if self.preset_at is not None:
            preset = self._setting(self.preset_at).number(image) or 0
        return last, preset

    def contact(self, image: Image) -> int | None:
        """Closings less openings of the contact: 0 is open, 1 closed; None when not both were read."""
        if self.closes_at is None:
            return None
        closed = self.number(image)
        opened = self.model_copy(update={"address": self.closes_at}).number(image)
        return None if closed is None or opened is None else (closed - opened) % (1 << self.width)


def _whole_number(bits: int) -> int:
    real: float = struct.unpack(">f", bits.to_bytes(4, "big"))[0]
    if not 0 <= real <= FLOAT_COUNTS_TO or real != int(real):
        raise ValueError("no whole number")
    return int(real)


class Sign(Place):
    """Bits that tell of trouble, by being there or by being gone."""

    mask: int = Field(0xFFFF, description="the bits that are looked at", ge=1, lt=1 << 32)
    healthy: int = Field(0, description="what these bits are when all is well", ge=0, lt=1 << 32)
    says: str = Field(description="the trouble in words", min_length=1, max_length=60)
    state: Literal["degraded", "fault"] = Field("degraded", description="how bad it is")
    total: str | None = Field(None, description="total it is about; default: the device")
    standing: bool = Field(
        False, description="trouble only when it lasts over two looks and nobody was counted in between"
    )

    @model_validator(mode="after")
    def _possible(self) -> Sign:
        if self.function in (1, 2):
            if self.healthy > 1 or not self.mask & 1:
                raise ValueError("healthy: a bit is 0 or 1")
        elif self.healthy & ~self.mask:
            raise ValueError("healthy: has bits outside the mask")
        if not self.says.isprintable():
            raise ValueError("says: must be printable")
        return self

    @property
    def device_state(self) -> DeviceState:
        return DeviceState(self.state)

    def troubled(self, image: Image) -> bool | None:
        """None when it was not read."""
        value = self.number(image)
        return None if value is None else value & self.mask != self.healthy


class Map(Options):
    """The registers of one kind of device."""

    totals: dict[str, Total] = Field(description="its totals by name", min_length=1, max_length=64)
    signs: list[Sign] = Field([], description="its signs of trouble", max_length=64)
    in_: str | None = Field(None, alias="in", description="total of persons going in, unless a line says")
    out: str | None = Field(None, description="total of persons going out, unless a line says")
    apart: bool = Field(
        False, description="one request for each total, where two totals may not be read at once"
    )

    @field_validator("totals")
    @classmethod
    def _names(cls, totals: dict[str, Total]) -> dict[str, Total]:
        for name in totals:
            if not (name.isascii() and name.isprintable() and 0 < len(name) <= 32):
                raise ValueError(f"{name!r:.40} is no name: printable, at most 32 characters")
        return totals

    @model_validator(mode="after")
    def _named(self) -> Map:
        for key, name in (("in", self.in_), ("out", self.out)):
            if name is not None and name not in self.totals:
                raise ValueError(f"{key}: {self.unknown(name)}")
        for number, sign in enumerate(self.signs):
            if sign.total is not None and sign.total not in self.totals:
                raise ValueError(f"signs.[{number}].total: {self.unknown(sign.total)}")
        for name, total in self.totals.items():
            if total.span[2] > MAX_REGISTERS:
                raise ValueError(f"totals.{name}.closes_at: too far away for one request")
        return self

    def unknown(self, name: str) -> str:
        return f'the map has no total "{name}"; it has: {", ".join(self.totals)}'


def questions(unit: int, spans: Iterable[Span], *, apart: bool = False) -> Sequence[Question]:
    """As few requests as read all spans without reading an address that none of them names."""
    joined: list[list[int]] = []
    for function, first, count in sorted(set(spans)):
        longest = MAX_BITS if function.of_bits else MAX_REGISTERS
        if joined and not apart:
            last = joined[-1]
            end = max(last[2], first + count)
            if last[0] == function and first <= last[2] and end - last[1] <= longest:
                last[2] = end
                continue
        joined.append([function, first, first + count])
    return tuple(Question(unit, Function(f), first, end - first) for f, first, end in joined)
