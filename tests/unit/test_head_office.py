"""The simulated head office: an accountant that other tests rely on."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from click.testing import CliRunner

from gateway.model import Event
from simulators.office import Ledger, compare, read_truth
from simulators.upstream import MODES, HeadOffice, command
from tests.patience import SOON_S
from tests.upstream_events import alarm, event, events

HEADERS = {"Content-Type": "application/cloudevents-batch+json"}


def bodies(*batch: Event) -> list[dict[str, object]]:
    return [one.body for one in batch]


async def post(url: str, payload: Any, headers: dict[str, str] = HEADERS) -> tuple[int, str]:
    body = json.dumps(payload)
    async with aiohttp.ClientSession() as session, session.post(url, data=body, headers=headers) as answer:
        return answer.status, await answer.text()


def test_the_highest_generation_and_revision_wins_in_any_order() -> None:
    ledger = Ledger(":memory:")
    first, second = event(revision=1, ins=10), event(revision=2, ins=7)
    assert ledger.book(bodies(second)).fresh == 1
    assert ledger.book(bodies(first, second)).repeated == 2
    assert ledger.sums()["mall"]["ins"] == 7
    replaced = json.loads(json.dumps(first.body))
    replaced["data"] |= {"generation": 1_795_400_001, "ins": 4}
    assert ledger.book([replaced]).fresh == 1
    assert ledger.sums()["mall"]["ins"] == 4
    assert ledger.tally() == {"fresh": 2, "repeated": 2, "rejected": 0, "batches": 3}
    ledger.close()


def test_an_alarm_is_one_row_whatever_comes_how_often() -> None:
    ledger = Ledger(":memory:")
    raised, cleared = alarm(), alarm(revision=2, state="cleared")
    assert ledger.book(bodies(cleared, event())).fresh == 2
    assert ledger.book(bodies(raised, cleared)).repeated == 2
    [row] = ledger.alarms()
    assert (row["state"], row["until"], row["evidence"]) == (
        "cleared",
        "2026-11-23T11:00:00.000Z",
        {"expected": 41.5},
    )
    assert len(ledger.windows()) == 1
    nameless = json.loads(json.dumps(raised.body))
    del nameless["data"]["line"]
    assert list(ledger.book([nameless]).rejected) == [raised.id]
    ledger.close()


def test_only_one_window_size_is_added_up() -> None:
    ledger = Ledger(":memory:")
    hour = json.loads(json.dumps(event().body))
    hour["id"] += "h"
    hour["data"]["size_s"] = 3600
    ledger.book([*bodies(event()), hour])
    assert ledger.sums()["mall"]["ins"] == 31
    assert ledger.sums(3600)["mall"]["ins"] == 31
    assert len(ledger.windows()) == 2
    ledger.close()


@pytest.mark.parametrize(
    ("path", "value", "why"),
    [
        ("specversion", "0.3", "CloudEvent"),
        ("id", "", "CloudEvent"),
        ("type", "com.example", "type"),
        ("data", [], "object"),
        ("data.zone", None, "missing"),
        ("data.revision", "1", "integer"),
        ("data.ins", 1.5, "integer"),
        ("data.ins", True, "integer"),
    ],
)
def test_what_is_no_aggregate_is_rejected_alone(path: str, value: object, why: str) -> None:
    ledger = Ledger(":memory:")
    wrong = json.loads(json.dumps(event(1).body))
    *parents, last = path.split(".")
    target = wrong
    for name in parents:
        target = target[name]
    target[last] = value
    booked = ledger.book([wrong, *bodies(event(0))])
    assert booked.fresh == 1
    assert [why in reason for reason in booked.rejected.values()] == [True]
    ledger.close()


async def test_it_is_steered_while_it_runs_and_recovers_by_itself() -> None:
    async with HeadOffice() as office:
        control = office.url.replace("/events", "/control")
        assert (await post(control, {"mode": "status:418", "for_s": 0.2}))[0] == 200
        assert (await post(office.url, bodies(event())))[0] == 418
        async with asyncio.timeout(5):
            while (await post(office.url, bodies(event())))[0] != 200:
                await asyncio.sleep(0.02)
        assert (await post(control, {"mode": "sing"}))[0] == 400
        assert (await post(control, [1]))[0] == 400


async def test_down_means_that_nobody_listens_until_the_time_is_over() -> None:
    refused = answered = False
    async with HeadOffice() as office, asyncio.timeout(SOON_S):
        while not (refused and answered):
            if office.mode == "ok" and not refused:  # again: a busy machine may look only when it is over
                await office.set_mode("down", 0.3)
            try:
                answered = (await post(office.url, bodies(event())))[0] == 200
            except aiohttp.ClientConnectorError:
                refused, answered = True, False
            except aiohttp.ClientError:
                pass
            await asyncio.sleep(0.02)
        assert office.mode == "ok"


async def test_sums_and_windows_can_be_read() -> None:
    async with HeadOffice() as office, aiohttp.ClientSession() as session:
        await post(office.url, bodies(*events(3), event(0, "shop")))
        async with session.get(office.url.replace("/events", "/sums")) as answer:
            told = await answer.json()
        assert told["zones"]["mall"] == {
            "windows": 3,
            "ins": 93,
            "outs": 84,
            "passersby": 0,
            "sales": 0,
            "returns": 0,
            "amount_minor": 0,
        }
        assert told["events"]["fresh"] == 4
        async with session.get(office.url.replace("/events", "/windows?zone=shop")) as answer:
            assert [row["zone"] for row in await answer.json()] == ["shop"]


@pytest.mark.parametrize(
    ("payload", "headers", "status"),
    [
        ({}, HEADERS, 400),
        ([1], HEADERS, 400),
        ([], {"Content-Type": "application/json"}, 400),
        ([], HEADERS | {"Authorization": "Bearer no"}, 401),
    ],
)
async def test_what_is_no_batch_is_refused(payload: object, headers: dict[str, str], status: int) -> None:
    token = "yes" if status == 401 else None
    async with HeadOffice(token=token) as office:
        assert (await post(office.url, payload, headers))[0] == status
        assert office.tally() == {}


async def test_what_was_answered_survives_a_kill(tmp_path: Path) -> None:
    program = [sys.executable, "-m", "simulators", "upstream", "--port", "0", "--db", str(tmp_path / "o.db")]
    office = await asyncio.create_subprocess_exec(*program, stdout=asyncio.subprocess.PIPE)
    assert office.stdout
    url = (await office.stdout.readline()).decode().split()[-1]
    answered = 0
    for index in range(20):
        status, _ = await post(url, bodies(event(index)))
        answered += status == 200
    office.send_signal(signal.SIGKILL)
    await office.wait()
    ledger = Ledger(tmp_path / "o.db")
    assert ledger.sums()["mall"]["windows"] == answered == 20
    ledger.close()


# truth ------------------------------------------------------------------------------------------------------


def truth_line(one: Event, **figures: int) -> str:
    data: Any = one.body["data"]
    return json.dumps({"zone": data["zone"], "size_s": 900, "start": data["start"], **figures})


def settle(folder: Path, lines: list[str], *stored: Event) -> tuple[int, str]:
    ledger = Ledger(folder / "office.db")
    ledger.book(bodies(*stored))
    ledger.close()
    (folder / "truth").write_text("\n".join(lines))
    done = CliRunner().invoke(command, ["--db", str(folder / "office.db"), "--truth", str(folder / "truth")])
    return done.exit_code, done.output


def test_the_table_says_when_head_office_has_the_truth(tmp_path: Path) -> None:
    lines = [truth_line(one, ins=31, outs=28) for one in events(3)]
    code, output = settle(tmp_path, lines, *events(3), event(3, ins=0))
    assert "93 |           93" in output
    assert code == 1, "28 outs in a window the truth does not know"
    assert settle(tmp_path, [*lines, truth_line(event(3), ins=0, outs=28)])[0] == 0


def test_a_loss_and_a_double_do_not_cancel(tmp_path: Path) -> None:
    lines = [truth_line(event(0), ins=30), truth_line(event(1), ins=32)]
    code, output = settle(tmp_path, lines, *events(2))
    assert code == 1
    assert "lost 1, twice 1" in output
    assert "2026-11-23T09:15:00Z 900 s ins: truth 32, head office 31" in output


def test_a_window_that_never_came_is_a_loss(tmp_path: Path) -> None:
    (tmp_path / "truth").write_text(truth_line(event(0), ins=5) + "\n\n" + truth_line(event(0), ins=2))
    [difference] = compare(read_truth(tmp_path / "truth"), [])
    assert (difference.truth, difference.office) == (7, 0)


def test_every_mode_is_in_the_help() -> None:
    text = CliRunner().invoke(command, ["--help"]).output
    assert all(line.split()[0] in text for line in MODES.strip().splitlines())
    assert CliRunner().invoke(command, ["--mode", "sing"]).exit_code == 2
