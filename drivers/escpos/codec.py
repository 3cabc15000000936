"""ESC/POS as lines of text, cuts and drawer kicks.

Every command's parameters and payload are skipped by their length: a logo may hold the bytes of a cut. The
parser is a generator that says how many bytes it wants next; it never wants more than PIECE_BYTES at once.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from enum import Enum
from typing import TypeAlias

from gateway.model import Damaged, DamageReason

PIECE_BYTES = 1024
LONGEST_LINE = 256  # characters that are kept of a line
LONGEST_HEAD = 16  # bytes of a command before its payload
LARGEST_PAYLOAD = 1 << 20  # more is damage: it would swallow the receipts that follow
LONGEST_TEXT_PARAMETER = 255  # of a barcode or tab list that ends with NUL
WIDEST_COLUMN = 2400  # dots of one bit image line
LARGEST_DOWNLOAD = 1536  # x times y of GS *
HT, LF, FF, CR, DLE, CAN, ESC, FS, GS = 9, 10, 12, 13, 16, 24, 27, 28, 29


class Sign(Enum):
    CUT = "cut"
    DRAWER = "drawer"


@dataclass(frozen=True, slots=True)
class Text:
    """One printed line."""

    line: bytes


Event: TypeAlias = Text | Sign | Damaged
Steps: TypeAlias = Generator[int, bytes, Event | None]

# Parameters after the command's two bytes; what is not here has a function below or is unknown.
FIXED = {
    ESC: {
        **dict.fromkeys(b"2<@LSoqv\x0c", 0),
        **dict.fromkeys(b" !%-3=?ACEFGJKMRTUVadelrtuz{", 1),
        **dict.fromkeys(b"$\\BNcf", 2),
        ord("7"): 3,
        ord("W"): 8,
    },
    GS: {
        **dict.fromkeys(b":c", 0),
        **dict.fromkeys(b"!/BEHITabfhjrw", 1),
        **dict.fromkeys(b"$LPW\\", 2),
        **dict.fromkeys(b"^z", 3),
    },
    FS: {**dict.fromkeys(b"&.", 0), **dict.fromkeys(b"!-CW", 1), **dict.fromkeys(b"?Sp", 2), ord("2"): 74},
    DLE: {5: 1},
}
FEEDS = frozenset((*b"deJK", FF))  # of ESC: they print the line that stands
GROUPS = frozenset(b"ABCDEFGHJKLMNPQVXYZefgkz")  # of GS ( and ESC (
FULL_CUTS, FED_CUTS = frozenset((0, 1, 48, 49)), frozenset((65, 66, 97, 98, 103, 104))
RASTER_MODES = frozenset((0, 1, 2, 3, 48, 49, 50, 51))
REAL_TIME = {1: 2, 2: 2, 3: 5, 7: 1, 8: 7}  # DLE DC4: function → parameters


class Parser:
    """Feed bytes, get events; the line and the command in progress are all that is held."""

    def __init__(self) -> None:
        self._line = bytearray()
        self._events: list[Event] = []
        self._begin()

    def _begin(self) -> None:
        self._held = bytearray()
        self._taken = 0  # bytes of the command in progress, but for those held
        self._steps = self._run()
        self._wanted = next(self._steps)

    def give_up(self) -> int:
        """The payload in progress is over. Returns its bytes; 0 if there is none: nothing changes then."""
        taken = self._taken + len(self._held)
        if taken <= LONGEST_HEAD:
            return 0
        self._begin()
        return taken

    def feed(self, data: bytes) -> Iterator[Event]:
        at = 0
        while at < len(data):
            piece = data[at : at + self._wanted - len(self._held)]
            at += len(piece)
            self._held += piece
            if len(self._held) == self._wanted:
                whole = bytes(self._held)
                self._held.clear()
                self._taken += len(whole)
                self._wanted = self._steps.send(whole)
                yield from self._events
                self._events.clear()

    def _run(self) -> Generator[int, bytes, None]:
        while True:
            self._taken = 0
            byte = (yield 1)[0]
            if byte in FIXED:
                yield from self._command(byte)
            elif byte in (LF, CR, FF):
                self._end_line()
            elif byte == CAN:
                self._line.clear()
            elif len(self._line) < LONGEST_LINE and (byte >= 32 or byte == HT):
                self._line.append(byte)

    def _end_line(self) -> None:
        if self._line.strip():
            self._events.append(Text(bytes(self._line)))
        self._line.clear()

    def _command(self, lead: int) -> Generator[int, bytes, None]:
        code = (yield 1)[0]
        if (count := FIXED[lead].get(code)) is not None:
            yield from _skip(count)
            if lead == ESC and code in FEEDS:
                self._end_line()
            elif (lead, code) == (ESC, ord("@")):
                self._line.clear()
            return
        steps = VARIABLE.get((lead, code))
        event = (yield from steps()) if steps else Damaged(DamageReason.SYNTAX, 2)
        if event is Sign.CUT:
            self._end_line()
        if event:
            self._events.append(event)


def _skip(count: int) -> Generator[int, bytes, None]:
    while count > 0:
        yield min(count, PIECE_BYTES)
        count -= PIECE_BYTES


def _payload(count: int, *, sane: bool = True) -> Steps:
    """Skip so many bytes, unless no printer would be sent them."""
    if not sane or count > LARGEST_PAYLOAD:
        return Damaged(DamageReason.SANITY, 2)
    yield from _skip(count)
    return None


def _until_nul() -> Steps:
    for _ in range(LONGEST_TEXT_PARAMETER + 1):
        if (yield 1) == b"\0":
            return None
    return Damaged(DamageReason.LENGTH, LONGEST_TEXT_PARAMETER)


def _little(data: bytes) -> int:
    return int.from_bytes(data, "little")


def _old_cut() -> Steps:
    """ESC i, ESC m."""
    yield from ()
    return Sign.CUT


def _cut() -> Steps:
    """GS V m, GS V m n."""
    mode = (yield 1)[0]
    if mode in FED_CUTS:
        yield 1
    elif mode not in FULL_CUTS:
        return Damaged(DamageReason.SYNTAX, 3)
    return Sign.CUT


def _drawer() -> Steps:
    """ESC p m t1 t2."""
    yield 3
    return Sign.DRAWER


def _real_time() -> Steps:
    """DLE DC4 fn …; function 1 opens the drawer."""
    function = (yield 1)[0]
    if function not in REAL_TIME:
        return Damaged(DamageReason.SYNTAX, 3)
    yield REAL_TIME[function]
    return Sign.DRAWER if function == 1 else None


def _status() -> Steps:
    """DLE EOT n, with one more parameter for some n."""
    if (yield 1)[0] in (7, 8, 18):
        yield 1
    return None


def _columns() -> Steps:
    """ESC * m nL nH d…: one or three bytes a column."""
    mode, low, high = yield 3
    columns = low + 256 * high
    return (yield from _payload(columns * (3 if mode >= 32 else 1), sane=_is_column(mode, columns)))


def _is_column(mode: int, columns: int) -> bool:
    return mode in (0, 1, 32, 33) and columns <= WIDEST_COLUMN


def _characters() -> Steps:
    """ESC & y c1 c2 [x d…]…: characters of the user's own."""
    height, first, last = yield 3
    if not (1 <= height <= 4 and 32 <= first <= last <= 126):
        return Damaged(DamageReason.SANITY, 5)
    for _ in range(first, last + 1):
        yield from _skip(height * (yield 1)[0])
    return None


