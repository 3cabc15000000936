"""A broker, a head office, the daemon and a feeder with a ledger, as processes of their own on loopback.

Every delta carries a random weight 1…9999, so that a loss and a double cannot cancel.
"""

from __future__ import annotations

import csv
import io
import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from queue import SimpleQueue

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from simulators.processes import free_port
from tests import machine_time
from tests.patience import SOON_S

BIN = Path(sys.executable).parent
COUNTERS = 6
STEP_MS = 1000
BACK_MS = (
    24 * 3_600_000
)  # the devices' time runs ahead of the clock: a long campaign must not reach the future

BROKER = """listener {port} 127.0.0.1
allow_anonymous true
persistence true
persistence_location {folder}/
autosave_interval 1
autosave_on_changes true
max_queued_messages 0
max_inflight_messages 200
"""

CONFIG = """
[gateway]
id = "torture"
data_dir = "{folder}/data"
[clock]
trust = "always"
[site]
id = "hall"
timezone = "Europe/Oslo"
currency = "NOK"
[windows]
size_s = 60
allowed_lateness_s = 1
[http]
listen = "127.0.0.1:{http}"
[link]
broker = {{ over = "mqtt", options = {{ host = "127.0.0.1", port = {broker} }} }}
[mapping]
plain.time = {{ format = "unix_ms" }}
plain.reading = [ {{ counter = "c", start = "s", end = "e", ins = "i", outs = "o" }} ]
[counter]
{counters}
[zone]
hall = {{ kind = "mall", entrances = [{entrances}] }}
shop = {{ kind = "store", parent = "hall", entrances = ["door-0", "-door-1"] }}
[upstream.office]
driver = "http"
replay_per_s = 5000
options = {{ url = "http://127.0.0.1:{office}/events", timeout_s = 2 }}
"""


def wait_until(true: Callable[[], bool], within_s: float, what: str) -> None:
    """Poll until it holds. Raises AssertionError naming what did not come."""
    deadline = time.monotonic() + within_s
    while not true():
        assert time.monotonic() < deadline, f"not within {within_s} s: {what}"
        time.sleep(0.02)


@dataclass
class Ledger:
    """What was sent, and what the broker acknowledged: (counter, start_ms) → (ins, outs)."""

    sent: dict[tuple[str, int], tuple[int, int]] = field(default_factory=dict)
    acknowledged: set[tuple[str, int]] = field(default_factory=set)


class Feeder:
    """Publishes device-stamped deltas at QoS 1, re-sends what was not acknowledged, keeps the ledger."""

    def __init__(self, port: int, seed: int, per_s: float) -> None:
        self.port, self.per_s = port, per_s
        self.ledger = Ledger()
        self._rng = random.Random(seed)
        self._stop = threading.Event()
        self._next = int(machine_time.now_s()) * 1000 - BACK_MS
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._mids: dict[int, tuple[str, int]] = {}
        self._acknowledged: SimpleQueue[int] = SimpleQueue()  # the client calls back holding locks of its own

    def start(self) -> None:
        self._client = mqtt.Client(
            CallbackAPIVersion.VERSION2, client_id="feeder", clean_session=False, reconnect_on_failure=True
        )
        self._client.on_publish = self._published
        self._client.reconnect_delay_set(1, 1)
        self._client.connect_async("127.0.0.1", self.port)
        self._client.loop_start()
        self._thread.start()

    def _published(self, _client: object, _data: object, mid: int, *_rest: object) -> None:
        self._acknowledged.put(mid)

    def _settled(self) -> bool:
        """Books what the broker acknowledged; true when nothing is open. For the thread that sends."""
        while not self._acknowledged.empty():
            self.ledger.acknowledged.add(self._mids.pop(self._acknowledged.get()))
        return not self._mids

    def _run(self) -> None:
        while not self._stop.is_set():
            self._settled()
            self._send_one()
            self._stop.wait(1 / self.per_s)

    def _send_one(self) -> None:
        counter = f"door-{self._rng.randrange(COUNTERS)}"
        if counter == "door-0":
            self._next += STEP_MS
        key = (counter, self._next)
        if key in self.ledger.sent:
            return
        ins, outs = self._rng.randint(1, 9999), self._rng.randint(1, 9999)
        self.ledger.sent[key] = (ins, outs)
        body = json.dumps({"c": counter, "s": key[1], "e": key[1] + STEP_MS, "i": ins, "o": outs})
        self._mids[self._client.publish(f"doors/{counter}", body, qos=1).mid] = key

    def _fewer_than(self, left: int) -> bool:
        return self._settled() or len(self._mids) < left

    def stop(self, patience_s: float = 30) -> None:
        """Stop sending and wait until everything sent is acknowledged, for as long as that goes on."""
        self._stop.set()
        self._thread.join()
        assert self._next < machine_time.now_s() * 1000, (
            "readings of the future are refused, not lost: begin earlier"
        )
        left = len(self._mids)
        while not self._settled():
            wait_until(partial(self._fewer_than, left), patience_s, "one more PUBACK")
            left = len(self._mids)
        self._client.disconnect()
        self._client.loop_stop()


