"""32 addresses of three families on one bus at 9600 baud, one dead, one babbling: who is read on time?

`bench/serial_bus.py [SECONDS]`. A turn is a point of the device's own grid of `poll_s`; a poll is on time
when its first question is heard within 200 ms of it. A point without a poll is late.
"""

from __future__ import annotations

import json
import random
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from run import Daemon

from simulators import dcon, gate7e, modbus
from simulators.bus import Bus

POLL_S = 2.0
ON_TIME_S = 0.2
SETTLE_S = 20.0
DEAD, BABBLING = "05", "0A"
DCON = [f"{number:02X}" for number in range(1, 12)]
MODBUS = [str(number) for number in range(100, 111)]
GATES = [str(number) for number in range(50, 60)]


def main(seconds: float) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        bus = Bus(devices(), link=folder / "port", baudrate=9600, seed=1)
        over = threading.Event()
        with bus:
            daemon = Daemon(folder, configuration(folder / "port"))
            daemon.start()
            threading.Thread(target=live, args=(bus, over), daemon=True).start()
            try:
                time.sleep(SETTLE_S)
                began, cpu_s = time.monotonic(), daemon.cpu_s()
                time.sleep(seconds)
                ended, used_s = time.monotonic(), daemon.cpu_s() - cpu_s
            finally:
                over.set()
                daemon.close()
        report(bus.heard, began, ended, used_s)


def devices() -> list[object]:
    made = [*dcon.devices(DCON), *modbus.devices(MODBUS), *gate7e.devices(GATES)]
    by_name = {getattr(device, "address", ""): device for device in made}
    by_name[DEAD].faults.silent = True
    by_name[BABBLING].faults.garbage = by_name[BABBLING].faults.noise = 1.0
    return list(made)


def configuration(port: Path) -> str:
    rows = [
        f'd{a.lower()} = {{ link = "bus", driver = "dcon", address = "{a}", in = 0, out = 1 }}' for a in DCON
    ]
    rows += [f'm{a} = {{ link = "bus", driver = "modbus", address = {a}, map = "lot" }}' for a in MODBUS]
    rows += [f'g{a} = {{ link = "bus", driver = "gate7e", address = {a}, in = "left" }}' for a in GATES]
    options = f'port = "{port}", baudrate = 9600, poll_s = {POLL_S}'
    return (
        f'[link]\nbus = {{ over = "serial", options = {{ {options} }} }}\n[counter]\n'
        + "\n".join(rows)
        + "\n"
    )


def live(bus: Bus, over: threading.Event) -> None:
    """People pass everywhere, and the babbler talks out of turn."""
    people = random.Random(2)
    while not over.wait(people.expovariate(5.0)):
        bus.cross(people.choice(list(bus.devices)), people.randrange(2), people.randrange(2))
        if people.random() < 0.2:
            bus.say(people.randbytes(6))


def address_of(data: bytes) -> str | None:
    if data[:1] in (b"#", b"$", b"@"):
        return data[1:3].decode()
    if data[:1] == b"\x7e":
        return str(data[2])
    return str(data[0]) if data[1:2] == b"\x03" else None


def polls(heard: list[tuple[float, bytes]], began: float, ended: float) -> Iterator[tuple[str, list[float]]]:
    """When each address's polls began: questions less than half an interval after another belong to it."""
    times: dict[str, list[float]] = {}
    for at, data in heard:
        address = address_of(data)
        if address and began <= at < ended:
            mine = times.setdefault(address, [])
            if not mine or at - mine[-1] > POLL_S / 2:
                mine.append(at)
    yield from times.items()


def lateness(times: list[float], began: float, ended: float) -> list[float]:
    """Distance of each poll from its grid point (the median phase); a point without a poll is infinite."""
    first = times[0]
    phase = statistics.median((at - first + POLL_S / 2) % POLL_S for at in times) - POLL_S / 2
    late = [abs((at - first - phase + POLL_S / 2) % POLL_S - POLL_S / 2) for at in times]
    missing = max(0, int((ended - began) / POLL_S) - len(times))
    return late + [float("inf")] * missing


def report(heard: list[tuple[float, bytes]], began: float, ended: float, used_s: float) -> None:
    rows = {
        name: lateness(times, began, ended)
        for name, times in polls(heard, began, ended)
        if name not in (DEAD, BABBLING)
    }
    late = sorted(value for row in rows.values() for value in row)
    print(
        json.dumps(
            {
                "seconds": round(ended - began),
                "healthy": len(rows),
                "polls": len(late),
                "on_time_percent": round(100 * sum(value <= ON_TIME_S for value in late) / len(late), 2),
                "late_s_p50": late[len(late) // 2],
                "late_s_p95": late[int(len(late) * 0.95)],
                "cpu_percent": round(100 * used_s / (ended - began), 2),
            }
        )
    )


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 120.0)
