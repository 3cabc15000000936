"""The parts of asking over HTTP that need no socket: budget, gaps in turn, and what an operator may write."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from gateway.config import PullOptions
from gateway.driver import Fetch, Response
from gateway.links.backfill import DAY_MS, LONGEST_PAUSE_S, MAX_ASKED, Backfill
from gateway.links.budget import Budget
from gateway.links.login import Login
from gateway.model import Interval
from tests.virtual_time import run_virtually

NOW = 1_795_424_400_000
HOUR = 3_600_000


@given(per_h=st.integers(1, 20), pauses=st.lists(st.integers(0, 2000), max_size=80))
def test_in_no_hour_are_there_more_requests_than_allowed(per_h: int, pauses: list[int]) -> None:
    budget, now, sent = Budget(per_h), 0.0, []
    for pause in pauses:
        now += pause
        wait_s = budget.wait_s(now)
        assert (wait_s > 0) == (sum(at > now - 3600 for at in sent) >= per_h)
        now += wait_s
        budget.spend(now)
        sent.append(now)
    for at in sent:
        assert sum(at <= other < at + 3600 for other in sent) <= per_h


def test_a_pause_holds_for_everybody_and_a_shorter_wish_does_not_end_it() -> None:
    budget = Budget(0)
    budget.rest(100.0, 60)
    budget.rest(101.0, 5)
    assert budget.wait_s(110.0) == 50
    assert budget.wait_s(160.0) == 0


@dataclass
class Store:
    """Says what was missed."""

    missed: dict[str, list[tuple[int, int]]]
    asked: list[tuple[str, int, int]] = field(default_factory=list)

    def gaps(self, counter: str, from_ms: int, to_ms: int) -> list[Interval]:
        self.asked.append((counter, from_ms, to_ms))
        return [Interval(max(a, from_ms), b) for a, b in self.missed.get(counter, []) if b > from_ms]


class Remembers:
    def recall(self, from_ms: int, to_ms: int) -> None:
        """Never asked here."""


@dataclass(frozen=True)
class Source:
    counters: tuple[str, ...]
    driver: Any = field(default_factory=Remembers)


def pieces(backfill: Backfill) -> list[tuple[str, int, int]]:
    """All of them, each answered."""
    found = []
    while piece := backfill.next(0.0):
        found.append((piece.source.counters[0], piece.start_ms, piece.end_ms))
        backfill.settle(piece, 0.0, answered=True)
    return found


async def test_the_oldest_day_comes_first_whosever_it_is_and_each_gap_once() -> None:
    a, b = NOW - 60 * HOUR, NOW - 50 * HOUR
    store = Store({"a": [(a, a + 30 * HOUR)], "b": [(b, b + HOUR), (b + 2 * HOUR, b + 2 * HOUR + 59_999)]})
    backfill = Backfill([Source(("a",)), Source(("b",)), Source(("c",), object())], store, 7)
    await backfill.look(NOW)
    await backfill.look(NOW + 1)
    assert pieces(backfill) == [
        ("a", a, a + DAY_MS),
        ("b", b, b + HOUR),
        ("a", a + DAY_MS, a + 30 * HOUR),
    ]
    await backfill.look(NOW + 30_000)
    assert pieces(backfill) == []
    assert {counter for counter, _, _ in store.asked} == {"a", "b"}
    assert store.asked[0] == ("a", NOW - 7 * DAY_MS, NOW)


class TellsWholeHours(Remembers):
    def told_at(self, end_ms: int) -> int:
        return -(-end_ms // HOUR) * HOUR


async def test_a_gap_is_asked_for_when_the_piece_in_which_it_ends_can_be_told() -> None:
    noon = NOW // HOUR * HOUR
    store = Store({"a": [(noon + HOUR // 6, noon + HOUR // 2)]})
    backfill = Backfill([Source(("a",), TellsWholeHours())], store, 7)
    await backfill.look(noon + HOUR - 1)
    assert backfill.next(0.0) is None
    await backfill.look(noon + HOUR)
    assert pieces(backfill) == [("a", noon + HOUR // 6, noon + HOUR // 2)]


async def test_a_piece_without_answer_waits_longer_and_longer_and_lets_others_pass() -> None:
    store = Store({"a": [(NOW - 5 * HOUR, NOW - 4 * HOUR)], "b": [(NOW - 3 * HOUR, NOW - 2 * HOUR)]})
    backfill = Backfill([Source(("a",)), Source(("b",))], store, 7)
    await backfill.look(NOW)
    now, waits = 0.0, []
    for _ in range(9):
        piece = backfill.next(now)
        assert piece
        assert piece.source.counters == ("a",)
        backfill.settle(piece, now, answered=False)
        other = backfill.next(now)
        assert other
        assert other.source.counters == ("b",)
        waits.append(piece.due_at - now)
        now = piece.due_at
    assert waits[:3] == [60, 120, 240]
    assert waits[-1] == LONGEST_PAUSE_S
    await backfill.look(NOW + 8 * DAY_MS)  # too old by now
    assert backfill.next(now + 1e9) is None


@pytest.mark.parametrize(("days", "given"), [(0, True), (7, False)], ids=["switched off", "no store"])
async def test_nothing_is_recalled_where_nobody_may_or_can_say_what_is_missing(
    days: int, given: bool
) -> None:
    store = Store({"a": [(NOW - HOUR, NOW)]})
    backfill = Backfill([Source(("a",))], store if given else None, days)
    await backfill.look(NOW)
    assert backfill.next(0.0) is None
    assert store.asked == []


async def test_what_was_asked_for_is_not_remembered_without_end() -> None:
    store = Store({})
    backfill = Backfill([Source(("a",))], store, 7)
    for number in range(0, 2 * MAX_ASKED, 100):
        store.missed["a"] = [(NOW - 6 * DAY_MS, NOW - DAY_MS + k) for k in range(number, number + 100)]
        await backfill.look(NOW)
        pieces(backfill)
    assert len(backfill._asked) == MAX_ASKED


async def bought(key: Path, token_s: float, at_s: list[float]) -> list[str]:
    """Under which token the requests at these seconds go out."""
    loop, words = asyncio.get_running_loop(), ["first", "second", "third"]
    settings = PullOptions(
        url="https://portal", auth="token", client_id="1", key_file=str(key), token_s=token_s
    )
    login, heard = Login(settings), []

    async def ask(_fetch: Fetch) -> Response:
        return Response(words.pop(0).encode(), 0, 200)

    began = loop.time()
    for second in at_s:
        await asyncio.sleep(began + second - loop.time())
        heard.append((await login.headers(ask))["Authorization"].removeprefix("Bearer "))
    return heard


def test_a_token_serves_until_shortly_before_its_end(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("s3cret\n")
    heard = run_virtually(bought(tmp_path / "key", 600, [0, 1, 539, 541, 1079, 1082]))
    assert heard == ["first", "first", "first", "second", "second", "third"]


SOUND = {"url": "https://portal.example.com/api"}


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"url": "ftp://portal"}, "must be an http:// or https:// address"),
        ({"url": "https://me:secret@portal"}, "must not hold a password: use auth"),
        ({"url": "https://portal/?key=1"}, "must end before"),
        ({"auth": "basic", "username": "me"}, "password_file: missing for auth basic"),
        ({"auth": "bearer"}, "token_file: missing for auth bearer"),
        ({"auth": "token", "client_id": "1"}, "key_file: missing for auth token"),
        ({"url": "http://portal", "auth": "bearer", "token_file": "x"}, "would tell the secret to all"),
        ({"client_header": "X: y"}, "client_header"),
        ({"token_path": "token"}, "token_path"),
        ({"recall_days": 36}, "recall_days"),
    ],
    ids=str,
)
def test_options_that_would_not_work_or_not_be_safe_are_refused(
    options: dict[str, Any], problem: str
) -> None:
    with pytest.raises(ValidationError, match=problem.replace("?", ".")):
        PullOptions(**{**SOUND, **options})


@pytest.mark.parametrize(
    "options",
    [
        {"url": "http://192.168.10.50"},
        {"url": "http://192.168.10.50", "auth": "digest", "username": "me", "password_file": "x"},
        {"url": "http://127.0.0.1:8095/api", "auth": "token", "client_id": "1", "key_file": "x"},
    ],
    ids=str,
)
def test_what_may_be_said_in_the_open_is_allowed(options: dict[str, Any]) -> None:
    assert PullOptions(**options).url == options["url"]
