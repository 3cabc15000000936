"""When a message may be forgotten: as soon as its broker must have our acknowledgement, and never before."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gateway.links.rounds import Rounds


def test_an_idle_connection_forgets_earlier_ones_and_then_rests() -> None:
    rounds = Rounds()
    told = []
    for ping in range(1, 9):
        if rounds.wants_ping(0, 0):
            rounds.sent(ping)
            told.append(rounds.answered(ping, 0))
    assert told == [None, 1]


def test_an_unanswered_ping_proves_nothing() -> None:
    rounds = Rounds()
    assert rounds.wants_ping(0, 0)
    rounds.sent(3)
    assert not rounds.wants_ping(0, 0)
    assert rounds.answered(2, 0) is None
    assert rounds.number == 0


@given(st.lists(st.sampled_from(["message", "acknowledge", "ping", "answer"]), max_size=60))
def test_nothing_is_forgotten_before_its_acknowledgement_has_arrived(steps: list[str]) -> None:
    """A broker that answers in order: what was acknowledged before a ping, it has when it answers."""
    rounds, rounds_of, acknowledged, arrived, pings, pongs = Rounds(), [], 0, 0, 0, 0
    at_ping: list[int] = []
    for step in steps:
        if step == "message":
            rounds.named_in = rounds.number
            rounds_of.append(rounds.number)
        elif step == "acknowledge" and acknowledged < len(rounds_of):
            acknowledged += 1
        elif step == "ping" and rounds.wants_ping(len(rounds_of), len(rounds_of) - acknowledged):
            pings += 1
            rounds.sent(pings)
            at_ping.append(acknowledged)
        elif step == "answer" and pongs < pings:
            arrived = at_ping[pongs]
            pongs += 1
            forgotten = rounds.answered(pongs, len(rounds_of))
            assert all(number >= (forgotten or 0) for number in rounds_of[arrived:])


@given(st.integers(1, 5), st.integers(1, 5))
def test_all_is_forgotten_in_the_end(messages: int, bursts: int) -> None:
    rounds, received, ping = Rounds(), 0, 0
    for _ in range(bursts):
        rounds.named_in = rounds.number
        received += messages
        while rounds.wants_ping(received, 0):
            ping += 1
            rounds.sent(ping)
            rounds.answered(ping, received)
        assert rounds.forgotten > rounds.named_in
