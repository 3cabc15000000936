"""Entering over the local HTTP and by command, with the real daemon behind it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession, TCPConnector
from click.testing import CliRunner

from gateway import app
from gateway.__main__ import main
from gateway.config import load
from gateway.measures import wilson
from gateway.model import Booking, Crossings, Parcel
from tests.daemon_rig import Ahead
from tests.patience import SOON_S

CONFIG = """
[gateway]
id = "box"
data_dir = "data"
[site]
id = "here"
timezone = "Europe/Oslo"
[http]
listen = "127.0.0.1:{port}"
[push]
listen = "127.0.0.1:0"
allow = ["127.0.0.0/8"]
[link]
lan = {{ over = "push", options = {{ auth = "none" }} }}
[counter]
door = {{ link = "lan", driver = "axis" }}
[zone]
shop-05 = {{ kind = "store", entrances = ["door"], group = 1.36 }}
"""
MINUTE = 60_000


class Desk:
    """The daemon, a browser and a shell."""

    def __init__(self, config: Path, daemon: app.Gateway, session: ClientSession, port: int) -> None:
        self.config, self.daemon, self.session = config, daemon, session
        self.url = f"http://127.0.0.1:{port}/api/v1"

    async def post(self, path: str, body: Any, **headers: str) -> tuple[int, Any]:
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        async with self.session.post(f"{self.url}/{path}", json=body, headers=names) as answer:
            return answer.status, await answer.json(content_type=None)

    async def get(self, path: str) -> tuple[int, Any]:
        async with self.session.get(f"{self.url}/{path}") as answer:
            return answer.status, await answer.json(content_type=None)

    async def told(self, *args: str) -> tuple[int, str]:
        result = await asyncio.to_thread(CliRunner().invoke, main, [*args, "-c", str(self.config)])
        return result.exit_code, result.output

    async def count(self, ins: int, minutes_ago: int, minutes: int) -> tuple[str, str]:
        """People over a stretch, watched; gives its bounds in the words of an API."""
        from gateway.instants import rfc3339

        start = self.daemon.clock.wall_ms() - minutes_ago * MINUTE
        end = start + minutes * MINUTE
        reading = Crossings("door", "main", start, end, ins, 0)
        stamp = self.daemon.clock.stamp()
        await self.daemon.store.record([Parcel("bus", stamp, [Booking("door", "main", reading)])])
        return rfc3339(start), rfc3339(end)


@pytest.fixture
async def desk(tmp_path: Path, unused_tcp_port: int) -> AsyncIterator[Desk]:
    config = tmp_path / "gateway.toml"
    config.write_text(CONFIG.format(port=unused_tcp_port))
    closing = TCPConnector(force_close=True)
    async with app.gateway(load(config), Ahead()) as daemon, ClientSession(connector=closing) as session:
        yield Desk(config, daemon, session, unused_tcp_port)


async def test_a_bag_survey_from_a_phone_that_sends_twice(desk: Desk) -> None:
    taps = [{"id": f"phone-{n}", "zone": "shop-05", "bag": n % 4 == 0} for n in range(40)]
    assert (await desk.post("taps", taps))[0] == 201
    status, again = await desk.post("taps", taps)
    assert (status, len(again)) == (200, 40)
    status, survey = await desk.get("taps?zone=shop-05")
    assert (status, survey["taps"], survey["bags"]) == (200, 40, 10)
    rate = survey["bag_rate"]
    assert rate["value"] == 0.25
    low, high = wilson(10 / 1.36, 40 / 1.36)  # who comes together tells as much as one
    assert (rate["low"], rate["high"]) == (round(low, 6), round(high, 6))
    [shop] = (await desk.get("live"))[1]["zones"]
    assert shop["figures"]["bag_rate"] == rate


async def test_a_survey_of_nobody_is_unknown_and_not_nothing(desk: Desk) -> None:
    survey = (await desk.get("taps?zone=shop-05"))[1]
    assert survey["bag_rate"] == {"value": None, "why": "no_denominator"}


@pytest.mark.parametrize(
    ("path", "body", "status", "words"),
    [
        ("taps", {"id": "1", "zone": "nowhere", "bag": True}, 422, "zone: there is no zone"),
        ("taps", [], 422, "between 1 and"),
        ("taps", [{"id": "1"}] * 1001, 422, "between 1 and"),
        ("taps", 7, 422, "must be an object"),
        (
            "taps",
            {"id": "1", "zone": "shop-05", "bag": True, "at": "1970-01-01T00:00:09Z"},
            422,
            "at: lies more than 31 days back",
        ),
        ("tallies", {"id": "1", "line": "door", "ins": 3}, 422, "from: missing; to: missing"),
        (
            "campaigns",
            {"id": "1", "from": "2026-11-28", "to": "2026-11-01", "zones": ["shop-05"]},
            422,
            "after",
        ),
        (
            "campaigns",
            {"id": "1", "from": "2026-12-01", "to": "9999-12-31", "zones": ["shop-05"]},
            422,
            "to: must lie between 1970 and 2200",
        ),
        (
            "campaigns",
            {"id": "1", "from": "2026-11-01", "to": "2026-11-28", "zones": []},
            422,
            "zones: must not be empty",
        ),
        (
            "campaigns",
            {"id": "1", "from": "0001-01-01", "to": "0001-01-02", "zones": ["shop-05"]},
            422,
            "from: must lie between 1970 and 2200",
        ),
        (
            "acceptances",
            {"id": "1", "line": "door", "side": "in", "from": "9999-01-01"},
            422,
            "from: must lie between 1970 and 2200",
        ),
    ],
)
async def test_a_wrong_entry_is_a_problem_that_names_its_key(
    desk: Desk, path: str, body: Any, status: int, words: str
) -> None:
    answered, problem = await desk.post(path, body)
    assert (answered, problem["status"]) == (status, status)
    assert words in problem["detail"]


async def test_another_sites_page_cannot_enter_anything(desk: Desk) -> None:
    tap = {"id": "1", "zone": "shop-05", "bag": True}
    assert (await desk.post("taps", tap, Sec_Fetch_Site="cross-site"))[0] == 403
    assert (await desk.post("taps", tap, Content_Type="text/plain"))[0] == 415
    assert (await desk.get("taps?zone=shop-05"))[1]["taps"] == 0


async def test_bytes_that_are_no_json_are_said_to_be_none(desk: Desk) -> None:
    headers = {"Content-Type": "application/json"}
    for body in (b"{", b"\xff\xfe", b"[" * 30_000, b""):
        async with desk.session.post(f"{desk.url}/taps", data=body, headers=headers) as answer:
            assert answer.status == 400, body[:4]


async def test_an_id_for_two_things_is_a_conflict(desk: Desk) -> None:
    tally = {
        "id": "t",
        "line": "door",
        "from": "2026-11-20T09:00:00Z",
        "to": "2026-11-20T09:15:00Z",
        "ins": 7,
    }
    assert (await desk.post("tallies", tally))[0] == 201
    status, problem = await desk.post("tallies", {**tally, "ins": 8})
    assert (status, "used before" in problem["detail"]) == (409, True)


async def test_tallies_stand_beside_what_was_counted_and_come_to_a_factor(desk: Desk) -> None:
    # the windows of the worked example of metrics, section 9
    by_hand, counted = (118, 205, 97, 164, 143, 188), (112, 197, 95, 151, 139, 176)
    for n, (manual, seen) in enumerate(zip(by_hand, counted, strict=True)):
        start, end = await desk.count(seen, 600 - 20 * n, 15)
        code, output = await desk.told(
            "tally", "add", "--line", "door", "--from", start, "--to", end, "--ins", str(manual)
        )
        assert (code, "entered" in output) == (0, True), output
    told = (await desk.get("tallies?line=door"))[1]
    assert [row["counted"]["ins"] for row in told["tallies"]] == list(counted)
    side = told["sides"]["ins"]
    assert (side["tallies"], side["manual"], side["counted"]) == (6, 915, 870)
    assert (side["factor"], side["standard_error"]) == (1.051724, 0.009718)
    code, output = await desk.told("tally", "report", "door")
    assert (code, "factor 1.0517 (1.0267 to 1.0767)" in output) == (0, True), output


async def tallied(desk: Desk) -> None:
    """The worked example of metrics, section 9, by HTTP."""
    for n, (manual, seen) in enumerate(
        zip((118, 205, 97, 164, 143, 188), (112, 197, 95, 151, 139, 176), strict=True)
    ):
        start, end = await desk.count(seen, 600 - 20 * n, 15)
        body = {"id": f"t{n}", "line": "door", "from": start, "to": end, "ins": manual}
        assert (await desk.post("tallies", body))[0] == 201


async def test_what_the_tallies_say_is_accepted_and_calibrates_the_door(desk: Desk) -> None:
    await tallied(desk)
    acceptance = {"id": "a-1", "line": "door", "side": "in", "by": "north team"}
    status, kept = await desk.post("acceptances", acceptance)
    assert (status, kept["factor"], kept["version"], kept["tallies"]) == (201, 1.051724, 1, 6)
    assert (await desk.post("acceptances", acceptance)) == (200, kept)
    [calibration] = desk.daemon.store.reader().calibrations()
    assert (calibration.line, calibration.side, calibration.factor) == ("door", "in", 1.051724)
    assert calibration.by == "north team"
    assert "6 tallies" in calibration.source
    code, output = await desk.told("tally", "accept", "door", "--side", "in")
    assert (code, "as version 1" in output) == (0, True), output
    assert len((await desk.get("acceptances"))[1]["acceptances"]) == 2


async def test_an_id_of_another_acceptance_puts_nothing_in_force(desk: Desk) -> None:
    await tallied(desk)
    acceptance = {"id": "a-1", "line": "door", "side": "in"}
    assert (await desk.post("acceptances", acceptance))[0] == 201
    for other in ({"side": "out"}, {"from": "2026-11-01T00:00:00Z"}):
        status, problem = await desk.post("acceptances", {**acceptance, **other})
        assert (status, "a-1" in problem["detail"]) == (409, True), other
    assert len(desk.daemon.store.reader().calibrations()) == 1


async def test_two_acceptances_at_once_are_one_version(desk: Desk) -> None:
    await tallied(desk)
    acceptance = {"id": "a-1", "line": "door", "side": "in"}
    answers = await asyncio.gather(*(desk.post("acceptances", acceptance) for _ in range(4)))
    assert sorted(status for status, _ in answers) == [200, 200, 200, 201]
    assert len(desk.daemon.store.reader().calibrations()) == 1


async def test_who_taps_while_nobody_knows_the_time_is_told_so(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A tap has the time of its receipt: it would be kept in some other year."""
    tap = {"id": "1", "zone": "shop-05", "bag": True}
    monkeypatch.setattr(desk.daemon.clock, "trusted", lambda: False)
    status, problem = await desk.post("taps", tap)
    assert (status, "clock is not believed" in problem["detail"]) == (422, True)
    monkeypatch.undo()
    assert (await desk.post("taps", tap))[0] == 201


