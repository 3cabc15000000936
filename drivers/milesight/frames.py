"""Milesight's LoRaWAN frames: channel, type, value, again and again; numbers little-endian.

Three layouts, because the same channel means different things: VS121; VS350, VS351, VS360; VS132, VS133,
VS135. Sizes and meanings are those of the maker's protocol pages.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from struct import unpack
from typing import TypeAlias

from gateway.model import MAIN_LINE

HISTORY = (0x20, 0xCE)  # UNIX time u32, kind u8, and what that kind is
STAMP_SIZE = 5
NEGATIVE = 1 << 15  # the VS121 counts a period in signed numbers


@dataclass(slots=True)
class Total:
    """One line's odometer as one frame tells it: sides may come in channels of their own."""

    modulus: int
    ins: int | None = None
    outs: int | None = None


@dataclass(slots=True)
class Told:
    """What one frame says. Times are UNIX seconds; None is the frame's own `at_s`, if it has one."""

    at_s: int | None = None
    totals: dict[tuple[str, int | None], Total] = field(default_factory=dict)
    periods: list[tuple[str, int | None, int, int]] = field(default_factory=list)  # line, time, ins, outs
    levels: list[tuple[str, int | None, int]] = field(default_factory=list)  # line, time, persons
    troubles: list[str] = field(default_factory=list)
    well: bool = False  # the device says that something is in order again
    insane: int = 0  # values that cannot be
    asides: set[str] = field(default_factory=set)  # what is no count, in words
    read: int = 0  # bytes understood
    unknown: tuple[int, int] | None = None  # channel and type that nobody knows the size of
    short: bool = False  # the last value is cut

    @property
    def whole(self) -> bool:
        return self.unknown is None and not self.short


Reader: TypeAlias = Callable[[Told, bytes, int | None], None]
Channel: TypeAlias = tuple[int, Reader]  # size of the value, what to do with it


def _aside(words: str) -> Reader:
    return lambda told, _value, _at_s: told.asides.add(words)


def _period(line: str) -> Reader:
    return lambda told, value, at_s: told.periods.append((line, at_s, *unpack("<HH", value[:4])))


def _signed_period(told: Told, value: bytes, at_s: int | None) -> None:
    ins, outs = unpack("<HH", value)
    if ins >= NEGATIVE or outs >= NEGATIVE:
        told.insane += 1
    else:
        told.periods.append((MAIN_LINE, at_s, ins, outs))


def _total(told: Told, line: str, at_s: int | None, modulus: int) -> Total:
    return told.totals.setdefault((line, at_s), Total(modulus))


def _totals(told: Told, value: bytes, at_s: int | None) -> None:
    """Both sides in 16 bits."""
    total = _total(told, MAIN_LINE, at_s, 1 << 16)
    total.ins, total.outs = unpack("<HH", value[:4])


def _period_and_totals(told: Told, value: bytes, at_s: int | None) -> None:
    _period(MAIN_LINE)(told, value[:4], at_s)
    _totals(told, value[4:], at_s)


def _total_in(line: str) -> Reader:
    def read(told: Told, value: bytes, at_s: int | None) -> None:
        _total(told, line, at_s, 1 << 32).ins = int.from_bytes(value, "little")

    return read


def _total_out(line: str) -> Reader:
    def read(told: Told, value: bytes, at_s: int | None) -> None:
        _total(told, line, at_s, 1 << 32).outs = int.from_bytes(value, "little")

    return read


def _regions(first: int) -> Reader:
    def read(told: Told, value: bytes, at_s: int | None) -> None:
        told.levels += [(f"region {first + at}", at_s, persons) for at, persons in enumerate(value)]

    return read


def _view(told: Told, value: bytes, at_s: int | None) -> None:
    told.levels.append(("all regions", at_s, value[0]))


def _stamp(told: Told, value: bytes, _at_s: int | None) -> None:
    told.at_s = int.from_bytes(value, "little") or None  # 0: its clock was never set


def _trouble(told: Told, words: str, state: int) -> None:
    if state:
        told.troubles.append(words)
    else:
        told.well = True


def _event(told: Told, value: bytes, _at_s: int | None) -> None:
    words = ("counting anomaly", "node does not respond", "devices misaligned")
    _trouble(told, words[value[0]] if value[0] < len(words) else f"event {value[0]}", value[1])


def _occluded(told: Told, value: bytes, _at_s: int | None) -> None:
    _trouble(told, "view occluded" if not value[1] else f"view of node {value[1]} occluded", value[2])


def _battery(told: Told, value: bytes, _at_s: int | None) -> None:
    if value[0] <= 10:
        told.troubles.append(f"battery {value[0]} %")


IDENTITY = _aside("identity: no counts")
REPEATED = _aside("alarm: the period's counts so far, out of turn")
CHILDREN = _aside("count of children")
FLOW = _aside("flow between sides")
DWELL = _aside("dwell time")
VIEW = _aside("most persons at once")
UNDATED = _aside("stored before the clock was set")

COMMON: dict[tuple[int, int], Channel] = {
    (0xFF, kind): (size, IDENTITY)
    for kind, size in {
        0x01: 1, 0x08: 6, 0x09: 2, 0x0A: 2, 0x0B: 1, 0x0F: 1, 0x16: 8, 0x1F: 4, 0xCC: 1, 0xFE: 1, 0xFF: 2,
    }.items()
}  # fmt: skip

