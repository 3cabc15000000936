"""What the taps on Swedish control units share: cutting lines, and which signed receipts are sales.

A receipt counts once, when the unit has accepted it. Where the unit is not heard it counts when the till
asks, and the status says `unconfirmed`. The till's running number shows retries and gaps.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from drivers.bodies import Noise, name, opaque
from gateway.driver import Device, Side
from gateway.model import (
    DEVICE,
    MAX_MONEY_MINOR,
    Basis,
    Damaged,
    DamageReason,
    DeviceState,
    Ignored,
    Item,
    Status,
    Transactions,
)

MAX_LINE_BYTES = 4096  # the longest CCSP frame
MAX_NUMBER = 10**12
MAX_SERIES = 16  # tills whose running numbers are followed
MAX_MISSED = 999  # a longer jump is another series, not a gap
GAP_TOLD = 50  # receipts without a gap after which an old one is no longer told
NORMAL = "normal"
NOT_SALES = {
    "kopia": "copy of a receipt",
    "ovning": "training receipt",
    "övning": "training receipt",
    "profo": "pro forma receipt",
}
AGAIN = Ignored("receipt asked for again")
UNCONFIRMED = "unconfirmed: the unit's answers are not heard"

_NUMBER = re.compile(r"[0-9]+", re.ASCII)
_MINUTE = re.compile(r"[0-9]{12}", re.ASCII)
_AMOUNT = re.compile(r"(-?)([0-9]+),([0-9]{2})", re.ASCII)


class Lines:
    """A stream cut at CR. A line that is too long for any telegram becomes one Damaged."""

    def __init__(self) -> None:
        self._held = bytearray()
        self._lost = 0  # bytes of the present line that were let go

    def feed(self, data: bytes) -> Iterator[bytes | Damaged]:
        """Whole lines without their CR; control characters around them are gone, blank ones too."""
        self._held += data
        while (end := self._held.find(b"\r")) >= 0:
            line = bytes(self._held[:end])
            del self._held[: end + 1]
            size, self._lost = self._lost + end, 0
            if size > MAX_LINE_BYTES:
                yield Damaged(DamageReason.LENGTH, size)
            elif stripped := line.strip(b"\n\0\xff"):
                yield stripped
        if len(self._held) > MAX_LINE_BYTES:
            self._lost += len(self._held)
            self._held.clear()


@dataclass(frozen=True, slots=True)
class SignedReceipt:
    """What a till asks the unit to sign. Two that are equal are one receipt and its retry."""

    till: str
    number: int
    kind: str
    total_minor: int
    returned_minor: int
    organisation: str
    minute: str = field(compare=False)  # a retry may be stamped anew

    @classmethod
    def read(
        cls, minute: str, organisation: str, till: str, number: str, kind: str, returned: str, total: str
    ) -> SignedReceipt:
        """From the words on the line. Raises Noise."""
        if not _MINUTE.fullmatch(minute) or not _NUMBER.fullmatch(number):
            raise Noise(DamageReason.SYNTAX)
        if len(number) > len(str(MAX_NUMBER)) or int(number) > MAX_NUMBER:
            raise Noise
        known = name(till) or DEVICE
        return cls(known, int(number), kind.lower(), _minor(total), _minor(returned), organisation, minute)

    @property
    def why_no_sale(self) -> str:
        """Empty for a sale or a return."""
        if self.kind != NORMAL:
            return NOT_SALES.get(self.kind, "receipt of an unknown type")
        return "" if self.total_minor or self.returned_minor else "receipt over nothing"

    def transactions(self, currency: str) -> Transactions:
        """A return is a receipt with nothing to pay; its money is not taken off the sales'."""
        sale = self.total_minor > 0
        identity = f"{self.organisation}/{self.till}/{self.number}/{self.minute}"
        return Transactions(
            self.till,
            None,
            None,
            sales=int(sale),
            returns=int(not sale),
            amount_minor=self.total_minor if sale else 0,
            currency=currency,
            key=opaque(identity),
            basis=Basis.EVENT,
        )


def _minor(text: str) -> int:
    """`-1234,50` in öre. Raises Noise."""
    found = _AMOUNT.fullmatch(text.strip())
    if not found:
        raise Noise(DamageReason.SYNTAX)
    sign, whole, cents = found.groups()
    if len(whole) > 12 or (minor := int(whole + cents)) > MAX_MONEY_MINOR:
        raise Noise
    return -minor if sign else minor


@dataclass(slots=True)
class _Asked:
    """The last sale or return the till asked a signature for."""

    receipt: SignedReceipt
    item: Transactions
    counted: bool = False
    settled: bool = False  # the unit has answered
    refused: bool = False


