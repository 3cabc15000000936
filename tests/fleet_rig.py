"""A fleet, a broker, a head office and the real daemon on one clock, and what is to be said of them."""

from __future__ import annotations

import json
import os
import re
import sqlite3
import statistics
import subprocess
import sys
import time
import urllib.request
from collections import Counter as Sums
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from simulators.fleet.configuration import Around
from simulators.fleet.expected import Expected, Side
from simulators.fleet.plan import Plan
from simulators.fleet.play import SIZE_S, Fleet
from simulators.office import Difference, Ledger, compare, read_truth
from simulators.processes import Processes, free_port, start_broker
from simulators.timing import Clock, window_name
from tests import machine_time

PATIENCE_S = 120.0
LOOK_S = 1.0
TELEGRAM = re.compile(r'^footfall_telegrams_total\{.*result="(\w+)".*\} (\S+)$', re.MULTILINE)
TICKS_PER_S = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Seen:
    """What one run came to.

    `unread`: counters and times that the daemon did not ask soon enough, for want of a machine or else.
    `barred`: share of the persons at registers who were kept away, so that nothing is said of them.
    `missing`: zones and windows that head office never got. `refused`: persons, as the audit has them.
    `rss`: (hours since the beginning by the clock, MB) of the daemon.
    """

    expected: Expected
    unread: list[tuple[str, int]]
    barred: float
    differences: list[Difference]
    missing: list[tuple[str, str]]
    refused: Sums[Side]
    balanced: bool
    rss: list[tuple[float, float]]
    figures: dict[str, object]

    def slope(self, from_hour: float) -> float:
        """MB an hour from then on: a straight line through what was seen."""
        settled = [one for one in self.rss if one[0] >= from_hour]
        return statistics.linear_regression(*zip(*settled, strict=True)).slope


