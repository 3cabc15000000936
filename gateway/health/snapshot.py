"""The nouns of one snapshot, and how they look as plain data.

Instants are ms since the epoch, UTC. What is not known is `None`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from enum import Enum
from typing import Any

from gateway.instants import rfc3339
from gateway.measures import Ratio
from gateway.measures.imputing import UNKNOWN
from gateway.model import Histogram


@dataclass(frozen=True, slots=True)
class OpenSpan:
    opens_ms: int
    closes_ms: int


@dataclass(frozen=True, slots=True)
class OpeningHealth:
    """`until_ms`: when that changes; None: not within a week. `today`: of the business day."""

    open: bool
    until_ms: int | None
    today: tuple[OpenSpan, ...]


@dataclass(frozen=True, slots=True)
class ZoneHealth:
    """A zone's business day so far: closed windows and those not yet closed.

    `tier`: measured, estimated or unknown, by completeness.
    """

    zone: str
    name: str
    kind: str
    parent: str | None
    ins: int
    outs: int
    passersby: int
    sales: int
    returns: int
    amount_minor: int
    occupancy: int
    occupancy_raw: int
    completeness: float | None
    conversion: Ratio
    capture_rate: Ratio
    estimated_ins: int = 0
    estimated_outs: int = 0
    flags: tuple[str, ...] = ()
    opening: OpeningHealth | None = None  # None: no hours are set
    exit_ratio: float = 1.0  # how much an exit counts in `occupancy`, as learnt from days that are over
    residual: int | None = None  # persons left inside when the last day was reset; None: no day is over
    calibration: Mapping[str, float] | None = None  # version, ins, outs, passersby; None: not calibrated
    staff: int = 0  # of the ins, who work there
    figures: Mapping[str, Ratio] = field(default_factory=dict)  # further rates by name, see docs/measures.md
    tier: str = UNKNOWN


@dataclass(frozen=True, slots=True)
class LinkHealth:
    """`up` or down since `since_ms`; `error`: why, also of a part of it that is down."""

    link: str
    over: str
    up: bool
    since_ms: int | None
    error: str
    telegrams: Mapping[str, int]  # result → number
    unknown: int = 0  # devices, topics and addresses heard that nothing is configured for


@dataclass(frozen=True, slots=True)
class CounterHealth:
    """A configured counter or till. `state`: ok, degraded, fault, silent (never heard)."""

    counter: str
    name: str
    link: str
    driver: str
    till: bool
    state: str
    detail: str
    last_reading_ms: int | None
    clock_offset_s: float | None = None


@dataclass(frozen=True, slots=True)
class AlarmHealth:
    """What is wrong with the counts of a line, as far as its own history tells; `info` is no fault.

    `says` and `remedy` are sentences in English; `kind` and `evidence` are for other languages.
    """

    alarm: int
    line: str
    counter: str
    zones: Sequence[str]
    kind: str
    severity: str  # info, warning, fault
    since_ms: int
    until_ms: int | None
    evidence: Mapping[str, float]
    says: str
    remedy: str

    @property
    def raised(self) -> bool:
        """It alarms somebody: open, and a fault or worth a look."""
        return self.until_ms is None and self.severity != "info"


@dataclass(frozen=True, slots=True)
class LineHealth:
    """What was ever counted on a line (persons) or till (receipts); replacing never lowers a total."""

    line: str
    till: bool
    ins: int
    outs: int
    passes: int
    sales: int
    refused: Mapping[str, int]  # reason → persons
    replaced: int = 0  # persons in readings that later ones took the place of


@dataclass(frozen=True, slots=True)
class UpstreamHealth:
    """What it is owed, in windows, and how it answers. `failures`: in a row; `why`: the last one's."""

    upstream: str
    driver: str
    pending: int
    oldest_pending_ms: int | None
    rejected: int
    last_ok_ms: int | None
    failures: int
    why: str
    misconfigured: bool
    deliveries: Mapping[str, int]  # result → number
    pending_alarms: int = 0


@dataclass(frozen=True, slots=True)
class BooksHealth:
    """`imbalance`: persons that the books cannot account for, as of `checked_ms`."""

    balanced: bool
    imbalance: int
    checked_ms: int | None = None


@dataclass(frozen=True, slots=True)
class BufferHealth:
    """`left_s`: until the card is full. `written_bytes`: by this process. `queued`: readings on their way."""

    bytes: int
    left_s: float | None
    written_bytes: int
    queued: int


@dataclass(frozen=True, slots=True)
class SiteHealth:
    gateway: str
    site: str
    name: str
    timezone: str
    currency: str
    size_s: int
    min_completeness: float
    day_start_ms: int  # the business day of `at_ms`
    day_end_ms: int
    business_date: str  # 2026-11-23


@dataclass(frozen=True, slots=True)
class Health:
    """Everything at one instant."""

    at_ms: int
    version: str
    config_hash: str
    simulated: bool
    clock_trusted: bool
    ready: bool
    site: SiteHealth
    zones: Sequence[ZoneHealth] = ()
    links: Sequence[LinkHealth] = ()
    counters: Sequence[CounterHealth] = ()
    lines: Sequence[LineHealth] = ()
    alarms: Sequence[AlarmHealth] = ()  # those that are open
    upstreams: Sequence[UpstreamHealth] = ()
    books: BooksHealth = BooksHealth(True, 0)
    buffer: BufferHealth = BufferHealth(0, None, 0, 0)
    commits: Histogram = field(default_factory=Histogram)
    revisions: Mapping[str, int] = field(default_factory=dict)  # reason → number
    resets: Mapping[tuple[str, str], int] = field(default_factory=dict)  # (counter, kind) → number
    fault: str = ""  # why acknowledgements are withheld
    unserved: str = ""  # why page, API and metrics cannot be asked for


def to_json(value: Any) -> Any:
    """Plain data of a snapshot or a part of it: ratios in the contract's shape, `_ms` as RFC 3339 text."""
    if isinstance(value, Ratio):
        return value.to_json()
    if isinstance(value, Enum):
        return value.value
    if is_dataclass(value) and not isinstance(value, type):
        return dict(_pair(part.name, getattr(value, part.name)) for part in fields(value))
    if isinstance(value, Mapping):
        return dict(_pair(_key(key), item) for key, item in value.items())
    if isinstance(value, (list, tuple, set, frozenset)):
        return [to_json(item) for item in value]
    return value


def _pair(name: str, value: Any) -> tuple[str, Any]:
    if name.endswith("_ms") and (value is None or isinstance(value, int)):
        return name.removesuffix("_ms"), value if value is None else rfc3339(value)
    if isinstance(value, float):
        return name, round(value, 6)
    return name, to_json(value)


def _key(key: Any) -> str:
    return "/".join(map(str, key)) if isinstance(key, tuple) else str(key)
