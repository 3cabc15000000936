"""Draw the pictures of docs/measures.md from recorded data: `python docs/pictures/draw.py [FOLDER]`.

CalIt2 ships with the project (simulators/data). Leeds and Melbourne are read from FOLDER (or $COUNTER_DATA)
where whole data sets lie; without it their pictures stay as they are.
"""

from __future__ import annotations

import csv
import gzip
import math
import os
import statistics
import sys
from collections import defaultdict
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from functools import cache
from pathlib import Path

from chart import Chart

from gateway.measures.campaign import placebo
from gateway.measures.converting import conversion
from gateway.measures.imputing import estimate
from gateway.measures.lag import kernel, lagged
from gateway.measures.presence import occupancy_raw, retrospective
from simulators.recorded import CALIT2_CLOCK, load

HERE = Path(__file__).parent
HALF_HOUR_S = 1800
RATE, LAG_S = 0.25, 1.1 * HALF_HOUR_S
HOURS = [(hour, f"{hour}:00") for hour in range(0, 25, 3)]
Leeds = dict[str, dict[date, dict[int, int]]]


def door(day: date) -> tuple[list[int], list[int]]:
    """Ins and outs of the 48 half hours of one day at the CalIt2 building."""
    [told] = load("calit2").deltas.values()
    first_ms = round(datetime(day.year, day.month, day.day, tzinfo=CALIT2_CLOCK).timestamp() * 1000)
    of = {delta.start_ms: delta for delta in told}
    halves = [of.get(first_ms + 1000 * HALF_HOUR_S * n) for n in range(48)]
    return [half.ins if half else 0 for half in halves], [half.outs if half else 0 for half in halves]


def lag_picture() -> str:
    """A real door's entries, and receipts that a quarter of them make a while later."""
    ins, _outs = door(date(2005, 7, 27))
    due = lagged(ins, kernel(LAG_S, HALF_HOUR_S))
    chart = Chart(
        "One in four buys, all day long: what two formulas make of it",
        (7, 20),
        (0, 0.7),
        [(hour, f"{hour}:00") for hour in range(7, 21, 2)],
        [(share / 10, f"{10 * share} %") for share in range(8)],
        "Entries: CalIt2 building, 2005-07-27. Receipts: 25 % of them, 33 minutes later on average.",
    )
    same = [(n / 2 + 0.25, RATE * due[n] / ins[n]) for n in range(14, 40) if ins[n]]
    by_lag = [(n / 2 + 0.25, RATE * due[n] / due[n]) for n in range(14, 40) if due[n]]
    chart.line(same, "receipts / entries of the same half hour", 1)
    chart.line(by_lag, "receipts / lagged entries", 0)
    return chart.svg()


def interval_picture() -> str:
    """How the interval closes while a day fills."""
    ins, _outs = door(date(2005, 7, 27))
    came = sold = 0
    band, middle = [], []
    for n, entered in enumerate(ins):
        came += entered
        sold = round(RATE * came)
        ratio = conversion(sold, came)
        if ratio.value is not None and ratio.low is not None and ratio.high is not None:
            band.append(((n + 1) / 2, ratio.low, ratio.high))
            middle.append(((n + 1) / 2, ratio.value))
    chart = Chart(
        "Conversion of the day so far, and what it may be",
        (7, 20),
        (0, 0.7),
        [(hour, f"{hour}:00") for hour in range(7, 21, 2)],
        [(share / 10, f"{10 * share} %") for share in range(8)],
        "Entries: CalIt2 building, 2005-07-27; one in four buys; receipts scatter twice as much as chance.",
    )
    chart.band(band, "95 % interval", 0)
    chart.line(middle, "receipts / visitors so far", 0)
    return chart.svg()


def occupancy_picture() -> str:
    ins, outs = door(date(2005, 7, 28))
    raw, inside = [], 0
    for came, left in zip(ins, outs, strict=True):
        inside = occupancy_raw(inside, came, left)
        raw.append(inside)
    corrected = retrospective(zip(ins, outs, strict=True))
    chart = Chart(
        "Persons inside: the plain sum drifts, the closed day is put right",
        (0, 24),
        (-20, 80),
        HOURS,
        [(persons, str(persons)) for persons in range(-20, 81, 20)],
        f"CalIt2 building, 2005-07-28: {sum(ins)} in, {sum(outs)} out.",
    )
    chart.line([((n + 1) / 2, float(persons)) for n, persons in enumerate(raw)], "ins - outs", 1)
    chart.line([((n + 1) / 2, persons) for n, persons in enumerate(corrected)], "after the night", 0)
    return chart.svg()


DATES = ("%d/%m/%Y", "%Y-%m-%d", "%d-%b-%y")  # the ways in which the Leeds file writes a date


@cache
def dated(text: str) -> date:
    for pattern in DATES:
        with suppress(ValueError):
            return datetime.strptime(text, pattern).replace(tzinfo=UTC).date()
    raise ValueError(text)


def leeds(folder: Path) -> Leeds:
    """Camera → day → hour → persons."""
    found: Leeds = defaultdict(lambda: defaultdict(dict))
    with gzip.open(folder / "leeds_footfall" / "footfall_2009_2016.csv.gz", "rt") as file:
        for row in csv.DictReader(file):
            found[row["LocationName"]][dated(row["Date"])][int(row["Hour"])] = int(row["InCount"])
    return found


