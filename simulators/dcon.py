"""DCON / ADAM ASCII counter modules from the device's side, written from the vendors' manuals."""

from __future__ import annotations

from dataclasses import dataclass, field

LEADS = b"#$@%~"


def summed(text: str) -> str:
    """The text with its checksum: the sum of the characters modulo 256, two upper-case hex digits."""
    return text + f"{sum(text.encode('latin-1')) % 256:02X}"


@dataclass
class Faults:
    """How a module misbehaves until told otherwise."""

    silent: bool = False
    late_s: float = 0.0  # every answer comes this much later
    garbage: float = 0.0  # share of answers with a byte spoilt
    noise: float = 0.0  # share of answers preceded by stray bytes


@dataclass
class Module:
    """A two-channel counter: totals run to `maximum` and go on at `preset`."""

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

    def cross(self, channel: int, persons: int = 1) -> None:
        """Persons pass; the total comes round at the programmed maximum."""
        self.crossed[channel] += persons
        if not self.running[channel]:
            return
        total = self.totals[channel] + persons
        span = self.maximum[channel] + 1 - self.preset[channel]
        if total > self.maximum[channel]:
            self.overflow[channel] = True
            total = self.preset[channel] + (total - self.preset[channel]) % span
        self.totals[channel] = total

    def reset(self, channel: int | None = None) -> None:
        """Power loss, or another master's reset."""
        for number in (0, 1) if channel is None else (channel,):
            self.totals[number] = self.preset[number]
            self.overflow[number] = False

    def answer(self, request: bytes) -> bytes | None:
        """The answer to one request without its CR; None is silence."""
        text = request.decode("latin-1")
        if self.checksum:
            if summed(text[:-2]) != text:
                return None
            text = text[:-2]
        if text[1:3].upper() != self.address.upper() or self.faults.silent:
            return None
        reply = self._obey(text[0], text[3:])
        if reply is None:
            return None
        return (summed(reply) if self.checksum else reply).encode("latin-1") + b"\r"

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
                self.reset(channel)
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
