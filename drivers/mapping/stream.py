"""Bodies that come one after the other on a TCP connection: JSON, XML documents, rows of CSV."""

from __future__ import annotations

import re
from codecs import BOM_UTF8
from typing import Protocol

from drivers.bodies import Noise
from drivers.mapping.formats import CsvKeys, FormatKeys, cells_of, header_of
from drivers.markup import Documents
from drivers.objects import Objects
from gateway.model import Damaged, DamageReason

PAUSE_MS = 10_000  # whoever stops so long inside a body does not go on with it
LONGEST_ROW = 1 << 16  # bytes of a row of CSV, with the line breaks in its quotations


class Cutter(Protocol):
    """`pending`: bytes of a body whose end has not come."""

    @property
    def pending(self) -> int: ...
    def feed(self, data: bytes) -> list[bytes | Damaged]: ...
    def reopened(self) -> None: ...


class Bodies:
    """Cuts a stream into bodies of one format. Half a body that nobody goes on with is damage."""

    def __init__(self, form: FormatKeys, columns: frozenset[str]) -> None:
        self._cutter: Cutter = Objects()
        if form.csv:
            self._cutter = Rows(form.csv, columns)
        elif form.xml:
            self._cutter = Documents()
        self._heard_ms = 0

    def feed(self, data: bytes, at_ms: int) -> list[bytes | Damaged]:
        found: list[bytes | Damaged] = []
        if self._cutter.pending and at_ms - self._heard_ms > PAUSE_MS:
            found.append(Damaged(DamageReason.LENGTH, self._cutter.pending))
            self._cutter.reopened()
        self._heard_ms = at_ms
        return found + self._cutter.feed(data)

    def reopened(self) -> None:
        self._cutter.reopened()


def _cell(keys: CsvKeys) -> re.Pattern[bytes]:
    """A cell and what ends it. A quotation mark inside a cell, as of inches, is a sign like any other."""
    separator = re.escape(keys.separator.encode(keys.encoding, "backslashreplace").removeprefix(BOM_UTF8))
    blanks = b"" if keys.separator == " " else b" *+"
    quotation = rb'(?:"[^"]*+(?:""[^"]*+)*+(?:"|\Z))?+'
    return re.compile(
        rb"(?:\A%b)?+%b%b(?:(?!%b)[^\r\n])*+(%b|[\r\n])" % (BOM_UTF8, blanks, quotation, separator, separator)
    )


class Rows:
    """Each row with the header that it stands under, which is known by the columns that are asked for."""

    def __init__(self, keys: CsvKeys, columns: frozenset[str]) -> None:
        self._keys, self._columns = keys, columns
        self._cell = _cell(keys)
        self._header = b""
        self._held = b""
        self._at = 0  # where the cell begins that has no end yet

    @property
    def pending(self) -> int:
        return len(self._held)

    def reopened(self) -> None:
        """The header stays: a device may send it only when it starts."""
        self._held, self._at = b"", 0

    def feed(self, data: bytes) -> list[bytes | Damaged]:
        found: list[bytes | Damaged] = []
        self._held += data
        begin = 0
        while cell := self._cell.match(self._held, self._at):
            self._at = cell.end()
            if cell[1] in b"\r\n":  # of both, the second ends a blank row: no row waits for it
                found += self._row(self._held[begin : cell.start(1)])
                begin = self._at
        self._held = self._held[begin:]
        self._at -= begin
        if len(self._held) > LONGEST_ROW:
            found.append(Damaged(DamageReason.LENGTH, len(self._held)))
            self.reopened()
        return found

    def _row(self, row: bytes) -> list[bytes | Damaged]:
        if not row.strip():
            return []
        if self._keys.columns:
            return [row]
        try:
            if self._columns.issubset(cells_of(self._keys, row)):
                header_of(self._keys, row)
                self._header = row
                return []
        except Noise as noise:
            return [Damaged(noise.reason, len(row))]
        return [self._header + b"\n" + row if self._header else row]
