"""ESC/POS: a receipt is a print with a total line that ends with a cut."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator

from pydantic import Field, field_validator

from drivers.escpos.codec import Parser, Sign, Text
from drivers.money import minor_digits
from gateway.driver import Device, Family, Kind, LineOptions, Match, Options, Side
from gateway.model import (
    DEVICE,
    MAX_MONEY_MINOR,
    Basis,
    Damaged,
    DamageReason,
    Ignored,
    Item,
    Resets,
    Transactions,
)

TOTAL = (
    r"^\W*(?:total(?:t|sum)?|sum(?:ma)?|att betala|å betale|at betale|til betaling|yhteensä|loppusumma"
    r"|amount due)\b(?!.*\b(?:moms|mva|alv|vat|tax|rabatt|discount|ekskl|exkl|excl)\b)"
)
RETURNED = r"^\W*(?:retur|returkvitto|returkvittering|refund|return|palautus|hyvitys)\W*$"
EXCEPT = (
    r"^\W*(?:copy|kopi|kopia|kopio|duplicate|(?:kopia|kopi) av \w+|ej kvitto|ikke kvittering|pro ?forma\w*"
    r"|training|øving|övning|harjoitus|[xz]\W?(?:rapport|report|raportti)\b.*|dagsoppgj.r\b.*"
    r"|dagsavslut\b.*)\W*$"
)
NO_TOTAL = Ignored("print without a total: no receipt")
LEFT_OUT = Ignored("copy, training or report")
NOTHING = Ignored("receipt over nothing")
KICKED = Ignored("drawer opened")
PAUSE_MS = 10_000  # a payload that pauses longer was none, or the printer waits for paper


class EscposOptions(Options):
    """What the shop's receipts look like: regular expressions, searched in each line, whatever the case."""

    total: str | None = Field(
        None,
        description="pattern of the line that makes a print a receipt; default: English and Nordic words",
    )
    returned: str | None = Field(
        None, description="pattern of a line that makes a receipt a return; default likewise"
    )
    except_: str | None = Field(
        None,
        alias="except",
        description="pattern of a line that makes a print no sale: copies, reports; default likewise",
    )
    encoding: str = Field("cp858", description="the printer's code page, as Python names it")

    @field_validator("total", "returned", "except_")
    @classmethod
    def _pattern(cls, pattern: str | None) -> str | None:
        try:
            re.compile(pattern or "")
        except re.error as error:
            raise ValueError(f"no pattern: {error}") from None
        return pattern

    @field_validator("encoding")
    @classmethod
    def _known(cls, encoding: str) -> str:
        try:
            codecs.lookup(encoding)
        except LookupError:
            raise ValueError(f'unknown encoding "{encoding}"') from None
        return encoding


def _number(digits: int) -> re.Pattern[str]:
    """Sign, units, minor units, sign behind."""
    thousands = "[ '\u00a0]" if digits == 3 else "[ .,'\u00a0]"
    minor = rf"(?:[.,]([0-9]{{{digits}}}))?" if digits else "(?:[.,][0-9]{2})?()"
    return re.compile(rf"(-\s?)?([0-9]{{1,3}}(?:{thousands}[0-9]{{3}})+|[0-9]+){minor}(-)?(?![0-9%])")


class Escpos:
    """Only what goes to the printer matters; what it answers is no print."""

    def __init__(self, device: Device) -> None:
        options = device.options
        if not isinstance(options, EscposOptions):
            raise TypeError(f"not the options of escpos: {options!r}")
        self._total, self._returned, self._except = (
            re.compile(pattern, re.IGNORECASE)
            for pattern in (
                options.total or TOTAL,
                options.returned or RETURNED,
                options.except_ or EXCEPT,
            )
        )
        self._encoding = options.encoding
        self._currency = device.site.currency
        self._digits = minor_digits(device.site.currency)
        self._number = _number(self._digits)
        self._parser = Parser()
        self._two_sided = False
        self._cut_off: list[Item] = []  # not told yet
        self._heard_ms = 0
        self._begin()

    def _begin(self) -> None:
        self._printed = self._has_total = self._is_return = self._left_out = False
        self._minor: int | None = None

    def feed(self, data: bytes, at_ms: int, side: Side = Side.DEVICE) -> list[Item]:
        if side is Side.HOST and not self._two_sided:
            self._two_sided = True  # what came until now was the printer's
            self._parser = Parser()
            self._begin()
        if self._two_sided and side is Side.DEVICE:
            return []
        items, self._cut_off = self._cut_off, []
        if not 0 <= at_ms - self._heard_ms <= PAUSE_MS and (given_up := self._parser.give_up()):
            items.append(Damaged(DamageReason.LENGTH, given_up))
        self._heard_ms = at_ms
        return items + [item for event in self._parser.feed(data) for item in self._take(event)]

    def reopened(self, side: Side) -> None:
        """The end of a print, or of a logo in it, was not heard: what has its total was sold."""
        if side is Side.HOST or not self._two_sided:
            self._parser = Parser()
            self._cut_off += self._cut()

    def _take(self, event: Text | Sign | Damaged) -> Iterator[Item]:
        if isinstance(event, Damaged):
            yield event
        elif isinstance(event, Text):
            self._read(event.line.decode(self._encoding, "replace"))
        elif event is Sign.DRAWER:
            yield KICKED
        else:
            yield from self._cut()

    def _read(self, line: str) -> None:
        self._printed = True
        if not self._has_total and self._total.search(line):
            self._has_total, self._minor = True, self._amount(line)
        self._is_return = self._is_return or bool(self._returned.search(line))
        self._left_out = self._left_out or bool(self._except.search(line))

    def _amount(self, line: str) -> int | None:
        """The last number of the total line, in minor units; below nothing for a return."""
        found = list(self._number.finditer(line))
        if not found:
            return None
        before, units, cents, after = found[-1].groups()
        digits = "".join(re.findall("[0-9]", units)) + (cents or "").ljust(self._digits, "0")
        return -int(digits) if before or after else int(digits)

    def _cut(self) -> Iterator[Item]:
        if self._printed:
            yield self._receipt()
        self._begin()

    def _receipt(self) -> Item:
        if self._left_out or not self._has_total:
            return LEFT_OUT if self._left_out else NO_TOTAL
        minor = self._minor
        if minor == 0:
            return NOTHING
        if minor is not None and abs(minor) > MAX_MONEY_MINOR:
            return Damaged(DamageReason.SANITY, len(str(minor)))
        returned = self._is_return or (minor is not None and minor < 0)
        return Transactions(
            DEVICE,
            None,
            None,
            sales=int(not returned),
            returns=int(returned),
            amount_minor=0 if returned else minor or 0,
            currency=self._currency,
            basis=Basis.EVENT,
        )


FAMILY = Family(
    name="escpos",
    summary="ESC/POS receipt printers: a tap on the line from till to printer counts receipts",
    kind=Kind.STREAM,
    over=frozenset({"serial", "tcp"}),
    options=EscposOptions,
    line_options=LineOptions,
    open=Escpos,
    match=lambda _device: Match(),
    basis=Basis.EVENT,
    resets=Resets.NEVER,
)