def weeks(days: dict[date, dict[int, int]], first: date, last: date) -> Iterator[tuple[date, int | None]]:
    """Whole weeks from Monday; None where an hour is missing."""
    monday = first + timedelta(days=-first.weekday() % 7)
    while monday + timedelta(days=6) <= last:
        of = [days.get(monday + timedelta(days=n), {}) for n in range(7)]
        yield monday, sum(sum(day.values()) for day in of) if all(len(day) == 24 for day in of) else None
        monday += timedelta(days=7)


def break_picture(cameras: Leeds) -> str:
    first, last = date(2011, 7, 1), date(2013, 12, 31)
    chart = Chart(
        "A camera that was changed is not a street that grew",
        (0, (last - first).days),
        (0, 450),
        [
            ((date(year, month, 1) - first).days, f"{year}-{month:02}")
            for year in (2012, 2013)
            for month in (1, 7)
        ],
        [(n, f"{n}") for n in range(0, 451, 100)],
        "Thousand persons a week, Leeds city centre (Leeds City Council, Open Government Licence).",
    )
    for colour, name in enumerate(("Briggate", "Headrow")):
        told = [(day, n) for day, n in weeks(cameras[name], first, last) if n is not None]
        chart.line([((day - first).days, n / 1000) for day, n in told], name, colour)
    return chart.svg()


def placebo_picture(cameras: Leeds) -> str:
    """Weeks without a campaign, each over the mean of the four before."""
    told = [n for _day, n in weeks(cameras["Headrow"], date(2010, 1, 1), date(2016, 12, 31))]
    found = placebo(told)
    logs = [
        math.log(week / statistics.fmean(before))
        for at in range(4, len(told))
        if (week := told[at]) and len(before := [one for one in told[at - 4 : at] if one]) == 4
    ]
    cells: dict[float, int] = defaultdict(int)
    for log in logs:
        cells[round(math.expm1(log) * 20) / 20] += 1
    chart = Chart(
        "What a street does by itself: a week against the four before, without any campaign",
        (-0.6, 0.6),
        (0, 1.1 * max(cells.values())),
        [(at / 10, f"{10 * at:+d} %" if at else "0") for at in range(-6, 7, 2)],
        [(n, str(n)) for n in range(0, max(cells.values()) + 1, 20)],
        f"{len(logs)} weeks at Headrow, Leeds, 2010 to 2016: how many weeks.",
    )
    chart.bars(sorted(cells.items()), "", 0, 0.045)
    if found is not None:
        chart.upright(math.expm1(1.96 * found.deviation), "from here on an uplift shows")
    return chart.svg()


def gap_picture(folder: Path) -> str:
    """Six hidden hours of a real street, filled by its profile and by a straight line."""
    days: dict[date, list[int | None]] = defaultdict(lambda: [None] * 24)
    with gzip.open(folder / "melbourne_pedestrian" / "pedestrian_2015_2016.csv.gz", "rt") as file:
        for row in csv.DictReader(file):
            if row["sensor"].startswith("Bourke"):
                days[date.fromisoformat(row["date_time_local"][:10])][int(row["hour"])] = int(row["count"])
    day, gap = date(2016, 8, 18), range(11, 17)
    earlier = [days[day - timedelta(days=7 * n)] for n in range(1, 5)]
    profile = [statistics.fmean([week[hour] or 0 for week in earlier]) for hour in range(24)]
    truth = [persons or 0 for persons in days[day]]
    seen = [hour for hour in range(24) if hour not in gap]
    usual = sum(profile[hour] for hour in seen), sum(profile[hour] for hour in gap)
    found = estimate(sum(truth[hour] for hour in seen), *usual, 0.85)
    factor = found.factor or 1.0
    low, high = truth[gap[0] - 1], truth[gap[-1] + 1]
    chart = Chart(
        "Six hours nobody watched",
        (6, 23),
        (0, 4000),
        [(hour, f"{hour}:00") for hour in range(6, 24, 3)],
        [(n, str(n)) for n in range(0, 4001, 1000)],
        "Persons an hour, Bourke Street Mall, 2016-08-18 (City of Melbourne, CC BY 4.0).",
    )
    chart.line([(hour + 0.5, truth[hour]) for hour in range(24)], "what happened", 2)
    chart.line(
        [(hour + 0.5, factor * profile[hour]) for hour in gap], "profile of four Thursdays", 0, dashed=True
    )
    straight = [
        (hour + 0.5, low + (high - low) * (hour - gap[0] + 1) / (len(gap) + 1)) for hour in range(10, 18)
    ]
    chart.line(straight, "a straight line", 1, dashed=True)
    return chart.svg()


def main() -> None:
    pictures = {"lag": lag_picture(), "interval": interval_picture(), "occupancy": occupancy_picture()}
    given = sys.argv[1] if len(sys.argv) > 1 else os.environ.get("COUNTER_DATA")
    if given:
        cameras = leeds(Path(given))
        pictures |= {"break": break_picture(cameras), "placebo": placebo_picture(cameras)}
        pictures["gap"] = gap_picture(Path(given))
    for name, svg in pictures.items():
        (HERE / f"{name}.svg").write_text(svg, encoding="utf-8")


if __name__ == "__main__":
    main()
