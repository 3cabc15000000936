"""CalIt2's thirty known events: which rule finds how many, at how many alarms outside them?

A rule hits an event when it flags anything from half an hour before to half an hour after it. The list of
events is known to be incomplete, so what lies outside it is not all false.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from gateway.quality import Kind, Rules
from gateway.quality.chances import at_least
from tests.evaluate.feeding import Watched, run_day
from tests.evaluate.recorded import HALF_HOUR, Line, ms

Span = tuple[int, int]
HALF_HOUR_MS = 1_800_000
NB_K4 = 0.25  # dispersion


@dataclass(frozen=True, slots=True)
class Found:
    """`alarms`: stretches of flagged time; `slots`: flagged half hours; both outside all events, per day."""

    rule: str
    hits: int
    alarms: float
    slots: float
    share: float  # of all time that was flagged

    def row(self) -> str:
        return (
            f"| {self.rule} | {self.hits}/30 | {self.alarms:.2f} | {self.slots:.2f} |"
            f" {self.share * 100:.1f} % |"
        )


def score(
    rule: str, flagged: Sequence[Span], events: Sequence[tuple[datetime, datetime]], days: int
) -> Found:
    """Spans that touch belong to one alarm."""
    reach = [(ms(first - HALF_HOUR), ms(last + HALF_HOUR)) for first, last in events]
    spans = _joined(flagged)
    outside = [(low, high) for low, high in spans if not any(low < b and high > a for a, b in reach)]
    hits = sum(any(low < b and high > a for low, high in spans) for a, b in reach)
    slots = sum(high - low for low, high in outside) / HALF_HOUR_MS
    share = sum(high - low for low, high in spans) / (days * 48 * HALF_HOUR_MS)
    return Found(rule, hits, len(outside) / days, slots / days, share)


def _joined(flagged: Sequence[Span]) -> list[Span]:
    spans: list[Span] = []
    for low, high in sorted(flagged):
        if spans and low <= spans[-1][1]:
            spans[-1] = (spans[-1][0], max(high, spans[-1][1]))
        else:
            spans.append((low, high))
    return spans


def threshold(line: Line, tail: float, a: float) -> list[Span]:
    """The baseline: persons in, one slot at a time, against the mean of the same slots of all days before.

    A weekday and a weekend profile; half a person is known beforehand.
    """
    seen: dict[tuple[bool, int, int], list[int]] = defaultdict(list)
    flagged = []
    for at, count in line.counts.items():
        shown = at + HALF_HOUR  # the profile of the figures to be reproduced goes by the file's own stamps
        before = seen[shown.weekday() >= 5, shown.hour, shown.minute]
        if len(before) >= 3:
            mean = (sum(before) + 1) / (len(before) + 1)
            if count.ins > mean and at_least(count.ins, mean, a) < tail:
                flagged.append((ms(shown), ms(shown) + HALF_HOUR_MS))
        before.append(count.ins)
    return flagged


def learned(line: Line, rules: Rules) -> list[Span]:
    """The daemon's own `event_high`, from the slot that raised it until it was calm."""
    watched = Watched(line, rules)
    for day in line.days():
        run_day([watched], day)
    spans: list[list[int]] = []
    for told_ms, alarm in watched.changes:
        if alarm.kind is not Kind.EVENT_HIGH:
            continue
        if alarm.until_ms is None:
            spans.append([told_ms - HALF_HOUR_MS, ms(max(line.counts)) + HALF_HOUR_MS])
        else:
            spans[-1][1] = alarm.until_ms
    return [(low, high) for low, high in spans]


def table(line: Line, events: Sequence[tuple[datetime, datetime]]) -> list[Found]:
    """Baselines, then what is shipped."""
    days = len(list(line.days()))
    rows = [
        score(f"{name} {tail:g}, single slots", threshold(line, tail, a), events, days)
        for name, tail, a in (
            ("Poisson", 0.00135, 0.0),
            ("Poisson", 1e-5, 0.0),
            ("negative binomial (k 4)", 0.01, NB_K4),
            ("negative binomial (k 4)", 0.00135, NB_K4),
        )
    ]
    return [*rows, score("shipped: fading odds of in and out", learned(line, Rules()), events, days)]
