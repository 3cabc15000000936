"""A portal that is asked over HTTP, on real loopback sockets, with the real store behind the link."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import ssl
import subprocess
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from drivers.viametrix.family import FAMILY, ViametrixOptions
from gateway import app, config
from gateway.driver import Device, Kind, Message
from gateway.errors import ConfigurationError
from gateway.links.pull import PullLink
from gateway.model import Crossings, Item
from simulators.portal import Faults, Portal, seeded
from tests.daemon_rig import HEAD, NOON, Ahead, Same, make_impatient
from tests.patience import until

STEP = 900_000
HOUR = 3_600_000
DAY = 24 * HOUR
TEXT = """
[link.portal]
over = "pull"
options = {{ url = "{url}", auth = "token", client_id = "1234", key_file = "portal.key", client_header = "ClientID", {more} }}
[counter]
door = {{ link = "portal", driver = "viametrix", counter = "1001", look_back_s = 900 }}
back = {{ link = "portal", driver = "viametrix", counter = "1002", look_back_s = 900 }}
[zone]
shop = {{ kind = "store", entrances = ["door", "back"] }}
"""  # noqa: E501 - inline tables stay on one line


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """The portal is tried again after hundredths of a second."""
    make_impatient(monkeypatch)


@pytest.fixture
def clock() -> Ahead:
    """Five minutes into a quarter of an hour: no interval ends while a test runs."""
    return Ahead(NOON + STEP // 3)


@pytest.fixture
async def portal(clock: Ahead) -> AsyncIterator[Portal]:
    since_ms = clock.wall_ms() - 20 * DAY
    async with Portal(seeded(7), ("1001", "1002"), since_ms, clock=Same(clock)) as portal:
        yield portal


@contextlib.asynccontextmanager
async def counting(
    folder: Path, portal: Portal, clock: Ahead, more: str = "poll_s = 0.05"
) -> AsyncIterator[app.Gateway]:
    path = folder / "gateway.toml"
    path.write_text(HEAD + TEXT.format(url=portal.url, more=more))
    (folder / "portal.key").write_text("simulated\n")
    (folder / "portal.key").chmod(0o600)
    async with app.gateway(config.load(path), clock) as daemon:
        yield daemon


def told(daemon: app.Gateway, counter: str = "door") -> list[tuple[int, int, int]]:
    """(start, ins, outs) of each stored interval."""
    rows = daemon.reader.readings(0, 1 << 60)
    return [(row["start_ms"], row["ins"], row["outs"]) for row in rows if row["counter"] == counter]


def truth(portal: Portal, counter: str, from_ms: int, to_ms: int) -> list[tuple[int, int, int]]:
    return [(start, *portal.counts(counter, start)) for start in range(from_ms, to_ms, STEP)]


def over(clock: Ahead) -> int:
    """The end of the last whole interval."""
    return clock.wall_ms() // STEP * STEP


def refused(daemon: app.Gateway, counter: str) -> dict[str, int]:
    return next(line.refused for line in daemon.reader.lines() if line.counter == counter)


def heard(daemon: app.Gateway, counters: int = 2) -> bool:
    return len(daemon.ingest.last_heard_ms) == counters


async def test_counters_of_a_portal_are_asked_and_their_last_interval_is_stored(
    tmp_path: Path, portal: Portal, clock: Ahead
) -> None:
    async with counting(tmp_path, portal, clock) as daemon:
        await until(lambda: told(daemon, "door") and told(daemon, "back"))
        assert daemon.links[0].state.up
        for name, number in (("door", "1001"), ("back", "1002")):
            assert told(daemon, name) == truth(portal, number, over(clock) - STEP, over(clock))
    assert portal.tokens == 1
    assert {line.split("?")[0] for line in portal.asked[1:]} >= {"200 /counters/1001/counts"}


@pytest.mark.parametrize("kind", ["shut", "restart"])
async def test_a_gap_is_filled_from_the_counters_memory_and_equals_truth(
    tmp_path: Path, portal: Portal, clock: Ahead, kind: str
) -> None:
    first_ms = over(clock) - STEP
    async with contextlib.AsyncExitStack() as stack:
        if kind == "restart":
            async with counting(tmp_path, portal, clock) as daemon:
                await until(lambda: told(daemon, "door") and told(daemon, "back"))
            clock.ahead_ms += 2 * DAY + 5 * HOUR
            daemon = await stack.enter_async_context(counting(tmp_path, portal, clock))
        else:
            daemon = await stack.enter_async_context(counting(tmp_path, portal, clock))
            await until(lambda: told(daemon, "door") and told(daemon, "back"))
            await portal.close()
            await until(lambda: not daemon.links[0].state.up)
            clock.ahead_ms += 2 * DAY + 5 * HOUR
            await portal.open()
        intervals = (over(clock) - first_ms) // STEP
        await until(lambda: len(told(daemon, "door")) + len(told(daemon, "back")) >= 2 * intervals)
        asked = len(portal.asked)
        await until(lambda: len(portal.asked) > asked + 6)
        for name, number in (("door", "1001"), ("back", "1002")):
            assert told(daemon, name) == truth(portal, number, first_ms, over(clock))
        assert daemon.reader.gaps("door", first_ms, over(clock)) == []
        assert daemon.reader.books().balanced
        recalled = [line for line in portal.asked if "/1001/" in line and line.startswith("200")][1:]
        pieces = [line for line in recalled if line.split("from=")[1] != recalled[0].split("from=")[1]]
    assert 3 <= len(set(pieces)) <= 4  # a day at a time, and each once
    assert len(pieces) == len(set(pieces))
    starts = [line.split("from=")[1] for line in pieces]
    assert starts == sorted(starts)


async def test_what_is_older_than_recall_days_and_what_was_never_ours_is_not_asked_for(
    tmp_path: Path, portal: Portal, clock: Ahead
) -> None:
    more = "poll_s = 0.05, recall_days = 1"
    async with counting(tmp_path, portal, clock, more) as daemon:
        await until(lambda: told(daemon, "door") and told(daemon, "back"))
        asked = len(portal.asked)
        await until(lambda: len(portal.asked) > asked + 6)
        assert len(told(daemon)) == 1  # the portal knows twenty days, of which we watched none
        await portal.close()
        await until(lambda: not daemon.links[0].state.up)
        clock.ahead_ms += 3 * DAY
        await portal.open()
        await until(lambda: len(told(daemon)) >= DAY // STEP)
        oldest = min(start for start, _, _ in told(daemon) if start > over(clock) - 2 * DAY)
    assert over(clock) - DAY - STEP <= oldest <= over(clock) - DAY + STEP


async def test_a_late_correction_replaces(tmp_path: Path, portal: Portal, clock: Ahead) -> None:
    async with counting(tmp_path, portal, clock) as daemon:
        await until(lambda: told(daemon))
        portal.counts = lambda _counter, _start: (900, 800)
        await until(lambda: told(daemon)[0][1:] == (900, 800))
        assert len(told(daemon)) == 1
        assert daemon.reader.books().balanced


async def test_nothing_new_is_answered_304_and_stored_once(
    tmp_path: Path, portal: Portal, clock: Ahead
) -> None:
    async with counting(tmp_path, portal, clock) as daemon:
        await until(lambda: len([line for line in portal.asked if line.startswith("304")]) >= 6)
        assert daemon.links[0].state.up
        assert daemon.links[0].state.telegrams["damaged"] == 0
        assert len(told(daemon)) == 1
    assert sum(line.startswith("200 /counters") for line in portal.asked) == 2


async def test_questions_of_the_past_are_not_kept_in_mind(
    tmp_path: Path, portal: Portal, clock: Ahead
) -> None:
    """Each interval makes another question: a box that runs for years must not remember them all."""
    async with counting(tmp_path, portal, clock) as daemon:
        (link,) = [link for link in daemon.links if isinstance(link, PullLink)]
        for _ in range(6):
            portal.asked.clear()
            await until(lambda: len(portal.asked) > 4)
            clock.ahead_ms += STEP
        assert sum(len(questions) for questions in link._seen.values()) == 2
        asked = len(portal.asked)
        await until(lambda: [line for line in portal.asked[asked:] if line.startswith("304")])


async def test_a_damaged_answer_is_asked_for_again(tmp_path: Path, portal: Portal, clock: Ahead) -> None:
    portal.faults = Faults(body=b'[{"CounterId": "1001", "Ti', times=2)
    async with counting(tmp_path, portal, clock) as daemon:
        await until(lambda: told(daemon, "door") and told(daemon, "back"))
        assert daemon.ingest.telegrams["portal"]["damaged"] == 2


@pytest.mark.parametrize(
    ("times", "reasons"),
    [
        (["2046-11-23T09:00:00Z"], {"future"}),
        (["2006-11-23T09:00:00Z"] * 10_000, {"ancient", "too_late"}),  # too_late: once windows are frozen
    ],
    ids=["twenty years ahead", "ten thousand rows twenty years late"],
)
async def test_rows_of_another_age_are_refused_and_the_portal_is_asked_on(
    tmp_path: Path, portal: Portal, clock: Ahead, times: list[str], reasons: set[str]
) -> None:
    (first, number), other = ("back", "1002"), "door"  # who is asked first
    rows = [{"CounterId": number, "Time": time, "I": 3, "O": 0} for time in times]
    portal.faults = Faults(body=json.dumps(rows).encode(), times=1)
    async with counting(tmp_path, portal, clock) as daemon:
        await until(lambda: told(daemon, other))
        await until(lambda: refused(daemon, first))
        assert set(refused(daemon, first)) <= reasons
        assert sum(refused(daemon, first).values()) == 3 * len(times)
        assert daemon.reader.books().balanced
        asked = len(portal.asked)
        await until(lambda: len(portal.asked) > asked + 4)
        assert daemon.links[0].state.up


async def test_a_token_that_ends_midway_is_bought_anew_without_a_pause(
    tmp_path: Path, portal: Portal, clock: Ahead
) -> None:
    async with counting(tmp_path, portal, clock) as daemon:
        await until(lambda: heard(daemon))
        portal.expire()
        await until(lambda: portal.tokens == 2)
        asked = len(portal.asked)
        await until(lambda: len(portal.asked) > asked + 4)
        assert daemon.links[0].state.attempts == 1
    assert portal.tokens == 2


async def test_a_wrong_key_is_named_and_costs_few_questions(
    tmp_path: Path, portal: Portal, clock: Ahead
) -> None:
    portal.key = "another"
    async with counting(tmp_path, portal, clock) as daemon:
        await until(lambda: daemon.links[0].state.error)
        assert daemon.links[0].state.error == "no token from /token: 401"
        assert not daemon.links[0].state.up
        portal.key = "simulated"
        await until(lambda: told(daemon))


async def test_429_with_retry_after_is_obeyed_by_all_counters(
    tmp_path: Path, portal: Portal, clock: Ahead
) -> None:
    portal.faults = Faults(status=429, retry_after="1", times=1)
    async with counting(tmp_path, portal, clock) as daemon:
        await until(lambda: any(line.startswith("429") for line in portal.asked))
        began = asyncio.get_running_loop().time()
        asked = len(portal.asked)
        await until(lambda: "429: told to wait 1 s" in daemon.links[0].state.error)
        await until(lambda: len(portal.asked) > asked)
        assert asyncio.get_running_loop().time() - began > 0.9
        await until(lambda: told(daemon, "door") and told(daemon, "back"))
        assert daemon.links[0].state.error == ""
        assert daemon.links[0].state.attempts == 1


async def test_the_hours_budget_is_never_exceeded(tmp_path: Path, portal: Portal, clock: Ahead) -> None:
    portal.per_h = 3
    async with counting(tmp_path, portal, clock, "poll_s = 0.01, requests_per_h = 4") as daemon:
        await until(lambda: heard(daemon))
        await until(lambda: len(portal.asked) == 4)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0.3):
                await until(lambda: len(portal.asked) > 4)
    assert len(portal.asked) == 4  # a token and three questions
    assert not any(line.startswith("429") for line in portal.asked)


async def test_a_redirect_is_not_followed_and_takes_no_secret_along(
    tmp_path: Path, portal: Portal, clock: Ahead
) -> None:
    async with Portal(seeded(1), ("1001",), clock=Same(clock)) as elsewhere:
        portal.faults = Faults(status=302, location=f"{elsewhere.url}/counters/1001/counts", times=3)
        async with counting(tmp_path, portal, clock) as daemon:
            await until(lambda: "redirects are not followed" in daemon.links[0].state.error)
            await until(lambda: told(daemon))
        assert elsewhere.asked == []


async def test_one_unknown_counter_takes_nothing_from_the_other(
    tmp_path: Path, portal: Portal, clock: Ahead, caplog: pytest.LogCaptureFixture
) -> None:
    portal.counters = ("1002",)
    async with counting(tmp_path, portal, clock) as daemon:
        await until(lambda: told(daemon, "back"))
        await until(lambda: sum("/1001/" in line for line in portal.asked) > 1)
        assert daemon.links[0].state.up
    assert "link portal: door does not answer: 404" in caplog.messages


async def test_an_answer_that_is_too_long_is_refused_and_counted(
    tmp_path: Path, portal: Portal, clock: Ahead
) -> None:
    portal.faults = Faults(body=b"[" + b" " * 100_000 + b"]", times=1)
    async with counting(tmp_path, portal, clock, "poll_s = 0.05, max_body_bytes = 4096") as daemon:
        await until(lambda: told(daemon, "door") and told(daemon, "back"))
        assert daemon.links[0].state.telegrams["too_large"] == 1


async def test_a_portal_that_does_not_answer_is_told_and_tried_again(
    tmp_path: Path, portal: Portal, clock: Ahead, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("drivers.viametrix.family.TIMEOUT_MS", 50)
    portal.faults = Faults(stall=True, times=2)
    async with counting(tmp_path, portal, clock) as daemon:
        await until(lambda: daemon.links[0].state.error == "no answer within 0.05 s")
        await until(lambda: told(daemon, "door") and told(daemon, "back"))


async def test_a_lost_address_is_told_once_and_not_for_each_question(
    tmp_path: Path, portal: Portal, clock: Ahead, caplog: pytest.LogCaptureFixture
) -> None:
    portal.faults = Faults(status=302, location="/elsewhere")
    async with counting(tmp_path, portal, clock):
        await until(lambda: len(portal.asked) > 5)
    told = [
        one.message for one in caplog.records if one.levelname == "WARNING" and "link portal" in one.message
    ]
    assert len(told) == 1
    assert "redirects are not followed" in told[0]


async def test_a_stop_in_the_middle_of_a_question_is_quick(
    tmp_path: Path, portal: Portal, clock: Ahead
) -> None:
    portal.faults = Faults(stall=True)
    loop = asyncio.get_running_loop()
    async with counting(tmp_path, portal, clock):
        await until(lambda: portal.faults and portal.faults.times < 1 << 30)
        began = loop.time()
    assert loop.time() - began < 3


PUBLISHING = (
    TEXT[: TEXT.index("[counter]")]
    + """
