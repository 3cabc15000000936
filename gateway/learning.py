"""Pure: what a zone's closed days teach of its receipts: how they scatter, how long after coming in people
pay, what is usual.

Learnt anew after each business day from the stored windows of the last four weeks: nothing has to be
remembered, and anybody can learn it again. What was learnt is stored with its moment: an interval that was
once published never changes.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from functools import lru_cache, partial

from gateway.measures import PHI_START
from gateway.measures.converting import prior
from gateway.measures.dispersion import Dispersion, after_day, phi, rolling, squares, to_date
from gateway.measures.dwell import dwell_windows
from gateway.measures.lag import kernel, lagged, learn, mean_lag, of_day, rolling_length
from gateway.measures.ratios import NO_HISTORY, Ratio, unknown

DAYS = 28
SAME_WEEKDAYS = 4
WHOLE = 0.95  # a day watched for less teaches nothing
HOUR_S = 3600
CLASSES = ((11, "morning"), (14, "midday"), (17, "afternoon"), (24, "evening"))  # local hours before which


def hour_class(hour: int) -> str:
    """Morning, midday, afternoon or evening of a local hour 0…23."""
    return next(name for before, name in CLASSES if hour < before)


@dataclass(frozen=True, slots=True)
class Window:
    """One closed window: `hour` is the local hour of its start; visitors are ins less staff."""

    hour: int
    ins: int
    outs: int
    staff: int
    sales: int

    @property
    def visitors(self) -> int:
        return max(0, self.ins - self.staff)


@dataclass(frozen=True, slots=True)
class Day:
    """A closed business day; `weekday` 0 is Monday; `completeness` None: nobody can say."""

    weekday: int
    size_s: int
    completeness: float | None
    windows: Sequence[Window]

    @property
    def whole(self) -> bool:
        return self.completeness is not None and self.completeness >= WHOLE


@dataclass(frozen=True, slots=True)
class Learnt:
    """`phi` by hour class for one window; `phi_trailing` for the trailing one, `phi_day` for the day so far.

    `lag_s`: mean seconds from entry to receipt, None while too little was seen. `priors`: weekday → (rate,
    visitors that it weighs). `dwell`: minutes of the last closed day.
    """

    phi: dict[str, float] = field(default_factory=dict)
    phi_trailing: float = PHI_START
    phi_day: float = PHI_START
    lag_s: float | None = None
    priors: dict[str, tuple[float, float]] = field(default_factory=dict)
    dwell_min: float | None = None
    dwell_why: str = NO_HISTORY
    days: int = 0

    def phi_at(self, hour: int) -> float:
        """For one window that starts in that local hour."""
        return self.phi.get(hour_class(hour), PHI_START)

    def prior_of(self, weekday: int) -> tuple[float, float] | None:
        return self.priors.get(str(weekday))

    def lagged(self, visitors: Sequence[float], size_s: int) -> Sequence[float]:
        """Of whom a receipt can be expected in each window of a day; () while no lag is known."""
        return () if self.lag_s is None else lagged(visitors, kernel(self.lag_s, size_s))

    @property
    def dwell(self) -> Ratio:
        return (
            unknown(self.dwell_why)
            if self.dwell_min is None
            else Ratio(self.dwell_min, formula="little-windows/1")
        )

    @classmethod
    def of(cls, text: str | None) -> Learnt:
        """What was stored, or what is assumed before the first day."""
        return _parsed(text) if text else NOTHING

    def to_text(self) -> str:
        return json.dumps(asdict(self), separators=(",", ":"))

    @classmethod
    def from_text(cls, text: str) -> Learnt:
        known = json.loads(text)
        known["priors"] = {day: (m, n0) for day, (m, n0) in known["priors"].items()}
        return cls(**known)


NOTHING = Learnt()


@lru_cache(maxsize=256)
def _parsed(text: str) -> Learnt:
    """A zone's windows of one day were closed by the same: a backlog parses it once."""
    return Learnt.from_text(text)


def teach(days: Sequence[Day]) -> Learnt:
    """From closed days, oldest first."""
    whole = [day for day in days if day.whole and any(window.sales for window in day.windows)]
    lag_s = _lag_s(whole)
    told = [_Told(day, lag_s or 0.0) for day in whole]
    last = days[-1] if days else None
    dwell = unknown(NO_HISTORY) if last is None or not last.whole else _dwell(last)
    return Learnt(
        phi={name: phi(_seen(told, partial(_Told.hours, name=name))) for _before, name in CLASSES},
        phi_trailing=phi(_seen(told, lambda one: one.trailing())),
        phi_day=phi(_seen(told, lambda one: one.so_far())),
        lag_s=lag_s,
        priors=_priors(whole),
        dwell_min=dwell.value,
        dwell_why=dwell.why,
        days=len(whole),
    )


class _Told:
    """One day's receipts and the visitors they belong to."""

    def __init__(self, day: Day, lag_s: float) -> None:
        self._hour = max(1, HOUR_S // day.size_s)
        self._trailing = rolling_length(lag_s / day.size_s, self._hour)
        self.hours_of_day = [hour_class(window.hour) for window in day.windows]
        self.sales = [window.sales for window in day.windows]
        self.visitors = lagged([window.visitors for window in day.windows], kernel(lag_s, day.size_s))

    def trailing(self) -> Iterable[float]:
        """Squared residuals of trailing windows."""
        return self._residuals(rolling(self.sales, self.visitors, self._trailing))

    def so_far(self) -> Iterable[float]:
        """Squared residuals of the day until each full hour."""
        return self._residuals(to_date(self.sales, self.visitors, self._hour))

    def _residuals(self, parts: Iterable[tuple[int, float]]) -> Iterable[float]:
        return squares(parts, sum(self.sales), math.fsum(self.visitors))

    def hours(self, name: str) -> Iterable[float]:
        """Squared residuals of the hours of one class."""
        of = self.hours_of_day[:: self._hour]
        parts = zip(of, rolling(self.sales, self.visitors, self._hour), strict=False)
        return self._residuals(part for hour, part in parts if hour == name)


def _seen(told: Iterable[_Told], residuals: Callable[[_Told], Iterable[float]]) -> Dispersion:
    seen = Dispersion()
    for one in told:
        seen = after_day(seen, residuals(one))
    return seen


def _lag_s(days: Sequence[Day]) -> float | None:
    """Windows of one size only: the size of the last day."""
    if not days:
        return None
    size_s = days[-1].size_s
    same = [day for day in days if day.size_s == size_s]
    mean = mean_lag(learn(of_day(_visitors(day), [window.sales for window in day.windows]) for day in same))
    return None if mean is None else mean * size_s


def _visitors(day: Day) -> list[int]:
    return [window.visitors for window in day.windows]


def _priors(days: Sequence[Day]) -> dict[str, tuple[float, float]]:
    """By weekday, from the last four of the same."""
    found: dict[str, tuple[float, float]] = {}
    for weekday in range(7):
        same = [day for day in days if day.weekday == weekday][-SAME_WEEKDAYS:]
        told = [(sum(window.sales for window in day.windows), sum(_visitors(day))) for day in same]
        known = prior(told)
        if known is not None:
            found[str(weekday)] = known
    return found


def _dwell(day: Day) -> Ratio:
    ins, outs = [window.ins for window in day.windows], [window.outs for window in day.windows]
    return dwell_windows(ins, outs, day.size_s)