@dataclass
class Centre:
    """`run` plays the fleet through the daemon. `withhold`: a counter that forgets one period."""

    folder: Path
    processes: Processes
    plan: Plan
    start: str
    speed: float
    withhold: str | None = None
    _rss: list[tuple[float, float]] = field(default_factory=list)
    _looked_at: float = 0.0

    def __post_init__(self) -> None:
        self.clock = Clock(machine_time.from_now(self.start, self.speed))
        self.broker, self.push, self.page, self.office = (free_port() for _ in range(4))

    def run(self, hours: float) -> Seen:
        start_broker(self.processes, self.broker, "mosquitto")
        database = str(self.folder / "office.db")
        self._start("office", "simulators", "upstream", "--port", str(self.office), "--db", database)
        self.processes.wait_for_port(self.office)
        office = f"http://127.0.0.1:{self.office}/events"
        around = Around(self.folder, self.broker, self.push, self.page, office, "Europe/Oslo", self.speed)
        with Fleet(self.plan, around, self.clock, withhold=self.withhold) as fleet:
            clock = self.clock.text or ""
            self._start("gateway", "gateway", "run", "-c", str(fleet.config), "--simulated-clock", clock)
            self.processes.wait_for_port(self.push)
            self._until(fleet.ready, "every register was read")
            began = time.monotonic()
            fleet.play(hours, lambda: self._watch(fleet))
            fleet.expected.truth.write(self.folder / "truth.jsonl")
            wrong = self._settled(fleet)
            return self._seen(fleet, wrong, time.monotonic() - began)

    def _start(self, name: str, *command: str) -> None:
        self.processes.start(name, [sys.executable, "-m", *command])

    def _until(self, true: Callable[[], object], what: str) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while not true():
            self.processes.check()
            assert time.monotonic() < deadline, f"not in time: {what}"
            time.sleep(0.05)

    def _watch(self, fleet: Fleet) -> None:
        if time.monotonic() < self._looked_at + LOOK_S:
            return
        self._looked_at = time.monotonic()
        self.processes.check()
        hour = (self.clock.now_ms() - fleet.span.begin_ms) / 3_600_000
        status = self._of_daemon("status")
        self._rss.append((hour, int(status.split("VmRSS:")[1].split()[0]) / 1024))

    def _of_daemon(self, name: str) -> str:
        return Path(f"/proc/{self.processes.running['gateway'].pid}/{name}").read_text()

    def _settled(self, fleet: Fleet) -> list[Difference]:
        """What differs once head office has every window and all that is expected; or when time is up."""
        deadline = time.monotonic() + PATIENCE_S
        while (wrong := self._differences()) or self._missing(fleet):
            if time.monotonic() > deadline or self._is_what_was_withheld(fleet, wrong):
                break
            self._watch(fleet)
            time.sleep(0.5)
        return wrong

    def _is_what_was_withheld(self, fleet: Fleet, wrong: list[Difference]) -> bool:
        persons = sum(abs(one.truth - one.office) for one in wrong)
        return persons == sum(fleet.expected.forgotten.values()) > 0 and not self._missing(fleet)

    def _differences(self) -> list[Difference]:
        return compare(read_truth(self.folder / "truth.jsonl"), self._windows())

    def _windows(self) -> list[dict[str, object]]:
        with closing(Ledger(self.folder / "office.db")) as ledger:
            return ledger.windows()

    def _missing(self, fleet: Fleet) -> list[tuple[str, str]]:
        there = {(row["zone"], row["start"]) for row in self._windows()}
        span = range(fleet.span.begin_ms, fleet.span.end_ms, SIZE_S * 1000)
        return sorted({(zone, window_name(at)) for zone in self.plan.zones for at in span} - there)

    def _seen(self, fleet: Fleet, wrong: list[Difference], took_s: float) -> Seen:
        command = [sys.executable, "-m", "gateway", "audit", "--json", "-c", str(fleet.config)]
        books = json.loads(subprocess.run(command, capture_output=True, text=True, check=False).stdout)
        refused: Sums[Side] = Sums()
        for row in books["lines"]:
            refused[row["line"], row["column"]] += row["refused"]
        return Seen(
            expected=fleet.expected,
            unread=fleet.unread,
            barred=fleet.barred,
            differences=wrong,
            missing=self._missing(fleet),
            refused=+refused,
            balanced=books["balanced"],
            rss=self._rss,
            figures=self._figures(fleet, took_s),
        )

    def _figures(self, fleet: Fleet, took_s: float) -> dict[str, object]:
        with closing(sqlite3.connect(f"file:{self.folder}/data/buffer.db?mode=ro", uri=True)) as buffer:
            (readings,) = buffer.execute("SELECT count(*) FROM readings").fetchone()
        user, system = (int(ticks) for ticks in self._of_daemon("stat").rpartition(")")[2].split()[11:13])
        return {
            "counters": len(self.plan.counters),
            "families": len({counter.make.driver for counter in self.plan.counters}),
            "tills": len(self.plan.tills),
            "hours": (fleet.span.end_ms - fleet.span.begin_ms) / 3_600_000,
            "speed": self.speed,
            "took_s": round(took_s),
            "daemon_cpu_s": round((user + system) / TICKS_PER_S),
            "messages_sent": fleet.sent,
            "telegrams_read": self._telegrams(),
            "readings_stored": readings,
            "persons": fleet.expected.persons,
            "kept_from_registers": round(fleet.barred, 3),
            "persons_refused": sum(fleet.expected.refused.values()),
            "windows_compared": len(self._windows()),
            "latest_by_s_of_the_day": round(fleet.late_ms / 1000),
            "rss_mb_by_hour": self._by_hour(),
        }

    def _by_hour(self) -> list[float]:
        """The first that was seen in each hour, and the last of all."""
        hours: dict[int, float] = {}
        for hour, mb in self._rss:
            hours.setdefault(int(hour), mb)
        return [round(mb, 1) for mb in (*hours.values(), self._rss[-1][1])]

    def _telegrams(self) -> dict[str, int]:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.page}/metrics", timeout=10) as answer:
            text = answer.read().decode()
        sums: Sums[str] = Sums()
        for result, value in TELEGRAM.findall(text):
            sums[result] += round(float(value))
        return dict(+sums)
