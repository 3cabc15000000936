"""Real servers for tests: Mosquitto, and nats-server with its MQTT 3.1.1 listener. Loopback, free ports."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from pathlib import Path

from simulators.processes import free_port, program


class Server:
    """A server process that can be killed and started again over the same files and port."""

    program: str

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.process: subprocess.Popen[bytes] | None = None
        folder.mkdir(parents=True, exist_ok=True)

    def arguments(self) -> list[str]:
        raise NotImplementedError

    def start(self) -> None:
        found = program(self.program)
        assert found is not None, f"{self.program} is missing: mark the test with needs({self.program!r})"
        log = (self.folder / "log").open("ab")
        with log:
            self.process = subprocess.Popen([found, *self.arguments()], stdout=log, stderr=log)
        deadline = time.monotonic() + 20
        while not self.answers():
            assert self.process.poll() is None, (self.folder / "log").read_text()
            assert time.monotonic() < deadline, (self.folder / "log").read_text()
            time.sleep(0.02)

    def answers(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def stop(self) -> None:
        """In order: files are written."""
        self._end(kill=False)

    def kill(self) -> None:
        self._end(kill=True)

    def _end(self, *, kill: bool) -> None:
        process, self.process = self.process, None
        if process is None:
            return
        if kill:
            process.kill()
        else:
            process.terminate()
        process.wait(20)


class Mosquitto(Server):
    """With persistence as in config/mosquitto.conf; `settings` are further lines of its configuration."""

    program = "mosquitto"

    def __init__(self, folder: Path, *settings: str) -> None:
        super().__init__(folder)
        self.settings = list(settings)

    def arguments(self) -> list[str]:
        lines = [
            f"listener {self.port} 127.0.0.1",
            "persistence true",
            f"persistence_location {self.folder}/",
            "autosave_interval 1",
            "autosave_on_changes true",
            "max_queued_messages 0",
            *self.settings,
        ]
        if not any(line.startswith("allow_anonymous") for line in lines):
            lines.append("allow_anonymous true")
        if os.geteuid() == 0:
            lines.append("user root")  # otherwise it becomes `mosquitto` and cannot write here
        path = self.folder / "mosquitto.conf"
        path.write_text("\n".join(lines) + "\n")
        return ["-c", str(path)]

    def forget(self) -> None:
        """All sessions and messages are gone, as on a broker without persistence. Only while stopped."""
        (self.folder / "mosquitto.db").unlink(missing_ok=True)


class Nats(Server):
    """MQTT 3.1.1 over JetStream; `extra` is further configuration text."""

    program = "nats-server"

    def __init__(self, folder: Path, extra: str = "") -> None:
        super().__init__(folder)
        self.extra = extra
        self.client_port = free_port()

    def arguments(self) -> list[str]:
        path = self.folder / "nats.conf"
        path.write_text(
            f'server_name: test\nhost: "127.0.0.1"\nport: {self.client_port}\n'
            f'jetstream {{ store_dir: "{self.folder}/jetstream" }}\n'
            f'mqtt {{ host: "127.0.0.1", port: {self.port}, ack_wait: "2s" }}\n{self.extra}\n'
        )
        return ["-c", str(path)]
