"""Recorded data through the real daemon: a real broker or a real pty in, the head office's sums out.

Excerpts that ship with the project; with EVALUATE=full the whole files of the folder named by COUNTER_DATA.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from simulators.office import FIGURES, Ledger, compare, read_truth
from simulators.processes import Processes, free_port, start_broker
from simulators.recorded import DATASETS, Recording, load, whole_file
from simulators.replay import configuration, play_registers, publish, registers, start_of, truth_of

WHOLE = os.environ.get("EVALUATE") == "full"
PATIENCE_S = 900.0 if WHOLE else 90.0
SPEED = 10  # of the simulated clock: waits for closing and sending are short


class Run:
    """A daemon and a head office for one recording."""

    def __init__(self, folder: Path, processes: Processes, recording: Recording) -> None:
        self.folder, self.processes, self.recording = folder, processes, recording
        self.office = free_port()
        self.http = free_port()

    def start(self, broker: str, bus: Path | None = None) -> None:
        python = [sys.executable, "-m"]
        database = str(self.folder / "office.db")
        office = ["upstream", "--port", str(self.office), "--db", database]
        self.processes.start("office", [*python, "simulators", *office])
        self.processes.wait_for_port(self.office)
        config = self.folder / "gateway.toml"
        config.write_text(
            configuration(
                self.recording,
                broker=broker,
                office=f"http://127.0.0.1:{self.office}/events",
                data_dir=self.folder / "data",
                bus=bus,
                listen=f"127.0.0.1:{self.http}",
            )
        )
        clock = f"{start_of(self.recording)},{SPEED}"
        run = ["gateway", "run", "-c", str(config), "--simulated-clock", clock]
        self.processes.start("gateway", [*python, *run])
        self.until(self.ready, "the daemon is ready")

    def ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.http}/readyz", timeout=2) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def until(self, holds: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while not holds():
            self.processes.check()
            assert time.monotonic() < deadline, f"never: {what}"
            time.sleep(0.2)

    def sums(self) -> dict[str, dict[str, int]]:
        ledger = Ledger(self.folder / "office.db")
        try:
            return ledger.sums()
        finally:
            ledger.close()

    def totals(self) -> dict[str, dict[str, int]]:
        """Head office's sums with the truth's figures only."""
        return {zone: {figure: row[figure] for figure in FIGURES} for zone, row in self.sums().items()}

    def settled(self, expected: dict[str, dict[str, int]]) -> Callable[[], bool]:
        """Has head office what is expected? Fails at once when it has more."""

        def holds() -> bool:
            stored = self.totals()
            for zone, facts in expected.items():
                for figure, persons in facts.items():
                    have = stored.get(zone, {}).get(figure, 0)
                    assert have <= persons, f"{zone} {figure}: {have} is more than {persons}"
            return all(stored.get(zone) == facts for zone, facts in expected.items())

        return holds

    def audit(self) -> int:
        command = [sys.executable, "-m", "gateway", "audit", "-c", str(self.folder / "gateway.toml")]
        return subprocess.run(command, capture_output=True, check=False, timeout=60).returncode


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[Processes]:
    with Processes(tmp_path) as running:
        yield running


AVAILABLE = [name for name in DATASETS if DATASETS[name][2] or whole_file(name)]
ENOUGH = 500  # receipts of a file that ships no excerpt, unless the whole is asked for


def recording_of(name: str) -> Recording:
    recording = load(name, whole=WHOLE)
    if not WHOLE:
        recording.receipts = {till: receipts[:ENOUGH] for till, receipts in recording.receipts.items()}
    return recording


@pytest.mark.timeout(PATIENCE_S * 2)
@pytest.mark.parametrize("name", AVAILABLE)
def test_head_office_has_the_files_sums_window_by_window(
    tmp_path: Path, processes: Processes, name: str
) -> None:
    recording = recording_of(name)
    run = Run(tmp_path, processes, recording)
    port = free_port()
    start_broker(processes, port)
    run.start(f"127.0.0.1:{port}")
    publish(recording, f"127.0.0.1:{port}", seed=7)
    truth = truth_of(recording)
    truth.write(tmp_path / "truth.jsonl")
    run.until(run.settled(truth.totals()), f"head office has the sums of {name}")
    ledger = Ledger(tmp_path / "office.db")
    try:
        assert compare(read_truth(tmp_path / "truth.jsonl"), ledger.windows()) == []
    finally:
        ledger.close()
    assert run.audit() == 0


@pytest.mark.timeout(PATIENCE_S * 2)
def test_registers_on_a_bus_come_to_what_the_rules_say(tmp_path: Path, processes: Processes) -> None:
    recording = recording_of("mta_turnstile")
    run = Run(tmp_path, processes, recording)
    expected = {}
    for name in recording.totals:
        ins, outs = registers(recording, name, max_per_s=0, modulus=1 << 32)
        expected[name] = dict.fromkeys(FIGURES, 0) | {"ins": ins.persons, "outs": outs.persons}
    for port in play_registers(recording, tmp_path):
        run.start("127.0.0.1:1", port)
    run.until(run.settled(expected), "head office has the registers' sums")
    assert run.audit() == 0
