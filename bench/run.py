"""What it costs, as figures with the machine named; never a test. One part: `bench/run.py steady`.

Parts: version, idle, throughput, steady, dcon, card; measures, quality, backlog, closing: files of that name.
"""

from __future__ import annotations

import json
import os
import platform
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

from bench.measures import costs  # noqa: E402 - beside this file
from bench.quality import figures as quality_figures  # noqa: E402
from bench.snapshot import costs as live_costs  # noqa: E402
from tests.torture.rig import BIN, BROKER, free_port, wait_until  # noqa: E402 - the rig lives with the tests

TICK = os.sysconf("SC_CLK_TCK")
COUNTERS = 50

HEAD = """
[gateway]
id = "bench"
data_dir = "{folder}/data"
[clock]
trust = "always"
[site]
id = "bench"
timezone = "Europe/Oslo"
currency = "NOK"
[windows]
size_s = 60
allowed_lateness_s = 1
[http]
listen = "127.0.0.1:{http}"
"""

MQTT = """
[link]
broker = {{ over = "mqtt", options = {{ host = "127.0.0.1", port = {broker} }} }}
[mapping]
bench.time = {{ format = "rfc3339" }}
bench.reading = [ {{ counter = "sensor", at = "ts", ins = "in", outs = "out", key = "seq" }} ]
[upstream.office]
driver = "http"
replay_per_s = 2000
options = {{ url = "http://127.0.0.1:{office}/events" }}
"""


class Daemon:
    """The real daemon in a folder of its own, watched from outside through /proc."""

    def __init__(self, folder: Path, config: str) -> None:
        self.folder, self.http = folder, free_port()
        (folder / "gateway.toml").write_text(HEAD.format(folder=folder, http=self.http) + config)
        self._others: list[subprocess.Popen[bytes]] = []
        self._log = (folder / "log").open("ab")

    def beside(self, command: list[str]) -> None:
        self._others.append(subprocess.Popen(command, stdout=self._log, stderr=self._log))

    def start(self) -> float:
        """Seconds until ready."""
        began = time.monotonic()
        command = [str(BIN / "counter-gateway"), "run", "-c", str(self.folder / "gateway.toml")]
        self.process = subprocess.Popen(command, stdout=self._log, stderr=self._log)
        wait_until(lambda: self.ready() or self.process.poll() is not None, 20, "ready")
        assert self.process.poll() is None, (self.folder / "log").read_text()
        return time.monotonic() - began

    def ready(self) -> bool:
        return self.get("/readyz") is not None

    def get(self, path: str) -> str | None:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.http}{path}", timeout=5) as answer:
                return str(answer.read().decode())
        except OSError:
            return None

    def cpu_s(self) -> float:
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / TICK

    def rss_mb(self) -> float:
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return round(int(status.split("VmRSS:")[1].split()[0]) / 1024, 1)

    def written_bytes(self) -> int:
        return int(Path(f"/proc/{self.process.pid}/io").read_text().split("\nwrite_bytes:")[1].split()[0])

    def close(self) -> None:
        for process in (self.process, *self._others):
            process.terminate()
            process.wait(20)
        self._log.close()


def counters() -> str:
    names = [f"door-{i:02d}" for i in range(COUNTERS)]
    doors = ", ".join(f'"{name}"' for name in names)
    table = "\n".join(
        f'{name} = {{ link = "broker", driver = "mapping", mapping = "bench", basis = "event", '
        f'topic = "counters/bench/{name}", max_per_s = 0 }}'
        for name in names
    )
    return f'[counter]\n{table}\n[zone]\nmall = {{ kind = "mall", entrances = [{doors}] }}\n'


def mqtt_daemon(folder: Path) -> tuple[Daemon, int]:
    broker, office = free_port(), free_port()
    daemon = Daemon(folder, MQTT.format(broker=broker, office=office) + counters())
    conf = folder / "broker.conf"
    conf.write_text(
        BROKER.format(port=broker, folder=folder).replace("persistence true", "persistence false")
    )
    daemon.beside(["/usr/sbin/mosquitto", "-c", str(conf)])
    daemon.beside(
        [str(BIN / "counter-simulator"), "upstream", "--port", str(office), "--db", str(folder / "office.db")]
    )
    time.sleep(0.5)
    daemon.start()
    wait_until(lambda: 'footfall_link_up{link="broker"} 1' in (daemon.get("/metrics") or ""), 20, "link up")
    return daemon, broker


