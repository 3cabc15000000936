"""DCON / ADAM ASCII counter modules from the device's side, written from the vendors' manuals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from simulators.bus import Device, Faults

LEADS = b"#$@%~"
LONGEST_REQUEST = 32
CHANNELS = (0, 1)


def summed(text: str) -> str:
    """The text with its checksum: the sum of the characters modulo 256, two upper-case hex digits."""
    return text + f"{sum(text.encode('latin-1')) % 256:02X}"


@dataclass
class Module:
    """A two-channel counter (ins, outs): totals run to `maximum` and go on at `preset`."""

    address: str
    dialect: str = "icp"  # icp (upper-case hex), adam (lower-case hex, refuses aloud), decimal
    checksum: bool = False
    kind: int = 0x50  # 0x51: the channels measure a frequency
    maximum: list[int] = field(default_factory=lambda: [0xFFFF_FFFF, 0xFFFF_FFFF])
    preset: list[int] = field(default_factory=lambda: [0, 0])
    totals: list[int] = field(default_factory=lambda: [0, 0])
    crossed: list[int] = field(default_factory=lambda: [0, 0])  # the truth: persons since the start
    running: list[bool] = field(default_factory=lambda: [True, True])
    overflow: list[bool] = field(default_factory=lambda: [False, False])
    faults: Faults = field(default_factory=Faults)
    written: list[str] = field(default_factory=list)  # commands that change a module: nobody should send them
    heard: list[bool] = field(default_factory=lambda: [False, False])  # did the master get each total?
    _told: int | None = None  # the channel asked last
    _pending: bytes = b""

    def show(self, *totals: int) -> None:
        """From now on it shows these totals, which nobody has heard yet."""
        self.totals[:] = totals
        self.heard[:] = [False] * len(totals)
        self._told = None

    def hear(self, data: bytes) -> list[bytes]:
        """Requests end with CR; what precedes a lead character is somebody else's."""
        *requests, rest = (self._pending + data).split(b"\r")
        self._pending = rest[-LONGEST_REQUEST:]
        starts = [max(request.rfind(lead) for lead in LEADS) for request in requests]
        answers = [
            self.answer(request[start:])
            for request, start in zip(requests, starts, strict=True)
            if start >= 0
        ]
        return [answer for answer in answers if answer is not None]

    def cross(self, ins: int = 0, outs: int = 0) -> list[bytes]:
        """Channel 0 counts persons going in, channel 1 those going out."""
        self._count(0, ins)
        self._count(1, outs)
        return []

    def _count(self, channel: int, persons: int) -> None:
        """The total comes round at the programmed maximum."""
        self.crossed[channel] += persons
        if not self.running[channel]:
            return
        total = self.totals[channel] + persons
        span = self.maximum[channel] + 1 - self.preset[channel]
        if total > self.maximum[channel]:
            self.overflow[channel] = True
            total = self.preset[channel] + (total - self.preset[channel]) % span
        self.totals[channel] = total

    def reset(self, channels: Sequence[int] = CHANNELS) -> list[bytes]:
        """Power loss, or another master's reset."""
        for channel in channels:
            self.totals[channel] = self.preset[channel]
            self.overflow[channel] = False
        return []

    def answer(self, request: bytes) -> bytes | None:
        """The answer to one request without its CR; None is silence."""
        text = request.decode("latin-1")
        if self.checksum:
            if summed(text[:-2]) != text:
                return None
            text = text[:-2]
        if text[1:3].upper() != self.address.upper():
            return None
        self._follow(text[0] + text[3:])
        reply = self._obey(text[0], text[3:])
        if reply is None:
            return None
        return (summed(reply) if self.checksum else reply).encode("latin-1") + b"\r"

    def _follow(self, question: str) -> None:
        """A master that goes on has heard the last answer; one that asks again, or begins anew, may not."""
        told, self._told = self._told, int(question[1]) if question in ("#0", "#1") else None
        if told is None or told == self._told:
            return
        if question != "$2":
            self.heard[told] = True
        elif not all(self.heard):
            self.heard[:] = [False, False]

    def _obey(self, lead: str, command: str) -> str | None:
        channel = int(command[-1]) if command[-1:] in ("0", "1") else None
        if channel is not None:
            read = self._read(lead, command[:-1], channel)
            if read is not None:
                return read
        if (lead, command) == ("$", "2"):
            return f"!{self.address}{self.kind:02X}06{0x40 if self.checksum else 0:02X}"
        if lead in "%~" or command[:1] in "6P" or (lead, command[:1], len(command)) == ("$", "5", 3):
            self.written.append(lead + command)
            if (lead, command[:1]) == ("$", "6") and channel is not None:
                self.reset([channel])
                return f"!{self.address}"
        return f"?{self.address}" if self.dialect == "adam" else None

    def _read(self, lead: str, command: str, channel: int) -> str | None:
        named = f"!{self.address}"
        if (lead, command) == ("#", ""):
            return ">" + self._number(self.totals[channel])
        if (lead, command) == ("$", "3"):
            return named + self._number(self.maximum[channel])
        if (lead, command) == ("@", "G"):
            return named + self._number(self.preset[channel])
        if (lead, command) == ("$", "5"):
            return named + str(int(self.running[channel]))
        if (lead, command) == ("$", "7"):
            seen = self.overflow[channel]
            self.overflow[channel] = seen and self.dialect != "adam"  # there, reading clears it
            return named + str(int(seen))
        return None

    def _number(self, value: int) -> str:
        if self.dialect == "decimal":
            return f"{value:010d}"
        return f"{value:08x}" if self.dialect == "adam" else f"{value:08X}"


def devices(
    addresses: Sequence[str] = ("01",),
    *,
    dialect: str = "icp",
    checksum: bool = False,
    frequency: bool = False,
    maximum: int = 0xFFFF_FFFF,
    preset: int = 0,
    start: int = 0,
) -> list[Device]:
    """One module for each address, all alike."""
    return [
        Module(
            address.upper(),
            dialect,
            checksum,
            kind=0x51 if frequency else 0x50,
            maximum=[maximum] * 2,
            preset=[preset] * 2,
            totals=[start] * 2,
        )
        for address in addresses
    ]
