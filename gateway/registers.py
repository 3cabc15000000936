"""Pure: what the difference between two readings of an odometer means (semantics 1, Totals).

Every decrease is a rollover, a reset, a swap, a glitch or a register that runs the wrong way; what is more
than could have crossed in the time is a jump. Persons are never invented: what is not believed is refused and
counted.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from gateway.model import MAX_COUNT


class Kind(StrEnum):
    """What a difference was. `held` waits for the next reading; the rest is final."""

    FORWARD = "forward"
    ROLLOVER = "rollover"
    JUMP = "jump"
    HELD = "held"
    RESET = "reset"
    GLITCH = "glitch"
    BACKWARD = "backward"
    SWAP = "swap"
    STALE = "stale"


@dataclass(frozen=True, slots=True)
class Rule:
    """How one register turns: `modulus` None is unknown, `max_per_s` 0 is no limit."""

    modulus: int | None = None
    restart: int = 0
    max_per_s: float = 5.0
    down: bool = False
    resets: bool = True  # the device may return to `restart` by itself

    @property
    def span(self) -> int | None:
        """Distinct values before it comes round."""
        return None if self.modulus is None else self.modulus - self.restart

    def forward(self, earlier: int, later: int) -> int:
        """Persons from one total to the next; negative is a decrease."""
        return earlier - later if self.down else later - earlier

    def limit(self, elapsed_ms: int) -> int:
        """Persons that can have crossed in that time, at least one; never more than a reading may hold."""
        if self.max_per_s <= 0:
            return MAX_COUNT
        return min(max(1, int(self.max_per_s * elapsed_ms / 1000)), MAX_COUNT)


@dataclass(frozen=True, slots=True)
class Verdict:
    kind: Kind
    persons: int


def judge(rule: Rule, earlier: int, later: int, elapsed_ms: int) -> Verdict:
    """The difference between time neighbours: forward, rollover, jump, or a decrease to be held."""
    limit = rule.limit(elapsed_ms)
    persons = rule.forward(earlier, later)
    if persons >= 0:
        return Verdict(Kind.FORWARD if persons <= limit else Kind.JUMP, persons)
    if rule.span and rule.span > 0:
        round_ = persons % rule.span
        if 4 * round_ <= rule.span and round_ <= limit:
            return Verdict(Kind.ROLLOVER, round_)
    return Verdict(Kind.HELD, -persons)


def judge_low(rule: Rule, old: int, low: int, elapsed_ms: int, following: int) -> Verdict:
    """A held decrease, once `following` has come after it. HELD: still not known, keep waiting.

    Standing still at a low value proves nothing but at the very restart; falling on is no reset.
    """
    if rule.forward(old, following) >= 0:
        return Verdict(Kind.GLITCH, 0)
    onward = rule.forward(low, following)
    since_restart = rule.forward(rule.restart, low)
    if onward == 0 and since_restart != 0 and rule.resets:
        return Verdict(Kind.HELD, 0)
    may_reset = rule.resets and onward >= 0 and since_restart >= 0
    small = since_restart <= rule.limit(elapsed_ms) and (not rule.span or 4 * since_restart <= rule.span)
    if may_reset and small:
        return Verdict(Kind.RESET, since_restart)
    return Verdict(Kind.BACKWARD, -rule.forward(old, low))
