"""The makes of a fleet: what each says, how often, over which link, and what the gateway is told of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from simulators.axis import AxisVoice
from simulators.brickstream import BrickstreamVoice
from simulators.hikvision import HikvisionVoice
from simulators.irisys import IrisysVoice
from simulators.lorawan import ImbuildingsVoice, Vs125Voice, Vs350Voice, dev_eui
from simulators.mqtt import LINE, Voice, XovisVoice

QUARTER_S = 900


@dataclass(frozen=True, slots=True)
class Make:
    """One kind of counter. `share`: how many of 200 are of it.

    `period_s`: from one report to the next as the maker's document has it; 0: after each crossing. `phase_s`:
    where on the clock its periods begin. `several`: records that one body may hold. `per_hour`: persons in
    each direction at the busiest time.
    """

    name: str
    driver: str
    link: str
    share: int
    period_s: int
    keys: Callable[[str], str]  # of the counter's id: what its table says besides link and driver
    voice: Callable[[str], Voice] | None = None  # of the counter's id; None: it is asked
    several: int = 1
    totals: bool = False  # the gateway counts by its totals
    phase_s: int = 0
    stamp_ms: int = 0  # from the end of a period to the instant that its totals bear
    per_hour: float = 240.0
    door: bool = False  # at the centre's own doors; the others hang in shops


def digits(counter: str) -> int:
    """The number at the end of a counter's id."""
    return int(counter.rpartition("-")[2])


def mac(first: str, counter: str) -> str:
    number = digits(counter)
    return f"{first}:{number >> 16 & 255:02x}:{number >> 8 & 255:02x}:{number & 255:02x}"


def axis_serial(counter: str) -> str:
    return f"ACCC8E{digits(counter):06X}"


def irisys_serial(counter: str) -> str:
    return f"V4D-{17_020_000 + digits(counter)}"


def _hikvision(counter: str) -> str:
    return f'serial = "{mac("24:28:fd", counter)}"'


def _live(counter: str) -> str:
    return f'serial = "{mac("24:28:fe", counter)}", basis = "total"'


def _register(_counter: str) -> str:
    raise LookupError("written where its place on the bus is known")


MAKES = (
    Make("dcon", "dcon", "bus", 16, 5, _register, door=True, totals=True),
    Make("modbus", "modbus", "lan", 16, 5, _register, door=True, totals=True),
    Make("hik-live", "hikvision", "cameras", 8, 0, _live, door=True, totals=True, per_hour=30.0),
    Make("viametrix", "viametrix", "portal", 12, QUARTER_S, lambda c: f'counter = "{c}"', door=True),
    Make(
        "xovis",
        "xovis",
        "broker",
        24,
        60,
        lambda c: f'topic = "xovis/{c}/push", logic = "{LINE}"',
        XovisVoice,
        several=60,
    ),
    Make(
        "xovis-push",
        "xovis",
        "cameras",
        24,
        60,
        lambda c: f'topic = "xovis/{c}/push", logic = "{LINE}"',
        XovisVoice,
        several=60,
    ),
    Make(
        "axis",
        "axis",
        "cameras",
        20,
        60,
        lambda c: f'serial = "{axis_serial(c)}"',
        lambda c: AxisVoice(axis_serial(c)),
        several=60,
    ),
    Make(
        "hikvision",
        "hikvision",
        "cameras",
        16,
        300,
        _hikvision,
        lambda c: HikvisionVoice(mac("24:28:fd", c)),
    ),
    Make(
        "milesight",
        "milesight",
        "cameras",
        16,
        60,
        lambda c: f'serial = "{dev_eui(c).upper()}"',
        Vs125Voice,
    ),
    Make(
        "vs350",
        "milesight",
        "broker",
        12,
        QUARTER_S,
        lambda c: f'model = "vs350", topic = "application/+/device/+/event/up", serial = "{dev_eui(c)}"',
        Vs350Voice,
        several=12,
        totals=True,
    ),
    Make(
        "imbuildings",
        "imbuildings",
        "broker",
        12,
        600,
        lambda c: f'topic = "v3/mall@ttn/devices/+/up", serial = "{dev_eui(c)}"',
        ImbuildingsVoice,
        totals=True,
        phase_s=180,
        stamp_ms=900,
    ),
    Make(
        "irisys",
        "irisys",
        "cameras",
        12,
        QUARTER_S,
        lambda c: f'serial = "{irisys_serial(c)}", in = "In", out = "Out"',
        lambda c: IrisysVoice(irisys_serial(c)),
        several=60,
        totals=True,
    ),
    Make(
        "brickstream",
        "brickstream",
        "cameras",
        12,
        300,
        lambda c: f'serial = "{mac("00:b0:9d", c)}", zone = "Door"',
        lambda c: BrickstreamVoice(mac("00:b0:9d", c)),
        several=60,
    ),
)
WHOLE = sum(make.share for make in MAKES)


def numbers(counters: int) -> dict[str, int]:
    """How many of each make among so many counters: by its share, but at least one. Raises ValueError."""
    if counters < len(MAKES):
        raise ValueError(f"at least {len(MAKES)} counters: one of each make")
    exact = {make.name: max(1.0, counters * make.share / WHOLE) for make in MAKES}
    whole = {name: int(share) for name, share in exact.items()}
    by_rest = sorted(exact, key=lambda name: whole[name] - exact[name])
    by_size = sorted(whole, key=lambda name: -whole[name])
    for name in by_rest[: max(0, counters - sum(whole.values()))]:
        whole[name] += 1
    for name in by_size[: max(0, sum(whole.values()) - counters)]:
        whole[name] -= 1
    return whole
