"""Simulated devices on a pseudo-terminal: in a thread, hearing everything that is on the line."""

from __future__ import annotations

import heapq
import os
import pty
import random
import select
import threading
import time
import tty
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, Protocol, Self, TypeVar

READ_BYTES = 4096
REMEMBERED = 100_000  # things heard
BITS = 10  # of one character on the line


@dataclass
class Faults:
    """How a device misbehaves until told otherwise. The bus sees to it."""

    silent: bool = False
    late_s: float = 0.0  # everything it says comes this much later
    garbage: float = 0.0  # share of what it says with a byte spoilt
    noise: float = 0.0  # share of what it says that stray bytes precede


class Device(Protocol):
    """One device's side of a line: what it hears in, what it says out; it frames what it hears by itself.

    On a bus it hears everything: requests to others and their replies too. A device with an attribute
    `address` is known by it, in upper case; the others by their number on the bus.
    """

    @property
    def faults(self) -> Faults: ...
    def hear(self, data: bytes) -> list[bytes]:
        """Replies to the whole requests found."""

    def cross(self, ins: int, outs: int) -> list[bytes]:
        """Persons pass; what a device says of it unasked."""

    def reset(self) -> list[bytes]:
        """As at power loss."""


D = TypeVar("D", bound=Device)


class Bus(Generic[D]):
    """Devices behind one pty. `path` is what the gateway opens; `link` is a stable name for it.

    Everything that touches the devices from outside the thread goes through `do` or the named methods.
    """

    def __init__(
        self,
        devices: Iterable[D],
        *,
        link: Path | None = None,
        baudrate: int = 0,  # 0: answers come at once; otherwise as fast as the line would carry them
        echo: bool = False,
        seed: int = 0,
    ) -> None:
        self.devices: dict[str, D] = {}
        for number, device in enumerate(devices):
            name = str(getattr(device, "address", number)).upper()
            self.devices[name if name not in self.devices else f"{name}/{number}"] = device
        self.heard: list[tuple[float, bytes]] = []  # (monotonic seconds, bytes as they came), newest last
        self._link, self._baudrate, self._echo = link, baudrate, echo
        self._random = random.Random(seed)
        self._lock = threading.RLock()
        self._due: list[tuple[float, int, bytes, str]] = []
        self._order = 0
        self._free_at = 0.0  # when the line has carried all that was said
        self._master = self._slave = -1
        self._woken, self._waker = os.pipe()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._serve, name="simulated bus", daemon=True)
        self.path = ""
        self.plug()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._wake()
        self._thread.join()
        self.unplug()
        os.close(self._woken)
        os.close(self._waker)

    def plug(self) -> None:
        """A new pty, as an adapter that comes back under another name."""
        with self._lock:
            self._master, self._slave = pty.openpty()
            tty.setraw(self._slave)
            os.set_blocking(self._master, False)
            self.path = os.ttyname(self._slave)
            if self._link:
                fresh = self._link.with_name(self._link.name + ".new")
                fresh.unlink(missing_ok=True)
                fresh.symlink_to(self.path)
                fresh.replace(self._link)
        self._wake()

    def unplug(self) -> None:
        """The adapter is pulled out: the gateway's end hangs up."""
        with self._lock:
            for fd in (self._master, self._slave):
                if fd >= 0:
                    os.close(fd)
            self._master = self._slave = -1
            self._due.clear()
            if self._link:
                self._link.unlink(missing_ok=True)
        self._wake()

    def cross(self, address: str, ins: int = 0, outs: int = 0) -> None:
        """Persons pass one device, which may say so."""
        name = address.upper()
        self._speaking(name, lambda: self.devices[name].cross(ins, outs))

    def reset(self, address: str) -> None:
        """One device loses its power for a moment."""
        name = address.upper()
        self._speaking(name, lambda: self.devices[name].reset())

    def do(self, change: Callable[[], None]) -> None:
        """Change devices while nothing else does."""
        with self._lock:
            change()

    def say(self, data: bytes, after_s: float = 0.0) -> None:
        """Bytes on the line that come from none of the devices; nor do these hear them."""
        with self._lock:
            self._send(data, time.monotonic() + after_s)
        self._wake()

    def asked(self, request: bytes) -> int:
        """How often exactly this was heard."""
        with self._lock:
            return sum(data.count(request) for _, data in self.heard)

    def _speaking(self, name: str, act: Callable[[], list[bytes]]) -> None:
        with self._lock:
            self._say(name, act(), time.monotonic())
        self._wake()

    def _wake(self) -> None:
        with suppress(OSError):
            os.write(self._waker, b"x")

    def _send(self, data: bytes, at: float, name: str = "") -> None:
        self._order += 1
        heapq.heappush(self._due, (at, self._order, data, name))

    def _serve(self) -> None:
        while not self._stopped.is_set():
            with self._lock:
                wait_s = max(0.0, self._due[0][0] - time.monotonic()) if self._due else None
                master = self._master
            try:
                readable = select.select([self._woken, *([master] if master >= 0 else [])], [], [], wait_s)[0]
            except OSError:  # unplugged since: look again
                continue
            if self._woken in readable:
                os.read(self._woken, READ_BYTES)
            with self._lock:
                if master in readable and master == self._master:
                    self._take(master)
                self._speak()

    def _take(self, master: int) -> None:
        try:
            data = os.read(master, READ_BYTES)
        except OSError:
            return
        now = time.monotonic()
        self.heard.append((now, data))
        del self.heard[:-REMEMBERED]
        if self._echo:
            self._send(data, now)
        self._free_at = max(self._free_at, now) + self._carried_s(data)
        self._tell(data, "")

    def _carried_s(self, data: bytes) -> float:
        return BITS * len(data) / self._baudrate if self._baudrate else 0.0

    def _tell(self, data: bytes, speaker: str) -> None:
        """Everybody but the speaker hears it, and may answer."""
        now = time.monotonic()
        for name, device in self.devices.items():
            if name != speaker:
                self._say(name, device.hear(data), now)

    def _say(self, name: str, frames: Sequence[bytes], now: float) -> None:
        faults = self.devices[name].faults
        for frame in () if faults.silent else frames:
            spoilt = self._spoil(faults, frame)
            self._free_at = max(self._free_at, now) + self._carried_s(spoilt)
            self._send(spoilt, self._free_at + faults.late_s, name)

    def _spoil(self, faults: Faults, frame: bytes) -> bytes:
        if frame and self._random.random() < faults.garbage:
            at = self._random.randrange(len(frame))
            frame = frame[:at] + bytes([self._random.randrange(128, 256)]) + frame[at + 1 :]
        if self._random.random() < faults.noise:
            frame = self._random.randbytes(3) + frame
        return frame

    def _speak(self) -> None:
        now = time.monotonic()
        while self._due and self._due[0][0] <= now:
            _, _, data, name = heapq.heappop(self._due)
            if self._master >= 0:
                with suppress(OSError):
                    os.write(self._master, data)
            if name:
                self._tell(data, name)