[link.broker]
over = "mqtt"
options = {{ host = "127.0.0.1", port = 1 }}
[counter]
door = {{ link = "broker", driver = "publisher", memory = "portal" }}
[zone]
shop = {{ kind = "store", entrances = ["door"] }}
"""
)


class Forgetful:
    def __init__(self, device: Device) -> None:
        """Remembers nothing."""

    def decode(self, message: Message) -> list[Item]:
        return []


class Publisher(Forgetful):
    """Sends by itself what the portal can tell again."""

    def __init__(self, device: Device) -> None:
        asking: Any = FAMILY.open(Device(ViametrixOptions(counter="1001"), site=device.site))
        self.recall = asking.recall


PUBLISHER = replace(
    FAMILY,
    name="publisher",
    kind=Kind.MESSAGES,
    over=frozenset({"mqtt"}),
    open=Publisher,
    topics=lambda _: ("a",),
    problems=lambda _: (),
)


async def test_a_counter_on_a_broker_is_asked_at_its_own_address_for_what_was_missed(
    tmp_path: Path, portal: Portal, clock: Ahead, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.config.members.load_family", {"publisher": PUBLISHER}.__getitem__)
    monkeypatch.setitem(globals(), "TEXT", PUBLISHING)
    async with counting(tmp_path, portal, clock, "poll_s = 60") as daemon:
        (source,) = daemon.roster.sources("broker")

        def publish(start_ms: int) -> None:
            ins, outs = portal.counts("1001", start_ms)
            row = Crossings("1001", "main", start_ms, start_ms + STEP, ins, outs)
            daemon.ingest.deliver("broker", source, [row], clock.stamp())

        first_ms = over(clock) - STEP
        publish(first_ms)
        clock.ahead_ms += DAY
        publish(over(clock) - STEP)
        await until(lambda: len(told(daemon)) == DAY // STEP + 1)
        assert told(daemon) == truth(portal, "1001", first_ms, over(clock))
        assert daemon.reader.books().balanced
        looks = [0]
        gaps = daemon.reader.gaps
        monkeypatch.setattr(daemon.reader, "gaps", lambda *at: (looks.append(1), gaps(*at))[1])
        await until(lambda: len(looks) > 3)
    assert len(portal.asked) == 2  # a token and a day, asked for once


@pytest.mark.parametrize(
    ("keys", "problem"),
    [
        ('link = "broker", driver = "publisher", memory = "portl"', 'there is no pull link "portl" (did'),
        ('link = "broker", driver = "publisher", memory = "broker"', 'there is no pull link "broker"'),
        ('link = "portal", driver = "asked", memory = "spare"', "portal is a pull link and asks itself"),
        ('link = "broker", driver = "forgetful", memory = "portal"', "forgetful has no memory that can be"),
    ],
)
def test_a_memory_that_cannot_be_asked_is_a_mistake(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, keys: str, problem: str
) -> None:
    families = {
        "asked": FAMILY,
        "publisher": PUBLISHER,
        "forgetful": replace(PUBLISHER, name="forgetful", open=Forgetful),
    }
    monkeypatch.setattr("gateway.config.members.load_family", families.__getitem__)
    path = tmp_path / "gateway.toml"
    door = next(line for line in PUBLISHING.splitlines() if line.startswith("door"))
    spare = '[link.spare]\nover = "pull"\noptions = {{ url = "https://spare" }}\n'
    keys += ', path = "/"' if "asked" in keys else ""
    text = spare + PUBLISHING.replace(door, f"door = {{{{ {keys} }}}}")
    path.write_text(HEAD + text.format(url="http://127.0.0.1", more="poll_s = 60"))
    (tmp_path / "portal.key").write_text("simulated\n")
    (tmp_path / "portal.key").chmod(0o600)
    with pytest.raises(ConfigurationError) as raised:
        config.load(path)
    (told,) = raised.value.problems
    assert told.startswith(f"{path}: counter.door.memory: {problem}")


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A certificate of its own for 127.0.0.1; the key stands beside it."""
    path = tmp_path / "portal.crt"
    words = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=portal"]
    words += ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(path.with_suffix(".pem"))]
    subprocess.run([*words, "-out", str(path)], check=True, capture_output=True)
    return path