def _group() -> Steps:
    """GS ( and ESC (: a letter, pL pH, payload."""
    letter, low, high = yield 3
    return (yield from _payload(low + 256 * high, sane=letter in GROUPS))


def _large_group() -> Steps:
    """GS 8 L p1 p2 p3 p4, payload."""
    head = yield 5
    return (yield from _payload(_little(head[1:]), sane=head[0] == ord("L")))


def _raster() -> Steps:
    """GS v 0 m xL xH yL yH d…, GS Q 0 likewise."""
    head = yield 6
    size = _little(head[2:4]) * _little(head[4:6])
    return (yield from _payload(size, sane=head[0] == ord("0") and head[1] in RASTER_MODES))


def _download() -> Steps:
    """GS * x y d…"""
    across, down = yield 2
    return (yield from _payload(across * down * 8, sane=across * down <= LARGEST_DOWNLOAD))


def _stored_images() -> Steps:
    """FS q n [xL xH yL yH d…]…"""
    for _ in range((yield 1)[0]):
        head = yield 4
        if damage := (yield from _payload(_little(head[:2]) * _little(head[2:]) * 8)):
            return damage
    return None


def _barcode() -> Steps:
    """GS k m d… NUL, or GS k m n d…"""
    system = (yield 1)[0]
    if system <= 6:
        return (yield from _until_nul())
    if not 65 <= system <= 79:
        return Damaged(DamageReason.SYNTAX, 3)
    return (yield from _payload((yield 1)[0]))


def _bitmap() -> Steps:
    """GS D m fn a kc1 kc2 b c, then a BMP file that says its own size."""
    head = yield 13
    if head[7:9] != b"BM":
        return Damaged(DamageReason.SYNTAX, len(head))
    return (yield from _payload(max(0, _little(head[9:]) - 6)))


def _counter() -> Steps:
    """GS C 0 n m, GS C 1 aL aH bL bH n r, GS C 2 nL nH; the numbering of slips."""
    yield from _skip({0: 2, 48: 2, 1: 6, 49: 6, 2: 2, 50: 2}.get((yield 1)[0], 0))
    return None


def _printed_status() -> Steps:
    """GS g 0 m nL nH, GS g 2 m nL nH: maintenance counters."""
    yield 4
    return None


def _user_memory() -> Steps:
    """FS g 1 m a1 a2 a3 a4 nL nH d…, FS g 2 the same without data."""
    head = yield 8
    return (yield from _payload(_little(head[6:]) if head[0] == ord("1") else 0, sane=head[0] in b"12"))


VARIABLE: dict[tuple[int, int], Callable[[], Steps]] = {
    (ESC, ord("i")): _old_cut,
    (ESC, ord("m")): _old_cut,
    (ESC, ord("p")): _drawer,
    (ESC, ord("D")): _until_nul,
    (ESC, ord("*")): _columns,
    (ESC, ord("&")): _characters,
    (ESC, ord("(")): _group,
    (GS, ord("V")): _cut,
    (GS, ord("(")): _group,
    (GS, ord("8")): _large_group,
    (GS, ord("v")): _raster,
    (GS, ord("*")): _download,
    (GS, ord("k")): _barcode,
    (GS, ord("D")): _bitmap,
    (GS, ord("C")): _counter,
    (GS, ord("g")): _printed_status,
    (GS, ord("Q")): _raster,
    (FS, ord("q")): _stored_images,
    (FS, ord("g")): _user_memory,
    (FS, ord("(")): _group,
    (DLE, 4): _status,
    (DLE, 20): _real_time,
}
