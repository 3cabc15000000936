"""The systemd unit: understood by systemd, hardened, and in line with what the daemon needs."""

from __future__ import annotations

import subprocess
from configparser import ConfigParser
from pathlib import Path

import pytest

UNIT = Path(__file__).resolve().parents[2] / "systemd" / "counter-gateway.service"
INSTALLED = "/opt/counter-gateway/venv/bin/counter-gateway"


@pytest.fixture
def unit(tmp_path: Path) -> Path:
    """A copy whose program exists on this machine, because `verify` looks for it."""
    copy = tmp_path / UNIT.name
    copy.write_text(UNIT.read_text().replace(INSTALLED, "/bin/true"))
    return copy


def analyze(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["systemd-analyze", *arguments], capture_output=True, text=True, check=False)


@pytest.mark.needs("systemd-analyze")
def test_systemd_understands_every_line(unit: Path) -> None:
    result = analyze("verify", str(unit))
    assert (result.returncode, result.stderr) == (0, "")


@pytest.mark.needs("systemd-analyze")
def test_a_misspelt_key_would_be_seen(unit: Path) -> None:
    unit.write_text(unit.read_text().replace("WatchdogSec", "WatchdgSec"))
    assert "WatchdgSec" in analyze("verify", str(unit)).stderr  # its exit code is 0 all the same


@pytest.mark.needs("systemd-analyze")
def test_the_exposure_stays_low(unit: Path) -> None:
    result = analyze("security", "--offline=true", "--threshold=20", str(unit))
    assert result.returncode == 0, result.stdout[-200:]


def test_the_daemon_may_ask_whether_the_clock_is_disciplined() -> None:
    """ProtectClock= forbids adjtimex, also the question; a clock that cannot be judged is never trusted."""
    lines = UNIT.read_text().splitlines()
    assert not [line for line in lines if line.startswith("ProtectClock")]
    assert "SystemCallFilter=adjtimex clock_adjtime" in lines


def test_the_watchdog_and_the_restart_fit_the_daemon() -> None:
    parser = ConfigParser(strict=False, interpolation=None)
    parser.optionxform = str  # type: ignore[assignment, method-assign]
    parser.read(UNIT)
    service = parser["Service"]
    assert service["Type"] == "notify"
    assert int(service["WatchdogSec"]) >= 30  # a round trip through a slow card takes seconds
    assert int(service["TimeoutStopSec"]) > 20
    assert service["RestartPreventExitStatus"] == "2"
    assert service["StateDirectory"] == "counter-gateway"
