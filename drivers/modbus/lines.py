"""From the totals of a device to the lines of a counter."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from drivers import polled
from drivers.modbus.registers import Full, Image, Map, Total
from gateway.driver import Device, LineOptions
from gateway.model import MAIN_LINE, Register


def _name(given: Any) -> Any:
    """Totals that are numbered may be written as numbers."""
    return str(given) if isinstance(given, int) and not isinstance(given, bool) else given


TotalName = Annotated[str, BeforeValidator(_name, json_schema_input_type=str | int)]


class ModbusLine(LineOptions):
    """Which totals of the map count which direction; a map may say so itself."""

    in_: TotalName | None = Field(None, alias="in", description="total that counts persons going in")
    out: TotalName | None = Field(None, description="total that counts persons going out")
    both: TotalName | None = Field(None, description="total of a beam without direction")


@dataclass(frozen=True, slots=True)
class Line:
    """Our line name and the total of each side."""

    name: str
    sides: tuple[tuple[str, str], ...]  # (field of a Register, total)


@dataclass(frozen=True, slots=True)
class Turn:
    """How a total comes round. `last` None: not known, or it never does."""

    last: int | None
    restart: int = 0
    wraps: bool = True

    @property
    def modulus(self) -> int | None:
        return None if self.last is None or not self.wraps else self.last + 1


def turn_of(total: Total, settings: Image) -> Turn:
    """A preset above the last value is none."""
    last, preset = total.programmed(settings)
    restart = preset if last is not None and preset <= last else 0
    return Turn(last, restart, total.full is Full.WRAP)


def lines_of(device: Device, map_: Map) -> tuple[Line, ...]:
    """The configured lines; without any the map's own line, or else each total as a line of its own."""
    configured = [(name, line) for name, line in device.lines.items() if isinstance(line, ModbusLine)]
    if not configured and not (map_.in_ or map_.out):
        return tuple(Line(name, (("total_passes", name),)) for name in map_.totals)
    return tuple(
        Line(name, _sides(line, map_))
        for name, line in configured or [(MAIN_LINE, ModbusLine.model_validate({}))]
    )


def _sides(line: ModbusLine, map_: Map) -> tuple[tuple[str, str], ...]:
    given = {"total_in": line.in_, "total_out": line.out, "total_passes": line.both}
    if not any(given.values()):
        given = {"total_in": map_.in_, "total_out": map_.out}
    return tuple((side, total) for side, total in given.items() if total is not None)


def missing(map_: Map) -> str:
    return f"in: missing: in and out, or both, name totals of the map: {', '.join(map_.totals)}"


def line_problems(device: Device, map_: Map) -> list[str]:
    """`key: sentence` for every line that names no total, an unknown one, or one twice."""
    problems = []
    for name, line in device.lines.items():
        if isinstance(line, ModbusLine):
            at = "" if [*device.lines] == [MAIN_LINE] else f"lines.{name}."
            problems += [at + problem for problem in _line_problems(line, map_)]
    return problems


def _line_problems(line: ModbusLine, map_: Map) -> Sequence[str]:
    given = {"in": line.in_, "out": line.out, "both": line.both}
    named = {key: total for key, total in given.items() if total is not None}
    if not named:
        return [] if map_.in_ or map_.out else [missing(map_)]
    if line.both is not None and len(named) > 1:
        return ["both: either both, or in and out"]
    if line.in_ is not None and line.in_ == line.out:
        return ["out: names the same total as in"]
    return [f"{key}: {map_.unknown(total)}" for key, total in named.items() if total not in map_.totals]


def registers_of(
    line: Line, totals: Mapping[str, int], turns: Mapping[str, Turn], map_: Map, counter: str
) -> list[Register]:
    sides = [
        (side, totals[name], turns[name].modulus, turns[name].restart)
        for side, name in line.sides
        if name in totals
    ]
    return polled.registers(counter, line.name, f"{counter}/{_places(line, map_)}", sides)


def _places(line: Line, map_: Map) -> str:
    """Changes with the registers a side is read from."""
    totals = [map_.totals[name] for _, name in line.sides]
    return ",".join(f"{total.function}:{total.address}:{total.width}{total.order[0]}" for total in totals)
