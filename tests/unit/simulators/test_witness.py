"""The demo's witness believes only what the daemon says."""

from __future__ import annotations

from typing import Any

import pytest

from simulators.processes import free_port
from simulators.witness import Backlog, Live, Witness, counter_says, link_says


def waiting(*pending: int) -> Live:
    return {"upstreams": [{"pending": number} for number in pending]}


def counter(state: str, detail: str = "") -> Live:
    return {"counters": [{"counter": "corner", "state": state, "detail": detail}]}


def link(up: bool, error: str = "") -> Live:
    return {"links": [{"link": "bus-b", "up": up, "error": error}]}


@pytest.mark.parametrize(
    ("seen", "risen", "drained"),
    [
        ((0, 0, 0), False, False),
        ((5, 3, 0), False, False),  # only what was there before
        ((0, 3, 1), True, False),
        ((4, 2, 3, 0), True, True),
        ((0, 3, 0), True, True),
    ],
)
def test_a_backlog_has_to_grow_and_then_to_go(seen: tuple[int, ...], risen: bool, drained: bool) -> None:
    backlog = Backlog()
    looks = [(backlog.rises(waiting(number)), backlog.drains(waiting(number))) for number in seen]
    assert any(rises for rises, _ in looks) is risen
    assert bool(looks[-1][1]) is drained


def test_a_counter_has_to_say_why() -> None:
    blocked = counter_says("corner", "degraded", "TOO_DARK")
    assert "TOO_DARK" in blocked(counter("degraded", "illumination TOO_DARK"))
    assert not blocked(counter("degraded"))
    assert not blocked(counter("ok"))
    assert counter_says("corner", "ok")(counter("ok"))


def test_a_pulled_adapter_is_a_link_that_is_down_for_a_reason() -> None:
    down, up = link_says("bus-b", "/bus-b"), link_says("bus-b")
    assert down(link(False, "/tmp/bus-b: unplugged"))
    assert not down(link(False))
    assert not down(link(True))
    assert up(link(True))
    assert not up(link(False, "no such port"))


def test_a_daemon_that_does_not_answer_has_said_nothing() -> None:
    def told(_live: Any) -> str:
        return "said"

    witness = Witness(free_port())
    witness.expect("something", told)
    assert witness.look() == []
    assert list(witness.missing) == ["something"]
