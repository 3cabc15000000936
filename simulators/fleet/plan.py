"""Where every counter and till of a fleet hangs, and what is the matter with it.

What the rules say of a wrong clock is expected. One that is seconds or an hour behind, or seconds ahead, is
believed: its persons count when it says they came. An hour ahead is refused as future, twenty years back as
ancient, until somebody sets it right.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from enum import StrEnum

from simulators.fleet.makes import MAKES, Make, numbers
from simulators.truth import Zone

MODULES_PER_BUS = 8
SLIGHT_S = 25.0
HOUR_S = 3600.0
TWENTY_YEARS_S = 20 * 365.25 * 86_400


@dataclass(frozen=True, slots=True)
class Fault:
    """A clock that is ahead by `off_s`; until half of the time has passed when `mended`.

    `refused`: what the gateway says to such times; "": it takes them as they are told.
    """

    off_s: float = 0.0
    mended: bool = False
    refused: str = ""


RIGHT = Fault()
FAULTS = {  # of these counters, if the fleet has them
    "xovis-03": Fault(SLIGHT_S),
    "xovis-push-04": Fault(-SLIGHT_S),
    "axis-04": Fault(SLIGHT_S),
    "hikvision-03": Fault(-SLIGHT_S),
    "milesight-03": Fault(SLIGHT_S),
    "irisys-03": Fault(SLIGHT_S),
    "brickstream-03": Fault(-SLIGHT_S),
    "axis-02": Fault(HOUR_S, mended=True, refused="future"),
    "xovis-02": Fault(-HOUR_S, mended=True),
    "milesight-02": Fault(-TWENTY_YEARS_S, mended=True, refused="ancient"),
}


class Way(StrEnum):
    """How a till reports."""

    MQTT = "broker"
    PUSH = "shops"
    FOLDER = "receipts"


@dataclass(frozen=True, slots=True)
class Counter:
    """`turned`: it hangs the wrong way round, and the configuration says so. `bus`: only of a module."""

    id: str
    make: Make
    zone: str
    turned: bool = False
    inside_out: bool = False  # its zone counts it with a leading minus
    passing: bool = False  # it sees who walks by
    bus: str = ""
    address: int = 0
    fault: Fault = RIGHT


@dataclass(frozen=True, slots=True)
class Till:
    id: str
    zone: str
    way: Way


@dataclass(frozen=True, slots=True)
class Plan:
    seed: int
    counters: tuple[Counter, ...]
    tills: tuple[Till, ...]

    @property
    def zones(self) -> dict[str, Zone]:
        """`mall` has the doors; each shop its entrances, who passes, and a till."""
        zones = {}
        for name in dict.fromkeys([*(c.zone for c in self.counters), *(t.zone for t in self.tills)]):
            here = [counter for counter in self.counters if counter.zone == name]
            zones[name] = Zone(
                "mall" if name == "mall" else "store",
                entrances=tuple("-" * one.inside_out + one.id for one in here if not one.passing),
                passing=tuple(one.id for one in here if one.passing),
                tills=tuple(till.id for till in self.tills if till.zone == name),
            )
        return zones

    @property
    def buses(self) -> list[str]:
        return list(dict.fromkeys(counter.bus for counter in self.counters if counter.bus))


def draw(seed: int, counters: int = 200, tills: int = 20) -> Plan:
    """Raises ValueError when there are too few counters or no till."""
    if tills < 1:
        raise ValueError("at least one till: each shop has one")
    chance = random.Random(f"{seed}/plan")
    placed: list[Counter] = []
    dealt = 0
    for make in MAKES:
        for number in range(numbers(counters)[make.name]):
            placed.append(_place(make, number, dealt, tills, chance))
            dealt += not make.door
    ways = (Way.MQTT, Way.PUSH, Way.FOLDER)
    return Plan(
        seed,
        tuple(placed),
        tuple(Till(f"pos-{at + 1:02d}", _shop(at), ways[at % len(ways)]) for at in range(tills)),
    )


def _place(make: Make, number: int, dealt: int, shops: int, chance: random.Random) -> Counter:
    """The shops are dealt their counters in turn; the first of each shop is an entrance."""
    name = f"{make.name}-{number + 1:02d}"
    register = make.name in ("dcon", "modbus")
    round_ = dealt // shops
    return Counter(
        name,
        make,
        "mall" if make.door else _shop(dealt % shops),
        turned=chance.random() < 0.2,
        inside_out=not make.door and chance.random() < 0.15,
        passing=not make.door and round_ % 4 == 3,
        bus=f"{make.link}-{number // MODULES_PER_BUS + 1}" if register else "",
        address=number % MODULES_PER_BUS + 1 if register else 0,
        fault=FAULTS.get(name, RIGHT),
    )


def _shop(number: int) -> str:
    return f"shop-{number + 1:02d}"
