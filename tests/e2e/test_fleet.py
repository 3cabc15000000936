"""A box with 200 counters of ten families and 20 tills: head office has the truth, per zone and window.

An hour here; with EVALUATE=full the whole day, with the daemon's memory watched.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from simulators.fleet.plan import draw
from simulators.office import Difference, Ledger, compare, read_truth
from simulators.processes import Processes, free_port, start_broker
from tests import machine_time
from tests.fleet_rig import Centre, Seen

pytestmark = [pytest.mark.needs("mosquitto"), pytest.mark.timeout(400)]
WHOLE = os.environ.get("EVALUATE") == "full"
DAY_SPEED = 90  # with room for what else the machine does: a quarter of an hour and a little
SPEED = 120  # the daemon then takes about half of one core; docs/evaluation.md
WARM_H = 6  # by then caches are full: SQLite's pages, statements, topics
MB_PER_H = 0.5  # the smallest object kept of each telegram (28 bytes of 29 000 an hour) would be 0.8
MOST_BARRED = 0.25  # of the persons at registers: a machine that is held up may keep some away, not most
FAST = 240  # for a fleet of few counters


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[Processes]:
    with Processes(tmp_path) as running:
        yield running


def must_be_true(seen: Seen) -> None:
    print(json.dumps(seen.figures, indent=1))
    assert seen.unread == []
    assert seen.barred < MOST_BARRED
    assert seen.missing == []
    assert seen.differences == []
    assert seen.refused == seen.expected.refused
    assert seen.balanced


if WHOLE:  # twenty minutes: make evaluate

    @pytest.mark.timeout(5400)
    def test_a_day_of_200_counters_comes_to_the_truth(tmp_path: Path, processes: Processes) -> None:
        centre = Centre(tmp_path, processes, draw(seed=1), "2026-11-27T02:56:00Z", DAY_SPEED)
        seen = centre.run(hours=24)
        must_be_true(seen)
        slope = seen.slope(WARM_H)
        print(f"memory from hour {WARM_H} on: {slope:.2f} MB an hour")
        assert slope < MB_PER_H

else:

    def test_an_hour_of_200_counters_comes_to_the_truth(tmp_path: Path, processes: Processes) -> None:
        seen = Centre(tmp_path, processes, draw(seed=1), "2026-11-27T10:53:00Z", SPEED).run(hours=1)
        must_be_true(seen)
        assert seen.expected.persons > 40_000
        assert {"axis-02", "milesight-02"} < {counter for counter, _ in seen.refused}


def test_persons_whom_a_counter_forgets_are_found_missing(tmp_path: Path, processes: Processes) -> None:
    """The control: a run that cannot fail would prove nothing."""
    plan = draw(seed=2, counters=13, tills=2)
    centre = Centre(tmp_path, processes, plan, "2026-11-27T10:45:00Z", FAST, withhold="xovis-push-01")
    seen = centre.run(hours=0.25)
    (forgetful,) = [counter for counter in plan.counters if counter.id == "xovis-push-01"]
    assert {one.window[0] for one in seen.differences} == {forgetful.zone}
    lost = sum(one.truth - one.office for one in seen.differences)
    assert lost == sum(seen.expected.forgotten.values()) > 0
    assert seen.balanced  # what never came is nobody's fault here


def test_the_command_plays_a_fleet_for_whoever_runs_what_it_prints(
    tmp_path: Path, processes: Processes
) -> None:
    broker, push, page, office = (free_port() for _ in range(4))
    python = [sys.executable, "-m"]
    database, truth, folder = (tmp_path / name for name in ("office.db", "truth.jsonl", "fleet"))
    start_broker(processes, broker, "mosquitto")
    receiver = ["simulators", "upstream", "--port", str(office), "--db", str(database)]
    processes.start("office", [*python, *receiver])
    processes.wait_for_port(office)
    ports = ["--broker", str(broker), "--push", str(push), "--page", str(page)]
    size = ["--counters", "13", "--tills", "2", "--hours", "0.25", "--seed", "5"]
    clock = ["--simulated-clock", machine_time.from_now("2026-11-27T10:45:00Z", FAST)]
    around = ["--folder", str(folder), "--truth", str(truth), "--office", f"http://127.0.0.1:{office}/events"]
    processes.start("fleet", [*python, "simulators", "fleet", *ports, *size, *clock, *around])
    said = tmp_path / "fleet.log"
    soon(processes, lambda: "counter-gateway run" in said.read_text(), "what to run is printed")
    name, *words = said.read_text().splitlines()[0].split()
    assert name == "counter-gateway"
    processes.start("gateway", [*python, "gateway", *words])
    soon(processes, truth.exists, "the truth is written")

    def differences() -> list[Difference]:
        with closing(Ledger(database)) as ledger:
            return compare(read_truth(truth), ledger.windows())

    fleet = processes.running.pop("fleet")  # from now on it may end
    try:
        soon(processes, lambda: differences() == [], "head office has it")
        assert fleet.wait(60) == 0
    finally:
        fleet.kill()
        fleet.wait()
    assert said.read_text().splitlines()[-1].endswith(" persons")


def soon(processes: Processes, true: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + 120
    while not true():
        processes.check()
        assert time.monotonic() < deadline, f"not in time: {what}"
        time.sleep(0.1)
