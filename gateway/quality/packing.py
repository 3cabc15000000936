"""Flat records of numbers as bytes."""

from __future__ import annotations

import struct
from typing import ClassVar, Self


class Packed:
    """A frozen record of numbers, packed little-endian in the order of its fields."""

    __slots__: tuple[str, ...] = ()
    FORMAT: ClassVar[str]

    def pack(self) -> bytes:
        return struct.pack("<" + self.FORMAT, *(getattr(self, name) for name in self.__slots__))

    @classmethod
    def unpack(cls, state: bytes, at: int = 0) -> Self:
        """Raises struct.error where there are too few bytes."""
        return cls(*struct.unpack_from("<" + cls.FORMAT, state, at))

    @classmethod
    def size(cls) -> int:
        return struct.calcsize("<" + cls.FORMAT)