def load(port: int, count: int, rate: float = 0) -> dict[str, float]:
    command = [
        sys.executable,
        str(HERE / "load.py"),
        "--port",
        str(port),
        "--count",
        str(count),
        "--rate",
        str(rate),
    ]
    answer: dict[str, float] = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    return answer


def stored(folder: Path) -> int:
    with sqlite3.connect(f"file:{folder}/data/buffer.db?mode=ro", uri=True) as db:
        return int(db.execute("SELECT COALESCE(SUM(ins), 0) FROM readings").fetchone()[0])


def office_ins(folder: Path) -> int:
    try:
        with sqlite3.connect(f"file:{folder}/office.db?mode=ro", uri=True) as db:
            return int(db.execute("SELECT COALESCE(SUM(ins), 0) FROM windows").fetchone()[0])
    except sqlite3.Error:
        return 0


def throughput(folder: Path, count: int = 200_000) -> dict[str, object]:
    daemon, port = mqtt_daemon(folder)
    try:
        cpu = daemon.cpu_s()
        made = load(port, count)
        wait_until(lambda: stored(folder) >= count, 120, "all stored")
        seconds = time.time() - made["began"]
        used = daemon.cpu_s() - cpu
        wait_until(lambda: office_ins(folder) >= count, 180, "all at the head office")
        return {
            "messages": count,
            "messages_per_s": round(count / seconds),
            "cpu_s_per_100k": round(used / count * 1e5, 2),
            "rss_mb": daemon.rss_mb(),
            "head_office_ins": office_ins(folder),
        }
    finally:
        daemon.close()


def loaded_percent(daemon: Daemon, port: int, rate: float, seconds: float) -> float:
    """Of one core, while messages come at `rate`."""
    cpu, began = daemon.cpu_s(), time.monotonic()
    load(port, int(rate * seconds), rate)
    return round((daemon.cpu_s() - cpu) / (time.monotonic() - began) * 100, 1)


def steady(folder: Path, rate: float = 500, seconds: float = 60) -> dict[str, object]:
    """What it costs unwatched; then again with a `tail`, whose lines tell when each message was committed."""
    daemon, port = mqtt_daemon(folder)
    latencies: list[float] = []
    try:
        unwatched = loaded_percent(daemon, port, rate, seconds)
        tail = subprocess.Popen(
            [str(BIN / "counter-gateway"), "tail", "--json", "-c", str(folder / "gateway.toml")],
            stdout=subprocess.PIPE,
            text=True,
        )

        def read() -> None:
            for line in tail.stdout or ():
                row = json.loads(line)
                if row.get("type") == "crossings":
                    sent_s = datetime.fromisoformat(row["start"]).timestamp()
                    latencies.append((time.time() - sent_s) * 1000)

        threading.Thread(target=read, daemon=True).start()
        time.sleep(1)
        watched = loaded_percent(daemon, port, rate, seconds)
        time.sleep(1)
        tail.terminate()
        tail.wait()
        return {
            "rate_per_s": rate,
            "cpu_percent": unwatched,
            "cpu_percent_with_tail": watched,
            "to_commit_ms_p50": round(statistics.median(latencies), 1) if latencies else None,
            "to_commit_ms_p99": round(statistics.quantiles(latencies, n=100)[98], 1) if latencies else None,
            "n": len(latencies),
            "rss_mb": daemon.rss_mb(),
        }
    finally:
        daemon.close()


def version(_folder: Path) -> dict[str, object]:
    times = []
    for _ in range(7):
        began = time.monotonic()
        subprocess.run([str(BIN / "counter-gateway"), "--version"], capture_output=True, check=True)
        times.append((time.monotonic() - began) * 1000)
    return {"version_ms_median": round(statistics.median(times)), "n": len(times)}


