"""The contract's table of answers, and what becomes of each event of a refused batch."""

from __future__ import annotations

import json
from collections.abc import Callable, Coroutine, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.model import Event, Receipt
from gateway.upstreams.answers import SINGLES_IN_A_ROW, Meaning, Sieve, Verdict, judge
from tests.upstream_events import events

STORED, LATER, REFUSED = Meaning.STORED, Meaning.LATER, Meaning.REFUSED
MISCONFIGURED, TOO_LARGE = Meaning.MISCONFIGURED, Meaning.TOO_LARGE


@pytest.mark.parametrize(
    ("status", "body", "meaning"),
    [
        (200, b"", STORED),
        (204, b"", STORED),
        (202, b" \r\n", STORED),
        (200, b"{}", STORED),
        (200, b'{"stored": 12}', STORED),
        (200, b'{"rejected": {}}', STORED),
        (200, b'{"rejected": null}', STORED),
        (200, b"<html>Accept the terms</html>", LATER),
        (200, b"OK", LATER),
        (200, b"[]", LATER),
        (200, b"true", LATER),
        (200, b'"stored"', LATER),
        (200, b'{"rejected": ', LATER),
        (200, b'{"rejected": ["id"]}', LATER),
        (200, b"\xff\xfe\xfa", LATER),
        (200, b"[" * 200_000, LATER),
        (200, None, LATER),
        (100, b"", LATER),
        (408, b"", LATER),
        (425, b"", LATER),
        (429, b"{}", LATER),
        (500, b"{}", LATER),
        (502, b"", LATER),
        (503, b"", LATER),
        (599, b"", LATER),
        (999, b"", LATER),
        (413, b"", TOO_LARGE),
        (400, b"", REFUSED),
        (409, b"{}", REFUSED),
        (422, b"nonsense", REFUSED),
        (301, b"", MISCONFIGURED),
        (302, b"{}", MISCONFIGURED),
        (304, b"", MISCONFIGURED),
        (307, b"", MISCONFIGURED),
        (308, b"", MISCONFIGURED),
        (401, b"{}", MISCONFIGURED),
        (403, b"", MISCONFIGURED),
        (404, b"", MISCONFIGURED),
        (405, b"", MISCONFIGURED),
        (406, b"", MISCONFIGURED),
        (410, b"", MISCONFIGURED),
        (415, b"", MISCONFIGURED),
        (418, b"", MISCONFIGURED),
        (499, b"", MISCONFIGURED),
    ],
)
def test_an_answer_means_what_the_contract_says(status: int, body: bytes | None, meaning: Meaning) -> None:
    verdict = judge(status, {}, body)
    assert verdict.meaning is meaning
    assert (verdict.why == "") == (meaning is STORED)


def test_rejected_events_come_with_their_reasons() -> None:
    told = {"rejected": {"a": "no such zone", "b": {"code": 7}, "c": "", "d": "x" * 9999}}
    rejected = judge(200, {}, json.dumps(told).encode()).rejected
    assert rejected["a"] == "no such zone"
    assert rejected["b"] == '{"code": 7}'
    assert rejected["c"] == "no reason given"
    assert len(rejected["d"]) == 256


def test_a_refusal_quotes_the_problem_but_never_raw_foreign_text() -> None:
    assert judge(422, {}, b'{"title": "bad zone"}').why == "422 Unprocessable Entity: bad zone"
    assert "script" not in judge(400, {}, b"<script>alert(1)</script>").why


@pytest.mark.parametrize(
    ("headers", "now_ms", "seconds"),
    [
        ({"Retry-After": "7"}, None, 7),
        ({"Retry-After": " 120 "}, None, 120),
        ({"Retry-After": "0"}, None, 0),
        ({"Retry-After": "99999999999999"}, None, 3600),
        ({"Retry-After": "-5"}, None, None),
        ({"Retry-After": "1.5"}, None, None),
        ({"Retry-After": "soon"}, None, None),
        ({"Retry-After": ""}, None, None),
        ({}, None, None),
        ({"Retry-After": "Mon, 23 Nov 2026 09:00:30 GMT"}, 1_795_424_400_000, 30),
        ({"Retry-After": "Mon, 23 Nov 2026 08:00:00 GMT"}, 1_795_424_400_000, 0),
        ({"Retry-After": "Mon, 23 Nov 2026 09:00:30 GMT"}, None, None),
        # a box without a clock chip believes the receiver's own date rather than its own 1970
        (
            {"Retry-After": "Mon, 23 Nov 2026 09:00:30 GMT", "Date": "Mon, 23 Nov 2026 09:00:10 GMT"},
            0,
            20,
        ),
    ],
)
def test_retry_after(headers: dict[str, str], now_ms: int | None, seconds: float | None) -> None:
    assert judge(503, headers, b"", now_ms).retry_after_s == seconds


@given(st.text(max_size=40), st.text(max_size=40), st.binary(max_size=200), st.integers(-10, 2000))
def test_nothing_a_receiver_says_raises(after: str, date: str, body: bytes, status: int) -> None:
    assert isinstance(judge(status, {"Retry-After": after, "Date": date}, body, 0), Verdict)


# halving ----------------------------------------------------------------------------------------------------


class Receiver:
    """Answers by a rule over the ids it is sent."""

    def __init__(self, rule: Callable[[Sequence[Event]], Verdict]) -> None:
        self.rule = rule
        self.posts: list[int] = []

    async def post(self, batch: Sequence[Event]) -> Verdict:
        self.posts.append(len(batch))
        return self.rule(batch)


def refusing(poison: set[str], status: int = 422) -> Receiver:
    """Refuses whole batches with a poisoned event in them, as strict receivers do."""
    return Receiver(lambda batch: judge(status if poison & {event.id for event in batch} else 200, {}, b"{}"))