class Journal:
    """The receipts of one tap, in the order of the till's questions and the unit's answers."""

    def __init__(self, currency: str) -> None:
        self._currency = currency
        self._till = DEVICE
        self._last: _Asked | None = None
        self._awaiting = 0  # so many of the next answers are that receipt's
        self._hears_unit = True  # until a till goes on without an answer
        self._ever_heard = False
        self._highest: dict[str, int] = {}
        self._missed = self._unbroken = 0
        self._refusal = ""
        self._unit = (DeviceState.OK, "")
        self._told: tuple[DeviceState, str] | None = None

    def ask(self, receipt: SignedReceipt, *, apart: bool) -> Iterator[Item]:
        """The till wants a signature. `apart`: answers come on a wire of their own."""
        last = self._last
        if last and last.receipt == receipt and not last.refused:
            self._awaiting = 0 if last.settled else self._awaiting + 1
            yield AGAIN
            return
        yield from self._go_on()
        self._till = receipt.till
        self._follow(receipt)
        self._last, self._awaiting = None, 0
        if reason := receipt.why_no_sale:
            yield Ignored(reason)
        else:
            self._last = asked = _Asked(receipt, receipt.transactions(self._currency))
            self._awaiting = 1
            if not (self._hears_unit and (apart or self._ever_heard)):
                self._hears_unit = False
                asked.counted = True
                yield asked.item
        yield from self._status()

    def ask_else(self) -> None:
        """The till asks for something else: the next answer is not the receipt's."""
        self._awaiting = 0

    def answer(self, refusal: str = "") -> Iterator[Item]:
        """The unit answers; `refusal` says in words why not, empty for yes."""
        self._hears_unit = self._ever_heard = True
        asked = self._last
        if asked and self._awaiting:
            self._awaiting -= 1
            asked.settled = True
            self._refusal = refusal
            yield from self._refuse(asked, refusal) if refusal else self._accept(asked)
        yield from self._status()

    def unit_is(self, state: DeviceState, words: str) -> None:
        """What the unit says of itself; told with its next answer."""
        self._unit = (state, words)

    def _accept(self, asked: _Asked) -> Iterator[Item]:
        asked.refused = False
        if not asked.counted:
            asked.counted = True
            yield asked.item

    def _refuse(self, asked: _Asked, refusal: str) -> Iterator[Item]:
        """One that was counted before its answer came is replaced by nothing."""
        if asked.counted:
            yield replace(asked.item, sales=0, returns=0, amount_minor=0)
        asked.counted, asked.refused = False, True
        yield Ignored(f"receipt refused: {refusal}")

    def _go_on(self) -> Iterator[Item]:
        """No till sells on without a signature: the answer came and was not heard."""
        asked = self._last
        if asked and not asked.counted and not asked.settled:
            self._hears_unit = False
            yield asked.item

    def _follow(self, receipt: SignedReceipt) -> None:
        """Running numbers: a gap is missed receipts. Copies and training may have a series of their own."""
        highest = self._highest.get(receipt.till)
        step = 1 if highest is None else receipt.number - highest
        if receipt.kind != NORMAL and step != 1:
            return
        self._unbroken += 1
        if 1 < step <= MAX_MISSED + 1:
            self._missed, self._unbroken = self._missed + step - 1, 0
        elif self._unbroken >= GAP_TOLD:
            self._missed = 0
        if receipt.kind == NORMAL or highest is not None:
            self._highest.pop(receipt.till, None)
            self._highest[receipt.till] = receipt.number
        if len(self._highest) > MAX_SERIES:
            del self._highest[next(iter(self._highest))]

    def _status(self) -> Iterator[Status]:
        """Told when it has changed."""
        states, words = [self._unit[0]], [self._unit[1]]
        if self._refusal:
            states.append(DeviceState.DEGRADED)
            words.append(f"unit refuses: {self._refusal}")
        if self._missed:
            states.append(DeviceState.DEGRADED)
            words.append(f"{self._missed} receipts missed")
        if not self._hears_unit:
            states.append(DeviceState.DEGRADED if self._ever_heard else DeviceState.OK)
            words.append(UNCONFIRMED)
        said = max(states, key=list(DeviceState).index), "; ".join(filter(None, words))
        if said != self._told:
            self._told = said
            yield Status(self._till, None, *said)


class UnitTap:
    """Which side speaks is told by what is said; the sides only keep their bytes apart."""

    def __init__(self, device: Device) -> None:
        self._lines = {side: Lines() for side in Side}
        self._journal = Journal(device.site.currency)

    def feed(self, data: bytes, at_ms: int, side: Side = Side.DEVICE) -> list[Item]:  # noqa: ARG002
        return [item for line in self._lines[side].feed(data) for item in self._hear(line, side)]

    def reopened(self, side: Side) -> None:
        """What was said meanwhile is not known, and so not what the next answer is to."""
        self._lines[side] = Lines()
        self._journal.ask_else()

    def _hear(self, line: bytes | Damaged, side: Side) -> Iterator[Item]:
        raise NotImplementedError

    def _lose(self, damage: Damaged, side: Side) -> Damaged:
        """What the till said is not known, and so not what the next answer is to."""
        if side is Side.HOST:
            self._journal.ask_else()
        return damage