VS121: dict[tuple[int, int], Channel] = {
    (0x04, 0xC9): (4, _view),
    (0x05, 0xCC): (4, _signed_period),
    (0x06, 0xCD): (1, VIEW),
    (0x07, 0xD5): (8, _regions(1)),
    (0x08, 0xD5): (8, _regions(9)),
    **{(channel, 0xDA): (8, FLOW) for channel in (0x09, 0x0A, 0x0B, 0x0C)},
    (0x0D, 0xCC): (4, _totals),
    (0x0E, 0xE4): (5, DWELL),
    (0x0F, 0x85): (4, _stamp),
    (0x10, 0xF7): (4, _aside("crossing told by itself: the period tells it again")),
}
VS121_HISTORY: dict[int, Channel] = {
    0x01: (4, _view),
    0x02: (4, _period(MAIN_LINE)),
    0x03: (1, VIEW),
    **{kind: (4, _regions(4 * kind - 15)) for kind in range(0x04, 0x08)},
    **dict.fromkeys(range(0x08, 0x10), (4, FLOW)),
    0x10: (4, _totals),
    0x11: (5, DWELL),
    0x12: (4, _aside("crossing told by itself: the period tells it again")),
}
VS350: dict[tuple[int, int], Channel] = {
    (0x01, 0x75): (1, _battery),
    (0x02, 0x75): (1, _battery),
    (0x03, 0x67): (2, _aside("temperature")),
    (0x03, 0xF4): (2, _event),
    (0x04, 0xCC): (4, _totals),
    (0x05, 0xCC): (4, _period(MAIN_LINE)),
    (0x0A, 0xEF): (4, _stamp),
    (0x81, 0xEE): (1, IDENTITY),
    (0x83, 0x67): (3, _aside("temperature")),
    (0x84, 0xCC): (5, _totals),
    (0x85, 0xCC): (5, REPEATED),
    (0xFF, 0xAC): (5, IDENTITY),
    (0xFF, 0xAD): (1, IDENTITY),
}
VS350_HISTORY: dict[int, Channel] = {0x00: (4, _period(MAIN_LINE)), 0x01: (8, _period_and_totals)}


def _of_lines() -> dict[int, Channel]:
    """Four lines: in, out and period each; then the same of children, who are no line of their own."""
    told: dict[int, Channel] = dict.fromkeys(range(0x11, 0x1D), (4, CHILDREN))
    for number in range(4):
        line, channel = str(number + 1), 0x03 + 3 * number
        told |= {
            channel: (4, _total_in(line)),
            channel + 1: (4, _total_out(line)),
            channel + 2: (4, _period(line)),
        }
    return told


VS133: dict[tuple[int, int], Channel] = {
    **{(at, 0xD2 if at % 3 != 2 else 0xCC): one for at, one in _of_lines().items() if at < 0x11},
    **{(at, 0xCC if at % 3 == 1 else 0xD2): one for at, one in _of_lines().items() if at >= 0x11},
    (0x0F, 0xE3): (4, _regions(1)),
    (0x10, 0xE4): (5, DWELL),
    (0x1D, 0xE3): (4, CHILDREN),
    (0x1E, 0xE4): (5, DWELL),
    (0x50, 0xFC): (3, _occluded),
}
VS133_HISTORY: dict[int, Channel] = {
    **_of_lines(),
    0x0F: (4, _regions(1)),
    0x10: (3, DWELL),
    0x1D: (4, CHILDREN),
    0x1E: (3, DWELL),
    0x20: (3, DWELL),
}
Layout: TypeAlias = tuple[Mapping[tuple[int, int], Channel], Mapping[int, Channel]]
LAYOUTS: dict[str, Layout] = {
    "vs121": (COMMON | VS121, VS121_HISTORY),
    "vs350": (COMMON | VS350, VS350_HISTORY),
    "vs133": (COMMON | VS133, VS133_HISTORY),
}
LAYOUT_OF = {
    "vs121": "vs121",
    **dict.fromkeys(("vs350", "vs351", "vs360"), "vs350"),
    **dict.fromkeys(("vs132", "vs133", "vs135"), "vs133"),
}


def read(frame: bytes, model: str | None = None) -> Told:
    """What a frame of `model` says; of a model not told, by the first layout that reads it whole."""
    if model in LAYOUT_OF:
        return _read(frame, LAYOUTS[LAYOUT_OF[model]])
    tried = [_read(frame, layout) for layout in LAYOUTS.values()]
    return next((told for told in tried if told.whole), max(tried, key=lambda told: told.read))


def _read(frame: bytes, layout: Layout) -> Told:
    told = Told()
    channels, history = layout
    while told.read < len(frame) and told.whole:
        head = (frame[told.read], frame[told.read + 1]) if told.read + 1 < len(frame) else None
        if head is None:
            told.short = True
        elif head == HISTORY:
            _record(told, frame, history)
        elif head in channels:
            _value(told, frame, told.read + 2, channels[head], None)
        else:
            told.unknown = head
    return told


def _record(told: Told, frame: bytes, kinds: Mapping[int, Channel]) -> None:
    """One stored record: when, what kind, what."""
    begin = told.read + 2
    stamp = frame[begin : begin + STAMP_SIZE]
    if len(stamp) < STAMP_SIZE:
        told.short = True
    elif stamp[4] in kinds:
        at_s, (size, reader) = int.from_bytes(stamp[:4], "little"), kinds[stamp[4]]
        _value(told, frame, begin + STAMP_SIZE, (size, reader if at_s else UNDATED), at_s)
    else:
        told.unknown = HISTORY


def _value(told: Told, frame: bytes, begin: int, channel: Channel, at_s: int | None) -> None:
    size, reader = channel
    if begin + size > len(frame):
        told.short = True
        return
    reader(told, frame[begin : begin + size], at_s)
    told.read = begin + size