async def sift(sieve: Sieve, receiver: Receiver, batch: Sequence[Event]) -> Receipt:
    receipt = await sieve.deliver(batch, receiver.post)
    ids = {event.id for event in batch}
    assert not receipt.accepted & receipt.rejected.keys()
    assert receipt.accepted | receipt.rejected.keys() <= ids
    assert receipt.suspects <= ids - receipt.accepted - receipt.rejected.keys()
    return receipt


def without_loop(work: Coroutine[None, None, Receipt]) -> Receipt:
    """The result of a coroutine that never waits."""
    try:
        work.send(None)
    except StopIteration as done:
        receipt: Receipt = done.value
        return receipt
    raise AssertionError("it waits")


async def test_one_poisoned_event_is_set_aside_and_the_rest_goes_through() -> None:
    batch = events(500)
    poison = batch[137].id
    receiver = refusing({poison})
    receipt = await sift(Sieve(), receiver, batch)
    assert receipt.accepted == {event.id for event in batch} - {poison}
    assert receipt.rejected == {poison: "422 Unprocessable Entity"}
    assert receipt.why_kept == ""
    assert len(receiver.posts) <= 20


@settings(max_examples=60)
@given(st.data())
def test_exactly_the_poisoned_are_rejected_while_one_is_good(data: st.DataObject) -> None:
    batch = events(data.draw(st.integers(2, 64)))
    indices = data.draw(st.sets(st.integers(0, len(batch) - 1), max_size=min(len(batch) - 1, 19)))
    poison = {batch[index].id for index in indices}
    receiver = refusing(poison, data.draw(st.sampled_from([400, 409, 422])))
    receipt = without_loop(sift(Sieve(), receiver, batch))
    assert receipt.rejected.keys() == poison
    assert receipt.accepted == {event.id for event in batch} - poison


async def test_forty_poisoned_at_the_head_do_not_stop_the_queue() -> None:
    batch = events(500)
    poison = {event.id for event in batch[:40]}
    receipt = await sift(Sieve(), refusing(poison), batch)
    assert receipt.rejected.keys() == poison
    assert len(receipt.accepted) == 460


async def test_too_large_is_halved_and_a_single_one_rejected() -> None:
    batch = events(10)
    giant = batch[3].id
    receiver = Receiver(
        lambda chunk: judge(413 if len(chunk) > 3 or giant in {e.id for e in chunk} else 200, {}, b"")
    )
    receipt = await sift(Sieve(), receiver, batch)
    assert list(receipt.rejected) == [giant]
    assert len(receipt.accepted) == 9


async def test_twenty_singles_refused_without_a_success_mean_misconfigured() -> None:
    batch = events(500)
    receiver = Receiver(lambda _: judge(400, {}, b""))
    receipt = await sift(Sieve(), receiver, batch)
    assert receipt.misconfigured
    assert not receipt.accepted
    assert not receipt.rejected
    assert receiver.posts.count(1) == SINGLES_IN_A_ROW


async def test_nineteen_refused_are_kept_and_the_row_goes_on_in_the_next_batch() -> None:
    sieve = Sieve()
    receiver = Receiver(lambda _: judge(400, {}, b""))
    first = await sift(sieve, receiver, events(19))
    assert not first.misconfigured
    assert len(first.suspects) == 19
    assert first.why_kept.startswith("400")
    assert (await sift(sieve, receiver, events(1))).misconfigured


async def test_misconfigured_ends_with_the_first_accepted_batch() -> None:
    sieve = Sieve()
    batch = events(100)
    assert (await sift(sieve, Receiver(lambda _: judge(400, {}, b"")), batch)).misconfigured
    mended = await sift(sieve, refusing({batch[0].id}), batch)
    assert list(mended.rejected) == [batch[0].id]
    assert sieve.refused_in_a_row == 0


async def test_an_event_refused_alone_is_kept_until_others_were_accepted() -> None:
    sieve = Sieve()
    poisoned, good = events(2)
    receiver = refusing({poisoned.id})
    for _ in range(3):
        receipt = await sift(sieve, receiver, [poisoned])
        assert receipt.suspects == {poisoned.id}
    await sift(sieve, receiver, [good])
    assert list((await sift(sieve, receiver, [poisoned])).rejected) == [poisoned.id]


async def test_a_fault_in_the_middle_keeps_only_what_was_not_answered_for() -> None:
    batch = events(8)
    answers = iter([judge(422, {}, b""), judge(200, {}, b""), judge(503, {"Retry-After": "9"}, b"")])
    receiver = Receiver(lambda _: next(answers))
    receipt = await sift(Sieve(), receiver, batch)
    assert receipt.accepted == {event.id for event in batch[:4]}
    assert not receipt.rejected
    assert receipt.retry_after_s == 9
    assert receipt.why_kept.startswith("503")


async def test_a_reason_for_an_event_never_sent_is_nobodys() -> None:
    body = json.dumps({"rejected": {"somebody else's": "no"}}).encode()
    batch = events(2)
    receipt = await sift(Sieve(), Receiver(lambda _: judge(200, {}, body)), batch)
    assert receipt.accepted == {event.id for event in batch}
    assert not receipt.rejected


async def test_an_empty_batch_posts_nothing() -> None:
    receiver = Receiver(lambda _: judge(200, {}, b""))
    assert await sift(Sieve(), receiver, []) == Receipt()
    assert receiver.posts == []


async def test_memory_of_suspects_is_bounded() -> None:
    sieve = Sieve()
    for index in range(3000):
        sieve.convicts(f"event-{index}")
    assert len(sieve._suspects) == 1000
