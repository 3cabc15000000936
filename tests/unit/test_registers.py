"""What a difference between two totals means."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.registers import Kind, Rule, Verdict, judge, judge_low

SIXTEEN = Rule(modulus=65536, max_per_s=5)


@pytest.mark.parametrize(
    ("rule", "earlier", "later", "seconds", "kind", "persons"),
    [
        (SIXTEEN, 65510, 65530, 60, Kind.FORWARD, 20),
        (SIXTEEN, 65530, 12, 60, Kind.ROLLOVER, 18),
        (SIXTEEN, 12, 40, 60, Kind.FORWARD, 28),
        (SIXTEEN, 40, 3, 60, Kind.HELD, 37),
        (SIXTEEN, 20000, 5, 36_000, Kind.HELD, 19995),  # ten hours off: not 45 541 people
        (SIXTEEN, 100, 500, 60, Kind.JUMP, 400),
        (Rule(max_per_s=0), 100, 10**9, 1, Kind.FORWARD, 10**9 - 100),
        (Rule(modulus=10_000, restart=1, max_per_s=0), 9_999, 3, 60, Kind.ROLLOVER, 3),
        (Rule(down=True), 100, 90, 60, Kind.FORWARD, 10),
        (Rule(), 7, 8, 0, Kind.FORWARD, 1),  # at least one person in any time
    ],
)
def test_a_difference(rule: Rule, earlier: int, later: int, seconds: int, kind: Kind, persons: int) -> None:
    assert judge(rule, earlier, later, seconds * 1000) == Verdict(kind, persons)


@pytest.mark.parametrize(
    ("rule", "old", "low", "following", "kind", "persons"),
    [
        (SIXTEEN, 40, 3, 45, Kind.GLITCH, 0),
        (SIXTEEN, 40, 3, 40, Kind.GLITCH, 0),
        (SIXTEEN, 40, 3, 9, Kind.RESET, 3),
        (SIXTEEN, 40, 3, 3, Kind.HELD, 0),  # standing still proves nothing
        (SIXTEEN, 40, 0, 0, Kind.RESET, 0),  # but at the restart it does
        (SIXTEEN, 1000, 990, 980, Kind.BACKWARD, 10),  # falling on is no reset
        (SIXTEEN, 5000, 4000, 4010, Kind.BACKWARD, 1000),  # 4000 in a minute is not believed
        (Rule(resets=False), 40, 3, 9, Kind.BACKWARD, 37),
        (Rule(restart=100), 500, 103, 104, Kind.RESET, 3),
    ],
)
def test_a_decrease_once_more_is_known(
    rule: Rule, old: int, low: int, following: int, kind: Kind, persons: int
) -> None:
    assert judge_low(rule, old, low, 60_000, following) == Verdict(kind, persons)


@given(st.integers(0, 65535), st.integers(0, 65535), st.integers(0, 10**8))
def test_persons_are_never_invented(earlier: int, later: int, elapsed_ms: int) -> None:
    verdict = judge(SIXTEEN, earlier, later, elapsed_ms)
    if verdict.kind in (Kind.FORWARD, Kind.ROLLOVER):
        assert 0 <= verdict.persons <= max(1, 5 * elapsed_ms / 1000)
        assert (earlier + verdict.persons) % 65536 == later
    if verdict.kind is Kind.ROLLOVER:
        assert verdict.persons <= 65536 / 4
