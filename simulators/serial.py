"""A bus of DCON modules on a pseudo-terminal: for tests in a thread, for demos as a command."""

from __future__ import annotations

import heapq
import json
import os
import pty
import random
import select
import signal
import sys
import threading
import time
import tty
from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from simulators.dcon import LEADS, Module

LONGEST_REQUEST = 32
READ_BYTES = 4096


class Bus:
    """Modules behind one pty. `path` is what the gateway opens; `link` is a stable name for it.

    Everything that touches the modules from outside the thread goes through `do` or the named methods.
    """

    def __init__(
        self,
        modules: Iterable[Module],
        *,
        link: Path | None = None,
        baudrate: int = 0,  # 0: answers come at once; otherwise as fast as the line would carry them
        echo: bool = False,
        seed: int = 0,
    ) -> None:
        self.modules = {module.address.upper(): module for module in modules}
        self.requests: list[tuple[float, bytes]] = []  # (monotonic seconds, request without CR), newest last
        self._link, self._baudrate, self._echo = link, baudrate, echo
        self._random = random.Random(seed)
        self._lock = threading.RLock()
        self._due: list[tuple[float, int, bytes]] = []
        self._order = 0
        self._pending = b""
        self._master = self._slave = -1
        self._woken, self._waker = os.pipe()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._serve, name="simulated bus", daemon=True)
        self.path = ""
        self.plug()

    def __enter__(self) -> Bus:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._wake()
        self._thread.join()
        self.unplug()
        os.close(self._woken)
        os.close(self._waker)
        if self._link:
            self._link.unlink(missing_ok=True)

    def plug(self) -> None:
        """A new pty, as an adapter that comes back under another name."""
        with self._lock:
            self._master, self._slave = pty.openpty()
            tty.setraw(self._slave)
            os.set_blocking(self._master, False)
            self.path = os.ttyname(self._slave)
            self._pending = b""
            if self._link:
                fresh = self._link.with_name(self._link.name + ".new")
                fresh.unlink(missing_ok=True)
                fresh.symlink_to(self.path)
                fresh.replace(self._link)
        self._wake()

    def unplug(self) -> None:
        """The adapter is pulled out: the gateway's end hangs up."""
        with self._lock:
            for fd in (self._master, self._slave):
                if fd >= 0:
                    os.close(fd)
            self._master = self._slave = -1
            self._due.clear()
            if self._link:
                self._link.unlink(missing_ok=True)
        self._wake()

    def cross(self, address: str, channel: int, persons: int = 1) -> None:
        self.do(lambda: self.modules[address.upper()].cross(channel, persons))

    def do(self, change: Callable[[], None]) -> None:
        """Change modules while nothing else does."""
        with self._lock:
            change()

    def say(self, data: bytes, after_s: float = 0.0) -> None:
        """Bytes on the line that nobody asked for."""
        with self._lock:
            self._send(data, time.monotonic() + after_s)
        self._wake()

    def asked(self, text: str) -> int:
        """How often exactly this was asked."""
        with self._lock:
            return sum(request == text.encode() for _, request in self.requests)

    def _wake(self) -> None:
        with suppress(OSError):
            os.write(self._waker, b"x")

    def _send(self, data: bytes, at: float) -> None:
        self._order += 1
        heapq.heappush(self._due, (at, self._order, data))

    def _serve(self) -> None:
        while not self._stopped.is_set():
            with self._lock:
                wait_s = max(0.0, self._due[0][0] - time.monotonic()) if self._due else None
                master = self._master
            readable = select.select([self._woken, *([master] if master >= 0 else [])], [], [], wait_s)[0]
            if self._woken in readable:
                os.read(self._woken, READ_BYTES)
            with self._lock:
                if master in readable and master == self._master:
                    self._take(master)
                self._speak()

    def _take(self, master: int) -> None:
        try:
            data = os.read(master, READ_BYTES)
        except OSError:
            return
        if self._echo:
            self._send(data, time.monotonic())
        *requests, rest = (self._pending + data).split(b"\r")
        self._pending = rest[-LONGEST_REQUEST:]
        for request in requests:
            self._answer(request)

    def _answer(self, request: bytes) -> None:
        now = time.monotonic()
        self.requests.append((now, request))
        del self.requests[:-100_000]
        module = self.modules.get(request[1:3].decode("latin-1").upper())
        if module is None or request[:1] not in (bytes([lead]) for lead in LEADS):
            return
        reply = module.answer(request)
        if reply is None:
            return
        on_the_line_s = 10 * (len(request) + 1 + len(reply)) / self._baudrate if self._baudrate else 0.0
        self._send(self._spoil(module, reply), now + on_the_line_s + module.faults.late_s)

    def _spoil(self, module: Module, reply: bytes) -> bytes:
        if self._random.random() < module.faults.garbage:
            at = self._random.randrange(len(reply))
            reply = reply[:at] + bytes([self._random.randrange(128, 256)]) + reply[at + 1 :]
        if self._random.random() < module.faults.noise:
            reply = self._random.randbytes(3) + reply
        return reply

    def _speak(self) -> None:
        now = time.monotonic()
        while self._due and self._due[0][0] <= now:
            data = heapq.heappop(self._due)[2]
            if self._master >= 0:
                with suppress(OSError):
                    os.write(self._master, data)