@pytest.mark.parametrize(
    "path",
    [
        "taps?zone=shop-05&from=99999999999999999999",
        "taps?zone=shop-05&to=9999-12-31T23:59:59-12:00",
        "taps?zone=shop-05&from=2026-11-28T00:00:00Z&to=2026-11-01T00:00:00Z",
        "growth?zone=shop-05&from=0001-01-01&to=0001-01-02",
        "growth?zone=shop-05&from=9999-12-30&to=9999-12-31",
    ],
)
async def test_times_no_clock_ever_shows_are_refused_by_name(desk: Desk, path: str) -> None:
    status, problem = await desk.get(path)
    assert (status, problem["detail"].split(":")[0] in ("from", "to")) == (422, True), problem


async def test_too_few_tallies_are_not_accepted(desk: Desk) -> None:
    status, problem = await desk.post("acceptances", {"id": "a", "line": "door", "side": "in"})
    assert (status, "no_history" in problem["detail"]) == (422, True)
    status, problem = await desk.post("acceptances", {"id": "a", "line": "door", "side": "ins"})
    assert (status, "side: must be one of" in problem["detail"]) == (422, True)


async def test_a_correction_by_http_restates_its_windows_once(desk: Desk) -> None:
    start, end = await desk.count(40, 60, 15)
    body = {"id": "c-1", "line": "door", "from": start, "to": end, "ins": 55, "reason": "counted by hand"}
    status, kept = await desk.post("corrections", body)
    assert (status, kept["ins"], kept["reason"]) == (201, 55, "counted by hand")
    assert (await desk.post("corrections", body))[0] == 200
    status, problem = await desk.post("corrections", {**body, "ins": 56})
    assert (status, "c-1" in problem["detail"]) == (409, True)
    assert [one["id"] for one in (await desk.get("corrections"))[1]["corrections"]] == ["c-1"]
    async with asyncio.timeout(SOON_S):
        while (await desk.get("live"))[1]["zones"][0]["ins"] != 55:
            await asyncio.sleep(0.1)


