"""Recorded data sets as the devices that made them: what each told, when, in the words of the file.

Excerpts are beside this file; whole files are taken from the folder named by $COUNTER_DATA, or from
`shared/data` beside the checkout.
"""

from __future__ import annotations

import csv
import gzip
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from zoneinfo import ZoneInfo

EXCERPTS = Path(__file__).parent / "data"
CALIT2_CLOCK = timezone(timedelta(hours=-7))  # the file's clock never changes for summer
HALF_HOUR_MS = 1_800_000
FLOWS = {"7": "outs", "9": "ins"}


@dataclass(frozen=True, slots=True)
class Delta:
    """Persons of one counter in `[start_ms, end_ms)`."""

    start_ms: int
    end_ms: int
    ins: int
    outs: int


@dataclass(frozen=True, slots=True)
class Total:
    """Both registers of one counter, read at `at_ms`."""

    at_ms: int
    total_in: int
    total_out: int


@dataclass(frozen=True, slots=True)
class Sold:
    """One receipt, under the number of the file."""

    at_ms: int
    number: str
    amount_minor: int


@dataclass(slots=True)
class Recording:
    """A data set: device → what it told, in the order of the file."""

    name: str
    timezone: str
    currency: str
    size_s: int
    deltas: dict[str, list[Delta]] = field(default_factory=dict)
    totals: dict[str, list[Total]] = field(default_factory=dict)
    receipts: dict[str, list[Sold]] = field(default_factory=dict)
    down: frozenset[str] = frozenset()  # registers that are configured to count down

    @property
    def last_ms(self) -> int:
        """The last instant of the file."""
        ends = [delta.end_ms for told in self.deltas.values() for delta in told]
        ends += [total.at_ms for told in self.totals.values() for total in told]
        ends += [sold.at_ms for told in self.receipts.values() for sold in told]
        return max(ends)


def calit2(path: Path) -> Recording:
    """A row is (flow, date, time, count); its stamp is the end of the half hour."""
    sides: dict[int, dict[str, int]] = {}
    for flow, day, clock, count in csv.reader(_lines(path)):
        end = datetime.strptime(f"{day} {clock}", "%m/%d/%y %H:%M:%S").replace(tzinfo=CALIT2_CLOCK)
        sides.setdefault(_ms(end), {})[FLOWS[flow]] = int(count)
    told = [Delta(end - HALF_HOUR_MS, end, side["ins"], side["outs"]) for end, side in sorted(sides.items())]
    return Recording("calit2", "Etc/GMT+7", "USD", 1800, deltas={"main-door": told})


def mta_turnstile(path: Path) -> Recording:
    """A row is a reading of both registers of one turnstile; three of booth A011 count down."""
    zone = ZoneInfo("America/New_York")
    totals: dict[str, list[Total]] = {}
    for row in csv.DictReader(line.rstrip() for line in _lines(path)):
        local = datetime.strptime(f"{row['DATE']} {row['TIME']}", "%m/%d/%Y %H:%M:%S").replace(tzinfo=zone)
        name = f"{row['C/A']}-{row['SCP']}".lower()
        totals.setdefault(name, []).append(Total(_ms(local), int(row["ENTRIES"]), int(row["EXITS"])))
    down = frozenset({"a011-01-00-00", "a011-01-00-04", "a011-01-00-05"}) & totals.keys()
    return Recording("mta_turnstile", "America/New_York", "USD", 3600, totals=totals, down=down)


def complete_journey_receipts(path: Path) -> Recording:
    """A row is a receipt; stamps without an offset are UTC."""
    receipts: dict[str, list[Sold]] = {}
    for row in csv.DictReader(_lines(path)):
        at = datetime.fromisoformat(row["ts"]).replace(tzinfo=UTC)
        units, _, cents = row["sales_usd"].partition(".")
        amount_minor = int(units) * 100 + int((cents + "00")[:2])
        receipts.setdefault(f"till-{row['store_id']}", []).append(Sold(_ms(at), row["receipt"], amount_minor))
    return Recording("complete_journey_receipts", "UTC", "USD", 900, receipts=receipts)


def bread_basket(path: Path) -> Recording:
    """A row is an item; equal transaction numbers are one receipt. There are no amounts."""
    zone = ZoneInfo("Europe/London")
    sold: dict[str, Sold] = {}
    for row in csv.DictReader(_lines(path)):
        at = datetime.fromisoformat(f"{row['Date']}T{row['Time']}").replace(tzinfo=zone)
        sold.setdefault(row["Transaction"], Sold(_ms(at), row["Transaction"], 0))
    return Recording("bread_basket", "Europe/London", "GBP", 900, receipts={"till": list(sold.values())})


DATASETS: dict[str, tuple[Callable[[Path], Recording], str, str | None]] = {  # reader, whole file, excerpt
    "calit2": (calit2, "calit2/CalIt2.data", "calit2.data"),
    "mta_turnstile": (mta_turnstile, "mta_turnstile/turnstile_150627_40units.csv", "mta_turnstile.csv"),
    "complete_journey_receipts": (
        complete_journey_receipts,
        "complete_journey_receipts/receipts_3stores_2017.csv",
        "complete_journey_receipts.csv",
    ),
    "bread_basket": (bread_basket, "bread_basket/BreadBasket_DMS.csv.gz", None),
}


def whole_file(name: str) -> Path | None:
    """The whole file of a data set, if this machine has it."""
    folders = [Path(os.environ["COUNTER_DATA"])] if os.environ.get("COUNTER_DATA") else []
    folders.append(Path(__file__).resolve().parents[2] / "shared" / "data")
    return next((path for folder in folders if (path := folder / DATASETS[name][1]).exists()), None)


def load(name: str, *, whole: bool = False, path: Path | None = None) -> Recording:
    """The excerpt, the whole file, or a file of that format. Raises FileNotFoundError in words."""
    read, _, excerpt = DATASETS[name]
    chosen = path or (whole_file(name) if whole or not excerpt else EXCERPTS / str(excerpt))
    if chosen is None:
        raise FileNotFoundError(f"{name}: no file here; name the folder with COUNTER_DATA")
    return read(chosen)


def _lines(path: Path) -> Iterator[str]:
    with gzip.open(path, "rt") if path.suffix == ".gz" else path.open() as file:
        yield from file


def _ms(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)
