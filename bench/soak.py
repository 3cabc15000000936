"""Does memory stay flat? Days of the demo's centre at 300 times real speed: `python bench/soak.py [DAYS]`.

The slope is a straight line through the daemon's RSS after the first simulated day.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SPEED = 300
DAY_S = 86_400 / SPEED
EVERY_S = 2.0


def gateway_of(parent: int) -> int | None:
    """The daemon that the demo started."""
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            after = stat.read_text().rsplit(")", 1)[1].split()
            command = (stat.parent / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if int(after[1]) == parent and b"gateway" in command and b"run" in command:
            return int(stat.parent.name)
    return None


def rss_mb(pid: int) -> float:
    return int(Path(f"/proc/{pid}/status").read_text().split("VmRSS:")[1].split()[0]) / 1024


def watch(demo: subprocess.Popen[bytes], days: float) -> list[tuple[float, float]]:
    """(simulated days since the start, RSS in MB)."""
    began = time.monotonic()
    seen: list[tuple[float, float]] = []
    while (day := (time.monotonic() - began) / DAY_S) < days and demo.poll() is None:
        time.sleep(EVERY_S)
        if (pid := gateway_of(demo.pid)) is not None:
            seen.append((day, rss_mb(pid)))
    return seen


def main(days: float) -> None:
    with tempfile.TemporaryDirectory() as folder:
        command = [
            sys.executable,
            "-m",
            "simulators",
            "demo",
            "--speed",
            str(SPEED),
            "--folder",
            f"{folder}/centre",
        ]
        with open(f"{folder}/said", "wb") as said:
            demo = subprocess.Popen(command, stdout=said, stderr=said)
        try:
            seen = watch(demo, days)
        finally:
            demo.terminate()
            demo.wait(60)
        settled = [(day, rss) for day, rss in seen if day >= 1]
        slope = statistics.linear_regression(*zip(*settled, strict=True)).slope
        days_seen = round(seen[-1][0], 1)
        first, last = round(settled[0][1], 1), round(settled[-1][1], 1)
        print(json.dumps({"days": days_seen, "mb_a_day": round(slope, 2), "first": first, "last": last}))


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 4.0)
