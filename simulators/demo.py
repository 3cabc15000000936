"""`make demo`: a simulated centre around the real daemon, some misfortunes, and truth against head office."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import TypeAlias

import click

from simulators.mall import LIVE_STEP_MS, SERIAL_DOORS, ZONES, Mall, open_mall
from simulators.office import FIGURES, Ledger, compare, read_truth
from simulators.ports import Ports
from simulators.processes import Processes, free_port, start_broker
from simulators.publisher import Publisher
from simulators.timing import Clock, rfc3339
from simulators.truth import Direction
from simulators.witness import Backlog, Witness, counter_says, link_says

SIZE_S = 60
OUTAGE_S = 20.0
LATENESS_S = 2
TICK_S = 0.1
LOOK_S = 0.5
CLOSES_S = LATENESS_S + LIVE_STEP_MS / 1000  # after its end, when no counter is due any more
BEFORE_EDGE_S = 6.0  # the people leave so long before a window ends: every door is read once more within it
PATIENCE_S = 15.0  # so long a misfortune waits for the one before to be noticed
NOON_HOUR = 14  # what the clocks of the simulated centre show when the demo begins
DEVICE_STAMPED = ("shop-04", "shop-05")  # exact window by window; polled doors are exact in total

Due: TypeAlias = tuple[float, Callable[[], None]]

CONFIGURATION = Path(__file__).parent / "data" / "demo.toml"


class Interrupted(KeyboardInterrupt):
    """SIGINT or SIGTERM: end in order."""


@dataclass(slots=True)
class Demo:
    """One run. `until` lets the centre live until a moment and does what is due on the way.

    A seed fixes the people of a day. How many of them come depends on the minute at which the demo begins and
    on when the daemon first reads the serial doors, so two runs at real speed differ in their totals.
    """

    folder: Path
    minutes: float
    processes: Processes
    clock: Clock
    seed: int
    timezone: str
    wanted: str | None = None
    broker: int = field(default_factory=free_port)
    office: int = field(default_factory=free_port)
    http: int = field(default_factory=free_port)
    begun: float = 0.0
    look_s: float = 0.0
    witness: Witness = field(init=False)

    def __post_init__(self) -> None:
        self.witness = Witness(self.http)

    def say(self, text: str) -> None:
        elapsed = int(time.monotonic() - self.begun) if self.begun else 0
        click.echo(f"{elapsed // 60}:{elapsed % 60:02d}  {text}")

    def start_servers(self) -> str:
        python = sys.executable
        broker = start_broker(self.processes, self.broker, self.wanted)
        office = ["--port", str(self.office), "--db", str(self.folder / "office.db")]
        self.processes.start("office", [python, "-m", "simulators", "upstream", *office])
        self.processes.wait_for_port(self.office)
        return broker

    def start_gateway(self) -> None:
        config = self.folder / "demo.toml"
        text = CONFIGURATION.read_text()
        ports = {"BROKER": self.broker, "OFFICE": self.office, "HTTP": self.http}
        for name, value in {"FOLDER": self.folder, "TIMEZONE": self.timezone, **ports}.items():
            text = text.replace(f"@{name}@", str(value))
        config.write_text(text)
        simulated = ["--simulated-clock", self.clock.text] if self.clock.text else []
        command = [sys.executable, "-m", "gateway", "run", "-c", str(config), *simulated]
        self.processes.start("gateway", command)
        self.processes.wait_for_port(self.http)

    def misfortunes(self, mall: Mall, ports: Ports, publisher: Publisher, leave_s: float) -> list[Due]:
        """When (in seconds) and what, in order. The last may happen when the people have left."""
        scale = min(1.0, leave_s / 120)
        plan: list[Due] = [
            (20 * scale, lambda: self._network(mall, publisher)),
            (40 * scale, lambda: self.say("live: visitors, people inside and conversion are on the page")),
            (self._outage_s(leave_s, 60 * scale, 25 * scale), self._outage),
            (80 * scale, lambda: self._beam(mall, "TOO_DARK")),
            (90 * scale, lambda: self._beam(mall, "OK")),
            (95 * scale, lambda: self._pull(ports)),
            (105 * scale, lambda: self._return(ports)),
        ]
        return sorted(plan, key=lambda due: due[0])

    def _outage_s(self, leave_s: float, wanted_s: float, earliest_s: float) -> float:
        """Near the wanted moment, with the closing of a window in its middle: else nothing would wait."""
        window_s = SIZE_S / self.clock.speed
        begin_s = leave_s + BEFORE_EDGE_S + CLOSES_S / self.clock.speed - OUTAGE_S / 2
        while begin_s - window_s >= earliest_s and begin_s - window_s / 2 > wanted_s:
            begin_s -= window_s
        return begin_s

    def _network(self, mall: Mall, publisher: Publisher) -> None:
        sent = mall.connect(publisher)
        self.say(
            f"network counters and tills, offline since 04:00, are back: {sent} messages of stored minutes"
        )

    def _outage(self) -> None:
        order = json.dumps({"mode": "down", "for_s": OUTAGE_S}).encode()
        url = f"http://127.0.0.1:{self.office}/control"
        request = urllib.request.Request(url, order, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=10):  # noqa: S310  # loopback
            self.say(f"head office is down for {OUTAGE_S:g} s: aggregates wait in the buffer")
        backlog = Backlog()
        self.witness.expect("events pending while head office is down", backlog.rises)
        self.witness.expect("nothing pending once it is back", backlog.drains)

    def _beam(self, mall: Mall, light: str) -> None:
        mall.look(light)
        if light == "OK":
            self.say("the sensor over the corner sees again")
            self.witness.expect("the corner in order again", counter_says("corner", "ok"))
        else:
            self.say("the sensor over the corner is blocked: too dark")
            self.witness.expect("the blocked sensor in words", counter_says("corner", "degraded", light))

    def _pull(self, ports: Ports) -> None:
        ports.bus("bus-b").unplug()
        self.say("the USB adapter of door-w is pulled; its module goes on counting")
        self.witness.expect("the pulled adapter in words", link_says("bus-b", "/bus-b: "))

    def _return(self, ports: Ports) -> None:
        ports.bus("bus-b").plug()
        self.say("the USB adapter is back: the register closes the gap")
        self.witness.expect("the adapter's link up again", link_says("bus-b"))

    def until(self, mall: Mall, end_s: float, due: list[Due]) -> None:
        """What is due waits for the daemon to notice what came before, if not for long."""
        while (elapsed := time.monotonic() - self.begun) < end_s:
            if due and due[0][0] <= elapsed and (not self._unnoticed() or elapsed > due[0][0] + PATIENCE_S):
                due.pop(0)[1]()
            self.processes.check()
            mall.step()
            self._listen(elapsed)
            time.sleep(TICK_S / min(self.clock.speed, 5))

    def _unnoticed(self) -> bool:
        """Head office's backlog may take its time."""
        return any("pending" not in what for what in self.witness.missing)

    def _listen(self, elapsed: float) -> None:
        if elapsed >= self.look_s:
            self.look_s = elapsed + LOOK_S
            for words in self.witness.look():
                self.say(f"  the daemon: {words}")

    def people_leave_s(self) -> float:
        """At the first end of a window after three quarters of the time: that one is waited for anyway."""
        now_s, window_s = self.clock.now_ms() / 1000, SIZE_S / self.clock.speed
        edge = (SIZE_S - now_s % SIZE_S) / self.clock.speed + time.monotonic() - self.begun
        while edge < 0.75 * self.minutes * 60:
            edge += window_s
        return edge - BEFORE_EDGE_S

    def wait_for_office(self, mall: Mall, due: list[Due]) -> list[str]:
        """Until every window of the people is closed and all is as it must be, or time is up: what is not.

        A door read for the last time in the next window has its last persons there: that one counts, too.
        """
        now_s, speed = self.clock.now_ms() / 1000, self.clock.speed
        edge_s = time.monotonic() + (SIZE_S - now_s % SIZE_S) / speed
        deadline = edge_s + (SIZE_S + CLOSES_S) / speed + PATIENCE_S
        while True:
            self.until(mall, time.monotonic() - self.begun + 0.5, due)
            wrong = self.differences(mall) + [f"the daemon never said: {it}" for it in self.witness.missing]
            if time.monotonic() > edge_s and not due and not wrong:
                return []
            if time.monotonic() > deadline:
                return wrong or ["not everything was played in time"]

    def differences(self, mall: Mall) -> list[str]:
        """What is not equal: totals of every zone, and every window of device-stamped zones."""
        truth = self.folder / "truth.jsonl"
        mall.truth.write(truth)
        ledger = Ledger(self.folder / "office.db")
        try:
            sums, windows = ledger.sums(), ledger.windows()
        finally:
            ledger.close()
        wrong = [
            f"{zone} {figure}"
            for zone, facts in mall.truth.totals().items()
            for figure in FIGURES
            if facts[figure] != sums.get(zone, {}).get(figure, 0)
        ]
        told = {key: row for key, row in read_truth(truth).items() if key[0] in DEVICE_STAMPED}
        stored = [row for row in windows if row["zone"] in DEVICE_STAMPED]
        return wrong + [" ".join(map(str, (*one.window, one.figure))) for one in compare(told, stored)]

    def table(self, mall: Mall) -> None:
        ledger = Ledger(self.folder / "office.db")
        try:
            sums = ledger.sums()
        finally:
            ledger.close()
        click.echo(f"\n{'zone':<10}{'':<14}{'truth':>12} | {'head office':>12}")
        lost = twice = 0
        for zone, facts in mall.truth.totals().items():
            for figure in (figure for figure in FIGURES if facts[figure] or sums.get(zone, {}).get(figure)):
                stored = sums.get(zone, {}).get(figure, 0)
                lost, twice = lost + max(0, facts[figure] - stored), twice + max(0, stored - facts[figure])
                click.echo(f"{zone:<10}{figure:<14}{facts[figure]:>12} | {stored:>12}")
        click.echo(f"lost {lost}, twice {twice}")

    def doors(self, mall: Mall) -> list[str]:
        """Every line by itself, truth against the readings in the buffer: what differs."""
        stored = self._readings(mall)
        click.echo(f"\n{'line':<14}{'':<10}{'truth':>12} | {'buffer':>12}")
        wrong = []
        for line, side in sorted(mall.truth.lines.keys() | stored.keys()):
            told, found = mall.truth.lines[line, side], stored[line, side]
            click.echo(f"{line:<14}{side:<10}{told:>12} | {found:>12}")
            if told != found:
                wrong.append(f"{line} {side}: {told} crossed, the buffer has {found}")
        return wrong

    def _readings(self, mall: Mall) -> Counter[tuple[str, Direction]]:
        """(line, direction) → persons, as `counter-gateway export --readings` tells them."""
        span = ["--from", str(mall.since_ms // 1000), "--to", str(self.clock.now_ms() // 1000 + 60)]
        told = self._gateway("export", "--readings", "--format", "jsonl", *span)
        if told.returncode:
            raise RuntimeError(f"export: {told.stderr}")
        stored: Counter[tuple[str, Direction]] = Counter()
        for row in map(json.loads, told.stdout.splitlines()):
            if row["side"] in ("in", "out"):
                line = row["counter"] if row["line"] == "main" else f"{row['counter']}/{row['line']}"
                stored[line, row["side"]] += row["persons"]
        return stored

    def _gateway(self, command: str, *more: str) -> subprocess.CompletedProcess[str]:
        whole = [sys.executable, "-m", "gateway", command, "-c", str(self.folder / "demo.toml"), *more]
        return subprocess.run(whole, capture_output=True, text=True, check=False)  # noqa: S603

    def books(self) -> list[str]:
        """`counter-gateway audit` says whether they balance."""
        result = self._gateway("audit")
        click.echo("the books balance" if not result.returncode else f"{result.stdout}{result.stderr}")
        return ["the books do not balance"] if result.returncode else []


def centre_zone(now: datetime) -> str:
    """A fixed-offset zone in which it is early afternoon now, so that the day has a morning."""
    ahead = (NOON_HOUR - now.hour + 12) % 24 - 12
    return f"Etc/GMT{-ahead:+d}" if ahead else "Etc/GMT"


def play(demo: Demo) -> list[str]:
    """The whole show; what is not as it must be, in words."""
    click.echo(f"starting a broker, a head office and the daemon in {demo.folder}")
    broker = demo.start_servers()
    places = [(bus, address, 0, 1) for bus, address, _in, _out in SERIAL_DOORS.values()]
    with Ports(demo.folder, places) as ports, Publisher(port=demo.broker) as publisher:
        mall = open_mall(demo.clock, ports.buses, demo.seed, demo.timezone, SIZE_S)
        demo.start_gateway()
        click.echo(f"http://127.0.0.1:{demo.http}/ is the page; broker: {broker}; seed {demo.seed}")
        click.echo("simulated; nothing leaves this machine\n")
        demo.begun = time.monotonic()
        local = f"{ZONES['mall'].kind} of {len(SERIAL_DOORS)} serial doors, 3 network counters, 2 tills"
        demo.say(f"a {local}; serial doors have no memory, their morning stays a gap")
        leave_s = demo.people_leave_s()
        due = demo.misfortunes(mall, ports, publisher, leave_s)
        demo.until(mall, leave_s, due)
        mall.send_people_home()
        demo.say("the people stop; the last window closes")
        wrong = demo.wait_for_office(mall, due)
        demo.table(mall)
        return wrong + demo.doors(mall) + demo.books()


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise Interrupted


@click.command()
@click.option("--minutes", type=click.FloatRange(0.5, 60), help="End by itself; people come for so long.")
@click.option("--speed", type=click.FloatRange(1, 300), default=1.0, show_default=True)
@click.option("--seed", default=1, show_default=True)
@click.option("--folder", type=click.Path(path_type=Path), help="Keep everything here (must not exist).")
@click.option("--broker", type=click.Choice(["mosquitto", "nats-server"]), help="Default: what is there.")
def command(minutes: float | None, speed: float, seed: int, folder: Path | None, broker: str | None) -> None:
    """A simulated centre, the real daemon, and truth against head office. Exit 0 only if they are equal."""
    signal.signal(signal.SIGTERM, _interrupt)
    signal.signal(signal.SIGINT, _interrupt)
    now = datetime.now(UTC)
    clock = Clock(
        f"{rfc3339(int(now.timestamp() * 1000))},{speed:g},{now.timestamp():.3f}" if speed > 1 else None
    )
    place = (folder or Path(tempfile.mkdtemp(prefix="counter-gateway-demo-"))).resolve()
    place.mkdir(exist_ok=folder is None)
    wrong: list[str] | None = None  # interrupted
    with suppress(Interrupted), Processes(place) as processes:
        demo = Demo(place, minutes or 2.0, processes, clock, seed, centre_zone(now), broker)
        try:
            wrong = play(demo)
        except (RuntimeError, OSError) as error:
            wrong = [str(error)]
        for what in wrong:
            click.echo(f"wrong: {what}", err=True)
        if minutes is None and not wrong:
            click.echo("the page stays up, and shows that the serial doors are gone; ctrl-C ends")
            signal.pause()
    _tidy(place, keep=bool(folder or wrong))
    sys.exit(0 if wrong == [] else 1)


def _tidy(place: Path, *, keep: bool) -> None:
    """What a failed demo wrote is the evidence."""
    if keep:
        click.echo(f"everything it wrote is in {place}", err=True)
    else:
        shutil.rmtree(place, ignore_errors=True)
