"""Days, weeks and their gaps over a real buffer: by `export --by` and as the API gives them."""

from __future__ import annotations

import csv
import json
import sqlite3
from collections.abc import AsyncIterator, Mapping
from datetime import date, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner

from gateway import config
from gateway.amendments import Correction
from gateway.commands import alarms, export
from gateway.config import Config
from gateway.errors import StoreError
from gateway.health import HealthSource
from gateway.health.adding import Asked, added_up
from gateway.model import (
    Basis,
    Booking,
    Crossings,
    LineRule,
    Member,
    Parcel,
    Role,
    Stamp,
    Transactions,
    ZoneSpec,
)
from gateway.store import Grid, Reader, Store
from gateway.store.events import AlarmFacts
from gateway.windows import day_bounds

HOUR = 3_600_000
DOORS = ("north", "south", "front")
RULES = [
    *(LineRule(name, "main", basis=Basis.DELTA, max_per_s=0, expect_s=3600) for name in DOORS),
    LineRule("pos", "main", till=True, max_per_s=0, expect_s=3600),
]
ENTRANCES = (Member("north", "main", Role.ENTRANCE), Member("south", "main", Role.ENTRANCE))
INSIDE = (
    Member("south", "main", Role.ENTRANCE),
    Member("front", "main", Role.PASSING),
    Member("pos", "main", Role.TILL),
)
ZONES = [
    ZoneSpec("mall", "mall", ENTRANCES),
    ZoneSpec("first", "floor", (), parent="mall"),
    ZoneSpec("shop", "store", INSIDE, parent="first"),
]
CONFIG = """
[gateway]
id = "box"
data_dir = "data"
[site]
id = "s"
timezone = "Europe/Oslo"
currency = "NOK"
hours = "c"
[hours.c]
mon-sat = "10:00-20:00"
dates = { "2026-11-19" = "10:00-15:00" }
[windows]
size_s = 3600
[zone.mall]
kind = "mall"
[zone.first]
kind = "floor"
parent = "mall"
[zone.shop]
kind = "store"
parent = "first"
group = 1.5
"""
USUAL = {"north": 30, "south": 10, "front": 100}


def ms(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp() * 1000)


