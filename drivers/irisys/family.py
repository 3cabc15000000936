"""Irisys Vector 4D by HTTP push: which registers count which direction of which line."""

from __future__ import annotations

from collections.abc import Iterable
from typing import cast

from pydantic import Field, model_validator

from drivers.irisys import codec
from drivers.irisys.codec import Place, Sides
from gateway.driver import Device, Family, Kind, LineOptions, Match, Message, Options
from gateway.model import Basis, Item


class IrisysOptions(Options):
    """One device."""

    serial: str | None = Field(
        None,
        description="serial number the body must carry (V4D-17020025), when several devices share a link",
    )


class IrisysLine(LineOptions):
    """The registers of one line, each by its name or its number: `in` and/or `out`, or `both`."""

    in_: Place | None = Field(None, alias="in", description="register that counts persons going in")
    out: Place | None = Field(None, description="register that counts persons going out")
    both: Place | None = Field(None, description="register that knows no direction")

    @model_validator(mode="after")
    def _sides(self) -> IrisysLine:
        if self.both is not None and (self.in_ is not None or self.out is not None):
            raise ValueError("either `both`, or `in` and `out`")
        if self.both is None and self.in_ is None and self.out is None:
            raise ValueError("a register is missing: `in` and `out`, or `both`")
        if self.in_ is not None and self.in_ == self.out:
            raise ValueError("`in` and `out` name the same register")
        return self


class Irisys:
    """Messages: stateless."""

    def __init__(self, device: Device) -> None:
        self._lines = [
            Sides(name, line.in_, line.out, line.both)
            for name, line in cast("dict[str, IrisysLine]", device.lines).items()
        ]

    def decode(self, message: Message) -> Iterable[Item]:
        return codec.decode(message.payload, self._lines)


def _match(device: Device) -> Match:
    """The decoder names the lines as we do."""
    return Match(cast("IrisysOptions", device.options).serial, {name: name for name in device.lines})


FAMILY = Family(
    name="irisys",
    summary="Irisys Vector 4D: count logs by HTTP push",
    kind=Kind.MESSAGES,
    over=frozenset({"push"}),
    options=IrisysOptions,
    line_options=IrisysLine,
    open=Irisys,
    match=_match,
    basis=Basis.TOTAL,
    reads_lines=True,
)
