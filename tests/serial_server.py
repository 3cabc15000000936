"""A serial server in front of a simulated bus: raw bytes, or RFC 2217 by the server half of pyserial."""

from __future__ import annotations

import os
import select
import socket
import threading
import tty
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from serial.rfc2217 import PortManager

READ_BYTES = 4096


@dataclass
class Line:
    """The serial port as the server's owner sees it; a pseudo-terminal would refuse 7E1 and modem lines."""

    baudrate: int = 19200
    bytesize: int = 8
    parity: str = "N"
    stopbits: float = 1
    rtscts: bool = False
    xonxoff: bool = False
    dtr: bool = True
    rts: bool = True
    cts: bool = False
    dsr: bool = False
    ri: bool = False
    cd: bool = False
    fastest: int = 115_200

    def __setattr__(self, name: str, value: object) -> None:
        if name == "baudrate" and isinstance(value, int) and value > self.fastest:
            raise ValueError("too fast")
        super().__setattr__(name, value)


class SerialServer:
    """`with SerialServer(bus.path) as server:` listens on `server.port`; `cut` ends all connections."""

    def __init__(self, path: str, *, rfc2217: bool = False) -> None:
        self.line = Line()
        self.connections = 0
        self._path, self._rfc2217 = path, rfc2217
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._open: set[socket.socket] = set()
        self._thread = threading.Thread(target=self._accept, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()
        self.cut()

    def cut(self) -> None:
        for connection in tuple(self._open):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        while True:
            try:
                connection = self._listener.accept()[0]
            except OSError:
                return
            self.connections += 1
            self._open.add(connection)
            threading.Thread(target=self._carry, args=(connection,), daemon=True).start()

    def _carry(self, connection: socket.socket) -> None:
        fd = os.open(self._path, os.O_RDWR | os.O_NOCTTY)
        tty.setraw(fd)
        manager = PortManager(self.line, _Writer(connection)) if self._rfc2217 else None
        with connection, suppress(OSError):
            while True:
                readable = select.select([connection, fd], [], [])[0]
                if fd in readable:
                    data = os.read(fd, READ_BYTES)
                    connection.sendall(b"".join(manager.escape(data)) if manager else data)
                if connection in readable:
                    if not (data := connection.recv(READ_BYTES)):
                        break
                    if plain := b"".join(manager.filter(data)) if manager else data:
                        os.write(fd, plain)
        self._open.discard(connection)
        os.close(fd)


class _Writer:
    def __init__(self, connection: socket.socket) -> None:
        self.write = connection.sendall
