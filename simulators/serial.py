"""Devices on a pseudo-terminal as a command: people come by themselves, orders by a control channel."""

from __future__ import annotations

import heapq
import json
import random
import signal
import sys
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import Any, TypeAlias

import click

from simulators.bus import Bus, Device

FAMILIES = {  # name → module:function, which makes devices of addresses and options
    "cleancash": "simulators.cleancash:devices",
    "dcon": "simulators.dcon:devices",
    "escpos": "simulators.escpos:devices",
    "gate7e": "simulators.gate7e:devices",
    "hpc168": "simulators.hpc168:devices",
    "lines": "simulators.lines:devices",
    "modbus": "simulators.modbus:devices",
    "pulse": "simulators.pulse:devices",
    "skattedosan": "simulators.skattedosan:devices",
    "terabee": "simulators.terabee:devices",
}
AnyBus: TypeAlias = Bus[Device]
SIDES = ("ins", "outs")


class Arrivals:
    """Seeded persons in both directions, by a Poisson process, and the truth of them per window."""

    def __init__(
        self, bus: AnyBus, per_minute: float, seed: int, size_s: int, time_: Callable[[], float]
    ) -> None:
        self._bus, self._per_s, self._size_s = bus, per_minute / 60, size_s
        self._random = random.Random(seed)
        self._time = time_
        self._truth: dict[tuple[str, int], dict[str, int]] = {}
        self._next: list[tuple[float, str, str]] = []
        if per_minute > 0:
            self._next = [(time_() + self._gap_s(), name, side) for name in bus.devices for side in SIDES]
            heapq.heapify(self._next)

    def _gap_s(self) -> float:
        return self._random.expovariate(self._per_s)

    def step(self) -> None:
        """Everybody who should have passed by now passes."""
        while self._next and self._next[0][0] <= self._time():
            at, name, side = self._next[0]
            self.cross(name, **{side: 1})
            heapq.heapreplace(self._next, (at + self._gap_s(), name, side))

    def cross(self, name: str, ins: int = 0, outs: int = 0) -> None:
        window = int(self._time() // self._size_s) * self._size_s
        self._bus.cross(name, ins, outs)
        sums = self._truth.setdefault((name, window), dict.fromkeys(SIDES, 0))
        sums["ins"] += ins
        sums["outs"] += outs

    def write(self, path: Path) -> None:
        """One JSON object a line: counter (address), start, size_s, ins, outs."""
        rows = [
            {
                "counter": name,
                "start": datetime.fromtimestamp(start, UTC).isoformat().replace("+00:00", "Z"),
                "size_s": self._size_s,
                **sums,
            }
            for (name, start), sums in sorted(self._truth.items())
        ]
        fresh = path.with_name(path.name + ".new")
        fresh.write_text("".join(json.dumps(row) + "\n" for row in rows))
        fresh.replace(path)


def simulated_time(text: str | None) -> Callable[[], float]:
    """Unix seconds by `START,SPEED[,ANCHOR]`, or the real ones."""
    if not text:
        return time.time
    start, speed, *anchor = (part.strip() for part in text.split(","))
    start_at = datetime.fromisoformat(start)
    start_s = (start_at if start_at.tzinfo else start_at.replace(tzinfo=UTC)).timestamp()
    anchor_s = float(anchor[0]) if anchor else time.time()
    return lambda: start_s + (time.time() - anchor_s) * float(speed)


def obey(bus: AnyBus, arrivals: Arrivals, order: dict[str, Any]) -> None:
    """One line of the control channel, e.g. `{"do": "cross", "address": "01", "ins": 3}`.

    do: cross, reset, fault (silent, late_s, garbage, noise), set (any attribute), unplug, plug, say (hex).
    """
    action = order.pop("do")
    if action in ("plug", "unplug"):
        getattr(bus, action)()
        return
    if action == "say":
        bus.say(bytes.fromhex(order["hex"]))
        return
    name = str(order.pop("address")).upper()
    device = bus.devices[name]
    if action == "cross":
        arrivals.cross(name, **order)
    elif action == "reset":
        bus.reset(name)
    elif action == "fault":
        bus.do(lambda: vars(device.faults).update(order))
    elif action == "set":
        bus.do(lambda: vars(device).update(order))
    else:
        raise ValueError(f"unknown order {action!r}")


def _read_orders(bus: AnyBus, arrivals: Arrivals, stop: threading.Event, control: str) -> None:
    """Orders from standard input or a FIFO; a wrong line is told and skipped."""
    while not stop.is_set():
        with sys.stdin if control == "-" else Path(control).open() as lines:
            for line in lines:
                try:
                    obey(bus, arrivals, json.loads(line))
                except (ValueError, KeyError, TypeError, AttributeError) as error:
                    click.echo(f"not understood: {line.strip()!r} ({error!r})", err=True)
        if control == "-":
            return


@click.command("serial")
@click.option("--family", type=click.Choice(sorted(FAMILIES)), default="dcon", show_default=True)
@click.option("--address", "addresses", multiple=True, help="repeatable; default: the family's own")
@click.option(
    "--link", type=click.Path(path_type=Path), help="symbolic link to the pty, renewed at each plug"
)
@click.option("--set", "settings", multiple=True, help="KEY=VALUE of that family, e.g. start=500; repeatable")
@click.option("--dialect", help="how modules write numbers (dcon: icp, adam, decimal)")
@click.option("--checksum", is_flag=True, default=None, help="modules want and send checksums")
@click.option("--maximum", type=int, help="last value before the wrap")
@click.option("--preset", type=int, help="value after the wrap and after a reset")
@click.option("--start", type=int, help="first value of every total")
@click.option("--frequency", is_flag=True, default=None, help="modules are frequency inputs")
@click.option("--silent", multiple=True, help="address that never answers; repeatable")
@click.option("--late", type=float, default=0.0, help="seconds that every answer is late")
@click.option("--garbage", type=float, default=0.0, help="share of answers with a spoilt byte")
@click.option("--noise", type=float, default=0.0, help="share of answers after stray bytes")
@click.option("--echo", is_flag=True, help="the adapter hears its own words")
@click.option("--baudrate", type=int, default=0, help="pace of the line; 0 = at once")
@click.option("--rate", type=float, default=0.0, help="persons per minute in each direction of each device")
@click.option("--seed", type=int, default=0, show_default=True)
@click.option("--window", "size_s", type=int, default=900, show_default=True, help="seconds, of the truth")
@click.option("--truth", type=click.Path(path_type=Path), help="JSON lines of what really happened")
@click.option("--control", help="FIFO with orders as JSON lines; - is standard input")
@click.option("--simulated-clock", help="START,SPEED[,ANCHOR]")
@click.option("--for", "seconds", type=float, help="end after so many seconds")
def command(**given: Any) -> None:
    """Serial counters on a pseudo-terminal, whose path is the first line printed."""
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    with Bus(
        _devices(given),
        link=given["link"],
        baudrate=given["baudrate"],
        echo=given["echo"],
        seed=given["seed"],
    ) as bus:
        _misbehave(bus, given)
        time_ = simulated_time(given["simulated_clock"])
        arrivals = Arrivals(bus, given["rate"], given["seed"], given["size_s"], time_)
        click.echo(given["link"] or bus.path)
        if given["control"]:
            reader = threading.Thread(
                target=_read_orders, args=(bus, arrivals, stop, given["control"]), daemon=True
            )
            reader.start()
        _live(arrivals, stop, given["truth"], given["seconds"])


def _devices(given: dict[str, Any]) -> list[Device]:
    named = ("dialect", "checksum", "maximum", "preset", "start", "frequency")
    options = {key: given[key] for key in named if given[key] is not None}
    options |= dict(_setting(text) for text in given["settings"])
    module, function = FAMILIES[given["family"]].split(":")
    addresses = [given["addresses"]] if given["addresses"] else []
    try:
        made: list[Device] = getattr(import_module(module), function)(*addresses, **options)
    except TypeError as error:
        raise click.UsageError(f"{given['family']}: {error}") from None
    return made


def _setting(text: str) -> tuple[str, Any]:
    """The value as JSON where it is that, else as text."""
    key, equals, value = text.partition("=")
    if not equals:
        raise click.UsageError(f"--set {text}: KEY=VALUE is wanted")
    try:
        return key, json.loads(value)
    except ValueError:
        return key, value


def _misbehave(bus: AnyBus, given: dict[str, Any]) -> None:
    mute = {name.upper() for name in given["silent"]}
    for name, device in bus.devices.items():
        faults = device.faults
        faults.silent, faults.late_s = name in mute, given["late"]
        faults.garbage, faults.noise = given["garbage"], given["noise"]


def _live(arrivals: Arrivals, stop: threading.Event, truth: Path | None, seconds: float | None) -> None:
    ends_at = time.monotonic() + seconds if seconds else float("inf")
    written_at = 0.0
    while not stop.wait(0.02) and time.monotonic() < ends_at:
        arrivals.step()
        if truth and time.monotonic() - written_at >= 1:
            arrivals.write(truth)
            written_at = time.monotonic()
    if truth:
        arrivals.write(truth)


if __name__ == "__main__":
    command()