class Rig:
    """The whole, with kills. `gateway` is the command that starts the daemon (a broken one for a control)."""

    def __init__(self, folder: Path, seed: int, per_s: float = 100, gateway: list[str] | None = None) -> None:
        self.folder = folder
        self.rng = random.Random(seed)
        self.broker_port, self.office_port, self.http_port = free_port(), free_port(), free_port()
        self.feeder = Feeder(self.broker_port, seed, per_s)
        self.gateway_command = gateway or [str(BIN / "counter-gateway")]
        self.environment: dict[str, str] = {}
        self.slowest_start_s = 0.0
        self._log = (folder / "log").open("ab")
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._configure()

    @property
    def config(self) -> Path:
        return self.folder / "gateway.toml"

    @property
    def data_dir(self) -> Path:
        return self.folder / "data"

    def _configure(self) -> None:
        doors = [f"door-{i}" for i in range(COUNTERS)]
        counters = "\n".join(
            f'{door} = {{ link = "broker", driver = "mapping", mapping = "plain", topic = "doors/{door}" }}'
            for door in doors
        )
        text = CONFIG.format(
            folder=self.folder,
            http=self.http_port,
            broker=self.broker_port,
            office=self.office_port,
            counters=counters,
            entrances=", ".join(f'"{door}"' for door in doors),
        )
        self.config.write_text(text)
        (self.folder / "broker").mkdir(exist_ok=True)
        (self.folder / "broker.conf").write_text(
            BROKER.format(port=self.broker_port, folder=self.folder / "broker")
            + ("user root\n" if os.geteuid() == 0 else "")
        )

    def start(self, name: str) -> None:
        commands = {
            "broker": [
                shutil.which("mosquitto") or "/usr/sbin/mosquitto",
                "-c",
                str(self.folder / "broker.conf"),
            ],
            "office": [
                str(BIN / "counter-simulator"),
                "upstream",
                "--port",
                str(self.office_port),
                "--db",
                str(self.folder / "office.db"),
            ],
            "gateway": [*self.gateway_command, "run", "-c", str(self.config)],
        }
        extra = self.environment if name == "gateway" else {}
        self._processes[name] = subprocess.Popen(
            commands[name],
            env={**os.environ, **extra},
            stdout=self._log,
            stderr=self._log,
            start_new_session=True,
        )

    def kill(self, name: str, sig: int = signal.SIGKILL) -> None:
        process = self._processes.pop(name)
        process.send_signal(sig)
        process.wait(30)

    def alive(self, name: str) -> bool:
        return self._processes[name].poll() is None

    def ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.http_port}/readyz", timeout=1) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def start_gateway(self) -> None:
        """Start the daemon and wait until it is ready; remember how long that took."""
        began = time.monotonic()
        self.start("gateway")
        wait_until(lambda: self.ready() or not self.alive("gateway"), SOON_S, "ready")
        assert self.alive("gateway"), f"the daemon ended by itself, see {self.folder}/log"
        self.slowest_start_s = max(self.slowest_start_s, time.monotonic() - began)

    def subscribed(self) -> bool:
        """Connected to the broker: from here on what the broker acknowledges is ours to keep."""
        return 'footfall_link_up{link="broker"} 1.0' in self._metrics()

    def audit(self) -> dict[str, object]:
        """The books; raises AssertionError if they do not balance."""
        command = [str(BIN / "counter-gateway"), "audit", "--json", "-c", str(self.config)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"the books do not balance: {done.stdout[-2000:]} {done.stderr[-2000:]}"
        books: dict[str, object] = json.loads(done.stdout)
        return books

    def drained(self) -> bool:
        return 'footfall_pending_aggregates{upstream="office"} 0.0' in self._metrics()

    def _metrics(self) -> str:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.http_port}/metrics", timeout=2) as answer:
                return str(answer.read().decode())
        except OSError:
            return ""

    def close(self) -> None:
        for name in list(self._processes):
            self.kill(name)
        self._log.close()

    # what came of it -------------------------------------------------------------------------------------

    def exported(self) -> Counter[tuple[str, int, str, int]]:
        """(counter, start_ms, side, persons) of every stored reading."""
        command = [
            str(BIN / "counter-gateway"),
            "export",
            "--readings",
            "--format",
            "csv",
            "-c",
            str(self.config),
        ]
        command += ["--from", "2000-01-01T00:00:00Z", "--to", "2100-01-01T00:00:00Z"]
        text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        return Counter(
            (row["counter"], _ms(row["start"]), row["side"], int(row["persons"]))
            for row in csv.DictReader(io.StringIO(text))
        )

    def expected_readings(self) -> Counter[tuple[str, int, str, int]]:
        rows: Counter[tuple[str, int, str, int]] = Counter()
        for (counter, start_ms), (ins, outs) in self.feeder.ledger.sent.items():
            rows[counter, start_ms, "in", ins] += 1
            rows[counter, start_ms, "out", outs] += 1
        return rows

    def expected_windows(self) -> dict[tuple[str, int], tuple[int, int]]:
        """(zone, window start) → (ins, outs), added up from the ledger by other means than the gateway's."""
        sums: dict[tuple[str, int], list[int]] = {}
        for (counter, start_ms), (ins, outs) in self.feeder.ledger.sent.items():
            window = start_ms // 60_000 * 60_000
            _add(sums, "hall", window, ins, outs)
            if counter == "door-0":
                _add(sums, "shop", window, ins, outs)
            if counter == "door-1":
                _add(sums, "shop", window, outs, ins)
        return {key: (ins, outs) for key, (ins, outs) in sums.items()}

    def office_windows(self) -> dict[tuple[str, int], tuple[int, int]]:
        """What the head office holds, windows without persons left out."""
        with sqlite3.connect(self.folder / "office.db") as db:
            rows = db.execute("SELECT zone, start, ins, outs FROM windows WHERE ins OR outs").fetchall()
        return {(zone, _ms(start)): (ins, outs) for zone, start, ins, outs in rows}


def _add(sums: dict[tuple[str, int], list[int]], zone: str, window: int, ins: int, outs: int) -> None:
    cell = sums.setdefault((zone, window), [0, 0])
    cell[0] += ins
    cell[1] += outs


def _ms(text: str | int) -> int:
    if isinstance(text, int):
        return text
    return round(datetime.fromisoformat(text).astimezone(UTC).timestamp() * 1000)
