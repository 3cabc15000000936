"""CleanCash: a till and its control unit, written from the form of CCSP frames."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from simulators.bus import Device
from simulators.cashier import Cashier, ControlUnit, Counter, Slip, kronor

ORGANISATION = "5566778899"
AROUND = len("#!#LLL##CC\r")


def framed(message: str) -> bytes:
    """With length and check, both in hexadecimal."""
    said = f"#!#{len(message) + AROUND:03X}#{message}#".encode("latin-1")
    check = 0
    for byte in said:
        check ^= byte
    return said + b"%02X\r" % check


@dataclass
class Till(Cashier):
    """`version` 2 registers a receipt in one message, version 1 in three."""

    version: int = 2
    sequence: int = 0

    def steps(self, slip: Slip) -> list[bytes]:
        total, returned = kronor(slip.total_minor), kronor(slip.returned_minor)
        figures = f"{ORGANISATION}#{total}#{returned}#{slip.kind}#25,00;{kronor(slip.total_minor // 5)}# # # "
        head = f"{slip.minute}#{slip.number}#{self.address}"
        if self.version == 1:
            return [framed("ST"), framed(f"RH#{head}# # #{figures}"), framed("SQ")]
        self.sequence += 1
        return [framed(f"RR#{self.sequence}#{head}#{figures}")]

    def is_yes(self, answer: str) -> bool:
        return answer.split("#")[3:4] not in ([], ["NAK"])


@dataclass
class Unit(ControlUnit):
    """Answers what it knows; `state` is its word for its health."""

    state: str = "0"

    def hear(self, data: bytes) -> list[bytes]:
        *lines, self._heard = (self._heard + data).split(b"\r")
        return [framed(self._answer(line)) for line in lines]

    def _answer(self, line: bytes) -> str:
        fields = line.decode("latin-1").split("#")
        message = "#".join(fields[3:-1])
        if framed(message).rstrip() != line:
            return "NAK#001"
        kind = fields[3]
        if kind in ("RR", "SQ"):
            return self._sign(kind)
        return {"SIQ": f"SIR#{self.state}", "IQ": "IR#SIM0001#2#1.0", "ST": "ACK", "RH": "ACK"}.get(
            kind, "NAK#002"
        )

    def _sign(self, kind: str) -> str:
        if self.refuse:
            return f"NAK#{self.refuse}"
        self.receipts += 1
        code = f"{self.receipts:032X}"
        return f"RRR#{code}#SIM0001#1#0" if kind == "RR" else f"SR#{code}"


def devices(addresses: Sequence[str] = ("7",), *, version: int = 2, start: int = 0) -> list[Device]:
    """Tills by their ids, each with its own unit."""
    return [Counter(Till(address, number=start, version=version), Unit()) for address in addresses]
