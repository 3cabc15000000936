"""Skattedosan: a till and its control unit, written from the form of the lines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from simulators.bus import Device
from simulators.cashier import Cashier, ControlUnit, Counter, Slip, kronor

ORGANISATION = "5566778899"
DIVISOR = 0x11021


def check(text: str) -> str:
    """The rest of the text, as one long binary number, divided by the polynomial."""
    rest = int.from_bytes(text.encode("latin-1"), "big") << 16
    for bit in range(rest.bit_length() - 17, -1, -1):
        if rest >> (bit + 16) & 1:
            rest ^= DIVISOR << bit
    return f"0x{rest:04X}"


def line(*words: str) -> str:
    text = "".join(f"{word} " for word in words)
    return text + check(text)


@dataclass
class Till(Cashier):
    """Says one line for each receipt."""

    def steps(self, slip: Slip) -> list[bytes]:
        vat = (f"25,00;{kronor(slip.total_minor // 5)}", "12,00;0,00", "6,00;0,00", "0,00;0,00")
        amounts = kronor(slip.returned_minor), kronor(slip.total_minor)
        place = slip.minute, ORGANISATION, self.address, str(slip.number)
        return [f"{line('kd', *place, slip.kind, *amounts, *vat)}\r\n".encode("latin-1")]

    def is_yes(self, answer: str) -> bool:
        return answer.startswith("0 ")


@dataclass
class Unit(ControlUnit):
    """Answers `ver` and `kd`."""

    def hear(self, data: bytes) -> list[bytes]:
        *lines, self._heard = (self._heard + data).split(b"\r\n")
        return [f"{self._answer(said.decode('latin-1'))}\r".encode("latin-1") for said in lines]

    def _answer(self, said: str) -> str:
        *words, found = said.split(" ")
        if line(*words) != f"{' '.join(words)} {found}":
            return line("-2")
        if words[0] == "ver":
            return line("0", "0.19", "1", "1.4", "SIM0001")
        if words[0] != "kd":
            return line("-3")
        if self.refuse:
            return line(self.refuse)
        self.receipts += 1
        return line("0", f"{self.receipts:032X}")


def devices(addresses: Sequence[str] = ("7",), *, start: int = 0) -> list[Device]:
    """Tills by their ids, each with its own unit."""
    return [Counter(Till(address, number=start), Unit()) for address in addresses]
