"""Kill, cut the power, and count what came of it. `make torture` runs it at full length, CI a short version.

python -m tests.torture.campaign --kills 200 --cuts 100 --torn 100
"""

from __future__ import annotations

import argparse
import secrets
import signal
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from tests.patience import SOON_S
from tests.torture import powercut
from tests.torture.rig import Rig, wait_until


@dataclass
class Outcome:
    """Persons and readings that differ; all zero is the promise."""

    sent: int
    lost_readings: int
    invented_readings: int
    wrong_windows: int
    slowest_start_s: float
    audits: int
    sectors_cut: int = 0

    @property
    def conserved(self) -> bool:
        return not (self.lost_readings or self.invented_readings or self.wrong_windows)


def campaign(
    folder: Path,
    kills: int,
    mode: str = "kill",
    seed: int = 1,
    gateway: list[str] | None = None,
    audit_every: int = 1,
) -> Outcome:
    """`mode`: kill (SIGKILL), drop or torn (power cuts). Broker and head office die now and then too."""
    rig = Rig(folder, seed, gateway=gateway)
    kept = folder / "kept"
    if mode != "kill":
        rig.environment = powercut.environment(powercut.build(folder), rig.data_dir, kept)
        rig.data_dir.mkdir(exist_ok=True)
    sectors = audits = 0
    try:
        rig.start("broker")
        rig.start("office")
        rig.start_gateway()
        wait_until(rig.subscribed, SOON_S, "the first subscription")
        rig.feeder.start()
        for number in range(kills):
            time.sleep(rig.rng.uniform(0.02, 0.8))
            rig.kill("gateway")
            if mode != "kill":
                sectors += powercut.cut(rig.data_dir, kept, mode, rig.rng)
            _others_die_too(rig, number)
            rig.start_gateway()
            if number % audit_every == 0:
                rig.audit()
                audits += 1
        rig.feeder.stop()
        outcome = _settle(rig)
    finally:
        rig.close()
    outcome.audits, outcome.sectors_cut = audits, sectors
    return outcome


def _others_die_too(rig: Rig, number: int) -> None:
    """The broker ends in order (what it acknowledged is its promise, not ours); the head office at once."""
    if number % 7 == 3:
        rig.kill("broker", signal.SIGTERM)
        rig.start("broker")
    if number % 5 == 2:
        rig.kill("office")
        rig.start("office")


def _settle(rig: Rig) -> Outcome:
    expected = rig.expected_readings()
    wrong: list[object] = []

    def arrived() -> bool:
        wrong[:] = _differences(rig.expected_windows(), rig.office_windows())
        return not wrong and rig.drained()

    try:
        wait_until(arrived, 60, "the head office's sums")
    except AssertionError as error:
        print(error, wrong[:5], file=sys.stderr)
    rig.audit()
    stored = rig.exported()
    return Outcome(
        sent=len(rig.feeder.ledger.sent),
        lost_readings=(expected - stored).total(),
        invented_readings=(stored - expected).total(),
        wrong_windows=len(wrong),
        slowest_start_s=rig.slowest_start_s,
        audits=0,
    )


def _differences(
    truth: dict[tuple[str, int], tuple[int, int]], office: dict[tuple[str, int], tuple[int, int]]
) -> list[object]:
    return [
        (key, truth.get(key), office.get(key))
        for key in truth.keys() | office.keys()
        if truth.get(key) != office.get(key)
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--cuts", type=int, default=100)
    parser.add_argument("--torn", type=int, default=100)
    parser.add_argument("--seed", type=int, default=secrets.randbelow(1 << 31))
    given = parser.parse_args()
    print(f"seed {given.seed}")
    failed = Counter[str]()
    for mode, times in (("kill", given.kills), ("drop", given.cuts), ("torn", given.torn)):
        if not times:
            continue
        with tempfile.TemporaryDirectory() as folder:
            outcome = campaign(Path(folder), times, mode, given.seed)
        print(mode, times, outcome)
        failed[mode] = not outcome.conserved or outcome.slowest_start_s > 5
    sys.exit(1 if failed.total() else 0)


if __name__ == "__main__":
    main()
