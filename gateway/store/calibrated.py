"""Calibration applied on read: a zone's sums with the factors in force at a window's start (decision 013).

Sums are kept in thousandths of persons: five persons at a factor of 1.05 are 5.25, and four such windows 21.
"""

from __future__ import annotations

import math

from gateway.measures.calibrated import MILLION, Calibrated
from gateway.model import Role
from gateway.store.in_force import Factor, Factors, factor_at
from gateway.store.memory import ZoneMember
from gateway.store.plan import SIDE_IN, SIDE_OUT, SIDE_PASSES
from gateway.store.sums import LineWindow

Told = tuple[int, int, int]


class CalibratedSum:
    """Adds up a zone's lines at one instant; errors of different lines know nothing of each other."""

    def __init__(self, factors: Factors, at_ms: int) -> None:
        self._factors, self._at_ms = factors, at_ms
        self._version = 0
        self._sums = {"ins": 0, "outs": 0, "passersby": 0}  # persons × a million
        self._squares = {"ins": 0.0, "outs": 0.0, "passersby": 0.0}  # of absolute errors, in the same unit

    def add(self, member: ZoneMember, window: LineWindow, told: Told = (0, 0, 0)) -> None:
        """`told`: ins, outs and passes of it that a person entered: those are what they are."""
        if member.role in (Role.TILL, Role.STAFF) or not self._factors:
            return
        half_in, half_out = window.halves()
        told_half = half_in * told[2] // window.passes if window.passes else 0
        names = ("ins", "outs") if member.sign > 0 else ("outs", "ins")
        if member.role is Role.PASSING:
            names = ("passersby", "passersby")
        for side, count, sure, name in (
            (SIDE_IN, window.ins, told[0], names[0]),
            (SIDE_OUT, window.outs, told[1], names[1]),
            (SIDE_PASSES, half_in, told_half, names[0]),
            (SIDE_PASSES, half_out, told[2] - told_half, names[1]),
        ):
            factor = factor_at(self._factors, member.line_id, side, self._at_ms)
            self._count(factor, count, min(sure, count), name)

    def _count(self, factor: Factor | None, count: int, sure: int, name: str) -> None:
        ppm = MILLION if factor is None else factor.ppm
        self._sums[name] += sure * MILLION + (count - sure) * ppm
        if factor is not None:
            self._version = max(self._version, factor.version)
            self._squares[name] += ((count - sure) * ppm * factor.error_ppm / MILLION) ** 2

    def result(self) -> Calibrated | None:
        """None where nothing is calibrated."""
        if not self._version:
            return None
        ins, outs, passersby = ((total + 500) // 1000 for total in self._sums.values())
        return Calibrated(self._version, ins, outs, passersby, self._ppm("ins"), self._ppm("passersby"))

    def _ppm(self, name: str) -> int:
        total = self._sums[name]
        return round(MILLION * math.sqrt(self._squares[name]) / total) if total else 0
