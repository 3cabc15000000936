"""What `gateway.quality` finds in recorded counts, and how often it is wrong: tables of docs/evaluation.md.

COUNTER_DATA=folder python -m tests.evaluate.quality [recorded] [faults] [gaps]
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path

from gateway.quality import Kind, Rules
from tests.evaluate import events, faults, gaps, recorded
from tests.evaluate.faults import Recorded, record
from tests.evaluate.feeding import Watched

YEAR_S = 365 * 86_400
SEED = 20_261_129
CARRIED = recorded.HERE / "data"
STREET = Rules(max_per_s=20.0)  # a camera over a street sees more than a door can pass
DAY_KINDS = (Kind.CLOCK_SHIFTED, Kind.SWAPPED, Kind.IMBALANCE, Kind.SLOW_LOSS, Kind.LEVEL_SHIFT)


@dataclass(frozen=True, slots=True)
class Site:
    """A recorded site, and how many moments of each line faults are put into."""

    name: str
    kept: Recorded
    rules: Rules
    two_sided: bool


@lru_cache(maxsize=1)
def sites(folder: Path) -> tuple[Site, ...]:
    leeds = recorded.leeds(folder / "leeds_footfall" / "footfall_2009_2016.csv.gz")
    melbourne = recorded.melbourne(folder / "melbourne_pedestrian" / "pedestrian_2015_2016.csv.gz")
    brooklyn = recorded.brooklyn(folder / "brooklyn_bridge" / "brooklyn_bridge_hourly.csv.gz")
    calit2 = recorded.calit2(folder / "calit2" / "CalIt2.data")
    return (
        Site("Leeds", record(leeds, STREET, 12, SEED), STREET, two_sided=False),
        Site("Melbourne", record(melbourne, STREET, 16, SEED), STREET, two_sided=False),
        Site("Brooklyn", record({"bridge": brooklyn}, STREET, 40, SEED), STREET, two_sided=True),
        Site("CalIt2", record({"door": calit2}, Rules(), 40, SEED), Rules(), two_sided=True),
    )


def print_events() -> None:
    line = recorded.calit2(CARRIED / "calit2.data.gz")
    known = recorded.calit2_events(CARRIED / "calit2.events")
    print("| rule | events hit | alarms a day outside | flagged half hours a day outside | of all time |")
    print("|---|---|---|---|---|")
    for found in events.table(line, known):
        print(found.row())


def print_recorded(folder: Path) -> None:
    print("| site | line | years | " + " | ".join(kind.value for kind in Kind) + " |")
    print("|---|---|---|" + "---|" * len(Kind))
    for site in sites(folder):
        for name, one in site.kept.watched.items():
            begun = Counter(alarm.kind for _, alarm in one.changes if alarm.until_ms is None)
            years = one.slots * one.line.size_s / YEAR_S
            print(f"| {site.name} | {name} | {years:.2f} | " + " | ".join(f"{begun[k]}" for k in Kind) + " |")
    for site in sites(folder):
        for name, one in site.kept.watched.items():
            _print_findings(site.name, name, one)


def _print_findings(site: str, name: str, one: Watched) -> None:
    for broken in one.breaks:
        print(f"- {site} {name}: break on {_day(broken.since_ms)}, factor {broken.factor:.2f}")
    for at, alarm in one.changes:
        if alarm.until_ms is None and alarm.kind not in (Kind.EVENT_HIGH, Kind.LEVEL_SHIFT, Kind.SLOW_LOSS):
            shown = ", ".join(f"{key} {value:.1f}" for key, value in alarm.evidence.items())
            print(
                f"- {site} {name}: {alarm.kind.value} from {_day(alarm.since_ms)}, told {_day(at)}: {shown}"
            )


def _day(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M")


def print_faults(folder: Path) -> None:
    print("| site | fault | found | median | 90 % | told without the fault |")
    print("|---|---|---|---|---|---|")
    for site in sites(folder):
        for fault in faults.TWO_SIDED if site.two_sided else faults.ANY_COUNTER:
            print(faults.try_fault(fault, site.kept, site.rules).row(site.name), flush=True)


def print_gaps(folder: Path) -> None:
    print("| site | gap | filled by | gaps | persons off per hour | of all persons, by hour | by gap |")
    print("|---|---|---|---|---|---|---|")
    for site in sites(folder):
        if not site.two_sided:
            for hours in (1, 6, 24):
                for way, error in gaps.fill(site.kept.moments, hours, SEED).items():
                    print(error.row(site.name, hours, way))


PARTS: Mapping[str, Callable[[Path], None]] = {
    "recorded": print_recorded,
    "faults": print_faults,
    "gaps": print_gaps,
}


def main() -> None:
    folder = recorded.folder()
    print("## events\n")
    print_events()
    if folder is None:
        print("\nCOUNTER_DATA does not name a folder of recorded sets: that is all")
        return
    for name in sys.argv[1:] or PARTS:
        print(f"\n## {name}\n")
        PARTS[name](folder)


if __name__ == "__main__":
    main()