class Arrivals:
    """Seeded persons on every channel, by a Poisson process, and the truth of them per window."""

    def __init__(
        self, bus: Bus, per_minute: float, seed: int, size_s: int, time_: Callable[[], float]
    ) -> None:
        self._bus, self._per_s, self._size_s = bus, per_minute / 60, size_s
        self._random = random.Random(seed)
        self._time = time_
        self._truth: dict[tuple[str, int, int], int] = {}
        self._next: list[tuple[float, str, int]] = []
        if per_minute > 0:
            self._next = [
                (time_() + self._gap_s(), address, channel) for address in bus.modules for channel in (0, 1)
            ]
            heapq.heapify(self._next)

    def _gap_s(self) -> float:
        return self._random.expovariate(self._per_s)

    def step(self) -> None:
        """Everybody who should have passed by now passes."""
        while self._next and self._next[0][0] <= self._time():
            at, address, channel = self._next[0]
            self.cross(address, channel, 1)
            heapq.heapreplace(self._next, (at + self._gap_s(), address, channel))

    def cross(self, address: str, channel: int, persons: int) -> None:
        window = int(self._time() // self._size_s) * self._size_s
        self._bus.cross(address, channel, persons)
        key = address.upper(), channel, window
        self._truth[key] = self._truth.get(key, 0) + persons

    def write(self, path: Path) -> None:
        """One JSON object a line: counter (address), line (channel), start, size_s, persons."""
        rows = [
            {
                "counter": address,
                "line": str(channel),
                "start": datetime.fromtimestamp(start, UTC).isoformat().replace("+00:00", "Z"),
                "size_s": self._size_s,
                "persons": persons,
            }
            for (address, channel, start), persons in sorted(self._truth.items())
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


def obey(bus: Bus, arrivals: Arrivals, order: dict[str, Any]) -> None:
    """One line of the control channel, e.g. `{"do": "cross", "address": "01", "channel": 0, "persons": 3}`.

    do: cross, reset, fault (silent, late_s, garbage, noise), stop, start, unplug, plug, say (hex).
    """
    action = order.pop("do")
    if action in ("plug", "unplug"):
        getattr(bus, action)()
        return
    if action == "say":
        bus.say(bytes.fromhex(order["hex"]))
        return
    address, channel = str(order.pop("address")).upper(), order.pop("channel", None)
    module = bus.modules[address]
    if action == "cross":
        arrivals.cross(address, channel or 0, int(order.get("persons", 1)))
    elif action == "reset":
        bus.do(lambda: module.reset(channel))
    elif action in ("stop", "start"):
        bus.do(lambda: module.running.__setitem__(channel or 0, action == "start"))
    elif action == "fault":
        bus.do(lambda: vars(module.faults).update(order))


def _read_orders(bus: Bus, arrivals: Arrivals, stop: threading.Event, control: str) -> None:
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
@click.option("--address", "addresses", multiple=True, default=("01",), show_default=True, help="repeatable")
@click.option(
    "--link", type=click.Path(path_type=Path), help="symbolic link to the pty, renewed at each plug"
)
@click.option("--dialect", type=click.Choice(["icp", "adam", "decimal"]), default="icp", show_default=True)
@click.option("--checksum", is_flag=True, help="modules want and send checksums")
@click.option(
    "--maximum", type=int, default=0xFFFF_FFFF, show_default=True, help="last value before the wrap"
)
@click.option(
    "--preset", type=int, default=0, show_default=True, help="value after the wrap and after a reset"
)
@click.option("--start", type=int, default=0, show_default=True, help="first value of every channel")
@click.option("--frequency", is_flag=True, help="modules are frequency inputs")
@click.option("--silent", multiple=True, help="address that never answers; repeatable")
@click.option("--late", type=float, default=0.0, help="seconds that every answer is late")
@click.option("--garbage", type=float, default=0.0, help="share of answers with a spoilt byte")
@click.option("--noise", type=float, default=0.0, help="share of answers after stray bytes")
@click.option("--echo", is_flag=True, help="the adapter hears its own words")
@click.option("--baudrate", type=int, default=0, help="pace of the line; 0 = at once")
@click.option("--rate", type=float, default=0.0, help="persons per minute on each channel")
@click.option("--seed", type=int, default=0, show_default=True)
@click.option("--window", "size_s", type=int, default=900, show_default=True, help="seconds, of the truth")
@click.option("--truth", type=click.Path(path_type=Path), help="JSON lines of what really happened")
@click.option("--control", help="FIFO with orders as JSON lines; - is standard input")
@click.option("--simulated-clock", help="START,SPEED[,ANCHOR]")
@click.option("--for", "seconds", type=float, help="end after so many seconds")
def command(addresses: tuple[str, ...], **given: Any) -> None:
    """DCON counter modules on a pseudo-terminal, whose path is the first line printed."""
    modules = [_module(address, given) for address in addresses]
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    with Bus(
        modules, link=given["link"], baudrate=given["baudrate"], echo=given["echo"], seed=given["seed"]
    ) as bus:
        time_ = simulated_time(given["simulated_clock"])
        arrivals = Arrivals(bus, given["rate"], given["seed"], given["size_s"], time_)
        click.echo(given["link"] or bus.path)
        if given["control"]:
            reader = threading.Thread(
                target=_read_orders, args=(bus, arrivals, stop, given["control"]), daemon=True
            )
            reader.start()
        _live(arrivals, stop, given["truth"], given["seconds"])


def _module(address: str, given: dict[str, Any]) -> Module:
    module = Module(
        address.upper(), given["dialect"], given["checksum"], 0x51 if given["frequency"] else 0x50
    )
    module.maximum[:] = [given["maximum"]] * 2
    module.preset[:] = [given["preset"]] * 2
    module.totals[:] = [given["start"]] * 2
    module.faults.silent = module.address in {one.upper() for one in given["silent"]}
    module.faults.late_s, module.faults.garbage = given["late"], given["garbage"]
    module.faults.noise = given["noise"]
    return module


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
