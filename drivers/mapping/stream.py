"""Bodies that come one after the other on a TCP connection: JSON, XML documents, rows of CSV."""

from __future__ import annotations

from typing import Protocol

from drivers.bodies import Noise
from drivers.mapping.formats import CsvKeys, FormatKeys, parse_csv
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


class Rows:
    """Each row with the header that it stands under, which is known by the columns that are asked for."""

    def __init__(self, keys: CsvKeys, columns: frozenset[str]) -> None:
        self._keys, self._columns = keys, columns
        self._header = b""
        self._held = b""

    @property
    def pending(self) -> int:
        return len(self._held)

    def reopened(self) -> None:
        """The header stays: a device may send it only when it starts."""
        self._held = b""

    def feed(self, data: bytes) -> list[bytes | Damaged]:
        found: list[bytes | Damaged] = []
        row, *rows = (self._held + data).split(b"\n")
        for following in rows:
            if row.count(b'"') % 2:  # a line break inside quotation marks
                row += b"\n" + following
                continue
            found += self._row(row)
            row = following
        self._held = row
        if len(row) > LONGEST_ROW:
            self._held = b""
            found.append(Damaged(DamageReason.LENGTH, len(row)))
        return found

    def _row(self, row: bytes) -> list[bytes | Damaged]:
        if not row.strip():
            return []
        if self._keys.columns:
            return [row]
        try:
            names = parse_csv(self._keys, row).names
        except Noise as noise:
            return [Damaged(noise.reason, len(row))]
        if self._columns.issubset(names):
            self._header = row
            return []
        return [self._header + b"\n" + row if self._header else row]
