"""How a body is written: JSON, XML or CSV, and how numbers are. Each becomes values that paths walk."""

from __future__ import annotations

import codecs
import csv
import io
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from functools import partial
from itertools import chain, islice
from typing import Any, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from drivers.bodies import Noise, Numerals, parse_json
from drivers.markup import parse_xml
from gateway.model import Damaged, DamageReason

MAX_ROWS = 100_000  # of one CSV body
MAX_COLUMNS = 1000
MAX_ABOVE = 20  # rows above the header
MARK = "\ufeff"  # of the byte order; not every codec takes it away

Parse: TypeAlias = Callable[[bytes], Any]


class Keys(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class NumberKeys(Keys):
    """How numbers are written that come as text."""

    decimal: Literal[".", ","] = Field(default=".", description="the decimal sign")
    thousands: str | None = Field(
        default=None,
        max_length=1,
        description="between groups of three digits, besides blanks; default: a dot where decimal is a comma",
    )

    @model_validator(mode="after")
    def _apart(self) -> NumberKeys:
        if self.thousands == self.decimal:
            raise ValueError("thousands: the same as decimal")
        if self.thousands and self.thousands in "0123456789+-":
            raise ValueError("thousands: no sign between digits")
        return self

    @property
    def numerals(self) -> Numerals:
        default = "." if self.decimal == "," else ""
        return self.decimal, default if self.thousands is None else self.thousands.strip()


class CsvKeys(NumberKeys):
    separator: str = Field(default=",", min_length=1, max_length=1, description="between the columns")
    encoding: str = Field(default="utf-8-sig", description="utf-8-sig, cp1252, iso-8859-1, utf-16 …")
    columns: list[str] | None = Field(
        default=None,
        min_length=1,
        max_length=MAX_COLUMNS,
        description="names, where no header row gives them",
    )

    @field_validator("separator")
    @classmethod
    def _sign(cls, value: str) -> str:
        if value in '"\r\n\0':
            raise ValueError("no sign between columns")
        return value

    @field_validator("encoding")
    @classmethod
    def _known(cls, value: str) -> str:
        try:
            "0".encode(value)  # also refuses codecs that are no text encodings
        except (LookupError, ValueError):
            raise ValueError(f"{value!r} is not an encoding (utf-8-sig, cp1252, iso-8859-1 …)") from None
        return "utf-8-sig" if codecs.lookup(value).name == "utf-8" else value

    @property
    def single(self) -> bool:
        """Are the signs between cells and rows bytes of their own, at which a stream can be cut?"""
        return '"\r\n'.encode(self.encoding).endswith(b'"\r\n')


class FormatKeys(Keys):
    """One of them."""

    json_: NumberKeys | None = Field(default=None, alias="json", description="JSON (the default)")
    xml: NumberKeys | None = Field(default=None, description="XML")
    csv: CsvKeys | None = Field(default=None, description="rows of text, a header row first")

    @model_validator(mode="after")
    def _one(self) -> FormatKeys:
        if len(self.model_fields_set) != 1:
            raise ValueError("one of json, xml, csv")
        return self

    @property
    def name(self) -> str:
        """As the mapping writes it."""
        return "csv" if self.csv else "xml" if self.xml else "json"

    def parser(self, columns: Collection[str]) -> Parse:
        """`columns`: those that the mapping names, by which the header of CSV is known."""
        if self.csv:
            return partial(parse_csv, self.csv, columns=columns)
        return parse_xml if self.xml else parse_json

    @property
    def numerals(self) -> Numerals:
        keys = self.csv or self.xml or self.json_ or NumberKeys()
        return keys.numerals


class Table(list[Any]):
    """Rows by the names of their columns, and those that were torn."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []
        self.damaged: list[Damaged] = []


def parse_csv(keys: CsvKeys, payload: bytes, columns: Collection[str] = ()) -> Table:
    """Raises Noise: not in this encoding, or longer than MAX_ROWS."""
    text = _text(keys, payload)
    table = Table()
    table.names = keys.columns or []
    rows = _cells(text, keys.separator, table)
    if not table.names:
        table.names, rows = _headed(rows, columns)
    for cells in rows:
        row = _row(table.names, cells)
        if row is None:
            table.damaged.append(Damaged(DamageReason.LENGTH, len(keys.separator.join(cells))))
        else:
            table.append(row)
        if len(table) + len(table.damaged) > MAX_ROWS:
            raise Noise(DamageReason.LENGTH)
    return table


def cells_of(keys: CsvKeys, row: bytes) -> list[str]:
    """One row's cells, none of a broken one. Raises Noise: not in this encoding."""
    return next(_cells(_text(keys, row), keys.separator, Table()), [])


def header_of(keys: CsvKeys, row: bytes) -> list[str]:
    """Raises Noise where the row names two columns alike."""
    return _header(cells_of(keys, row))


def _text(keys: CsvKeys, payload: bytes) -> str:
    try:
        return payload.decode(keys.encoding).removeprefix(MARK)
    except ValueError:
        raise Noise(DamageReason.SYNTAX) from None


def _cells(text: str, separator: str, table: Table) -> Iterator[list[str]]:
    """Rows that are not blank. What follows a broken quotation cannot be told apart: it is damage."""
    blanks = separator != " "  # may stand before a quotation
    lines = io.StringIO(text, newline="")
    rows = csv.reader(lines, delimiter=separator, strict=True, skipinitialspace=blanks)
    try:
        for cells in rows:
            if any(cells):
                yield [cell.strip() for cell in cells]
    except csv.Error:
        table.damaged.append(Damaged(DamageReason.SYNTAX, len(text)))


def _headed(rows: Iterator[list[str]], columns: Collection[str]) -> tuple[list[str], Iterator[list[str]]]:
    """The names, and the rows below them. A title, or a spreadsheet's `sep=;`, may stand above."""
    first = list(islice(rows, 1 + MAX_ABOVE))
    at = next((at for at, cells in enumerate(first) if set(columns).issubset(cells)), 0)
    return _header(first[at]) if first else [], chain(first[at + 1 :], rows)


def _header(cells: list[str]) -> list[str]:
    """Names without the empty cells at the end. Raises Noise where a name stands twice: which is meant?"""
    while cells and not cells[-1]:
        cells.pop()
    names = Counter(filter(None, cells))
    if len(cells) > MAX_COLUMNS or any(times > 1 for times in names.values()):
        raise Noise(DamageReason.SYNTAX)
    return cells


def _row(names: list[str], cells: list[str]) -> dict[str, str] | None:
    """None for a row that is too short or too long: it was torn, or its columns are not these."""
    if len(cells) < len(names) or any(cells[len(names) :]):
        return None
    return dict(zip(names, cells, strict=False))
