"""What was not watched: how much is missing, and a figure for it that is kept apart from what was counted.

Persons only. Receipts and ratios are never imputed, nor a whole day, nor anything while a counter is
suspected and nobody has decided: mark those cells missing first. Oracle O8.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from gateway.measures.converting import PHI_START
from gateway.measures.intervals import Z_95
from gateway.measures.ratios import ESTIMATED, INCOMPLETE, NO_HISTORY, PROFILE_FACTOR, UNDECIDED, WHOLE

LEAST = 0.80  # below, nothing is published; the profile may be offered as a forecast

MEASURED, UNKNOWN = "measured", "unknown"  # tiers; the one between is ESTIMATED


@dataclass(frozen=True, slots=True)
class Estimate:
    """Persons counted, and persons imputed beside them. `total` None: nothing to publish, and `why` says so.

    `factor`: this day over its usual profile. `low` and `high` bound the total at 95 %.
    """

    observed: int
    imputed: float = 0.0
    total: float | None = None
    standard_error: float = 0.0
    low: float | None = None
    high: float | None = None
    factor: float | None = None
    formula: str = PROFILE_FACTOR
    why: str = ""
    flags: tuple[str, ...] = ()


def coverage(watched_s: Iterable[float], open_s: float) -> float | None:
    """Of a zone: that of its worst required line, 0…1. None without lines or open time."""
    known = list(watched_s)
    if not known or open_s <= 0:
        return None
    return min(1.0, max(0.0, min(known)) / open_s)


def tier(covered: float | None) -> str:
    """`measured`, `estimated` or `unknown`, by the share of the open time that was watched."""
    if covered is None or covered < LEAST:
        return UNKNOWN
    return MEASURED if covered >= WHOLE else ESTIMATED


def dispersion(days: Sequence[tuple[float, float]]) -> float:
    """Phi of persons: how much more than by chance such a gap would have been missed on the usual days.

    `days`: persons of each usual day in the cells (watched, missing) of the gap. Each is imputed from the
    others; the mean of squared errors over their expectation at phi 1 (of one person at least), `PHI_START`
    counting as one more day. Days without a person say nothing.
    """
    squares = [PHI_START]
    for at, (observed, missing) in enumerate(days):
        others = [*days[:at], *days[at + 1 :]]
        usual = math.fsum(day[0] for day in others)
        if usual >= 1 and observed >= 1:
            imputed = observed * math.fsum(day[1] for day in others) / usual
            expected = imputed + imputed * imputed / observed
            squares.append((missing - imputed) ** 2 / max(1.0, expected))
    return max(1.0, math.fsum(squares) / len(squares))


def estimate(
    observed: int,
    profile_observed: float,
    profile_missing: float,
    covered: float | None,
    *,
    phi: float = PHI_START,
    undecided: bool = False,
) -> Estimate:
    """A day's persons: f = observed / its profile, imputed = f × the profile of what is missing.

    `profile_observed`, `profile_missing`: usual persons of the cells that were and were not watched.
    `undecided`: `stuck` or `flatline` is raised for a line of it. Variance phi·imputed +
    (imputed/observed)²·phi·observed.
    """
    if undecided:
        return Estimate(observed, why=UNDECIDED)
    if covered is None or covered < LEAST:
        return Estimate(observed, why=INCOMPLETE)
    if covered >= WHOLE:
        return Estimate(observed, total=observed, low=observed, high=observed)
    if profile_observed <= 0 or profile_missing < 0:
        return Estimate(observed, why=NO_HISTORY)
    factor = observed / profile_observed
    imputed = factor * profile_missing
    error = math.sqrt(phi * imputed + (phi * imputed * imputed / observed if observed else 0.0))
    total = observed + imputed
    low, high = max(float(observed), total - Z_95 * error), total + Z_95 * error
    return Estimate(observed, imputed, total, error, low, high, factor, flags=(ESTIMATED,))