class Centre:
    """A mall of two doors, a shop behind the south one, and their buffer."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "gateway.toml").write_text(CONFIG)
        self.config: Config = config.load(folder / "gateway.toml")

    async def open(self, wall: str) -> None:
        self.wall = ms(wall)
        self.store = await Store.open(self.folder / "data", now=self.now())
        grid = Grid(size_s=3600, timezone="Europe/Oslo", currency="NOK")
        await self.store.configure(RULES, ZONES, {}, [], grid, self.now(), self.config.open_hours())
        self.reader = Reader(self.folder / "data")

    def now(self) -> Stamp:
        return Stamp("boot", self.wall, self.wall)

    async def day(self, day: str, lost: Mapping[str, range] | None = None, times: float = 1.0) -> None:
        """Ten to eight, each hour as usual, but for the hours that a door lost."""
        for hour in range(10, 20):
            at = ms(f"{day}T{hour:02}:00+01:00")
            self.wall = max(self.wall, at + HOUR)
            receipts = Transactions("pos", at, at + HOUR, 2, 0, 500, key=str(at))
            bookings = [Booking("pos", "main", receipts)]
            for name, usual in USUAL.items():
                if hour not in (lost or {}).get(name, ()):
                    n = round(usual * times)
                    bookings.append(Booking(name, "main", Crossings(name, "main", at, at + HOUR, n, n)))
            await self.store.record([Parcel("link", self.now(), bookings)])

    async def close(self, wall: str) -> None:
        self.wall = ms(wall)
        while (await self.store.close(self.now())).more:
            pass

    def trust(self) -> None:
        """Every hour counts the same here, which looks stuck: take back what was said of that."""
        with sqlite3.connect(self.folder / "data" / "buffer.db") as con:
            con.executescript("DELETE FROM alarm_outbox; DELETE FROM alarm_revisions; DELETE FROM alarms;")
        con.close()

    def rows(self, by: str, first: str, after: str, *zones: str, **more: Any) -> list[dict[str, Any]]:
        bounds = [day_bounds(datetime.fromisoformat(day).date(), "Europe/Oslo")[0] for day in (first, after)]
        asked = Asked(by, (bounds[0], bounds[1]), zones, **{"undecided": {}, **more})
        return [json.loads(json.dumps(row)) for row in added_up(self.config, self.reader, asked)]


@pytest.fixture
async def centre(tmp_path: Path) -> AsyncIterator[Centre]:
    made = Centre(tmp_path)
    yield made
    made.reader.close_file()
    await made.store.aclose()


THURSDAYS = ("2026-10-29", "2026-11-05", "2026-11-12")


async def lived(centre: Centre, **lost: range) -> None:
    """Three usual Thursdays, one with hours of its own, and the day it is about: 26 November."""
    await centre.open("2026-10-29T00:00+01:00")
    for day in THURSDAYS:
        await centre.day(day)
    await centre.day("2026-11-19", times=5)  # short hours by its date: no other day is judged by it
    await centre.day("2026-11-26", lost, times=1.2)
    await centre.close("2026-11-27T12:00+01:00")


async def test_an_hour_that_one_door_lost_is_imputed_for_that_door(centre: Centre) -> None:
    await lived(centre, north=range(12, 13))
    [day] = centre.rows("day", "2026-11-26", "2026-11-27", "mall", lines=True)
    assert (day["ins"], day["completeness"], day["tier"]) == (9 * 36 + 10 * 12, 0.9, "estimated")
    assert day["imputed_ins"] == 36  # 1.2 × 30, and none for the south door that counted on
    assert (day["imputed"]["ins"]["factor"], day["imputed"]["ins"]["total"]) == (1.2, 480)
    assert day["imputed_error"] == pytest.approx((36 + 36 * 36 / 324) ** 0.5, abs=1e-6)
    assert day["missing"] == [{"from": "2026-11-26T11:00:00Z", "to": "2026-11-26T12:00:00Z"}]
    north, south = day["lines"]
    assert (north["line"], north["completeness"], north["tier"]) == ("north", 0.9, "estimated")
    assert north["missing"] == day["missing"]
    assert (south["line"], south["completeness"], south["missing"]) == ("south", 1.0, [])


async def test_receipts_and_conversion_are_of_what_was_measured(centre: Centre) -> None:
    await lived(centre, south=range(18, 20))
    [day] = centre.rows("day", "2026-11-26", "2026-11-27", "shop")
    assert (day["tier"], day["ins"], day["imputed_ins"], day["sales"]) == ("estimated", 96, 24, 20)
    assert day["conversion"]["value"] == round(20 / 96, 6)
    assert day["imputed_passersby"] == 0  # the front counted on


async def test_below_four_fifths_nothing_is_imputed(centre: Centre) -> None:
    await lived(centre, north=range(10, 13))
    [day] = centre.rows("day", "2026-11-26", "2026-11-27", "mall")
    assert (day["completeness"], day["tier"], day["why"]) == (0.7, "unknown", "completeness")
    assert (day["imputed_ins"], day["imputed_error"], day["imputed"]) == (None, None, {})
    assert day["ins"] == 7 * 36 + 10 * 12  # what was counted stays


async def test_without_two_usual_days_there_is_no_history(centre: Centre) -> None:
    await centre.open("2026-11-12T00:00+01:00")
    await centre.day("2026-11-12")
    await centre.day("2026-11-19", times=5)
    await centre.day("2026-11-26", {"north": range(12, 13)})
    await centre.close("2026-11-27T12:00+01:00")
    [day] = centre.rows("day", "2026-11-26", "2026-11-27", "mall")
    assert (day["tier"], day["why"], day["imputed_ins"]) == ("estimated", "no_history", None)


async def test_a_week_adds_up_its_days_and_says_how_many_are_known(centre: Centre) -> None:
    """Thursday lacks an hour, Friday too much of it, the others the box did not see; Sunday is closed."""
    await lived(centre, north=range(12, 13))
    await centre.day("2026-11-27", {"north": range(12, 20)})
    await centre.close("2026-11-30T12:00+01:00")
    days = {row["label"]: row for row in centre.rows("day", "2026-11-23", "2026-11-30", "mall")}
    [week] = centre.rows("week", "2026-11-23", "2026-11-30", "mall")
    assert (week["days_measured"], week["days_estimated"], week["days_unknown"], week["days_closed"]) == (
        0,
        1,
        5,
        1,
    )
    assert (week["tier"], week["why"], days["2026-11-29"]["tier"]) == (
        "partly_unknown",
        "completeness",
        "closed",
    )
    assert week["imputed_ins"] == days["2026-11-26"]["imputed_ins"] == 36
    assert (week["imputed_error"], week["ins"]) == (
        days["2026-11-26"]["imputed_error"],
        sum(day["ins"] for day in days.values()),
    )
    assert week["imputed"]["ins"]["total"] is None


async def test_two_estimated_days_add_their_variance(centre: Centre) -> None:
    await centre.open("2026-10-29T00:00+01:00")
    for day in THURSDAYS[:2]:
        await centre.day(day)
    await centre.day("2026-11-12", {"north": range(13, 14)})
    await centre.day("2026-11-26", {"north": range(12, 13)}, times=1.2)
    await centre.close("2026-11-27T12:00+01:00")
    one, two = (
        centre.rows("day", day, f"{day[:-2]}{int(day[-2:]) + 1}", "mall")[0]
        for day in ("2026-11-12", "2026-11-26")
    )
    [month] = centre.rows("month", "2026-11-01", "2026-12-01", "mall")
    assert month["days_estimated"] == 2
    assert month["imputed_ins"] == one["imputed_ins"] + two["imputed_ins"] == 30 + 36
    both = one["imputed_error"] ** 2 + two["imputed_error"] ** 2
    assert month["imputed_error"] == pytest.approx(both**0.5, abs=1e-6)


async def test_a_suspected_fault_counts_as_not_watched_and_nothing_is_imputed(centre: Centre) -> None:
    """Stuck or dead, and nobody has decided: its hours are missing, and so is every conclusion."""
    await lived(centre)
    span = (ms("2026-11-26T12:20+01:00"), ms("2026-11-26T12:40+01:00"))
    undecided = {"north": [span]}
    [day] = centre.rows("day", "2026-11-26", "2026-11-27", "mall", undecided=undecided, lines=True)
    assert (day["completeness"], day["tier"], day["why"]) == (0.9, "estimated", "undecided_fault")
    assert (day["imputed_ins"], day["lines"][0]["completeness"]) == (None, 0.9)
    [shop] = centre.rows("day", "2026-11-26", "2026-11-27", "shop", undecided=undecided)
    assert (shop["tier"], shop["why"]) == ("measured", "")  # the shop's own door is not suspected
    every = {"north": [(0, ms("2026-11-26T00:00+01:00"))]}
    assert centre.rows("day", "2026-11-12", "2026-11-13", "mall", undecided=every)[0]["tier"] == "unknown"


class Doubted:
    """A buffer in which the north door was dead for an hour and twenty minutes of an afternoon."""

    def __init__(
        self, reader: Reader, *corrections: Correction, kind: str = "dead", ref: str = "north"
    ) -> None:
        self._reader, self._corrections = reader, list(corrections)
        span = (ms("2026-11-26T14:00+01:00"), ms("2026-11-26T15:20+01:00"))
        self._alarms = [AlarmFacts(1, 1, ref, "main", kind, "fault", *span, "power", "{}", "[]", span[1])]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._reader, name)

    def doubted(self, _from_ms: int, _to_ms: int) -> list[AlarmFacts]:
        return self._alarms

    def corrections(self) -> list[Correction]:
        return self._corrections


async def test_what_an_alarm_doubts_is_not_watched_until_somebody_says_what_crossed(centre: Centre) -> None:
    await lived(centre)
    thursday = (ms("2026-11-26T00:00+01:00"), ms("2026-11-27T00:00+01:00"))
    asked = Asked("day", thursday, ("mall",))
    [day] = added_up(centre.config, Doubted(centre.reader), asked)
    assert (day["why"], day["imputed_ins"]) == ("undecided_fault", None)
    told = {"start_ms": thursday[0], "end_ms": thursday[1], "ins": 500}
    half = {**told, "end_ms": ms("2026-11-26T15:00+01:00")}
    for correction, decided in ((told, True), (half, False), ({**told, "undone_ms": 1}, False)):
        doubted = Doubted(centre.reader, Correction("c", "north", **correction))
        [day] = added_up(centre.config, doubted, asked)
        assert (day["why"] == "undecided_fault") is not decided


async def test_a_day_of_more_than_can_pass_has_no_rate_until_somebody_decides(centre: Centre) -> None:
    """A dead door takes nobody in that day; one that tells of nine thousand makes a rate of nothing."""
    await lived(centre)
    thursday = (ms("2026-11-26T00:00+01:00"), ms("2026-11-27T00:00+01:00"))
    for by in ("day", "week"):
        asked = Asked(by, thursday, ("shop",))
        rates = {}
        for kind in ("dead", "spike_impossible"):
            [row] = added_up(centre.config, Doubted(centre.reader, kind=kind, ref="south"), asked)
            rates[kind] = row["conversion"]
        assert rates["dead"]["value"] > 0
        assert rates["spike_impossible"] == {"value": None, "why": "undecided_fault"}


async def test_an_alarm_that_is_believed_doubts_no_longer(centre: Centre) -> None:
    """Every hour counts the same here, which looks stuck."""
    await lived(centre)
    thursday = (ms("2026-11-26T00:00+01:00"), ms("2026-11-27T00:00+01:00"))
    asked = Asked("day", thursday, ("mall",))
    assert next(iter(added_up(centre.config, centre.reader, asked)))["why"] == "undecided_fault"
    stuck = centre.reader.doubted(0, thursday[1])
    assert {one.ref for one in stuck} == set(DOORS)
    for one in stuck:
        assert await centre.store.believe_alarm(one.id, centre.now()) == one.ref
    assert await centre.store.believe_alarm(stuck[0].id, centre.now()) == stuck[0].ref, "twice is once"
    assert centre.reader.doubted(0, thursday[1]) == []
    [day] = added_up(centre.config, centre.reader, asked)
    assert (day["completeness"], day["tier"]) == (1.0, "measured")
    with pytest.raises(StoreError, match="no alarm 4711"):
        await centre.store.believe_alarm(4711, centre.now())
    shown = CliRunner().invoke(
        alarms.command, ["-c", str(centre.folder / "gateway.toml"), "--from", "2026-10-01"]
    )
    assert (shown.exit_code, "not believed" in shown.output) == (0, False)
    assert shown.output.count("stuck") >= len(stuck)


async def test_windows_that_are_gone_are_imputed_for_each_door(centre: Centre) -> None:
    """Pruned or lost with a card: no line has a window then."""
    await lived(centre)
    at = ms("2026-11-26T12:00+01:00")
    centre.store._con.execute("DELETE FROM zone_aggregates WHERE start_ms=?", (at,))
    [day] = centre.rows("day", "2026-11-26", "2026-11-27", "mall", lines=True)
    assert (day["whole"], day["tier"], day["imputed_ins"]) == (False, "estimated", 48)
    assert [line["completeness"] for line in day["lines"]] == [0.9, 0.9]


async def test_today_lacks_only_what_is_over(centre: Centre) -> None:
    await lived(centre)
    for hour in range(10, 15):
        at = ms(f"2026-11-28T{hour}:00+01:00")
        centre.wall = at + HOUR
        bookings = [Booking(name, "main", Crossings(name, "main", at, at + HOUR, 1, 1)) for name in DOORS]
        await centre.store.record([Parcel("link", centre.now(), bookings)])
    await centre.close("2026-11-28T16:20+01:00")  # windows wait a little for slow counters: until 15:00
    [day] = centre.rows("day", "2026-11-28", "2026-11-29", "mall")
    assert (day["tier"], day["whole"], day["ins"]) == ("measured", False, 10)


async def test_turnover_per_visitor_is_conversion_times_turnover_per_receipt(centre: Centre) -> None:
    await lived(centre)
    [day] = centre.rows("day", "2026-11-26", "2026-11-27", "shop")
    assert (day["atv"]["value"], day["spv"]["value"]) == (250.0, round(5000 / 120, 6))
    assert day["spv"]["value"] == pytest.approx(day["conversion"]["value"] * day["atv"]["value"], rel=1e-5)
    assert day["conversion_crude"]["formula"] == "crude/1"
    assert day["conversion_crude"]["value"] == day["conversion"]["value"]
    assert day["capture_rate"]["value"] == round(120 / 2400, 6)
    assert day["turn_in_rate"]["value"] == round(120 / 2520, 6)
    assert day["conversion_units"]["value"] == 0.25
    assert day["dwell"]["why"] == "too_coarse", "who comes leaves within an hour"


async def test_a_shops_share_of_the_mall_around_its_floor(centre: Centre) -> None:
    await lived(centre)
    [shop] = centre.rows("day", "2026-11-26", "2026-11-27", "shop")  # the mall is read, and not shown
    assert (shop["zone"], shop["mall_share"]["value"]) == ("shop", 0.25)
    [mall] = centre.rows("day", "2026-11-26", "2026-11-27", "mall")
    assert mall["mall_share"] == {"value": None, "why": "not_configured"}
    assert [mall[name]["why"] for name in ("conversion_crude", "atv", "spv")] == ["not_configured"] * 3
    every = centre.rows("day", "2026-11-26", "2026-11-27")
    assert {row["zone"]: row["mall_share"]["value"] for row in every} == {
        "mall": None,
        "first": None,
        "shop": 0.25,
    }


async def test_a_share_of_a_mall_that_nobody_watched_is_unknown(centre: Centre) -> None:
    await lived(centre, north=range(10, 13))
    [shop] = centre.rows("day", "2026-11-26", "2026-11-27", "shop")
    assert (shop["completeness"], shop["mall_share"]) == (1.0, {"value": None, "why": "completeness"})
    assert shop["spv"]["value"] == round(5000 / 120, 6)


async def test_turnover_per_receipt_asks_no_door(centre: Centre) -> None:
    await lived(centre, south=range(10, 16))
    [shop] = centre.rows("day", "2026-11-26", "2026-11-27", "shop")
    assert (shop["atv"]["value"], shop["spv"]["why"]) == (250.0, "completeness")


async def test_the_daemon_gives_the_same_rows(centre: Centre) -> None:
    """What `/api/v1/days` answers."""
    await lived(centre, north=range(12, 13))
    centre.trust()
    roster, ingest, clock = (SimpleNamespace(rules=RULES, zones=ZONES), SimpleNamespace(), SimpleNamespace())
    parts: list[Any] = [centre.config, roster, centre.reader, [], [], ingest, clock, SimpleNamespace()]
    source = HealthSource(*parts)
    first, after = date(2026, 11, 26), date(2026, 11, 27)
    rows = await source.days("mall", first, after, "day", lines=True)
    assert rows == centre.rows("day", "2026-11-26", "2026-11-27", "mall", lines=True)
    assert [line["line"] for line in rows[0]["lines"]] == ["north", "south"]
    with pytest.raises(ValueError, match="no periods"):
        await source.days("mall", first, after, "period")


async def test_the_command_gives_the_same_as_csv(centre: Centre) -> None:
    await lived(centre, north=range(12, 13))
    centre.trust()
    args = ["-c", str(centre.folder / "gateway.toml"), "--by", "day", "--zone", "mall", "--zone", "shop"]
    done = CliRunner().invoke(export.command, [*args, "--from", "2026-11-26", "--to", "2026-11-27"])
    mall, shop = csv.DictReader(done.output.splitlines())
    assert [mall[name] for name in ("tier", "days_estimated", "imputed_ins", "imputed_outs")] == [
        "estimated",
        "1",
        "36.0",
        "36.0",
    ]
    assert float(mall["imputed_error"]) == pytest.approx(40**0.5, abs=1e-6)
    assert (shop["tier"], shop["atv"], shop["mall_share"], mall["atv"]) == (
        "measured",
        "250.0",
        "0.27027",
        "",
    )
    low, high = (float(shop[f"conversion.{name}"]) for name in ("low", "high"))
    assert low < float(shop["conversion"]) < high
    assert (mall["conversion"], mall["conversion.why"]) == ("", "not_configured")
