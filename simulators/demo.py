"""`make demo`: a simulated centre around the real daemon, some misfortunes, and truth against head office."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType

import click

from simulators.mall import SERIAL_DOORS, ZONES, Mall, open_mall
from simulators.office import FIGURES, Ledger, compare, read_truth
from simulators.ports import Ports
from simulators.processes import Processes, free_port, start_broker
from simulators.publisher import Publisher
from simulators.timing import Clock, rfc3339

SIZE_S = 60
OUTAGE_S = 20.0
LATENESS_S = 2
TICK_S = 0.1
NOON_HOUR = 14  # what the clocks of the simulated centre show when the demo begins
DEVICE_STAMPED = ("shop-04", "shop-05")  # exact window by window; polled doors are exact in total

CONFIGURATION = Path(__file__).parent / "data" / "demo.toml"


class Interrupted(KeyboardInterrupt):
    """SIGINT or SIGTERM: end in order."""


@dataclass(slots=True)
class Demo:
    """One run. `until` lets the centre live until a moment and does what is due on the way."""

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

    def misfortunes(
        self, mall: Mall, ports: Ports, publisher: Publisher, leave_s: float
    ) -> list[tuple[float, Callable[[], None]]]:
        """When (in seconds) and what, in order; all before the people leave."""
        scale = min(1.0, leave_s / 120)
        return [
            (20 * scale, lambda: self._network(mall, publisher)),
            (40 * scale, lambda: self.say("live: visitors, people inside and conversion are on the page")),
            (60 * scale, self._outage),
            (80 * scale, lambda: self._beam(mall, "TOO_DARK")),
            (90 * scale, lambda: self._beam(mall, "OK")),
            (95 * scale, lambda: self._pull(ports)),
            (105 * scale, lambda: self._return(ports)),
        ]

    def _network(self, mall: Mall, publisher: Publisher) -> None:
        sent = mall.connect(publisher)
        self.say(
            f"network counters and tills, offline since 04:00, are back: {sent} messages of stored minutes"
        )

    def _outage(self) -> None:
        order = json.dumps({"mode": "down", "for_s": OUTAGE_S}).encode()
        url = f"http://127.0.0.1:{self.office}/control"
        request = urllib.request.Request(url, order, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=5):  # noqa: S310  # loopback
            self.say(f"head office is down for {OUTAGE_S:g} s: aggregates wait in the buffer")

    def _beam(self, mall: Mall, light: str) -> None:
        mall.look(light)
        self.say("the sensor over the corner " + ("sees again" if light == "OK" else "is blocked: too dark"))

    def _pull(self, ports: Ports) -> None:
        ports.bus("bus-b").unplug()
        self.say("the USB adapter of door-w is pulled; its module goes on counting")

    def _return(self, ports: Ports) -> None:
        ports.bus("bus-b").plug()
        self.say("the USB adapter is back: the register closes the gap")

    def until(self, mall: Mall, end_s: float, due: list[tuple[float, Callable[[], None]]]) -> None:
        while (elapsed := time.monotonic() - self.begun) < end_s:
            while due and due[0][0] <= elapsed:
                due.pop(0)[1]()
            self.processes.check()
            mall.step()
            time.sleep(TICK_S / min(self.clock.speed, 5))

    def people_leave_s(self) -> float:
        """Near the end, just before a window does if one ends there: the less to wait for."""
        whole = self.minutes * 60
        now_s = self.clock.now_ms() / 1000
        edge = (SIZE_S - now_s % SIZE_S) / self.clock.speed + time.monotonic() - self.begun
        while edge < 0.75 * whole:
            edge += SIZE_S / self.clock.speed
        return min(edge - 0.5, whole) if edge <= whole else 0.75 * whole

    def wait_for_office(self, mall: Mall) -> bool:
        """Until every window of the people is closed and head office agrees, or time is up."""
        size_ms = SIZE_S * 1000
        now_ms = self.clock.now_ms()
        closed_ms = now_ms - now_ms % size_ms + size_ms + LATENESS_S * 1000
        patience_s = (closed_ms - now_ms) / 1000 / self.clock.speed + 45
        deadline = time.monotonic() + patience_s
        while time.monotonic() < deadline:
            self.until(mall, time.monotonic() - self.begun + 0.5, [])
            if self.clock.now_ms() > closed_ms and not self.differences(mall):
                return True
        return False

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

    def books(self) -> bool:
        """`counter-gateway audit` says whether they balance."""
        command = [sys.executable, "-m", "gateway", "audit", "-c", str(self.folder / "demo.toml")]
        result = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
        balanced = result.returncode == 0
        click.echo(
            "the books balance" if balanced else f"the books do not balance:\n{result.stdout}{result.stderr}"
        )
        return balanced


def centre_zone(now: datetime) -> str:
    """A fixed-offset zone in which it is early afternoon now, so that the day has a morning."""
    ahead = (NOON_HOUR - now.hour + 12) % 24 - 12
    return f"Etc/GMT{-ahead:+d}" if ahead else "Etc/GMT"


def play(demo: Demo) -> bool:
    """The whole show; True when truth and head office are equal and the books balance."""
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
        demo.until(mall, leave_s, demo.misfortunes(mall, ports, publisher, leave_s))
        mall.send_people_home()
        demo.say("the people stop; the last window closes")
        equal = demo.wait_for_office(mall)
        demo.table(mall)
        for difference in [] if equal else demo.differences(mall)[:20]:
            click.echo(f"different: {difference}")
        return demo.books() and equal


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
    with tempfile.TemporaryDirectory(prefix="counter-gateway-demo-") as temporary:
        place = (folder or Path(temporary)).resolve()
        place.mkdir(exist_ok=folder is None)
        equal = False
        with suppress(Interrupted), Processes(place) as processes:
            demo = Demo(place, minutes or 2.0, processes, clock, seed, centre_zone(now), broker)
            try:
                equal = play(demo)
            except (RuntimeError, ConnectionError, TimeoutError) as error:
                click.echo(f"demo: {error}", err=True)
                sys.exit(1)
            if minutes is None:
                click.echo("the page stays up; ctrl-C ends")
                signal.pause()
    sys.exit(0 if equal else 1)
