"""SAF-T Cash Register files: each `cashtransaction` is one receipt, read in passing however long the file is.

What a receipt is for says its `transType`, a code of the company's own, which `basics` translates into a code
of the tax administration's list PredefinedBasicID-11.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from datetime import tzinfo

from drivers.bodies import MAX_NAME, Noise, name, opaque, parse_aware, to_ms
from drivers.local import instants, wall_clock
from drivers.markup import Element, elements
from drivers.money import currency_code, minor_digits, minor_units
from gateway.model import DEVICE, Basis, Damaged, DamageReason, Ignored, Item, Transactions

COMPANY = "/auditfile/company"
REGISTER = f"{COMPANY}/location/cashregister"
CURRENCY, COMPANY_ID, BASIC = (
    "/auditfile/header/curCode",
    f"{COMPANY}/companyIdent",
    f"{COMPANY}/basics/basic",
)
REGISTER_ID, RECEIPT = f"{REGISTER}/registerID", f"{REGISTER}/cashtransaction"
WANTED = (CURRENCY, COMPANY_ID, BASIC, REGISTER_ID, RECEIPT)
NOT_READ = ("ctLine", "vat", "savings", "discount", "raise", "rounding", "payment", "signature")
TRANSACTION = "11"  # the type of code in `basics`
CODE = re.compile(r"11\d{3}", re.ASCII)
CASH_SALE = "11001"
MAX_CODES = 1000  # of one file
UNREADABLE = {
    DamageReason.SYNTAX: "no XML behind that: cut off, another encoding than declared, or a document type",
    DamageReason.LENGTH: "behind that something is longer or deeper than any till writes",
}
TRUE = ("true", "1")
DATE = re.compile(r"(\d{4}-\d\d-\d\d)(?:Z|[+-]\d\d:\d\d)?", re.ASCII)
TIME = re.compile(r"(\d\d:\d\d:\d\d)(?:\.\d+)?(Z|[+-]\d\d:\d\d)?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Rules:
    """What the configuration says. `sales`, `returns`: codes, the list's or the company's own."""

    sales: Collection[str]
    returns: Collection[str]
    zone: tzinfo
    currency: str
    organisation: str | None = None


@dataclass(slots=True)
class _File:
    """What was told above the receipts."""

    rules: Rules
    at_ms: int
    size: int
    currency: str
    company: str = ""
    register: str = DEVICE
    codes: dict[str, str] = field(default_factory=dict)  # the company's code → that of the list


def decode(payload: bytes, at_ms: int, rules: Rules) -> Iterator[Item]:
    """The receipts of one file, in its order; `at_ms`: when it was written. Never raises."""
    file = _File(rules, at_ms, len(payload), rules.currency)
    receipts = 0
    try:
        for element in _receipts(file, payload):
            receipts += 1
            yield _receipt(file, element)
    except Noise as noise:
        yield Damaged(noise.reason, len(payload))
    else:
        if not receipts:
            ours = rules.organisation in (None, file.company)
            yield Ignored("no receipt in it" if ours else "file of another company")


def faults(payload: bytes, at_ms: int, rules: Rules) -> Iterator[tuple[str, str]]:
    """(place, why) of the receipts that are damaged, and where the file ends to be readable. Never raises."""
    file = _File(rules, at_ms, len(payload), rules.currency)
    receipts = 0
    try:
        for element in _receipts(file, payload):
            if isinstance(_receipt(file, element), Damaged):
                yield _fault(file, element, f"cashtransaction[{receipts}]")
            receipts += 1
    except Noise as noise:
        yield f"receipt {receipts}", UNREADABLE.get(noise.reason, f"behind that: {noise.reason}")


def _receipts(file: _File, payload: bytes) -> Iterator[Element]:
    """Those of the company asked for, one at a time; `file` knows what stands above each. Raises Noise."""
    for path, element in elements(payload, WANTED, NOT_READ):
        if path != RECEIPT:
            _note(file, path, element)
        elif file.rules.organisation in (None, file.company):
            yield element


def _fault(file: _File, receipt: Element, place: str) -> tuple[str, str]:
    """A code names no person, and must be known to be explained: it is the only value told."""
    own = receipt.get("transType")
    try:
        _meaning(file, name(own))
    except Noise:
        return f"{place}.transType", f"neither basics nor sales nor returns explain {str(own)[:MAX_NAME]!r}"
    return place, "its number, date, time or amount is missing or no such"


def _note(file: _File, path: str, element: Element) -> None:
    """Raises Noise: what is wrong above the receipts is wrong for all of them."""
    if path == CURRENCY:
        file.currency = currency_code(str(element), file.rules.currency)
    elif path == COMPANY_ID:
        file.company = name(str(element)) or ""
    elif path == REGISTER_ID:
        file.register = name(str(element)) or DEVICE
    elif element.get("basicType") == TRANSACTION:
        own, code = name(element.get("basicID")), name(element.get("predefinedBasicID"))
        if own and code and len(file.codes) < MAX_CODES:
            file.codes[own] = code


def _receipt(file: _File, receipt: Element) -> Item:
    try:
        if _is_true(receipt.get("voidTransaction")):
            return Ignored("voided receipt")
        if _is_true(receipt.get("trainingID")):
            return Ignored("training receipt")
        return _counted(file, receipt)
    except Noise as noise:
        return Damaged(noise.reason, file.size)


def _is_true(said: object) -> bool:
    """Some exporters write True."""
    return isinstance(said, str) and said.lower() in TRUE


def _counted(file: _File, receipt: Element) -> Item:
    """A receipt that gives money back is a return, whatever it is called. Raises Noise."""
    meaning = _meaning(file, name(receipt.get("transType")))
    if not meaning:
        return Ignored("transaction of another kind")
    amount = minor_units(receipt.get("transAmntIn"), minor_digits(file.currency))
    if not amount:
        return Ignored("receipt over nothing")
    sale = meaning is file.rules.sales and amount > 0 and receipt.get("amntTp") != "D"
    at_ms = _at_ms(file, receipt)
    return Transactions(
        file.register,
        at_ms,
        at_ms + 1,
        sales=int(sale),
        returns=int(not sale),
        amount_minor=amount if sale else 0,
        currency=file.currency,
        key=_key(file, receipt),
        basis=Basis.EVENT,
        once=True,
    )


def _meaning(file: _File, own: str | None) -> Collection[str]:
    """The codes it is one of; none: something else. Raises Noise where nothing tells what it is."""
    code = CASH_SALE if own is None else file.codes.get(own, own)
    for codes in (file.rules.sales, file.rules.returns):
        if code in codes or own in codes:
            return codes
    if not CODE.fullmatch(code):
        raise Noise(DamageReason.SYNTAX)
    return ()


def _key(file: _File, receipt: Element) -> str:
    """By the day too: numbers may begin anew. Raises Noise."""
    number, other = name(receipt.get("nr")), name(receipt.get("transID"))
    if not (number or other):
        raise Noise(DamageReason.SYNTAX)
    day = receipt.get("transDate")
    return opaque(f"saft/{file.company}/{file.register}/{number}/{other}/{day}")


def _at_ms(file: _File, receipt: Element) -> int:
    """Local time of the till, unless it writes an offset. Raises Noise."""
    day, clock = receipt.get("transDate"), receipt.get("transTime")
    if not isinstance(day, str) or not isinstance(clock, str) or len(clock) > MAX_NAME:
        raise Noise(DamageReason.SYNTAX)
    found, said = DATE.fullmatch(day), TIME.fullmatch(clock)
    if not found or not said:
        raise Noise
    if said[2]:
        return to_ms(parse_aware(f"{found[1]}T{said[1]}{said[2]}"))
    return instants([wall_clock(f"{found[1]}T{said[1]}")], file.rules.zone, file.at_ms)[0]
