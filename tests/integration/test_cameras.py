"""Cameras that push or are asked, on real sockets with the real store; gaps come from their own memory."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import aiohttp
import pytest

from gateway import app, config
from simulators import axis, hikvision
from simulators.camera import Camera
from simulators.portal import seeded
from tests import patience
from tests.daemon_rig import NOON, PUSH_HEAD, Ahead, Same, push_url

until = partial(patience.until, look_s=0.03)  # looks into the store
MINUTE, QUARTER, HOUR, DAY = 60_000, 900_000, 3_600_000, 86_400_000
OSLO = ZoneInfo("Europe/Oslo")
TEXT = """
[link]
cameras = {{ over = "push", options = {{ auth = "none" }} }}
north = {{ over = "pull", options = {{ url = "{axis}" }} }}
door = {{ over = "pull", options = {{ url = "{hikvision}" }} }}
south = {{ over = "pull", options = {{ url = "{tvpc}", poll_s = 0.3 }} }}
[counter]
north = {{ link = "cameras", driver = "axis", serial = "ACCC8EF3D92E", memory = "north" }}
door = {{ link = "cameras", driver = "hikvision", serial = "24:28:fd:f3:3a:11", memory = "door" }}
south = {{ link = "south", driver = "axis-tvpc", look_back_s = 1800 }}
[zone]
mall = {{ kind = "mall", entrances = ["north", "door", "south"] }}
"""
MAC = "24:28:fd:f3:3a:11"


class Around:
    """The daemon and its cameras: north pushes minutes, door quarters, south is asked."""

    def __init__(
        self, daemon: app.Gateway, clock: Ahead, cameras: dict[str, Camera], web: aiohttp.ClientSession
    ):
        self.daemon, self.clock, self.cameras, self._web = daemon, clock, cameras, web

    async def push(self, body: Any, kind: str | None = None) -> int:
        url = push_url(self.daemon)
        async with self._web.post(url, data=body, headers={"Content-Type": kind} if kind else None) as answer:
            return answer.status

    async def push_newest(self) -> None:
        """What each camera pushes at this time: its last minute, its last quarter."""
        now_ms = self.clock.wall_ms()
        minute, quarter = now_ms // MINUTE * MINUTE, now_ms // QUARTER * QUARTER
        north = self.cameras["north"].record(minute - MINUTE, minute)
        assert await self.push(axis.retail_data("accc8ef3d92e", [north]), "application/json") == 200
        door = self.cameras["door"].record(quarter - QUARTER, quarter)
        assert await self.push(hikvision.window(MAC, door, OSLO), "application/xml") == 200

    def told(self, counter: str) -> list[tuple[int, int, int, int]]:
        rows = self.daemon.reader.readings(0, 1 << 60)
        return [
            (row["start_ms"], row["end_ms"], row["ins"], row["outs"])
            for row in rows
            if row["counter"] == counter
        ]

    def sums(self, counter: str) -> tuple[int, int]:
        told = self.told(counter)
        return sum(row[2] for row in told), sum(row[3] for row in told)

    async def later(self, span_ms: int) -> None:
        """Time passes, and the camera that is asked has been heard since."""
        self.clock.ahead_ms += span_ms
        asked = self.cameras["south"].asked
        enough = len(asked) + 6
        await until(lambda: len(asked) > enough)

    def truth(self, counter: str, from_ms: int, to_ms: int, step_ms: int) -> list[tuple[int, int, int, int]]:
        camera = self.cameras[counter]
        return [camera.record(at, at + step_ms) for at in range(from_ms, to_ms, step_ms)]


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Memories are asked without a pause."""
    monkeypatch.setattr("gateway.links.pull.RECALL_PAUSE_S", 0.01)
    monkeypatch.setattr("gateway.links.pull.LOOK_S", 0.05)


