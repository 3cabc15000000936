"""One open serial port on the event loop: bytes out, bytes in, and the news that it is gone."""

from __future__ import annotations

import asyncio
import fcntl
import os
import select
import termios
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Protocol

import serial

from gateway.errors import LinkError

READ_BYTES = 65536
MAX_REPLY_BYTES = 4096  # more than this is no reply of anything: the wait goes on without it
PTY_MAJORS = range(136, 144)  # Linux, devices.txt
EMPTY_READS = 100  # readable and yet nothing to read, so often in a row: hung up


class SerialSettings(Protocol):
    """What a serial link is told. `poll_s`: seconds from one poll of a device to the next."""

    @property
    def port(self) -> str | None: ...
    @property
    def baudrate(self) -> int: ...
    @property
    def bytesize(self) -> int: ...
    @property
    def parity(self) -> str: ...
    @property
    def stopbits(self) -> float: ...
    @property
    def poll_s(self) -> float: ...
    @property
    def echo(self) -> bool: ...


class Port:
    """Opened by its path, resolved anew each time. `unasked` gets bytes nobody is waiting for."""

    def __init__(self, settings: SerialSettings, unasked: Callable[[bytes], None]) -> None:
        self.path = settings.port or ""
        self.error = ""
        self._loop = asyncio.get_running_loop()
        self._unasked = unasked
        self._end: Callable[[bytes], bool] | None = None
        self._waiter: asyncio.Future[bytes | None] | None = None
        self._received = b""
        self._empty = 0
        self._serial = _open(settings)
        self._fd: int = self._serial.fileno()
        self._loop.add_reader(self._fd, self._readable)

    def close(self) -> None:
        self.lose("closed")
        with suppress(OSError, termios.error):
            self._serial.close()

    def lose(self, why: str) -> None:
        """No more bytes. Whoever waits hears a LinkError, unless the reply is already whole."""
        if self.error:
            return
        self.error = why
        self._loop.remove_reader(self._fd)
        if self._waiter and not self._waiter.done():
            self._waiter.set_exception(LinkError(why))

    def drain(self) -> None:
        """Forget what has come: nobody asked for it."""
        try:
            termios.tcflush(self._fd, termios.TCIFLUSH)
        except (OSError, termios.error) as error:
            self._gone(error)
            raise LinkError(self.error) from None

    def write(self, data: bytes) -> None:
        """Requests are shorter than any port's buffer: one that does not fit means a stuck port."""
        try:
            written = os.write(self._fd, data)
        except BlockingIOError:
            written = 0
        except (OSError, termios.error) as error:
            self._gone(error)
            raise LinkError(self.error) from None
        if written != len(data):
            raise LinkError(f"{self.path}: the port takes no more bytes")

    async def wait(self, seconds: float, end: Callable[[bytes], bool] | None = None) -> bytes | None:
        """A reply that `end` finds whole, or None after `seconds`. Raises LinkError when the port is lost."""
        if self.error:
            raise LinkError(self.error)
        self._received, self._end = b"", end
        waiter: asyncio.Future[bytes | None] = self._loop.create_future()
        self._waiter = waiter
        timer = self._loop.call_later(max(0.0, seconds), _expire, waiter)
        try:
            return await waiter
        finally:
            timer.cancel()
            self._waiter = self._end = None

    def _readable(self) -> None:
        try:
            data = os.read(self._fd, READ_BYTES)
        except BlockingIOError:
            return
        except (OSError, termios.error) as error:
            self._gone(error)
            return
        if data:
            self._empty = 0
            self._take(data)
        elif self._hung_up():
            self._gone(None)

    def _take(self, data: bytes) -> None:
        if self._end is None or self._waiter is None or self._waiter.done():
            self._unasked(data)
            return
        self._received = (self._received + data)[:MAX_REPLY_BYTES]
        if self._end(self._received):
            self._waiter.set_result(self._received)

    def _hung_up(self) -> bool:
        """Nothing to read is also what a drained port says, in the turn of the loop that drained it."""
        poll = select.poll()
        poll.register(self._fd, select.POLLIN)
        self._empty += 1
        events = poll.poll(0)
        return self._empty >= EMPTY_READS or any(state & ~select.POLLIN for _, state in events)

    def _gone(self, error: Exception | None) -> None:
        """An unplugged adapter and a second reader look alike but for the device node."""
        gone = "unplugged" if not Path(self.path).exists() else "hung up, or another program reads it"
        self.lose(f"{self.path}: {gone}" + (f" ({error})" if error else ""))


def _expire(waiter: asyncio.Future[bytes | None]) -> None:
    if not waiter.done():
        waiter.set_result(None)


def _open(settings: SerialSettings) -> serial.Serial:
    """Raises LinkError in words."""
    path = settings.port or ""
    try:
        port = serial.Serial(
            os.path.realpath(path),
            baudrate=settings.baudrate,
            bytesize=settings.bytesize,
            parity=settings.parity,
            stopbits=settings.stopbits,
            timeout=0,
            exclusive=True,
        )
    except (OSError, ValueError, termios.error) as error:
        raise LinkError(_why(path, error)) from None
    _exclude_others(port.fileno())
    return port


def _exclude_others(fd: int) -> None:
    """flock stops the polite only; TIOCEXCL the kernel enforces.

    A pseudo-terminal would keep it after our death, for as long as its other end is open, and shut us out.
    """
    if os.major(os.fstat(fd).st_rdev) not in PTY_MAJORS:
        with suppress(OSError):
            fcntl.ioctl(fd, termios.TIOCEXCL)


def _why(path: str, error: Exception) -> str:
    if not Path(path).exists():
        return f"{path}: no such port"
    busy = getattr(error, "errno", None) in (11, 16) or "exclusively lock" in str(error)
    return f"{path}: in use by another program" if busy else f"{path}: {error}"
