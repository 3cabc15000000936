"""What goes wrong in every centre some day, pushed to the real daemon: it is named, counted and survived."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import AsyncIterator
from io import BytesIO
from pathlib import Path

import aiohttp
import pytest

from gateway import app, config
from gateway.metrics import exposition
from simulators.axis import retail_data
from simulators.irisys import IrisysVoice
from simulators.mqtt import Record
from tests.daemon_rig import NOON, PUSH_HEAD, Ahead, push_url
from tests.patience import until

MINUTE, HOUR, QUARTER = 60_000, 3_600_000, 900_000
YEAR = round(365.25 * 24) * HOUR
SERIAL, OTHER = "ACCC8EF3D92E", "ACCC8EF3D930"
TEXT = f"""
[link]
lan = {{ over = "push", options = {{ auth = "none" }} }}
[counter]
door = {{ link = "lan", driver = "axis", serial = "{SERIAL}" }}
next = {{ link = "lan", driver = "axis", serial = "{OTHER}" }}
hall = {{ link = "lan", driver = "irisys", serial = "V4D-17020025", in = "In", out = "Out" }}
[zone]
shop = {{ kind = "store", entrances = ["door", "next", "hall"] }}
"""


class Box:
    """The daemon, and one who pushes to it. `say` posts the records of one camera."""

    def __init__(self, daemon: app.Gateway, web: aiohttp.ClientSession) -> None:
        self.daemon, self._web = daemon, web

    async def push(self, body: bytes) -> None:
        kind = {"Content-Type": "application/json"}
        async with self._web.post(push_url(self.daemon), data=BytesIO(body), headers=kind) as answer:
            assert answer.status == 200

    async def say(self, records: list[Record], serial: str = SERIAL) -> None:
        await self.push(retail_data(serial, records))

    def counted(self, counter: str = "door") -> tuple[int, int]:
        rows = [row for row in self.daemon.reader.readings(0, 1 << 60) if row["counter"] == counter]
        return sum(row["ins"] or 0 for row in rows), sum(row["outs"] or 0 for row in rows)

    def refused(self, counter: str = "door") -> dict[str, int]:
        return dict(next(one for one in self.daemon.reader.lines() if one.counter == counter).refused)

    async def clock_off_s(self) -> float | None:
        told = await self.daemon.health.snapshot()
        return next(one for one in told.counters if one.counter == "door").clock_offset_s

    async def metrics(self) -> str:
        return exposition(await self.daemon.health.snapshot())[0].decode()

    async def must_go_on(self) -> None:
        """Nobody else suffers, and the books balance."""
        before = self.counted("next")
        await self.say([(NOON, NOON + MINUTE, 3, 1)], OTHER)
        assert self.counted("next") == (before[0] + 3, before[1] + 1)
        assert self.daemon.reader.books().balanced
        assert not self.daemon.ingest.fault


@contextlib.asynccontextmanager
async def counting(folder: Path) -> AsyncIterator[Box]:
    """Half a minute past noon."""
    path = folder / "gateway.toml"
    path.write_text(PUSH_HEAD + TEXT)
    async with (
        app.gateway(config.load(path), Ahead(NOON + MINUTE // 2)) as daemon,
        aiohttp.ClientSession() as web,
    ):
        await until(lambda: all(link.state.up for link in daemon.links))
        yield Box(daemon, web)


async def test_of_two_devices_with_one_id_the_later_word_counts_and_it_shows(tmp_path: Path) -> None:
    """A spare is put up beside the old camera with a copy of its settings: both tell of the same minutes."""
    async with counting(tmp_path) as box:
        for minute in range(10):
            start = NOON - HOUR + minute * MINUTE
            await box.say([(start, start + MINUTE, 5, 2)])
            await box.say([(start, start + MINUTE, 7, 3)])
        assert box.counted() == (70, 30)
        assert (
            'footfall_replaced_persons_total{line="door"} 70.0' in await box.metrics()
        )  # all the first one said
        await box.must_go_on()


async def test_two_registers_with_one_id_invent_nobody(tmp_path: Path) -> None:
    """Two sensors post their totals under one serial number: 1000 and 90 000, rising by one a quarter."""
    async with counting(tmp_path) as box:
        quarters = range(NOON - 4 * HOUR, NOON, QUARTER)
        for number, start in enumerate(quarters):
            for begins_at, late_ms in ((1000, 0), (90_000, 1000)):
                voice = IrisysVoice("V4D-17020025", _totals=[begins_at + number, begins_at + number])
                end = start + QUARTER + late_ms
                await box.push(voice.tell(1, [(end - QUARTER, end, 1, 1)]))
        ins, outs = box.counted("hall")
        assert 0 < ins <= 2 * len(quarters)
        assert 0 < outs <= 2 * len(quarters)
        assert set(box.refused("hall")) <= {"jump", "backward", "stale"}
        assert box.refused("hall")["jump"] >= 80_000
        await box.must_go_on()


TOO_OLD = frozenset({"ancient", "too_late"})  # too_late once windows are frozen


@pytest.mark.parametrize(
    ("off_ms", "reasons"),
    [
        (25_000, None),
        (-25_000, None),
        (HOUR, {"future"}),
        (-HOUR, None),
        (20 * YEAR, {"future"}),
        (-20 * YEAR, TOO_OLD),
    ],
    ids=["25 s ahead", "25 s behind", "an hour ahead", "an hour behind", "20 years ahead", "20 years behind"],
)
async def test_a_wrong_clock_is_told_and_believed_within_reason(
    tmp_path: Path, off_ms: int, reasons: set[str] | None
) -> None:
    async with counting(tmp_path) as box:
        start = (NOON - MINUTE) // 1000 * 1000 + off_ms
        await box.say([(start, start + MINUTE, 5, 2)])
        assert box.counted() == ((0, 0) if reasons else (5, 2))
        assert set(box.refused()) <= (reasons or set())
        assert sum(box.refused().values()) == (7 if reasons else 0)
        assert await box.clock_off_s() == pytest.approx(off_ms / 1000 - 30, abs=30)
        result = "future" if off_ms > 0 else "ancient"
        assert box.daemon.ingest.telegrams["lan"][result if reasons else "ok"] == 1
        await box.must_go_on()
        await box.say([(NOON - 9 * MINUTE, NOON - 8 * MINUTE, 4, 4)])  # somebody has set it right
        assert box.counted() == ((4, 4) if reasons else (9, 6))


async def test_ten_thousand_records_in_one_body_are_one_message_and_nobody_waits(tmp_path: Path) -> None:
    """A camera that was away for a week tells it all at once, and again because the answer took long."""
    async with counting(tmp_path) as box:
        first = NOON - 10_000 * MINUTE
        week: list[Record] = [
            (first + at * MINUTE, first + (at + 1) * MINUTE, 1, at % 2) for at in range(10_000)
        ]
        body = retail_data(SERIAL, week)
        assert len(body) > 1_000_000
        for _ in range(2):
            await box.push(body)
            assert box.counted() == (10_000, 5_000)
        told = box.daemon.ingest.telegrams["lan"]
        assert (told["ok"], told["duplicate"]) == (1, 1)
        began = time.monotonic()
        await box.must_go_on()
        assert time.monotonic() - began < 30


async def test_of_overlapping_intervals_that_disagree_the_first_counts(tmp_path: Path) -> None:
    async with counting(tmp_path) as box:
        begin = NOON - HOUR
        await box.say([(begin, begin + MINUTE, 5, 2), (begin + MINUTE, begin + 2 * MINUTE, 6, 1)])
        await box.say([(begin + MINUTE // 2, begin + 3 * MINUTE // 2, 9, 9)])  # crosses both
        assert box.refused() == {"overlap": 18}
        await box.say([(begin + 10_000, begin + 20_000, 4, 4)])  # lies within the first
        assert box.refused() == {"overlap": 18, "covered": 8}
        assert box.counted() == (11, 3)
        await box.say([(begin, begin + 2 * MINUTE, 12, 3)])  # contains both: it knows better
        assert box.counted() == (12, 3)
        await box.must_go_on()


async def test_a_row_that_nobody_can_read_does_not_cost_the_others(tmp_path: Path) -> None:
    """One measurement of a body is nonsense: the rest counts, and the telegram is told as damaged."""
    async with counting(tmp_path) as box:
        good = json.loads(retail_data(SERIAL, [(NOON - MINUTE, NOON, 5, 2)]))
        worse = json.loads(retail_data(SERIAL, [(NOON - 2 * MINUTE, NOON - MINUTE, 4, 4)]))
        worse["data"]["measurements"][0]["items"][0]["count"] = "many"
        good["data"]["measurements"] += worse["data"]["measurements"]
        await box.push(json.dumps(good).encode())
        assert box.counted() == (5, 2)
        assert box.daemon.ingest.telegrams["lan"]["damaged"] == 1
        await box.must_go_on()


async def test_what_is_refused_is_told_once_for_each_reason(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with counting(tmp_path) as box:
        for later in (HOUR, 2 * HOUR):
            await box.say([(NOON + later, NOON + later + MINUTE, 5, 2)])
            body = json.loads(retail_data(SERIAL, [(NOON - HOUR, NOON, 1, 1), (NOON - later, NOON, -1, 0)]))
            await box.push(json.dumps(body).encode())
    told = [one.message for one in caplog.records if one.name == "gateway.ingest"]
    assert told == [
        "link lan: counts of door are refused: of a time still to come; is its clock right?",
        "link lan: a telegram for door, next is damaged: sanity",
    ]
