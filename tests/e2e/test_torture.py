"""Kills and power cuts against the real daemon, broker and head office: a short version of `make torture`."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

from tests.torture.campaign import campaign

needs_mosquitto = pytest.mark.needs("mosquitto")
BROKEN = [sys.executable, "-m", "tests.torture.broken"]


@needs_mosquitto
@pytest.mark.timeout(300)
def test_nobody_is_lost_or_doubled_by_sigkill(tmp_path: Path) -> None:
    outcome = campaign(tmp_path, kills=12, seed=11, audit_every=3)
    assert outcome.sent > 500
    assert outcome.conserved, outcome
    assert outcome.slowest_start_s < 15, outcome  # on a busy machine; `make torture` prints the figure


@needs_mosquitto
@pytest.mark.needs("cc")
@pytest.mark.timeout(300)
@pytest.mark.parametrize("mode", ["drop", "torn"])
def test_nobody_is_lost_or_doubled_by_a_power_cut(tmp_path: Path, mode: str) -> None:
    outcome = campaign(tmp_path, kills=8, mode=mode, seed=12, audit_every=3)
    assert outcome.conserved, outcome


@needs_mosquitto
@pytest.mark.timeout(300)
def test_the_harness_catches_an_early_acknowledgement(tmp_path: Path) -> None:
    outcome = campaign(tmp_path, kills=8, seed=13, gateway=[*BROKEN, "acknowledge-early"], audit_every=99)
    assert outcome.lost_readings > 0


@needs_mosquitto
@pytest.mark.needs("cc")
@pytest.mark.timeout(300)
def test_the_harness_catches_commits_that_are_not_synced(tmp_path: Path) -> None:
    assert shutil.which("cc")
    outcome = campaign(
        tmp_path, kills=8, mode="drop", seed=14, gateway=[*BROKEN, "synchronous-normal"], audit_every=99
    )
    assert outcome.sectors_cut > 0
    assert outcome.lost_readings > 0


@needs_mosquitto
@pytest.mark.timeout(300)
def test_the_harness_catches_a_window_forgotten_before_it_was_stored(tmp_path: Path) -> None:
    outcome = campaign(tmp_path, kills=10, seed=15, gateway=[*BROKEN, "delete-early"], audit_every=99)
    assert outcome.wrong_windows > 0
