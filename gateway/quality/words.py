"""What an alarm says in English: the evidence, then what to look at. Translations go by the same keys."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from gateway.quality.nouns import Alarm, Kind, Severity

SEVERITIES: Mapping[Kind, Severity] = {
    Kind.DEAD: Severity.FAULT,
    Kind.ONE_SIDED: Severity.FAULT,
    Kind.STUCK: Severity.FAULT,
    Kind.SPIKE: Severity.WARNING,
    Kind.SPIKE_IMPOSSIBLE: Severity.FAULT,
    Kind.CLOSED_COUNTS: Severity.WARNING,
    Kind.CLOCK: Severity.FAULT,
    Kind.CLOCK_SHIFTED: Severity.WARNING,
    Kind.SWAPPED: Severity.WARNING,
    Kind.IMBALANCE: Severity.WARNING,
    Kind.SLOW_LOSS: Severity.WARNING,
    Kind.LEVEL_SHIFT: Severity.WARNING,
    Kind.EVENT_HIGH: Severity.INFO,
}

# {since} is a local time given by the caller; every other name is a number of the evidence
SENTENCES: Mapping[Kind, str] = {
    Kind.DEAD: "dead: nobody since {since} where {expected:.0f} were expected (1 in 10^{unlikely:.0f})",
    Kind.ONE_SIDED: "one-sided: since {since} {ins:.0f} came in and {outs:.0f} went out where"
    " {expected_ins:.0f} and {expected_outs:.0f} were expected",
    Kind.STUCK: "stuck: the same count of {count:.0f} persons {times:.0f} times in a row since {since}",
    Kind.SPIKE: "spike: {count:.0f} persons in {size_s:.0f} s from {since}; {expected:.0f} were expected,"
    " the most so far was {most:.0f}",
    Kind.SPIKE_IMPOSSIBLE: "impossible: {count:.0f} persons one way in {size_s:.0f} s from {since};"
    " at most {limit:.0f} can pass",
    Kind.CLOSED_COUNTS: "counts while closed: {count:.0f} persons in {slots:.0f} slots since {since}",
    Kind.CLOCK: "clock: the counter's clock is {offset_s:+.0f} s off",
    Kind.CLOCK_SHIFTED: "clock: the day fits the usual one best when it is moved by {hours:+.0f} h"
    " ({likeness:.0%} of the way there)",
    Kind.SWAPPED: "swapped: in and out look exchanged ({likeness:.0%} of the way to the mirror image;"
    " up to {sag:.0f} more had left than come, usual is {usual_sag:.0f})",
    Kind.IMBALANCE: "imbalance: {ins:.0f} in and {outs:.0f} out, {imbalance:+.1%}; {usual:+.1%} is usual",
    Kind.SLOW_LOSS: "slow loss: {change:+.0%} against its own past and its neighbours since about {since}",
    Kind.LEVEL_SHIFT: "level shift: {change:+.0%} since {since}, which the neighbours do not share",
    Kind.EVENT_HIGH: "busy: {count:.0f} persons since {since} where {expected:.0f} were expected",
}

REMEDIES: Mapping[str, str] = {
    "dead": "Look at: power, blocked lens or beam, cable, address. If the door was closed, set its hours.",
    "one_sided": "Look at: one beam of a pair, one channel's wire, a camera's counting zone, a one-way door.",
    "stuck": "Look at: a device that repeats its last answer; switch it off and on, renew its firmware.",
    "spike": "Look at: something moving in the lens or beam, a bouncing contact; or note what happened.",
    "spike_impossible": "Look at: a bouncing contact, a register that was reset, pulses per person.",
    "closed_counts": "Look at: opening hours, cleaners, a moving banner or light, somebody inside.",
    "clock": "Look at: the counter's time server and time zone, its clock battery.",
    "clock_shifted": "Look at: the counter's time zone and summer time.",
    "swapped": "Look at: mounting direction, wires of the two channels, `reversed` in the configuration.",
    "imbalance": "Look at: aim and height of the counter, people that stand in its field, another way out.",
    "slow_loss": "Look at: dirt on the lens, aim, a shelf or plant in the way, a weak battery or beam.",
    "level_shift": "Was the counter moved, renewed or adjusted, or did something open or close beside it?"
    " Comparisons across this day mean nothing.",
    "event_high": "Nothing is broken. Note what happened, so that the day can be left out of comparisons.",
}


def sentence(alarm: Alarm, instant: Callable[[int], str]) -> str:
    """Evidence and remedy in one line; `instant` writes a local time. For an alarm that begins."""
    told = SENTENCES[alarm.kind].format(since=instant(alarm.since_ms), **alarm.evidence)
    return f"{told}. {REMEDIES[alarm.remedy]}"
