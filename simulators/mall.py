"""A seeded shopping centre that knows the truth: serial doors, network counters, tills, and the people.

Serial doors are DCON modules: they count for ever and remember nothing. A door's persons enter the truth only
once its module was read for the first time, because a first reading books nothing. Network counters and tills
store their own minutes since 04:00 and send them when the network is there.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Protocol
from zoneinfo import ZoneInfo

import click

from simulators.devices import Device, JsonCounter, JsonTill, Recorder, XovisSensor
from simulators.people import Centre, Crossing, Happening, Sale, Shop
from simulators.publisher import Publisher
from simulators.timing import Clock
from simulators.truth import Truth, Zone

HISTORY_STEP_MS = 60_000
LIVE_STEP_MS = 5_000
TICK_S = 0.1

SERIAL_DOORS = {  # line → (bus, address, channel counting in, channel counting out)
    "door-n": ("bus-a", "01", 0, 1),
    "door-e": ("bus-a", "02", 1, 0),  # mounted inside out: the configuration says reversed
    "door-w": ("bus-b", "01", 0, 1),
}
ZONES = {
    "mall": Zone("mall", entrances=(*SERIAL_DOORS, "door-s")),
    "shop-04": Zone("store", entrances=("shop-04",), tills=("pos-04",)),
    "shop-05": Zone(
        "store", entrances=("corner/d5", "-corner/d6"), passing=("corner/front",), tills=("pos-05",)
    ),
}
SHOPS = (
    Shop("shop-04", (("shop-04", False),), "pos-04", passes=0.5, turns_in=0.5),
    Shop("shop-05", (("corner/d5", False), ("corner/d6", True)), "pos-05", front="corner/front", passes=0.7),
)


class Bus(Protocol):
    """One RS-485 line with its modules."""

    def count(self, address: str, channel: int) -> None: ...

    def known(self, address: str) -> bool:
        """Was every channel of this module read, and the answer heard?"""


def opening(now_ms: int, timezone: str, hour: int = 4) -> int:
    """The last time it was `hour` o'clock in the centre, in ms."""
    now = datetime.fromtimestamp(now_ms / 1000, ZoneInfo(timezone))
    start = now.replace(hour=hour, minute=0, second=0, microsecond=0)
    return int((start if start <= now else start - timedelta(days=1)).timestamp() * 1000)


@dataclass(slots=True)
class Mall:
    """`step()` lets everything happen that is due; call it often. One thread."""

    clock: Clock
    buses: Mapping[str, Bus]
    truth: Truth
    centre: Centre
    since_ms: int
    publisher: Publisher | None = None
    crossed: int = 0
    sold: int = 0
    _people: bool = True
    _corner: XovisSensor = field(init=False)
    _south: XovisSensor = field(init=False)
    _store: JsonCounter = field(init=False)
    _tills: dict[str, JsonTill] = field(init=False)

    def __post_init__(self) -> None:
        doors = {"corner/d5": "A", "corner/d6": "B", "corner/front": "P"}
        self._corner = XovisSensor("xovis/corner", doors, Recorder(tuple(doors), self.since_ms))
        self._south = XovisSensor("xovis/south", {"door-s": "Line 0"}, Recorder(("door-s",), self.since_ms))
        self._store = JsonCounter("acme/shop-04", "0002D1A2B3C4", Recorder(("shop-04",), self.since_ms))
        self._tills = {
            "pos-04": JsonTill("till/1004", "1004"),
            "pos-05": JsonTill("till/1005", "1005"),
        }

    @property
    def devices(self) -> list[Device]:
        return [self._corner, self._south, self._store, *self._tills.values()]

    def step(self) -> None:
        now_ms = self._catch_up()
        self._report(now_ms - now_ms % LIVE_STEP_MS, LIVE_STEP_MS)

    def connect(self, publisher: Publisher) -> int:
        """The network is there: everything stored goes out, device-stamped. Gives the number of messages.

        The last message of every device goes out twice, as after a lost acknowledgement.
        """
        now_ms = self._catch_up()
        self.publisher = publisher
        return self._report(now_ms - now_ms % HISTORY_STEP_MS, HISTORY_STEP_MS, again=True)

    def _catch_up(self) -> int:
        """Everybody due by now has come: no device may close a minute in which somebody is still to cross."""
        now_ms = self.clock.now_ms()
        if self._people:
            for what in self.centre.until(now_ms):
                self._happen(what)
        return now_ms

    def send_people_home(self) -> None:
        """Nobody crosses or buys from now on; counters go on reporting."""
        self.step()
        self._people = False

    def look(self, light: str) -> None:
        """The sensor over the corner says how it sees."""
        self._publish(self._corner.topic, self._corner.status(self.clock.now_ms(), light))

    def ready(self) -> bool:
        """Was every serial door read once?"""
        return all(self.buses[bus].known(address) for bus, address, _in, _out in SERIAL_DOORS.values())

    def _report(self, until_ms: int, step_ms: int, *, again: bool = False) -> int:
        sent = 0
        for device in self.devices if self.publisher else ():
            payloads = list(device.unsent(until_ms, step_ms))
            for payload in payloads + payloads[-1:] * again:
                self._publish(device.topic, payload)
                sent += 1
        return sent

    def _publish(self, topic: str, payload: bytes) -> None:
        if self.publisher:
            self.publisher.publish(topic, payload)

    def _happen(self, what: Happening) -> None:
        if isinstance(what, Sale):
            self._tills[what.till].note(what)
            amount_minor, sales, returns = _receipt(what)
            self.truth.sell(what.till, what.at_ms, amount_minor, sales=sales, returns=returns)
            self.sold += 1
        elif what.line in SERIAL_DOORS:
            self._cross_serial(what)
        else:
            recorder = next(d.recorder for d in self._counters() if what.line in d.recorder.lines)
            recorder.note(what)
            self._remember(what)

    def _cross_serial(self, what: Crossing) -> None:
        bus, address, channel_in, channel_out = SERIAL_DOORS[what.line]
        if bus in self.buses and self.buses[bus].known(address):
            self.buses[bus].count(address, channel_in if what.inward else channel_out)
            self._remember(what)

    def _counters(self) -> tuple[XovisSensor, XovisSensor, JsonCounter]:
        return self._corner, self._south, self._store

    def _remember(self, what: Crossing) -> None:
        self.truth.cross(what.line, what.at_ms, "in" if what.inward else "out")
        self.crossed += 1


