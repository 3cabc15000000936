"""From findings to alarms: one begins at once, and ends only after being calm for a while."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from gateway.quality.detectors import Open
from gateway.quality.nouns import Alarm, Kind
from gateway.quality.words import SEVERITIES

CALM = 2  # judgements in a row that must find nothing
LONGER_CALM: Mapping[Kind, int] = {Kind.LEVEL_SHIFT: 14}  # a break is told once and should be seen
NO_EVIDENCE: Mapping[str, float] = {}


@dataclass(frozen=True, slots=True)
class Finding:
    """What one test says of one slot or day: `raised` True, False, or None for neither yet."""

    kind: Kind
    raised: bool | None
    since_ms: int
    evidence: Mapping[str, float] = field(default_factory=dict)


def settle(
    opens: tuple[Open, ...], findings: Iterable[Finding], line: str, at_ms: int
) -> tuple[tuple[Open, ...], tuple[Alarm, ...]]:
    """The alarms open afterwards, and what changed. `at_ms`: start of what was judged."""
    kept = {one.kind: one for one in opens}
    changes = []
    for found in findings:
        one = kept.get(found.kind)
        if one is None and found.raised:
            kept[found.kind] = Open(found.kind, found.since_ms)
            changes.append(_alarm(found.kind, line, found.since_ms, None, found.evidence))
        elif one is not None and found.raised is not False:
            kept[found.kind] = replace(one, calm=0) if one.calm else one
        elif one is not None:
            one = replace(one, calm=one.calm + 1, calm_ms=one.calm_ms if one.calm else at_ms)
            kept[found.kind] = one
            if one.calm >= LONGER_CALM.get(found.kind, CALM):
                del kept[found.kind]
                changes.append(_alarm(one.kind, line, one.since_ms, one.calm_ms, NO_EVIDENCE))
    return tuple(kept.values()), tuple(changes)


def _alarm(
    kind: Kind, line: str, since_ms: int, until_ms: int | None, evidence: Mapping[str, float]
) -> Alarm:
    return Alarm(kind, line, since_ms, until_ms, evidence, kind.value, SEVERITIES[kind])
