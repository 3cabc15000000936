"""Counts after calibration, and what rates are made of then.

In thousandths of persons: five persons at a factor of 1.05 are 5.25, and four such windows are 21. Rounded
window by window, a small door would never be calibrated at all.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

MILLION = 1_000_000


@dataclass(frozen=True, slots=True)
class Calibrated:
    """A zone's window, or several, after calibration; counts in thousandths of persons.

    `version`: the newest that had a part in it. `…_ppm`: relative standard errors of entries and passers-by.
    """

    version: int
    ins: int
    outs: int
    passersby: int
    ins_ppm: int
    passersby_ppm: int

    def to_json(self) -> dict[str, float]:
        """As events and the API show it: persons with up to three decimals."""
        counts = {"ins": self.ins, "outs": self.outs, "passersby": self.passersby}
        return {"version": self.version, **{name: persons(count) for name, count in counts.items()}}


def persons(thousandths: int) -> float:
    """A whole number where it is one."""
    return thousandths // 1000 if thousandths % 1000 == 0 else thousandths / 1000


@dataclass(frozen=True, slots=True)
class RateBasis:
    """What rates are made of: entries and passers-by, calibrated where they are, with relative errors."""

    entries: float
    passersby: float
    s_entries: float = 0.0
    s_passersby: float = 0.0

    @property
    def s_capture(self) -> float:
        return math.hypot(self.s_entries, self.s_passersby)


def rate_basis(ins: int, passersby: int, calibrated: Calibrated | None) -> RateBasis:
    if calibrated is None:
        return RateBasis(ins, passersby)
    errors = calibrated.ins_ppm / MILLION, calibrated.passersby_ppm / MILLION
    return RateBasis(calibrated.ins / 1000, calibrated.passersby / 1000, *errors)


class Together:
    """Several windows as one. A factor's error is the same in all of them: a day is no surer than a minute.

    Relative errors are averaged by what they are of.
    """

    def __init__(self) -> None:
        self._version = self._ins = self._outs = self._passersby = 0
        self._wrong_ins = self._wrong_passersby = 0

    def add(self, window: Calibrated | None, raw: tuple[int, int, int]) -> None:
        """`raw`: ins, outs, passersby as counted, which stand where nothing is calibrated."""
        part = window or Calibrated(0, raw[0] * 1000, raw[1] * 1000, raw[2] * 1000, 0, 0)
        self._version = max(self._version, part.version)
        self._ins += part.ins
        self._outs += part.outs
        self._passersby += part.passersby
        self._wrong_ins += part.ins * part.ins_ppm
        self._wrong_passersby += part.passersby * part.passersby_ppm

    def plus(self, other: Together) -> None:
        """Its windows are ours, too."""
        self._version = max(self._version, other._version)
        self._ins += other._ins
        self._outs += other._outs
        self._passersby += other._passersby
        self._wrong_ins += other._wrong_ins
        self._wrong_passersby += other._wrong_passersby

    def result(self) -> Calibrated | None:
        """None where no window was calibrated."""
        if not self._version:
            return None
        ins_ppm = self._wrong_ins // self._ins if self._ins else 0
        passersby_ppm = self._wrong_passersby // self._passersby if self._passersby else 0
        return Calibrated(self._version, self._ins, self._outs, self._passersby, ins_ppm, passersby_ppm)