async def test_a_correction_without_a_reason_is_refused(desk: Desk) -> None:
    start, end = await desk.count(40, 60, 15)
    body = {"id": "c", "line": "door", "from": start, "to": end, "ins": 55}
    assert "reason: missing" in (await desk.post("corrections", body))[1]["detail"]
    status, problem = await desk.post("corrections", [{**body, "reason": "x"}] * 2)
    assert (status, problem["detail"]) == (422, "one at a time")


async def test_a_tally_of_a_time_nobody_watched_is_no_evidence(desk: Desk) -> None:
    tally = {
        "id": "t",
        "line": "door",
        "from": "2026-11-20T09:00:00Z",
        "to": "2026-11-20T09:15:00Z",
        "ins": 118,
    }
    await desk.post("tallies", tally)
    told = (await desk.get("tallies?line=door"))[1]
    assert told["tallies"][0]["counted"] is None
    assert told["sides"]["ins"]["factor"] is None


async def test_of_many_tallies_the_one_that_is_wrong_is_named_and_none_is_entered(desk: Desk) -> None:
    file = desk.config.with_name("tallies.csv")
    head, good = "line,from,to,ins", "door,2026-11-07 14:00,2026-11-07 14:15,118"
    file.write_text(f"{head}\n{good}\ndoor,07.11.2026 14:15,2026-11-07 14:30,97\n")
    code, output = await desk.told("tally", "import", str(file))
    assert (code, "entry 2: from: must be a time like" in output) == (1, True), output
    assert (await desk.get("tallies?line=door"))[1]["tallies"] == []


