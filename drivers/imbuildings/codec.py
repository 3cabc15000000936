"""IMBuildings payloads of type 2: variants by their header, or by LoRaWAN port and length. Big-endian.

Source: the maker's payload definitions. The end of every variant is the same with and without a header.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from struct import unpack

from drivers.bodies import Noise, to_ms
from gateway.model import DamageReason

PEOPLE_COUNTER = 2
HEADED = {4: 24, 6: 23, 7: 15, 8: 14, 9: 25, 12: 18}  # variant → bytes with its header
BARE = {24: (4, 12), 26: (6, 13), 27: (7, 5), 28: (8, 4), 212: (12, 8)}  # port → variant, bytes without
OTHERS = frozenset({10, 11, 13, 16, 17, 18, 33, 34})  # ports of answers, and of the maker's other devices
SENSOR_TROUBLES = {
    0x80: "beam blocked",
    0x40: "receiver disturbed",
    0x20: "receiver battery low",
    0x02: "beam weak",
}
NEWS = {0x01: "started", 0x02: "connected anew", 0x04: "settings changed"}  # device status
POWERED_UP = 0x04  # sensor status


@dataclass(frozen=True, slots=True)
class Payload:
    """One payload. `since`: persons at A and B since the one before; `totals` roll at 65 536."""

    variant: int
    device: str | None = None
    since: tuple[int, int] | None = None
    totals: tuple[int, int] | None = None
    count: int | None = None  # of payloads, rolls at 256
    at_ms: int | None = None
    sensor: int = 0
    news: int = 0

    @property
    def troubles(self) -> list[str]:
        return [words for bit, words in SENSOR_TROUBLES.items() if self.sensor & bit]

    @property
    def told(self) -> list[str]:
        """What is no trouble and yet worth knowing."""
        told = [words for bit, words in NEWS.items() if self.news & bit]
        return told + (["sensor powered up"] if self.sensor & POWERED_UP else [])


def read(frame: bytes, port: int | None = None) -> Payload | None:
    """None: not a people counter's. Raises Noise."""
    variant = frame[1] if len(frame) > 1 and frame[0] == PEOPLE_COUNTER else 0
    if HEADED.get(variant) == len(frame):
        ends = 8 if variant == 4 else 10
        return _read(variant, frame[ends:], frame[2:ends].hex())
    if port in OTHERS:
        return None
    if port in BARE:
        variant, size = BARE[port]
        if len(frame) != size:
            raise Noise(DamageReason.LENGTH)
        return _read(variant, frame, None)
    raise Noise(DamageReason.LENGTH if variant in HEADED else DamageReason.SYNTAX)


def _read(variant: int, data: bytes, device: str | None) -> Payload:
    """`data` begins after the device's id. Raises Noise."""
    if variant == 4:
        a, b, sensor = unpack(">HHB", data[-5:])
        news = data[0] if device else 0
        return Payload(4, device, since=(a, b), at_ms=_bcd_ms(data[-12:-5]), sensor=sensor, news=news)
    if variant in (6, 9):
        news, _volts, a, b, sensor, total_a, total_b, count = unpack(">BHHHBHHB", data[:13])
        return Payload(variant, device, (a, b), (total_a, total_b), count, sensor=sensor, news=news)
    if variant == 7:
        sensor, total_a, total_b = unpack(">BHH", data)
        return Payload(7, device, totals=(total_a, total_b), sensor=sensor)
    return Payload(variant, device, sensor=data[3], news=data[0])  # 8: all is well; 12: seconds on and off


def _bcd_ms(stamp: bytes) -> int:
    """YYYYMMDDhhmmss in UTC. Raises Noise."""
    try:
        return to_ms(datetime.strptime(stamp.hex(), "%Y%m%d%H%M%S").replace(tzinfo=UTC))
    except ValueError:
        raise Noise from None