@contextlib.asynccontextmanager
async def counting(folder: Path, text: str = TEXT) -> AsyncIterator[Around]:
    """Five minutes and a half past noon, with cameras that remember ten days."""
    clock = Ahead(NOON + 5 * MINUTE + MINUTE // 2)
    since_ms = clock.wall_ms() - 10 * DAY
    async with contextlib.AsyncExitStack() as stack:
        cameras = {
            name: await stack.enter_async_context(
                Camera(seeded(seed, 3), serial, OSLO, since_ms, clock=Same(clock))
            )
            for seed, (name, serial) in enumerate(
                {"north": "ACCC8EF3D92E", "door": "door", "south": "00408CAC512B"}.items()
            )
        }
        path = folder / "gateway.toml"
        addresses = {"axis": "north", "hikvision": "door", "tvpc": "south"}
        path.write_text(
            PUSH_HEAD + text.format(**{word: cameras[name].url for word, name in addresses.items()})
        )
        daemon = await stack.enter_async_context(app.gateway(config.load(path), clock))
        web = await stack.enter_async_context(aiohttp.ClientSession())
        around = Around(daemon, clock, cameras, web)
        await until(lambda: all(link.state.up for link in daemon.links if link.id in ("cameras", "south")))
        yield around


async def test_what_is_pushed_is_stored_and_what_is_no_count_is_answered(tmp_path: Path) -> None:
    async with counting(tmp_path) as around:
        await around.push_newest()
        now_ms = around.clock.wall_ms()
        minute, quarter = now_ms // MINUTE * MINUTE, now_ms // QUARTER * QUARTER
        assert around.told("north") == around.truth("north", minute - MINUTE, minute, MINUTE)
        assert around.told("door") == around.truth("door", quarter - QUARTER, quarter, QUARTER)
        await around.push_newest()  # again: replaced by the same
        assert await around.push(axis.retail_data("accc8ef3d92e", ()), "application/json") == 200
        assert await around.push(hikvision.heartbeat(MAC), "application/xml") == 200
        assert (len(around.told("north")), len(around.told("door"))) == (1, 1)
        assert await around.push(b"<!DOCTYPE a><EventNotificationAlert/>", "application/xml") == 422
        assert around.daemon.reader.books().balanced


async def test_a_picture_beside_the_alert_is_let_go(tmp_path: Path) -> None:
    async with counting(tmp_path) as around:
        quarter = around.clock.wall_ms() // QUARTER * QUARTER
        record = around.cameras["door"].record(quarter - QUARTER, quarter)
        form = aiohttp.FormData(default_to_multipart=True)
        form.add_field(
            "PeopleCounting", BytesIO(hikvision.window(MAC, record, OSLO)), content_type="application/xml"
        )
        form.add_field("picture", BytesIO(bytes(200_000)), filename="picture.jpg", content_type="image/jpeg")
        assert await around.push(form()) == 200
        assert around.told("door") == [record]


async def test_quarters_of_an_application_are_counted_and_its_sum_is_not(tmp_path: Path) -> None:
    async with counting(tmp_path) as around:
        now_ms = around.clock.wall_ms()
        quarter = now_ms // QUARTER * QUARTER
        await until(lambda: around.told("south"))
        assert around.told("south") == around.truth("south", quarter - 2 * QUARTER, quarter, QUARTER)
        assert "GET /local/tvpc/.api?live-sum.json" in around.cameras["south"].asked
        assert around.daemon.reader.books().balanced


async def test_after_more_than_a_day_every_gap_is_filled_from_the_cameras_and_equals_truth(
    tmp_path: Path,
) -> None:
    async with counting(tmp_path) as around:
        first_ms = around.clock.wall_ms()
        await around.push_newest()
        await until(lambda: around.told("south"))
        around.clock.ahead_ms += 26 * HOUR
        await around.push_newest()
        last_ms = around.clock.wall_ms()
        minutes = first_ms // MINUTE * MINUTE - MINUTE, last_ms // MINUTE * MINUTE
        begun, ended = first_ms // HOUR * HOUR, last_ms // HOUR * HOUR
        quarters = first_ms // QUARTER * QUARTER - 2 * QUARTER, last_ms // QUARTER * QUARTER
        await until(lambda: len(around.told("north")) == (minutes[1] - minutes[0]) // MINUTE)
        await until(lambda: len(around.told("south")) == (quarters[1] - quarters[0]) // QUARTER)
        pushed = around.truth("door", begun - QUARTER, begun, QUARTER)
        # the last hour takes the place of the quarter that was pushed of it
        hours = around.truth("door", begun, ended, HOUR)
        await until(lambda: around.told("door") == pushed + hours)
        assert around.told("north") == around.truth("north", *minutes, MINUTE)
        assert around.told("south") == around.truth("south", *quarters, QUARTER)
        assert around.daemon.reader.books().balanced


async def test_totals_where_a_line_counts_by_them_also_over_midnight(tmp_path: Path) -> None:
    text = TEXT.replace('memory = "door" }}', 'basis = "total" }}')
    text = text.replace("look_back_s = 1800 }}", 'basis = "total", max_per_s = 0 }}')  # hours pass at once
    async with counting(tmp_path, text) as around:
        start_ms = around.clock.wall_ms()
        for at_ms, ins, outs in ((start_ms - 40_000, 70, 75), (start_ms - 20_000, 72, 75)):
            assert await around.push(hikvision.running(MAC, at_ms, ins, outs, OSLO), "application/xml") == 200
        assert [row[2:] for row in around.told("door")] == [(2, 0)]
        south, five_past = around.cameras["south"], NOON + 5 * MINUTE
        await until(lambda: "south" in around.daemon.ingest.last_heard_ms)
        around.clock.ahead_ms += 11 * HOUR
        _, _, *evening = south.record(five_past, five_past + 11 * HOUR)
        await until(lambda: around.sums("south") == tuple(evening))
        await around.later(2 * HOUR)  # what crosses from 23:05 to midnight is in no sum that is asked for
        around.clock.ahead_ms += HOUR
        _, _, ins, outs = south.record(NOON + 12 * HOUR, five_past + 14 * HOUR)
        await until(lambda: around.sums("south") == (evening[0] + ins, evening[1] + outs))
        assert around.daemon.reader.books().balanced
