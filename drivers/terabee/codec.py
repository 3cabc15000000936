"""TeraRanger Evo frames: two letters, fields (big-endian), CRC-8 (polynomial 07, from 0) of all before it.

`PC` comes with every passage: [sensor u32] net i32, in u16, out u16. The 2021 people counter sends the sensor
number (15 bytes), the 2020 Swipe Plus does not (11): the same letters, so CRC and net = in - out decide.
`DD` (7 bytes) and `TT` (5) are distances, many a second: traffic mode and presence mode.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TypeAlias

from gateway.model import Damaged, DamageReason

WITH_SENSOR, WITHOUT_SENSOR = 15, 11
LONGEST = WITH_SENSOR
SIZES = {b"PC": (WITH_SENSOR, WITHOUT_SENSOR), b"DD": (7,), b"TT": (5,)}
_LEAD = re.compile(rb"PC|DD|TT|[PDT]\Z")
MODULUS, NET_MODULUS = 1 << 16, 1 << 32


def _crc_table() -> bytes:
    table = bytearray()
    for byte in range(256):
        crc = byte
        for _ in range(8):
            crc = (crc << 1 ^ (0x07 if crc & 0x80 else 0)) & 0xFF
        table.append(crc)
    return bytes(table)


_TABLE = _crc_table()


@dataclass(frozen=True, slots=True)
class Passage:
    """Totals after a passage, or zeros after a reset. `sensor` is None where the frame has none."""

    size: int
    sensor: int | None
    ins: int
    outs: int
    net: int  # modulo 2**32

    @property
    def came_round(self) -> bool:
        """One total has, more often than the other, since there was power."""
        return (self.net - self.ins + self.outs) % NET_MODULUS != 0

    def goes_on_from(self, earlier: Passage) -> bool:
        """Whether persons alone came between: a total that comes round leaves net alone, a reset does not."""
        ins, outs = (self.ins - earlier.ins) % MODULUS, (self.outs - earlier.outs) % MODULUS
        both_fell = self.ins < earlier.ins and self.outs < earlier.outs
        same = self.sensor == earlier.sensor and (self.net - earlier.net - ins + outs) % NET_MODULUS == 0
        return same and not both_fell


@dataclass(frozen=True, slots=True)
class Distance:
    """A sign of life. In presence mode nobody is counted."""

    size: int
    counting: bool


@dataclass(frozen=True, slots=True)
class Noise:
    """So many bytes in which no frame begins."""

    size: int


class More:
    """What is here may become a frame."""


Found: TypeAlias = Passage | Distance | Damaged | Noise | More
MORE = More()


def crc8(data: bytes) -> int:
    crc = 0
    for byte in data:
        crc = _TABLE[crc ^ byte]
    return crc


def frame_at(data: bytes, at: int, likely: int) -> Found:
    """What begins at `at`. `likely` is the length of the last passage: it is tried, and waited for, first."""
    begins = _LEAD.search(data, at)
    start = begins.start() if begins else len(data)
    if start > at:
        return Noise(start - at)
    sizes = SIZES.get(data[at : at + 2])
    return _frame(data, at, sizes, likely) if sizes else MORE


def _frame(data: bytes, at: int, sizes: tuple[int, ...], likely: int) -> Found:
    reason = DamageReason.CHECKSUM
    for size in sorted(sizes, key=lambda size: (size != likely, size)):
        frame = data[at : at + size]
        if len(frame) < size:
            return MORE
        if crc8(frame[:-1]) == frame[-1]:
            found = _read(frame)
            if found is not None:
                return found
            reason = DamageReason.SANITY
    return Damaged(reason, max(sizes))


def _read(frame: bytes) -> Passage | Distance | None:
    """None: the net is not what in and out make of it."""
    if frame[:2] != b"PC":
        return Distance(len(frame), counting=frame[:2] == b"DD")
    net, ins, outs = (int.from_bytes(frame[a:b], "big") for a, b in ((-9, -5), (-5, -3), (-3, -1)))
    if (ins - outs - net) % MODULUS:
        return None
    sensor = int.from_bytes(frame[2:6], "big") if len(frame) == WITH_SENSOR else None
    return Passage(len(frame), sensor, ins, outs, net)
