"""One open port on the event loop, serial or socket: bytes out, bytes in, and the news that it is gone."""

from __future__ import annotations

import asyncio
import os
import termios
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from gateway.errors import LinkError

READ_BYTES = 65536
MAX_READS = 64  # in one go: a device that never stops talking must not hold the loop
MAX_REPLY_BYTES = 4096  # more than this is no reply of anything: the wait goes on without it


class Envelope(Protocol):
    """What the bytes are wrapped in on their way (RFC 2217)."""

    error: str

    @property
    def agreed(self) -> bool: ...
    def greeting(self) -> bytes: ...
    def wrap(self, data: bytes) -> bytes: ...
    def unwrap(self, data: bytes) -> tuple[bytes, bytes]:
        """What the device said, and what its server is to be told."""


@dataclass(frozen=True, slots=True)
class Opened:
    """A non-blocking descriptor; reading nothing from it means its end. `name` as in the configuration."""

    name: str
    fd: int
    close: Callable[[], None]
    envelope: Envelope | None = None


class Port:
    """`unasked` gets the bytes that nobody is waiting for."""

    def __init__(self, opened: Opened, unasked: Callable[[bytes], None]) -> None:
        self.name, self.error = opened.name, ""
        self._opened, self._fd, self._envelope = opened, opened.fd, opened.envelope
        self._loop = asyncio.get_running_loop()
        self.busy_at = self._loop.time()  # when a byte last went either way
        self._unasked = unasked
        self._end: Callable[[bytes], bool] | None = None
        self._waiter: asyncio.Future[bytes | None] | None = None
        self.received = b""  # while somebody waited, last time
        self._loop.add_reader(self._fd, self._readable)

    async def agree(self, seconds: float) -> None:
        """With a server in between: wait until it has accepted our settings. Raises LinkError."""
        if self._envelope is None:
            return
        self._send(self._envelope.greeting())
        ends_at = self._loop.time() + seconds
        while not self._envelope.agreed:
            if self._envelope.error or self._loop.time() >= ends_at:
                raise LinkError(f"{self.name}: {self._envelope.error or 'the server does not negotiate'}")
            if early := await self.wait(ends_at - self._loop.time(), lambda _: True):
                self._unasked(early)

    def close(self) -> None:
        """What had arrived by now is still heard."""
        self.lose("closed")
        self._read_on()
        with suppress(OSError, termios.error):
            self._opened.close()

    def lose(self, why: str) -> None:
        """No more bytes. Whoever waits hears a LinkError, unless the reply is already whole."""
        if self.error:
            return
        self.error = why
        self._loop.remove_reader(self._fd)
        if self._waiter and not self._waiter.done():
            self._waiter.set_exception(LinkError(why))

    def drain(self) -> None:
        """What has come until now answers nothing that will be asked. Raises LinkError."""
        self._read_on()
        if self.error:
            raise LinkError(self.error)

    def write(self, data: bytes) -> None:
        """Raises LinkError."""
        self._send(self._envelope.wrap(data) if self._envelope else data)
        if self.error:
            raise LinkError(self.error)

    async def wait(self, seconds: float, end: Callable[[bytes], bool] | None = None) -> bytes | None:
        """A reply that `end` finds whole, or None after `seconds`. Raises LinkError when the port is lost."""
        if self.error:
            raise LinkError(self.error)
        self.received, self._end = b"", end
        waiter: asyncio.Future[bytes | None] = self._loop.create_future()
        self._waiter = waiter
        timer = self._loop.call_later(max(0.0, seconds), _expire, waiter)
        try:
            return await waiter
        finally:
            timer.cancel()
            self._waiter = self._end = None

    def _send(self, data: bytes) -> None:
        """Requests are shorter than any port's buffer: one that does not fit means a stuck port."""
        try:
            written = os.write(self._fd, data)
        except BlockingIOError:
            written = 0
        except (OSError, termios.error) as error:
            self._gone(error)
            return
        self.busy_at = self._loop.time()
        if written != len(data):
            self.lose(f"{self.name}: the port takes no more bytes")

    def _readable(self) -> bool:
        """Reads once; False when there was nothing, or nothing will come any more."""
        try:
            data = os.read(self._fd, READ_BYTES)
        except BlockingIOError:
            return False
        except (OSError, termios.error) as error:
            self._gone(error)
            return False
        if not data:
            self._gone(None)
            return False
        self.busy_at = self._loop.time()
        if self._envelope is not None:
            data, answer = self._envelope.unwrap(data)
            if answer:
                self._send(answer)
        self._take(data)
        return True

    def _read_on(self) -> None:
        """Everything that is there, for nobody in particular."""
        for _ in range(MAX_READS):
            if not self._readable():
                return

    def _take(self, data: bytes) -> None:
        if self._end is None or self._waiter is None or self._waiter.done():
            if data:
                self._unasked(data)
            return
        self.received = (self.received + data)[:MAX_REPLY_BYTES]
        if self._end(self.received):
            self._waiter.set_result(self.received)

    def _gone(self, error: Exception | None) -> None:
        """An unplugged adapter and a second reader look alike but for the device node."""
        if "://" in self.name:
            gone = "closed by the other side"
        elif Path(self.name).exists():
            gone = "hung up, or another program reads it"
        else:
            gone = "unplugged"
        self.lose(f"{self.name}: {gone}" + (f" ({error})" if error else ""))


def _expire(waiter: asyncio.Future[bytes | None]) -> None:
    if not waiter.done():
        waiter.set_result(None)
