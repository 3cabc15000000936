"""The whole examples as shipped: real daemon, real broker, simulated devices; the export is the truth."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from simulators.bus import Bus
from simulators.dcon import Module
from simulators.mqtt import xovis_package
from simulators.office import compare, read_truth
from simulators.portal import seeded
from simulators.processes import Processes, free_port, start_broker
from simulators.publisher import Publisher
from simulators.receipts import put
from simulators.till import interval_file
from simulators.timing import Clock, rfc3339
from simulators.truth import Truth, Zone
from tests import machine_time

pytestmark = pytest.mark.needs("mosquitto")
EXAMPLES = Path(__file__).parents[2] / "config" / "examples"
START, SPEED = "2026-11-23T09:05:00Z", 120
QUARTER_MS, MINUTE_MS = 900_000, 60_000
PATIENCE_S = 120.0


class Style:
    """One example with this machine's ports and paths put in, and the daemon that runs it."""

    def __init__(self, name: str, folder: Path, processes: Processes, changes: dict[str, str]) -> None:
        self.folder, self.processes = folder, processes
        self.clock = Clock(machine_time.from_now(START, SPEED))
        self.broker, self.http = free_port(), free_port()
        text = (EXAMPLES / f"{name}.toml").read_text()
        for given, here in {"port = 1883": f"port = {self.broker}", **changes}.items():
            assert given in text, given
            text = text.replace(given, here)
        self.config = folder / "gateway.toml"
        self.config.write_text(f'{text}\n[http]\nlisten = "127.0.0.1:{self.http}"\n')
        start_broker(processes, self.broker, "mosquitto")

    def start(self) -> None:
        clock = ["--simulated-clock", self.clock.text or ""]
        command = [sys.executable, "-m", "gateway", "run", "-c", str(self.config), *clock]
        self.processes.start("gateway", command)
        self.until(self.ready, "the daemon is ready")

    def crash(self) -> None:
        """The plug is pulled."""
        process = self.processes.running.pop("gateway")
        process.kill()
        process.wait()

    def ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.http}/readyz", timeout=2) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def until(self, true: Callable[[], object], what: str) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while not true():
            self.processes.check()
            assert time.monotonic() < deadline, f"not in time: {what}"
            time.sleep(0.02)

    def wait(self, at_ms: int) -> None:
        """Until it is that time for the daemon."""
        self.until(lambda: self.clock.now_ms() >= at_ms, rfc3339(at_ms))

    def told(self, command: str, *more: str) -> str:
        whole = [sys.executable, "-m", "gateway", command, "-c", str(self.config), *more]
        return subprocess.run(whole, capture_output=True, text=True, check=True).stdout

    def exported(self, from_ms: int, to_ms: int) -> list[dict[str, Any]]:
        span = ["--from", rfc3339(from_ms), "--to", rfc3339(to_ms), "--format", "jsonl"]
        return [json.loads(line) for line in self.told("export", *span).splitlines()]

    def must_export(self, truth: Truth, from_ms: int, to_ms: int) -> None:
        """Window by window and figure by figure, within the patience; and the books balance."""
        truth.write(self.folder / "truth.jsonl")
        wanted = read_truth(self.folder / "truth.jsonl")
        assert sum(sum(figures.values()) for figures in wanted.values()) > 100
        deadline = time.monotonic() + PATIENCE_S
        while wrong := compare(wanted, self.exported(from_ms, to_ms)):
            assert time.monotonic() < deadline, wrong
            time.sleep(0.5)
        assert json.loads(self.told("audit", "--json"))["balanced"]


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[Processes]:
    with Processes(tmp_path) as running:
        yield running


class ImasCentre:
    """Its people. Doors on the bus are crossed when `cross` is called; the rest reports whole quarters."""

    def __init__(self, style: Style, bus: Bus[Module], publisher: Publisher, receipts: Path) -> None:
        self.style, self.bus, self.publisher, self.receipts = style, bus, publisher, receipts
        self.random = random.Random(7)
        mall = Zone("mall", entrances=("door-n", "door-e", "door-s"))
        front = ("corner/front",)
        shop_5 = Zone("store", entrances=("corner/d5",), passing=front, tills=("1001",))
        shop_7 = Zone("store", entrances=("-corner/d7",), passing=front, tills=("1002",))
        self.truth = Truth({"mall": mall, "shop-05": shop_5, "shop-07": shop_7}, 900)
        self.packages = 0

    def cross(self) -> None:
        """Some pass the old doors now; door-e counts outwards on its first channel."""
        for line, address, turned in (("door-n", "01", False), ("door-e", "02", True)):
            first, second = self.random.randint(1, 9), self.random.randint(0, 9)
            self.bus.cross(address, first, second)
            ins, outs = (second, first) if turned else (first, second)
            self.truth.cross(line, self.style.clock.now_ms(), "in", ins)
            self.truth.cross(line, self.style.clock.now_ms(), "out", outs)

    def report(self, quarter_ms: int) -> None:
        """The ceiling sensors' minutes of a quarter, in two packages that overlap, one of them twice."""
        minutes = range(quarter_ms, quarter_ms + QUARTER_MS, MINUTE_MS)
        for topic, lines in (("south", {"Line 0": "door-s"}), ("corner", CORNER)):
            seen = {
                logic: [
                    (at, at + MINUTE_MS, self.random.randint(0, 9), self.random.randint(0, 9))
                    for at in minutes
                ]
                for logic in lines
            }
            for logic, line in lines.items():
                for at, _, forward, backward in seen[logic]:
                    self.truth.cross(line, at, "in", forward)
                    self.truth.cross(line, at, "out", backward)
            for part in (slice(0, 9), slice(6, 15), slice(6, 15)):
                self.packages += 1
                some = {logic: records[part] for logic, records in seen.items()}
                self.publisher.publish(f"xovis/{topic}/push", xovis_package(some, self.packages))

    def sell(self, quarter_ms: int, *, corrected: bool = False) -> None:
        """The quarter's file; the first of two with wrong figures, which the second replaces."""
        rows = []
        for till in ("1001", "1002"):
            sales, returns, minor = (self.random.randint(1, most) for most in (40, 5, 5_000_000))
            rows.append((till, sales, returns, minor))
            if corrected:
                self.truth.sell(till, quarter_ms, minor, sales=sales, returns=returns)
        content = interval_file(rows, quarter_ms, ZoneInfo("Europe/Oslo"))
        put(self.receipts, f"kvitteringer-{quarter_ms}.csv", content)


