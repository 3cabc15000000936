"""Counts after calibration, and what rates are made of then.

In thousandths of persons: five persons at a factor of 1.05 are 5.25, and four such windows are 21. Rounded
window by window, a small door would never be calibrated at all.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
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


def together(parts: Sequence[tuple[Calibrated | None, tuple[int, int, int]]]) -> Calibrated | None:
    """Several windows as one; each with its raw (ins, outs, passersby), for those that are not calibrated.

    The error of a factor is the same in all windows: relative errors are averaged by what they are of.
    """
    version = ins = outs = passersby = 0
    wrong_ins = wrong_passersby = 0
    for one, raw in parts:
        part = one or Calibrated(0, raw[0] * 1000, raw[1] * 1000, raw[2] * 1000, 0, 0)
        version = max(version, part.version)
        ins, outs, passersby = ins + part.ins, outs + part.outs, passersby + part.passersby
        wrong_ins += part.ins * part.ins_ppm
        wrong_passersby += part.passersby * part.passersby_ppm
    if not version:
        return None
    errors = wrong_ins // ins if ins else 0, wrong_passersby // passersby if passersby else 0
    return Calibrated(version, ins, outs, passersby, *errors)
