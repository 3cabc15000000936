"""Flat records of numbers, many of them as one run of bytes."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import Any, ClassVar


class Packed:
    """A frozen record of numbers in the order of its fields; `FORMAT` as in `struct`, a letter a field."""

    __slots__: tuple[str, ...] = ()
    FORMAT: ClassVar[str]


class Layout:
    """Records one after another, little-endian."""

    def __init__(self, *records: type[Packed]) -> None:
        self._records = [(record, len(record.FORMAT)) for record in records]
        self._fields: list[Callable[[Any], tuple[Any, ...]]] = [
            attrgetter(*record.__slots__) for record in records
        ]
        self._struct = struct.Struct("<" + "".join(record.FORMAT for record in records))
        self.size = self._struct.size

    def pack(self, records: Sequence[Packed]) -> bytes:
        flat: list[Any] = []
        for fields, record in zip(self._fields, records, strict=True):
            flat += fields(record)
        return self._struct.pack(*flat)

    def unpack(self, state: bytes, at: int = 0) -> list[Any]:
        """Raises struct.error where there are too few bytes."""
        flat = self._struct.unpack_from(state, at)
        records, first = [], 0
        for record, length in self._records:
            records.append(record(*flat[first : first + length]))
            first += length
        return records
