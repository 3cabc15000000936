"""A counter goes dead in opening hours, and the daemon is killed over it: told once, to everybody."""

from __future__ import annotations

import asyncio
import json
import subprocess
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from gateway.clock import Simulated
from tests import machine_time
from tests.doors import DOORS, TODAY, Q, live, outfit, people
from tests.e2e.test_run import COMMAND, Daemon
from tests.torture.rig import BIN, free_port, wait_until
from tests.unit.store.conftest import HOUR, Box

SPEED = 240
BEGIN = TODAY + 11 * HOUR + Q
CONFIG = """
[gateway]
id = "box"
data_dir = "{folder}/data"
[site]
id = "hall"
timezone = "UTC"
hours = "centre"
[http]
listen = "127.0.0.1:{http}"
[hours.centre]
mon-sun = "10:00-21:00"
[push]
listen = "127.0.0.1:{push}"
allow = ["127.0.0.0/8"]
[link]
lan = {{ over = "push", options = {{ auth = "none" }} }}
[mapping.plain]
time = {{ format = "unix_ms" }}
reading = [{{ counter = "c", start = "s", end = "e", ins = "i", outs = "o" }}]
[counter]
{counters}
[zone]
mall = {{ kind = "mall", entrances = ["north", "south", "east"] }}
[upstream.office]
driver = "http"
send = {{ alarms = true }}
options = {{ url = "http://127.0.0.1:{office}/events" }}
"""
COUNTER = (
    '{id} = {{ link = "lan", driver = "mapping", mapping = "plain", match = {{ counter = "{id}" }},'
    " expect_s = 60 }}\n"
)


class Doors(threading.Thread):
    """Each door pushes its quarter of an hour when it is over, again and again until it is taken."""

    def __init__(self, port: int, clock: Simulated) -> None:
        super().__init__(daemon=True)
        self.url, self._clock = f"http://127.0.0.1:{port}/push/lan", clock
        self.dead: frozenset[str] = frozenset()
        self.crowded: frozenset[str] = frozenset()
        self.over = threading.Event()

    def run(self) -> None:
        start_ms = BEGIN
        while not self.over.is_set():
            wait_s = (start_ms + Q) / 1000 + 10 - self._clock.wall_s()
            if wait_s > 0:
                self.over.wait(wait_s / SPEED)
                continue
            for name in DOORS:
                ins, outs = people(name, start_ms, self.dead, 3.0 if name in self.crowded else 1.0)
                body = {"c": name, "s": start_ms, "e": start_ms + Q, "i": ins, "o": outs}
                while not self.over.is_set() and not self._taken(body):
                    self.over.wait(0.1)
            start_ms += Q

    def _taken(self, body: dict[str, object]) -> bool:
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(self.url, json.dumps(body).encode(), headers)
        with suppress(OSError), urllib.request.urlopen(request, timeout=5) as answer:
            return bool(answer.status < 300)
        return False


class Hall:
    """The daemon on a buffer that has seen nine ordinary days, its doors and its head office."""

    def __init__(self, folder: Path) -> None:
        self.daemon = Daemon(folder)
        asyncio.run(taught(folder / "data"))
        push, self.office = free_port(), free_port()
        counters = "".join(COUNTER.format(id=name) for name in DOORS)
        text = CONFIG.format(
            folder=folder, http=self.daemon.port, push=push, office=self.office, counters=counters
        )
        self.daemon.config.write_text(text)
        self.clock = Simulated(BEGIN / 1000, SPEED, machine_time.now_s() + 3)
        self.doors = Doors(push, self.clock)
        command = [str(BIN / "counter-simulator"), "upstream", "--port", str(self.office)]
        self._receiver = subprocess.Popen([*command, "--db", str(folder / "office.db")])

    def start(self) -> None:
        self.daemon.start("--simulated-clock", str(self.clock))

    def get(self, path: str, port: int | None = None) -> Any:
        url = f"http://127.0.0.1:{port or self.daemon.port}{path}"
        with urllib.request.urlopen(url, timeout=10) as answer:
            text = answer.read().decode()
        return json.loads(text) if path != "/metrics" else text

    def alarms(self) -> list[dict[str, Any]]:
        """What looks wrong or did since the beginning, crowds left out."""
        since = datetime.fromtimestamp(BEGIN / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        with suppress(OSError):
            found = self.get(f"/api/v1/alarms?from={since}")["alarms"]
            return [one for one in found if one["severity"] != "info"]
        return []

    def told(self) -> list[tuple[int, str, str, int]]:
        """What head office knows."""
        with suppress(OSError):
            rows = self.get("/alarms", self.office)
            return [(row["alarm"], row["line"], row["state"], row["revision"]) for row in rows]
        return []

    def close(self) -> None:
        self.doors.over.set()
        self.daemon.close()
        self._receiver.terminate()
        self._receiver.wait(10)


async def taught(folder: Path) -> None:
    """Nine ordinary days and a morning, through the store's own doors."""
    box = Box(folder)
    outfit(box)
    box.simulated = "history"
    await box.open()
    await box.configure()
    await live(box, BEGIN)
    await box.store.aclose()


@pytest.fixture
def hall(tmp_path: Path) -> Iterator[Hall]:
    made = Hall(tmp_path)
    yield made
    made.close()


@pytest.mark.timeout(300)
def test_a_dead_counter_is_told_once_everywhere_through_kills_and_until_people_come_back(hall: Hall) -> None:
    hall.start()
    hall.doors.crowded = frozenset({"north"})  # a crowd elsewhere is nobody's fault
    hall.doors.dead = frozenset({"south"})
    hall.doors.start()
    wait_until(lambda: len(hall.alarms()) == 1, 90, "an alarm")
    [alarm] = hall.alarms()
    assert (alarm["line"], alarm["kind"], alarm["severity"], alarm["until"]) == (
        "south",
        "dead",
        "fault",
        None,
    )
    assert alarm["zones"] == ["mall"]
    assert alarm["evidence"]["expected"] > 20
    wait_until(lambda: hall.told() == [(alarm["alarm"], "south", "raised", 1)], 30, "head office told")
    wait_until(lambda: "footfall_alarm{" in hall.get("/metrics"), 10, "a series")
    metrics = hall.get("/metrics")
    assert 'footfall_alarm{kind="dead",line="south"} 1.0' in metrics
    assert metrics.count("footfall_alarm{") == 1
    assert 'footfall_device_healthy{counter="south"} 0.0' in metrics
    assert 'footfall_device_healthy{counter="north"} 1.0' in metrics
    status = subprocess.run(
        [COMMAND, "status", "-c", str(hall.daemon.config)], capture_output=True, text=True
    )
    assert "FAULT since" in status.stdout

    for _ in range(2):
        process = hall.daemon.process
        assert process
        process.kill()
        process.wait(10)
        hall.start()
    assert [one["alarm"] for one in hall.alarms()] == [alarm["alarm"]]
    assert hall.told() == [(alarm["alarm"], "south", "raised", 1)]

    hall.doors.dead = frozenset()
    wait_until(lambda: any(one["until"] for one in hall.alarms()), 90, "the end of it")
    wait_until(lambda: hall.told() == [(alarm["alarm"], "south", "cleared", 2)], 30, "head office told")
    assert len(hall.alarms()) == 1
    wait_until(lambda: "footfall_alarm{" not in hall.get("/metrics"), 10, "no series")
    assert (
        subprocess.run([COMMAND, "audit", "-c", str(hall.daemon.config)], capture_output=True).returncode == 0
    )
    assert "Traceback" not in hall.daemon.log()
