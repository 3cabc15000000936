"""The daemon as its service starts it: signals, a second daemon, a bad reload, simulated buffers."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.patience import SOON_S
from tests.torture.rig import BIN, free_port, wait_until

COMMAND = str(BIN / "counter-gateway")


class Daemon:
    def __init__(self, folder: Path) -> None:
        self.config = folder / "gateway.toml"
        self.folder, self.port = folder, free_port()
        self.write()
        self._log = (folder / "log").open("ab")
        self.process: subprocess.Popen[bytes] | None = None

    def write(self, more: str = "") -> None:
        self.config.write_text(
            f'[gateway]\nid = "box"\ndata_dir = "{self.folder}/data"\n[clock]\ntrust = "always"\n'
            f'[site]\nid = "hall"\ntimezone = "Europe/Oslo"\n[http]\nlisten = "127.0.0.1:{self.port}"\n{more}'
        )

    def start(
        self, *extra: str, env: dict[str, str] | None = None, ready: bool = True
    ) -> subprocess.Popen[bytes]:
        command = [COMMAND, "run", "-c", str(self.config), *extra]
        self.process = subprocess.Popen(
            command, stdout=self._log, stderr=self._log, env={**os.environ, **(env or {})}
        )
        if ready:
            wait_until(self.ready, SOON_S, "ready")
        return self.process

    def status(self) -> str:
        command = [COMMAND, "status", "-c", str(self.config)]
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout

    def ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/readyz", timeout=1) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def log(self) -> str:
        return (self.folder / "log").read_text()

    def close(self) -> None:
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait(10)
        self._log.close()


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    box = Daemon(tmp_path)
    yield box
    box.close()


@pytest.mark.parametrize("sig", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_it_in_order_and_exits_zero(daemon: Daemon, sig: signal.Signals) -> None:
    process = daemon.start()
    process.send_signal(sig)
    assert process.wait(20) == 0
    assert "Traceback" not in daemon.log()


def test_a_second_daemon_on_the_same_buffer_is_refused(daemon: Daemon) -> None:
    daemon.start()
    second = subprocess.run(
        [COMMAND, "run", "-c", str(daemon.config)], capture_output=True, text=True, check=False
    )
    assert second.returncode == 1
    assert "in use by another daemon" in second.stderr


def test_a_bad_file_on_hangup_is_refused_and_the_old_one_stays(daemon: Daemon) -> None:
    process = daemon.start()
    daemon.write("[windows]\nsise_s = 60\n")
    process.send_signal(signal.SIGHUP)
    wait_until(lambda: "did you mean size_s?" in daemon.log(), 10, "the refusal")
    assert daemon.ready()
    daemon.write("[windows]\nsize_s = 60\n")
    process.send_signal(signal.SIGHUP)
    wait_until(lambda: daemon.log().count("ready:") == 2, 20, "the new configuration")
    process.terminate()
    assert process.wait(20) == 0


def test_simulated_and_real_counts_never_share_a_buffer(daemon: Daemon) -> None:
    process = daemon.start("--simulated-clock", "2026-11-23T04:00:00Z,60")
    process.terminate()
    assert process.wait(20) == 0
    real = subprocess.run(
        [COMMAND, "run", "-c", str(daemon.config)], capture_output=True, text=True, check=False
    )
    assert real.returncode == 2
    assert "simulated" in real.stderr


def test_a_wrong_configuration_opens_nothing_and_exits_two(daemon: Daemon) -> None:
    daemon.write('[counter]\ndoor = { link = "nowhere", driver = "dcon", adress = "01" }\n')
    done = subprocess.run(
        [COMMAND, "run", "-c", str(daemon.config)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "counter.door" in done.stderr
    assert not (daemon.folder / "data").exists()


def test_a_taken_port_stops_no_counting_and_is_had_once_it_is_free(daemon: Daemon) -> None:
    said = f"http.listen: 127.0.0.1:{daemon.port}: in use by another program"
    with socket.create_server(("127.0.0.1", daemon.port)):
        daemon.start(ready=False)
        wait_until(lambda: "ready:" in daemon.log(), 20, "counting")
        wait_until(lambda: f"NO PAGE AND NO METRICS: {said}" in daemon.status(), 10, "the reason")
    wait_until(daemon.ready, 20, "the page")
    assert "NO PAGE" not in daemon.status()
    assert daemon.log().count(said) == 1
    assert "Traceback" not in daemon.log()


def test_it_tells_systemd_that_it_is_ready_and_alive(daemon: Daemon) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(str(daemon.folder / "notify"))
        sock.settimeout(10)
        daemon.start(env={"NOTIFY_SOCKET": str(daemon.folder / "notify"), "WATCHDOG_USEC": "2000000"})
        said = {sock.recv(200).split(b"\n")[0] for _ in range(2)}
    assert said == {b"READY=1", b"WATCHDOG=1"}


def test_version_needs_no_heavy_import() -> None:
    heavy = "('aiohttp', 'pydantic', 'paho')"
    code = f"import sys, gateway.__main__; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