CORNER = {"Door 5": "corner/d5", "Door 7": "corner/d7", "Passers-by": "corner/front"}


def test_imas_style_counts_the_truth_through_a_crash(tmp_path: Path, processes: Processes) -> None:
    receipts = tmp_path / "receipts"
    receipts.mkdir()
    changes = {"/srv/receipts": str(receipts), "/dev/serial/by-id/usb-rs485-adapter": str(tmp_path / "bus")}
    # whom a busy machine held up come all at once, and the more of them the faster the clock
    changes["in = 0, out = 1"] = "in = 0, out = 1, max_per_s = 1000"
    style = Style("imas-style", tmp_path, processes, changes)
    modules = [Module("01", totals=[500, 400]), Module("02", totals=[0xFFFF_FFF0, 7])]
    first = -(-style.clock.now_ms() // QUARTER_MS) * QUARTER_MS
    with Bus(modules, link=tmp_path / "bus") as bus, Publisher(port=style.broker) as publisher:
        centre = ImasCentre(style, bus, publisher, receipts)
        style.start()
        style.until(lambda: all(all(module.heard) for module in modules), "every total was read")
        first = -(-style.clock.now_ms() // QUARTER_MS) * QUARTER_MS
        for quarter_ms in (first, first + QUARTER_MS):
            for minute in (5, 6, 7):  # far from the window's edges, also on a busy machine
                style.wait(quarter_ms + minute * MINUTE_MS)
                centre.cross()
            style.wait(quarter_ms + QUARTER_MS)
            centre.report(quarter_ms)
            centre.sell(quarter_ms)
            publisher.flush()
            if quarter_ms == first:
                style.crash()
                style.start()
            style.until(lambda: not list(receipts.glob("*.csv")), "the file is put away")
            centre.sell(quarter_ms, corrected=True)
        style.until(lambda: not list(receipts.glob("*.csv")), "the corrected file is put away")
        style.must_export(centre.truth, first, first + 2 * QUARTER_MS)
    assert len(list((receipts / "archive").iterdir())) == 4
    assert not (receipts / "refused").exists()


def test_viametrix_style_counts_the_truth(tmp_path: Path, processes: Processes) -> None:
    key = tmp_path / "portal.key"
    key.write_text("simulated\n")
    key.chmod(0o600)
    port = free_port()
    changes = {
        "https://portal.example.com/api": f"http://127.0.0.1:{port}/api",
        "poll_s = 900": "poll_s = 300",
    }
    style = Style("viametrix-style", tmp_path, processes, changes)
    asked = ["portal", "--port", str(port), "--counters", "1001,1002", "--seed", "3"]
    clock = ["--simulated-clock", style.clock.text or ""]
    processes.start("portal", [sys.executable, "-m", "simulators", *asked, *clock])
    processes.wait_for_port(port)
    style.start()
    first = -(-style.clock.now_ms() // QUARTER_MS) * QUARTER_MS
    quarters = range(first, first + 3 * QUARTER_MS, QUARTER_MS)
    doors = {"north": "1001", "south": "1002"}
    shops = {"A17": "shop-11", "A18": "shop-12"}
    zones = {"mall": Zone("mall", entrances=tuple(doors))}
    truth = Truth({**zones, **{shop: Zone("store", entrances=(shop,)) for shop in shops.values()}}, 900)
    seen, people = seeded(3), random.Random(11)
    with Publisher(port=style.broker) as publisher:
        for quarter_ms in quarters:
            for door, counter in doors.items():
                forward, backward = seen(counter, quarter_ms)
                ins, outs = (backward, forward) if door == "south" else (forward, backward)
                truth.cross(door, quarter_ms, "in", ins)
                truth.cross(door, quarter_ms, "out", outs)
            style.wait(quarter_ms + QUARTER_MS)
            local = datetime.fromtimestamp(quarter_ms / 1000, ZoneInfo("Europe/Stockholm"))
            for counter, shop in shops.items():
                ins, outs = people.randint(0, 60), people.randint(0, 60)
                truth.cross(shop, quarter_ms, "in", ins)
                truth.cross(shop, quarter_ms, "out", outs)
                body = {"counter": counter, "start": f"{local:%Y-%m-%d %H:%M}", "I": ins, "O": outs}
                for _ in range(2):  # as after a lost acknowledgement
                    publisher.publish(f"counts/{counter}", json.dumps(body))
        publisher.flush()
        style.must_export(truth, first, first + 3 * QUARTER_MS)
