"""`make demo` from the outside: it ends equal, and it leaves nothing behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

DEMO = [sys.executable, "-m", "simulators", "demo"]
BROKERLESS = "from simulators import demo, processes; processes.PLACES = (); demo.command()"


def children(pid: int) -> list[int]:
    """Processes started by `pid`, by its threads."""
    tasks = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(number) for task in tasks for number in task.read_text().split()]


def alive(pid: int) -> bool:
    state = Path(f"/proc/{pid}/stat")
    return state.exists() and state.read_text().rsplit(")", 1)[1].split()[0] != "Z"


@pytest.mark.timeout(200)
def test_truth_and_head_office_are_equal_and_the_daemon_notices_every_misfortune(tmp_path: Path) -> None:
    command = [*DEMO, "--minutes", "0.5", "--speed", "30", "--folder", str(tmp_path / "demo")]
    result = subprocess.run(command, capture_output=True, text=True, check=False, timeout=180)
    assert result.returncode == 0, result.stdout + result.stderr
    said = [line.split("the daemon: ")[1] for line in result.stdout.splitlines() if "the daemon: " in line]
    for words in ("events are pending", "TOO_DARK", "corner is ok", "bus-b is down", "bus-b is up"):
        assert any(words in line for line in said), words
    assert "head office has everything that was pending" in said
    assert "lost 0, twice 0" in result.stdout
    assert "the books balance" in result.stdout


@pytest.mark.timeout(60)
def test_a_demo_that_fails_keeps_what_it_wrote_and_says_where(tmp_path: Path) -> None:
    nowhere = {"PATH": str(tmp_path), "TMPDIR": str(tmp_path)}
    command = [sys.executable, "-c", BROKERLESS, "--minutes", "0.5"]
    result = subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=50, env=os.environ | nowhere
    )
    assert result.returncode == 1
    assert "no MQTT broker" in result.stderr
    (kept,) = tmp_path.glob("counter-gateway-demo-*")
    assert f"everything it wrote is in {kept}" in result.stderr


@pytest.mark.timeout(120)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupting_it_ends_every_process(tmp_path: Path, number: signal.Signals) -> None:
    command = [*DEMO, "--folder", str(tmp_path / "demo")]
    demo = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        deadline = time.monotonic() + 40
        while len(started := children(demo.pid)) < 3:
            assert time.monotonic() < deadline, "broker, head office and daemon do not start"
            assert demo.poll() is None, demo.stdout.read() if demo.stdout else ""
            time.sleep(0.05)
        demo.send_signal(number)
        demo.wait(40)
        assert [pid for pid in started if alive(pid)] == []
    finally:
        for pid in [*children(demo.pid), demo.pid] if demo.poll() is None else []:
            os.kill(pid, signal.SIGKILL)
        demo.wait(10)
        if demo.stdout:
            demo.stdout.close()
