"""Pure: a stored aggregate as a CloudEvent (contract 5). The same facts always give the same body."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache

from gateway import measures
from gateway.instants import rfc3339, rfc3339_seconds
from gateway.learning import Learnt
from gateway.measures.calibrated import Calibrated, rate_basis
from gateway.model import Event, Role, TimeQuality, line_ref
from gateway.quality import REMEDIES, Kind
from gateway.quality.words import SENTENCES
from gateway.store.plan import Grid, flag_names
from gateway.store.teaching import KNOWN_THEN
from gateway.windows import business_date, local_hour, zone_of

EVENT_TYPE = "footfall.aggregate.v1"
ALARM_TYPE = "footfall.alarm.v1"
# of a row `a` of zone_aggregates: what kind of place its zone was
KIND_THEN = (
    "(SELECT kind FROM zone_versions v WHERE v.zone_id=a.zone_id AND v.version=a.zone_version) AS kind"
)
FACTS = (
    f"z.zone, {KIND_THEN}, a.size_s, a.start_ms, a.revision, a.ins, a.outs, a.passersby, a.sales, a.returns,"
    " a.amount, a.watched_ms, a.base_ms, a.estimated_ins, a.estimated_outs, a.occupancy, a.occupancy_raw,"
    " a.flags, a.quality, a.lines, a.reason, a.closed_ms, a.calibration, a.cal_ins, a.cal_outs,"
    f" a.cal_passersby, a.cal_ins_ppm, a.cal_passersby_ppm, a.staff, {KNOWN_THEN}"
)


@dataclass(frozen=True, slots=True)
class Facts:
    """One row of `FACTS`."""

    zone: str
    kind: str
    size_s: int
    start_ms: int
    revision: int
    ins: int
    outs: int
    passersby: int
    sales: int
    returns: int
    amount: int
    watched_ms: int | None
    base_ms: int | None
    estimated_ins: int
    estimated_outs: int
    occupancy: int
    occupancy_raw: int
    flags: int
    quality: int
    lines: str
    reason: str
    closed_ms: int
    calibration: int | None
    cal_ins: int
    cal_outs: int
    cal_passersby: int
    cal_ins_ppm: int
    cal_passersby_ppm: int
    staff: int
    learnt: str | None

    @property
    def calibrated(self) -> Calibrated | None:
        if self.calibration is None:
            return None
        counts = (self.cal_ins, self.cal_outs, self.cal_passersby)
        return Calibrated(self.calibration, *counts, self.cal_ins_ppm, self.cal_passersby_ppm)

    @property
    def completeness(self) -> float | None:
        return measures.completeness(self.watched_ms, self.base_ms)

    @property
    def flag_names(self) -> list[str]:
        return flag_names(self.flags)


ALARM_FACTS = (
    "a.id, r.revision, l.counter, l.line, a.kind, r.severity, a.since_ms, r.until_ms, r.remedy, r.evidence,"
    " r.zones, r.written_ms"
)


@dataclass(frozen=True, slots=True)
class AlarmFacts:
    """One row of `ALARM_FACTS`: an alarm at one revision."""

    id: int
    revision: int
    counter: str
    line: str
    kind: str
    severity: str
    since_ms: int
    until_ms: int | None
    remedy: str  # an id of gateway.quality
    evidence: str  # JSON
    zones: str  # JSON
    written_ms: int

    @property
    def ref(self) -> str:
        return line_ref(self.counter, self.line)

    def says(self, timezone: str) -> str:
        """What was seen, in English. Words of another version may ask for figures that were not kept."""
        since = datetime.fromtimestamp(self.since_ms / 1000, zone_of(timezone)).strftime("%Y-%m-%d %H:%M")
        with suppress(KeyError, ValueError):
            return SENTENCES[Kind(self.kind)].format(since=since, **json.loads(self.evidence))
        return f"{self.kind} since {since}"

    @property
    def advice(self) -> str:
        """What to do about it, in English."""
        return REMEDIES.get(self.remedy, "")


@dataclass(frozen=True, slots=True)
class Place:
    """What an event says of the gateway."""

    grid: Grid
    generation: int
    simulated: bool


@lru_cache(maxsize=256)  # the text names revisions too: late counts make it another for each window
def roles(lines: str) -> frozenset[str]:
    """Which roles a zone had in this window."""
    return frozenset(role for _line, _revision, _sign, role in json.loads(lines))


def ratios(facts: Facts, grid: Grid) -> tuple[measures.Ratio, measures.Ratio]:
    """(conversion, capture rate); unknown with a reason where there is too little to say."""
    has, of = roles(facts.lines), rate_basis(facts.ins, facts.passersby, facts.calibrated)
    convert, capture = measures.unknown(measures.NOT_CONFIGURED), measures.unknown(measures.NOT_CONFIGURED)
    if Role.ENTRANCE in has and Role.TILL in has:
        phi = Learnt.of(facts.learnt).phi_at(local_hour(facts.start_ms, grid.timezone))
        convert = measures.conversion(facts.sales, of.entries, staff=facts.staff, phi=phi, s_k=of.s_entries)
    if Role.ENTRANCE in has and Role.PASSING in has:
        capture = measures.capture_rate(of.entries, of.passersby, of.s_capture)
    complete, least = facts.completeness, grid.min_completeness
    return measures.gate(convert, complete, least), measures.gate(capture, complete, least)


def render(facts: Facts, place: Place, *, replayed: bool = False) -> Event:
    """The CloudEvent of one revision; `replayed` travels beside it."""
    grid = place.grid
    subject = f"{grid.site}/{facts.zone}"
    start = rfc3339_seconds(facts.start_ms)
    event_id = f"{subject}/{facts.size_s}/{start}/{place.generation}/{facts.revision}"
    about = _envelope(EVENT_TYPE, grid, event_id, subject, facts.closed_ms)
    body = {**about, "data": _data(facts, place, start)}
    return Event(facts.zone, facts.size_s, facts.start_ms, facts.revision, event_id, body, replayed)


def _envelope(type_: str, grid: Grid, event_id: str, subject: str, at_ms: int) -> dict[str, object]:
    return {
        "specversion": "1.0",
        "type": type_,
        "source": f"/sites/{grid.site}/gateways/{grid.gateway}",
        "id": event_id,
        "subject": subject,
        "time": rfc3339(at_ms),
        "datacontenttype": "application/json",
    }


def render_alarm(facts: AlarmFacts, place: Place) -> Event:
    """The CloudEvent of one revision of an alarm."""
    grid = place.grid
    event_id = f"{grid.site}/alarm/{facts.id}/{place.generation}/{facts.revision}"
    about = _envelope(ALARM_TYPE, grid, event_id, f"{grid.site}/{facts.ref}", facts.written_ms)
    data: dict[str, object] = {
        "site": grid.site,
        "alarm": facts.id,
        "line": facts.ref,
        "counter": facts.counter,
        "zones": json.loads(facts.zones),
        "kind": facts.kind,
        "severity": facts.severity,
        "state": "raised" if facts.until_ms is None else "cleared",
        "since": rfc3339(facts.since_ms),
        "until": None if facts.until_ms is None else rfc3339(facts.until_ms),
        "evidence": json.loads(facts.evidence),
        "says": facts.says(grid.timezone),
        "remedy": facts.advice,
        "generation": place.generation,
        "revision": facts.revision,
    }
    if place.simulated:
        data["simulated"] = True
    body = {**about, "data": data}
    return Event("alarm", 0, facts.since_ms, facts.revision, event_id, body, alarm=facts.id)


def _data(facts: Facts, place: Place, start: str) -> dict[str, object]:
    grid = place.grid
    complete, calibrated = facts.completeness, facts.calibrated
    conversion, capture = ratios(facts, grid)
    data: dict[str, object] = {
        "site": grid.site,
        "zone": facts.zone,
        "kind": facts.kind,
        "start": start,
        "size_s": facts.size_s,
        "business_date": business_date(facts.start_ms, grid.timezone, grid.day_start_min).isoformat(),
        "generation": place.generation,
        "revision": facts.revision,
        "reason": facts.reason,
        "ins": facts.ins,
        "outs": facts.outs,
        "passersby": facts.passersby,
        "staff": facts.staff,
        "sales": facts.sales,
        "returns": facts.returns,
        "amount_minor": facts.amount,
        "currency": grid.currency,
        "occupancy": facts.occupancy,
        "occupancy_raw": facts.occupancy_raw,
        "completeness": None if complete is None else round(complete, 6),
        "estimated_ins": facts.estimated_ins,
        "estimated_outs": facts.estimated_outs,
        "time_quality": list(TimeQuality)[facts.quality].value,
        "flags": facts.flag_names,
        "calibration": None if calibrated is None else calibrated.to_json(),
        "conversion": conversion.to_json(),
        "capture_rate": capture.to_json(),
    }
    if place.simulated:
        data["simulated"] = True
    return data
