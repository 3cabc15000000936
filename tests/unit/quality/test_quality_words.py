"""Every alarm says what was seen and what to look at."""

from __future__ import annotations

from string import Formatter

import pytest

from gateway.quality import REMEDIES, Alarm, Kind, Severity, sentence
from gateway.quality.settle import Finding, settle
from gateway.quality.words import SENTENCES, SEVERITIES


@pytest.mark.parametrize("kind", Kind)
def test_each_kind_has_a_sentence_a_remedy_and_a_severity(kind: Kind) -> None:
    fields = {name for _, name, _, _ in Formatter().parse(SENTENCES[kind]) if name}
    evidence = dict.fromkeys(fields - {"since"}, 1.0)
    told = sentence(Alarm(kind, "door", 0, None, evidence, kind.value, SEVERITIES[kind]), lambda _: "10:15")
    assert REMEDIES[kind.value] in told
    assert "10:15" in told or "since" not in fields


def test_the_example_of_the_dead_door() -> None:
    evidence = {"expected": 43.2, "unlikely": 9.1}
    alarm = Alarm(Kind.DEAD, "door", 0, None, evidence, "dead", Severity.FAULT)
    assert sentence(alarm, lambda _: "10:15").startswith(
        "dead: nobody since 10:15 where 43 were expected (1 in 10^9). Look at: power, blocked lens"
    )


def test_an_alarm_that_comes_and_goes_is_one_alarm() -> None:
    opens, changes = settle((), [Finding(Kind.STUCK, True, 10, {"count": 30.0, "times": 5.0})], "door", 14)
    assert changes == (
        Alarm(Kind.STUCK, "door", 10, None, {"count": 30.0, "times": 5.0}, "stuck", Severity.FAULT),
    )
    for at_ms, raised in enumerate((False, True, False, None, False), start=15):
        opens, changes = settle(opens, [Finding(Kind.STUCK, raised, at_ms, {})], "door", at_ms)
        assert changes == ()
    opens, changes = settle(opens, [Finding(Kind.STUCK, False, 0)], "door", 20)
    assert (opens, changes) == ((), (Alarm(Kind.STUCK, "door", 10, 19, {}, "stuck", Severity.FAULT),))
