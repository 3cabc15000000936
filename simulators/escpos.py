"""What a till sends to an ESC/POS printer: receipts, kitchen tickets, reports, drawer kicks, a logo."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from simulators.bus import Device, Faults

CUT = b"\x1dVB\x00"
KICK = b"\x1bp\x00\x19\xfa"
START = b"\x1b@"
LOGO_WIDTH, LOGO_HEIGHT = 24, 32  # bytes, dots
PRICE_MINOR = 12_950
TICKET_EVERY = 3  # receipts


def logo() -> bytes:
    """A raster image that is full of cuts and kicks."""
    size = LOGO_WIDTH * LOGO_HEIGHT
    picture = ((CUT + KICK) * size)[:size]
    return b"\x1dv0\x00" + bytes((LOGO_WIDTH, 0, LOGO_HEIGHT, 0)) + picture


def ticket() -> bytes:
    """For the kitchen: cut, and no total."""
    return START + b"Bord 4\n2 x Kaffe\n1 x Bulle\n" + CUT


def report() -> bytes:
    """At closing time: it has a total, and is no receipt."""
    return START + b"Z-RAPPORT 17\nTotalt 48 211,00\n" + CUT


@dataclass
class Till:
    """`cross(sales, returns)` prints that many receipts."""

    address: str = "7"
    printed: list[int] = field(default_factory=lambda: [0, 0])
    faults: Faults = field(default_factory=Faults)

    def hear(self, data: bytes) -> list[bytes]:  # noqa: ARG002
        return []

    def cross(self, ins: int = 0, outs: int = 0) -> list[bytes]:
        return [self._receipt(1) for _ in range(ins)] + [self._receipt(-1) for _ in range(outs)]

    def reset(self) -> list[bytes]:
        return [KICK]

    def _receipt(self, sign: int) -> bytes:
        self.printed[sign < 0] += 1
        total = f"{'-' if sign < 0 else ''}{PRICE_MINOR // 100},{PRICE_MINOR % 100:02d}"
        text = f"Delsumma    {total}\n\x1b!\x20Totalt SEK  {total}\n\x1b!\x00Varav moms 25,90\n"
        also = ticket() if sum(self.printed) % TICKET_EVERY == 0 else b""
        return START + logo() + text.encode("cp858") + b"\x1dk\x04PV17\x00" + KICK + CUT + also


def devices(addresses: Sequence[str] = ("7",)) -> list[Device]:
    """Tills that share a printer's line."""
    return [Till(address) for address in addresses]
