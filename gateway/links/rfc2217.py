"""RFC 2217: the serial port of a server on the network, set up by telnet options. Pure.

Each option is asked for once and anything else is refused, so that the two sides cannot talk in circles. The
settings count as agreed when the server has told what it set: a server that sets something else is told.
"""

from __future__ import annotations

import struct
from typing import Protocol

IAC, DONT, DO, WONT, WILL, SB, SE = 255, 254, 253, 252, 251, 250, 240
BINARY, SUPPRESS_GO_AHEAD, COM_PORT = 0, 3, 44
WANTED = (BINARY, SUPPRESS_GO_AHEAD, COM_PORT)
SET_BAUDRATE, SET_DATASIZE, SET_PARITY, SET_STOPSIZE, SET_CONTROL = 1, 2, 3, 4, 5
CONFIRMED = 100  # added to the command in the server's answer
NO_FLOW_CONTROL = 1
PARITIES = {"N": 1, "O": 2, "E": 3, "M": 4, "S": 5}
STOPSIZES = {1.0: 1, 2.0: 2, 1.5: 3}
MAX_COMMAND_BYTES = 64  # longer subnegotiations are cut: none that we ask for is
NAMES = {
    SET_BAUDRATE: "baud rate",
    SET_DATASIZE: "data bits",
    SET_PARITY: "parity",
    SET_STOPSIZE: "stop bits",
}


class Framing(Protocol):
    """How characters stand on the line."""

    @property
    def baudrate(self) -> int: ...
    @property
    def bytesize(self) -> int: ...
    @property
    def parity(self) -> str: ...
    @property
    def stopbits(self) -> float: ...


class Rfc2217:
    """One connection: `greeting` first, then `wrap` what goes out and `unwrap` what comes in."""

    def __init__(self, framing: Framing) -> None:
        self.error = ""
        self._wanted = {
            SET_BAUDRATE: struct.pack("!I", framing.baudrate),
            SET_DATASIZE: bytes([framing.bytesize]),
            SET_PARITY: bytes([PARITIES[framing.parity]]),
            SET_STOPSIZE: bytes([STOPSIZES[float(framing.stopbits)]]),
        }
        self._open = set(self._wanted)  # not yet confirmed
        self._asked = False
        self._rest = b""  # of a command cut by the end of what has come

    @property
    def agreed(self) -> bool:
        return not self._open

    def greeting(self) -> bytes:
        """What we will do and what the server is to do."""
        does = b"".join(bytes([IAC, WILL, option]) for option in WANTED)
        return does + b"".join(bytes([IAC, DO, option]) for option in (BINARY, SUPPRESS_GO_AHEAD))

    def wrap(self, data: bytes) -> bytes:
        """Bytes for the device; 255 is telnet's and goes twice."""
        return data.replace(b"\xff", b"\xff\xff")

    def unwrap(self, data: bytes) -> tuple[bytes, bytes]:
        """Bytes of the device, and our answer to its server."""
        data, self._rest = self._rest + data, b""
        plain, answer, at = bytearray(), bytearray(), 0
        while (found := data.find(IAC, at)) >= 0:
            plain += data[at:found]
            end = _end(data, found)
            if end is None:
                self._rest, at = data[found:], len(data)
                if len(self._rest) > MAX_COMMAND_BYTES:
                    self._rest = self._rest[:3] + self._rest[-1:]
                break
            command = data[found + 1 : end]
            if command[0] == IAC:
                plain.append(IAC)
            else:
                answer += self._obey(command)
            at = end
        return bytes(plain + data[at:]), bytes(answer)

    def _obey(self, command: bytes) -> bytes:
        """Our answer to one command without its IAC."""
        verb = command[0]
        if verb in (DO, WILL) and command[1] not in WANTED:
            return bytes([IAC, WONT if verb == DO else DONT, command[1]])
        if verb == DO and command[1] == COM_PORT and not self._asked:
            self._asked = True
            control = _command(SET_CONTROL, bytes([NO_FLOW_CONTROL]))
            return b"".join(_command(key, value) for key, value in self._wanted.items()) + control
        if verb == DONT and command[1] == COM_PORT:
            self.error = "the server knows no RFC 2217"
        if verb == SB and command[1] == COM_PORT and len(command) > 4:
            self._confirm(command[2] - CONFIRMED, command[3:-2].replace(b"\xff\xff", b"\xff"))
        return b""

    def _confirm(self, key: int, value: bytes) -> None:
        if key not in self._wanted:
            return
        if value == self._wanted[key]:
            self._open.discard(key)
        else:
            number = int.from_bytes(value, "big")
            self.error = f"the server does not set our {NAMES[key]}: it says {number}"


def _command(key: int, value: bytes) -> bytes:
    return bytes([IAC, SB, COM_PORT, key]) + value.replace(b"\xff", b"\xff\xff") + bytes([IAC, SE])


def _end(data: bytes, start: int) -> int | None:
    """Where the command at `start` ends; None when its rest has not come."""
    if start + 1 >= len(data):
        return None
    verb = data[start + 1]
    if verb in (DO, DONT, WILL, WONT):
        return start + 3 if start + 3 <= len(data) else None
    if verb != SB:
        return start + 2
    at = start + 2
    while (at := data.find(IAC, at)) >= 0 and at + 1 < len(data):
        if data[at + 1] == SE:
            return at + 2
        at += 2
    return None