@pytest.mark.needs("openssl")
async def test_a_certificate_nobody_vouches_for_is_refused_before_a_secret_is_said(
    tmp_path: Path, clock: Ahead, certificate: Path
) -> None:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate, certificate.with_suffix(".pem"))
    async with Portal(seeded(7), ("1001", "1002"), clock=Same(clock), tls=tls) as portal:
        async with counting(tmp_path, portal, clock) as daemon:
            await until(lambda: daemon.links[0].state.error.startswith("TLS: "))
            assert "certificate verify failed" in daemon.links[0].state.error
        async with counting(tmp_path, portal, clock, f'poll_s = 0.05, fingerprint = "{"ab" * 32}"') as daemon:
            await until(lambda: daemon.links[0].state.error.startswith("TLS: "))
        assert portal.asked == []
        der = ssl.PEM_cert_to_DER_cert(certificate.read_text())
        pin = hashlib.sha256(der).hexdigest()
        async with counting(tmp_path, portal, clock, f'poll_s = 0.05, fingerprint = "{pin}"') as daemon:
            await until(lambda: told(daemon, "door") and told(daemon, "back"))
        portal.asked.clear()
        async with counting(tmp_path, portal, clock, f'poll_s = 0.05, ca_file = "{certificate}"'):
            await until(lambda: any(line.startswith("200 /counters") for line in portal.asked))