def _receipt(sale: Sale) -> tuple[int, int, int]:
    """amount_minor, sales, returns."""
    return (0, 0, 1) if sale.returned else (sale.amount_minor, 1, 0)


def open_mall(clock: Clock, buses: Mapping[str, Bus], seed: int, timezone: str, size_s: int) -> Mall:
    """A centre whose people have been coming since 04:00; serial doors count once they were read."""
    since_ms = opening(clock.now_ms(), timezone)
    centre = Centre(seed, timezone, since_ms, (*SERIAL_DOORS, "door-s"), SHOPS)
    mall = Mall(clock, {}, Truth(ZONES, size_s), centre, since_ms)
    mall.step()  # the morning: nobody's module is read yet
    mall.buses = buses
    return mall


@click.command()
@click.option("--broker", default="127.0.0.1:1883", show_default=True, metavar="HOST:PORT")
@click.option("--folder", type=click.Path(path_type=Path), default=Path(), help="Where the ports appear.")
@click.option("--seed", default=1, show_default=True)
@click.option("--truth", type=click.Path(path_type=Path), help="Write what really happened, at the end.")
@click.option("--timezone", default="Europe/Oslo", show_default=True)
@click.option("--size-s", default=60, show_default=True, help="Window size of the truth.")
@click.option("--for-s", type=float, help="Send the people home after this and end 20 s later.")
@click.option("--simulated-clock", metavar="START,SPEED[,ANCHOR]")
def command(
    broker: str,
    folder: Path,
    seed: int,
    truth: Path | None,
    timezone: str,
    size_s: int,
    for_s: float | None,
    simulated_clock: str | None,
) -> None:
    """A seeded shopping centre: serial doors on pseudo-terminals, network counters and tills on a broker."""
    from simulators.ports import Ports

    clock = Clock(simulated_clock)
    host, _, port = broker.partition(":")
    with Ports(folder, SERIAL_DOORS.values()) as ports, Publisher(host, int(port or 1883)) as publisher:
        mall = open_mall(clock, ports.buses, seed, timezone, size_s)
        for name, path in ports.paths.items():
            click.echo(f"{name} at {path}")
        mall.connect(publisher)
        try:
            _live(mall, for_s)
        except KeyboardInterrupt:
            mall.send_people_home()
        publisher.flush()
    if truth:
        mall.truth.write(truth)
    click.echo(f"{mall.crossed} crossings, {mall.sold} receipts")


def _live(mall: Mall, for_s: float | None) -> None:
    begin_ms = mall.clock.now_ms()
    closed = False
    never = threading.Event()
    while for_s is None or mall.clock.now_ms() < begin_ms + (for_s + 20) * 1000:
        if for_s is not None and not closed and mall.clock.now_ms() >= begin_ms + for_s * 1000:
            mall.send_people_home()
            closed = True
        mall.step()
        never.wait(TICK_S / min(mall.clock.speed, 10))
