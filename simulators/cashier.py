"""A cash register and its control unit: one asks and repeats what is refused, the other signs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, field

from simulators.bus import Faults

ATTEMPTS = 3
PRICE_MINOR = 12_950


@dataclass(frozen=True)
class Slip:
    """One receipt on its way."""

    number: int
    total_minor: int
    kind: str = "normal"

    @property
    def minute(self) -> str:
        return f"2026112310{self.number % 60:02d}"

    @property
    def returned_minor(self) -> int:
        return max(0, -self.total_minor)


def kronor(minor: int) -> str:
    """`-1234,50`."""
    return f"{'-' if minor < 0 else ''}{abs(minor) // 100},{abs(minor) % 100:02d}"


@dataclass
class Cashier(ABC):
    """`cross(sales, returns)` makes receipts; `signed` counts those that the unit accepted."""

    address: str = "7"
    number: int = 0  # of the last receipt
    signed: list[int] = field(default_factory=lambda: [0, 0])
    faults: Faults = field(default_factory=Faults)
    _slips: list[Slip] = field(default_factory=list)
    _steps: list[bytes] = field(default_factory=list)  # what is still to be said of the first slip
    _attempts: int = 0
    _heard: bytes = b""

    @abstractmethod
    def steps(self, slip: Slip) -> list[bytes]:
        """What is said, one thing after each answer."""

    @abstractmethod
    def is_yes(self, answer: str) -> bool: ...

    def cross(self, ins: int = 0, outs: int = 0) -> list[bytes]:
        """Customers pay; others get their money back."""
        said: list[bytes] = []
        for total_minor in (*[PRICE_MINOR] * ins, *[-PRICE_MINOR] * outs):
            self.number += 1
            said += self.register(Slip(self.number, total_minor))
        return said

    def register(self, slip: Slip) -> list[bytes]:
        """One more slip; said at once when none waits for an answer."""
        self._slips.append(slip)
        return self._begin() if len(self._slips) == 1 else []

    def reset(self) -> list[bytes]:
        self._slips.clear()
        return []

    def hear(self, data: bytes) -> list[bytes]:
        """Answers end with CR."""
        *lines, self._heard = (self._heard + data).split(b"\r")
        return [frame for line in lines for frame in self._answered(line.decode("latin-1").strip("\n"))]

    def _begin(self) -> list[bytes]:
        self._attempts = 0
        self._steps = self.steps(self._slips[0])
        return self._steps[:1]

    def _answered(self, answer: str) -> Iterator[bytes]:
        if not self._slips:
            return
        if not self.is_yes(answer):
            self._attempts += 1
            self._steps = self.steps(self._slips[0])
            if self._attempts < ATTEMPTS:
                yield self._steps[0]
                return
        elif self._steps[1:]:
            del self._steps[0]
            yield self._steps[0]
            return
        else:
            self.signed[self._slips[0].total_minor < 0] += self._slips[0].kind == "normal"
        del self._slips[0]
        if self._slips:
            yield from self._begin()


@dataclass
class ControlUnit(ABC):
    """`refuse` is the code of its refusals; empty: it signs."""

    refuse: str = ""
    receipts: int = 0
    faults: Faults = field(default_factory=Faults)
    _heard: bytes = b""

    @abstractmethod
    def hear(self, data: bytes) -> list[bytes]: ...

    def cross(self, ins: int = 0, outs: int = 0) -> list[bytes]:  # noqa: ARG002
        return []

    def reset(self) -> list[bytes]:
        self._heard = b""
        return []


@dataclass
class Counter:
    """Both of them heard on one wire, under the till's id."""

    till: Cashier
    unit: ControlUnit
    refuse: str = ""
    faults: Faults = field(default_factory=Faults)

    @property
    def address(self) -> str:
        return self.till.address

    def hear(self, data: bytes) -> list[bytes]:  # noqa: ARG002
        return []

    def cross(self, ins: int = 0, outs: int = 0) -> list[bytes]:
        """Everything that both say until each receipt is signed or given up."""
        self.unit.refuse = self.refuse
        said: list[bytes] = []
        asked = self.till.cross(ins, outs)
        while asked:
            answers = [answer for frame in asked for answer in self.unit.hear(frame)]
            said += [*asked, *answers]
            asked = [frame for answer in answers for frame in self.till.hear(answer)]
        return said

    def reset(self) -> list[bytes]:
        return [*self.till.reset(), *self.unit.reset()]