def idle(folder: Path, settle_s: float = 60, seconds: float = 60) -> dict[str, object]:
    daemon = Daemon(folder, "")
    try:
        ready_s = daemon.start()
        time.sleep(settle_s)
        cpu = daemon.cpu_s()
        time.sleep(seconds)
        share = (daemon.cpu_s() - cpu) / seconds * 100
        return {"ready_s": round(ready_s, 2), "rss_mb": daemon.rss_mb(), "cpu_percent": round(share, 3)}
    finally:
        daemon.close()


def bus(
    folder: Path, modules: int, poll_s: float, seconds: float, arrivals_per_s: float
) -> dict[str, object]:
    """DCON modules of two channels each on one pty."""
    pty = folder / "bus"
    table = "\n".join(
        f'm{i:02x} = {{ link = "bus", driver = "dcon", address = "{i:02X}", in = 0, out = 1 }}'
        for i in range(1, modules + 1)
    )
    link = f'bus = {{ over = "serial", options = {{ port = "{pty}", poll_s = {poll_s} }} }}'
    daemon = Daemon(folder, f"[link]\n{link}\n[counter]\n{table}\n")
    addresses = [word for i in range(1, modules + 1) for word in ("--address", f"{i:02X}")]
    per_minute = arrivals_per_s * 60 / (2 * modules)
    rate = ["--rate", str(per_minute), "--baudrate", "9600"]
    daemon.beside([str(BIN / "counter-simulator"), "serial", "--link", str(pty), *addresses, *rate])
    try:
        wait_until(pty.is_symlink, 10, "the pty")
        daemon.start()
        time.sleep(5)
        cpu, written, began = daemon.cpu_s(), daemon.written_bytes(), time.monotonic()
        time.sleep(seconds)
        took = time.monotonic() - began
        readings = modules * took / poll_s
        return {
            "channels": modules * 2,
            "poll_s": poll_s,
            "cpu_percent": round((daemon.cpu_s() - cpu) / took * 100, 2),
            "bytes_per_reading": round((daemon.written_bytes() - written) / readings),
            "seconds": round(took),
        }
    finally:
        daemon.close()


def dcon(folder: Path) -> dict[str, object]:
    return bus(folder, modules=16, poll_s=1, seconds=60, arrivals_per_s=5)


def card(folder: Path) -> dict[str, object]:
    return bus(
        folder, modules=10, poll_s=1, seconds=float(os.environ.get("BENCH_CARD_S", "600")), arrivals_per_s=5
    )


def backlog(_folder: Path) -> dict[str, object]:
    done = subprocess.run(
        [sys.executable, str(HERE / "backlog.py")], capture_output=True, text=True, check=False
    )
    return {"output": done.stdout.strip().splitlines()[-12:]}


def measures(_folder: Path) -> dict[str, object]:
    return costs()


def snapshot(_folder: Path) -> dict[str, object]:
    return live_costs()


def quality(_folder: Path) -> dict[str, object]:
    return quality_figures()


def closing(_folder: Path) -> dict[str, object]:
    done = subprocess.run(
        [sys.executable, str(HERE / "closing.py")], capture_output=True, text=True, check=False
    )
    return {"output": done.stdout.strip().splitlines()}


PARTS: dict[str, Callable[[Path], dict[str, object]]] = {
    "version": version,
    "throughput": throughput,
    "steady": steady,
    "dcon": dcon,
    "card": card,
    "idle": idle,
    "measures": measures,
    "snapshot": snapshot,
    "backlog": backlog,
    "quality": quality,
    "closing": closing,
}


def machine() -> str:
    model = "unknown processor"
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.split(":", 1)[1].strip()
    system = f"{platform.system()} {platform.release()}, Python {platform.python_version()}"
    return f"{model}, {os.cpu_count()} cores, {system}"


def main() -> None:
    print(machine())
    for name in sys.argv[1:] or PARTS:
        with tempfile.TemporaryDirectory() as folder:
            print(name, json.dumps(PARTS[name](Path(folder))), flush=True)


if __name__ == "__main__":
    main()