async def test_a_tally_that_was_wrong_is_taken_back(desk: Desk) -> None:
    start, end = await desk.count(10, 60, 15)
    await desk.told(
        "tally", "add", "--line", "door", "--from", start, "--to", end, "--ins", "12", "--id", "wrong"
    )
    assert (await desk.told("tally", "remove", "wrong"))[0] == 0
    assert (await desk.get("tallies?line=door"))[1]["tallies"] == []
    code, output = await desk.told("tally", "remove", "never")
    assert (code, "there is no tally never" in output) == (1, True)


async def test_campaigns_by_command_file_and_http(desk: Desk, tmp_path: Path) -> None:
    base = ("campaign", "add", "--from", "2026-11-28", "--to", "2026-11-29")
    assert (await desk.told(*base, "--zone", "shop-05", "--id", "lights", "--purpose", "Advent"))[0] == 0
    file = tmp_path / "campaigns.toml"
    file.write_text('[campaign.music]\nfrom = 2026-12-05\nto = 2026-12-06\nzones = ["shop-05"]\ngoal = 0.1\n')
    assert (await desk.told("campaign", "add", str(file)))[0] == 0
    body = {"id": "scent", "from": "2026-12-12", "to": "2026-12-13", "zones": ["shop-05"]}
    assert (await desk.post("campaigns", body))[0] == 201
    ids = [one["id"] for one in (await desk.get("campaigns"))[1]["campaigns"]]
    assert ids == ["lights", "music", "scent"]
    assert (await desk.told("campaign", "remove", "scent"))[0] == 0
    code, output = await desk.told("campaign", "list")
    assert code == 0
    assert "Advent" in output
    assert "scent" in output
    assert "withdrawn" in output
    code, output = await desk.told(*base, "--zone", "shop-50")
    assert (code, "mean shop-05" in output) == (1, True), output


async def test_an_alarm_that_never_was_cannot_be_believed(desk: Desk) -> None:
    code, output = await desk.told("alarms", "--believe", "4711")
    assert (code, "there is no alarm 4711" in output) == (1, True), output
    assert await desk.told("alarms") == (0, "nothing looked wrong\n")
