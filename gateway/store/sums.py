"""Pure: a line's window as stored, and a zone's sums over its lines."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.measures.calibrated import Calibrated
from gateway.model import Role
from gateway.store.memory import ZoneMember


@dataclass(slots=True)
class LineWindow:
    """A line's window as stored; revision 0 is one that was never closed."""

    revision: int = 0
    ins: int = 0
    outs: int = 0
    passes: int = 0
    sales: int = 0
    returns: int = 0
    amount: int = 0
    odd_before: int = 0  # parity of all passes before: halves are floor(C_end/2) - floor(C_start/2)
    watched_ms: int | None = 0
    est_ins: int = 0
    est_outs: int = 0
    est_passes: int = 0
    quality: int = 0

    def facts(self) -> tuple[int | None, ...]:
        """What makes a revision when it differs."""
        return (*self.till(), *self.crossed())

    def row(self) -> tuple[int | None, ...]:
        """All but the revision, as the table has it."""
        counts = (self.ins, self.outs, self.passes, self.sales, self.returns, self.amount)
        estimated = (self.est_ins, self.est_outs, self.est_passes)
        return (*counts, self.odd_before, self.watched_ms, *estimated, self.quality)

    def till(self) -> tuple[int, ...]:
        return self.sales, self.returns, self.amount

    def crossed(self) -> tuple[int | None, ...]:
        persons = (self.ins, self.outs, self.passes, self.odd_before, self.watched_ms)
        return (*persons, self.est_ins, self.est_outs, self.est_passes)

    def halves(self) -> tuple[int, int]:
        """A beam that knows no direction, as an entrance."""
        ins = (self.odd_before + self.passes) // 2
        return ins, self.passes - ins


@dataclass(slots=True)
class ZoneSum:
    """Sums of a zone's window over its lines."""

    ins: int = 0
    outs: int = 0
    passersby: int = 0
    sales: int = 0
    returns: int = 0
    amount: int = 0
    estimated_ins: int = 0
    estimated_outs: int = 0
    quality: int = 0
    staff: int = 0

    def add(self, member: ZoneMember, window: LineWindow) -> None:
        if member.role is Role.TILL:
            self.sales += window.sales
            self.returns += window.returns
            self.amount += window.amount
        elif member.role is Role.PASSING:
            self.passersby += window.ins + window.outs + window.passes
        elif member.role is Role.STAFF:
            half_in, half_out = window.halves()
            self.staff += window.ins + half_in if member.sign > 0 else window.outs + half_out
        else:
            self._enter(member.sign, window)
        self.quality = max(self.quality, window.quality)

    def sums(self) -> tuple[int, int, int, int, int, int]:
        return self.ins, self.outs, self.passersby, self.sales, self.returns, self.amount

    def merge(self, other: ZoneSum) -> None:
        """As if its windows were one with ours."""
        for name in ("ins", "outs", "passersby", "sales", "returns", "amount", "staff"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.estimated_ins += other.estimated_ins
        self.estimated_outs += other.estimated_outs
        self.quality = max(self.quality, other.quality)

    def step(self, calibrated: Calibrated | None) -> tuple[int, int]:
        """What occupancy is made of: ins and outs in thousandths of persons, calibrated where they are."""
        return (
            (self.ins * 1000, self.outs * 1000) if calibrated is None else (calibrated.ins, calibrated.outs)
        )

    def _enter(self, sign: int, window: LineWindow) -> None:
        half_in, half_out = window.halves()
        ins, outs = window.ins + half_in, window.outs + half_out
        est_ins, est_outs = (
            window.est_ins + window.est_passes // 2,
            window.est_outs + (window.est_passes + 1) // 2,
        )
        if sign < 0:
            ins, outs, est_ins, est_outs = outs, ins, est_outs, est_ins
        self.ins += ins
        self.outs += outs
        self.estimated_ins += est_ins
        self.estimated_outs += est_outs
