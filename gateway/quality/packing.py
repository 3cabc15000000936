"""Flat records of numbers, many of them as one run of bytes.

Records are named tuples: a slot makes a dozen of them and reads and writes them all, and frozen dataclasses
take three times as long.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Sequence
from typing import Any

Make = Callable[[Iterable[Any]], Any]  # `_make` of a named tuple


class Layout:
    """Records one after another, little-endian; of each how it is made, and its fields as in `struct`."""

    def __init__(self, *records: tuple[Make, str]) -> None:
        self._parts: list[tuple[Make, slice]] = []
        first = 0
        for make, fields in records:
            self._parts.append((make, slice(first, first + len(fields))))
            first += len(fields)
        self._struct = struct.Struct("<" + "".join(fields for _make, fields in records))
        self.size = self._struct.size

    def pack(self, records: Sequence[tuple[Any, ...]]) -> bytes:
        flat: list[Any] = []
        for record in records:
            flat += record
        return self._struct.pack(*flat)

    def unpack(self, state: bytes, at: int = 0) -> list[Any]:
        """Raises struct.error where there are too few bytes."""
        flat = self._struct.unpack_from(state, at)
        return [make(flat[part]) for make, part in self._parts]
