"""Hours hidden in recorded days and imputed as reports do: how often do the 95 % bounds hold the truth?

COUNTER_DATA=folder python -m tests.evaluate.bounds [--days 1000] [--seed 1]

Each street is taken as a place that is open from eight to eight, once as it was counted and once as if one
person in twenty had been counted there, which is the flow of a shop's door.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, time
from functools import lru_cache
from random import Random

from gateway.measures import PHI_START, Z_95
from gateway.reports.gaps import Cell, Door, Doors, Usual, filled, usual, usual_days
from tests.evaluate import recorded
from tests.evaluate.recorded import Line

OPEN = range(8, 20)
HOUR_MS = 3_600_000
LEAST = 50  # persons: on a quieter day the counter was not working
SHARES = (1.0, 0.05)
Counts = Mapping[int, int]  # hour → persons


@dataclass(slots=True)
class Tally:
    """How often the truth was inside, and how far the middle was off, in persons.

    `plain`: inside of what a dispersion of 2 and no history of it would have given.
    """

    n: int = 0
    held: int = 0
    plain: int = 0
    off: float = 0.0
    truth: int = 0
    width: float = 0.0

    def row(self, site: str, share: float, hours: int) -> str:
        shares = (100 * self.off / self.truth, self.width / self.truth, 100 * self.held / self.n)
        off, width, held = (f"{part:.{digits}f}" for part, digits in zip(shares, (1, 2, 1), strict=True))
        plain = f"{100 * self.plain / self.n:.1f}"
        cells = (site, f"{share:g}", f"{hours} h", self.n, round(self.truth / self.n), f"{off} %", width)
        return f"| {' | '.join(map(str, cells))} | **{held}** | {plain} |"


def thinned(count: int, share: float, dice: Random) -> int:
    """So many of `count` as are seen when each is seen with that chance."""
    if share >= 1:
        return count
    seen, at = 0, 0.0
    while (at := at + 1 + math.floor(math.log(1 - dice.random()) / math.log(1 - share))) <= count:
        seen += 1
    return seen


class Place:
    """A recorded street as a zone with one door."""

    def __init__(self, line: Line, share: float, seed: int) -> None:
        self._line, self._share, self._seed = line, share, seed
        self.counts = lru_cache(4096)(self._counts)

    def _counts(self, day: date) -> Counts | None:
        """None where an hour is not known, or next to nobody came."""
        dice = Random(f"{self._line.name} {day} {self._seed}")
        hours = {hour: self._line.counts.get(datetime.combine(day, time(hour))) for hour in OPEN}
        known = {hour: count.ins for hour, count in hours.items() if count is not None}
        if len(known) < len(OPEN) or sum(known.values()) < LEAST:
            return None
        return {hour: thinned(count, self._share, dice) for hour, count in known.items()}

    def usual(self, day: date) -> Usual | None:
        counts = self.counts(day)
        return None if counts is None else usual(doors(counts, range(0)), len(OPEN) * HOUR_MS)


def doors(counts: Counts, lost: range) -> Doors:
    cells = [
        Cell(hour * HOUR_MS, 3600, hour * 60, HOUR_MS, 0, (0, 0, 0))
        if hour in lost
        else Cell(hour * HOUR_MS, 3600, hour * 60, HOUR_MS, HOUR_MS, (counts[hour], 0, 0))
        for hour in OPEN
    ]
    return {"street": Door("street", "entrance", cells)}


def hidden(lines: Mapping[str, Line], hours: int, share: float, days: int, seed: int) -> Tally:
    dice, tally = Random(seed), Tally()
    for place, day in drawn(lines, share, dice, seed):
        counts = place.counts(day)
        first = dice.choice(OPEN[: len(OPEN) - hours + 1])
        lost = range(first, first + hours)
        before = usual_days(day, place.usual)
        if counts is None or len(before) < 2:
            continue
        side = filled(doors(counts, lost), before, 1 - hours / len(OPEN)).sides["ins"]
        truth = sum(counts[hour] for hour in lost)
        low, high = side.bounds(0)
        tally.n += 1
        tally.held += low <= truth <= high
        tally.off += abs(truth - side.imputed)
        chance = side.imputed + side.imputed**2 / side.observed if side.observed else 0.0
        tally.plain += abs(truth - side.imputed) <= Z_95 * math.sqrt(PHI_START * chance)
        tally.truth += truth
        tally.width += high - low
        if tally.n == days:
            break
    return tally


def drawn(lines: Mapping[str, Line], share: float, dice: Random, seed: int) -> Iterator[tuple[Place, date]]:
    """Days of all streets in random order."""
    places = {name: Place(line, share, seed) for name, line in lines.items()}
    every = [(places[name], day) for name, line in sorted(lines.items()) for day in line.days()]
    dice.shuffle(every)
    yield from every


def main() -> int:
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--days", type=int, default=1000)
    asked.add_argument("--seed", type=int, default=1)
    args, folder = asked.parse_args(), recorded.folder()
    if folder is None:
        print("COUNTER_DATA names no folder: bounds of what is imputed not evaluated")
        return 0
    sites = {
        "Leeds": recorded.leeds(folder / "leeds_footfall" / "footfall_2009_2016.csv.gz"),
        "Melbourne": recorded.melbourne(folder / "melbourne_pedestrian" / "pedestrian_2015_2016.csv.gz"),
    }
    print("| site | share seen | gap | n | persons, mean | off by | width | **holds the truth, %** | φ = 2 |")
    print("|---|--:|--:|--:|--:|--:|--:|--:|--:|")
    for site, lines in sites.items():
        for share in SHARES:
            for hours in (1, 2):
                print(hidden(lines, hours, share, args.days, args.seed).row(site, share, hours))
    return 0


if __name__ == "__main__":
    sys.exit(main())
