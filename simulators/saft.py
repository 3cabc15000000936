"""Cash registers that write SAF-T Cash Register files, from the tax administration's schema (v 1.00).

Each file is an export from the day's first receipt on, so that every file overlaps the one before. Between
the sales stands what counts nobody: voided and training receipts, the opening float, receipts over nothing.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from simulators.receipts import Receipt, put

NAMESPACE = "urn:StandardAuditFile-Taxation-CashRegister:NO"
CODES = {"CASHSAL": "11001", "RETURNSAL": "11006", "FLOAT": "11007"}
RETURNED = "-49.90"
NOBODY = (  # type, amount, voided, training
    ("CASHSAL", "100.00", True, False),
    ("CASHSAL", "100.00", False, True),
    ("FLOAT", "500.00", False, False),
    ("CASHSAL", "0.00", False, False),
)


def audit_file(register: str, receipts: Sequence[Receipt], zone: ZoneInfo, currency: str = "NOK") -> str:
    """The whole file of one register."""
    written = "".join(_receipts(receipts, zone))
    basics = "".join(
        f"<basic><basicType>11</basicType><basicID>{own}</basicID>"
        f"<predefinedBasicID>{code}</predefinedBasicID></basic>"
        for own, code in CODES.items()
    )
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<auditfile xmlns="{NAMESPACE}"><header>'
        f"<curCode>{currency}</curCode><auditfileVersion>1.0</auditfileVersion></header><company>"
        f"<companyIdent>999999999</companyIdent><companyName>Selskapet ASA</companyName>"
        f"<basics>{basics}</basics><location><name>A</name><cashregister><registerID>{register}</registerID>"
        f"{written}</cashregister></location></company></auditfile>\n"
    )


def _receipts(receipts: Sequence[Receipt], zone: ZoneInfo) -> Iterator[str]:
    for number, one in enumerate(receipts, 1):
        at = datetime.fromtimestamp(one.at_ms // 1000, zone)
        kind = "RETURNSAL" if one.returned else "CASHSAL"
        amount = RETURNED if one.returned else f"{one.amount_minor / 100:.2f}"
        yield _receipt(f"{number}", kind, amount, at)
        if number % 5 == 0:
            kind, amount, voided, training = NOBODY[number // 5 % len(NOBODY)]
            yield _receipt(f"{number}x", kind, amount, at, voided=voided, training=training)


def _receipt(
    number: str, kind: str, amount: str, at: datetime, *, voided: bool = False, training: bool = False
) -> str:
    side = "D" if amount.startswith("-") else "C"
    day, clock = f"{at:%Y-%m-%d}", f"{at:%H:%M:%S}"
    line = (
        f"<ctLine><nr>{number}</nr><lineID>1</lineID><lineType>SAL</lineType><artID>1001</artID><qnt>1</qnt>"
        f"<lineAmntIn>{amount}</lineAmntIn><lineAmntEx>{amount}</lineAmntEx><amntTp>{side}</amntTp></ctLine>"
    )
    return (
        f"<cashtransaction><nr>{number}</nr><transID>{number}</transID><transType>{kind}</transType>"
        f"<transAmntIn>{amount}</transAmntIn><transAmntEx>{amount}</transAmntEx><amntTp>{side}</amntTp>"
        f"<transDate>{day}</transDate><transTime>{clock}</transTime>{line}"
        f"<payment><paymentType>CASH</paymentType><paidAmnt>{amount}</paidAmnt></payment>"
        f"<signature>-</signature><keyVersion>1</keyVersion>"
        f"<voidTransaction>{str(voided).lower()}</voidTransaction>"
        f"<trainingID>{str(training).lower()}</trainingID></cashtransaction>"
    )


@dataclass(slots=True)
class Exported:
    """One file for each report, with everything since the first; now and then one comes twice."""

    folder: Path
    zone: ZoneInfo
    currency: str
    seed: int
    written: int = 0
    sold: dict[str, list[Receipt]] = field(default_factory=dict)

    def report(self, till: str, start_ms: int, end_ms: int, receipts: Sequence[Receipt]) -> None:  # noqa: ARG002
        sold = self.sold.setdefault(till, [])
        sold += receipts
        content = audit_file(till, sold, self.zone, self.currency).encode()
        twice = random.Random(f"{self.seed}/{till}/{start_ms}").random() < 0.2
        for copy in range(1 + twice):
            put(self.folder, f"SAF-T Cash Register_999999999_{till}_{start_ms}_{copy}.xml", content)
            self.written += 1

    def done(self) -> str:
        return f"{self.written} files written"
