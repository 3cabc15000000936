"""Pure: what people send us, checked and made an `Entry`. Every fault is a sentence that names its key."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date, datetime
from typing import Annotated, Any, Literal, TypeAlias, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from gateway.amendments import Correction
from gateway.config.wording import sentences, shown
from gateway.entries.place import OUT_OF_TIME, YEARS, Place, check_known
from gateway.errors import EntryRefused
from gateway.model import MAX_COUNT, MAX_INTERVAL_MS, Entry, EntryKind
from gateway.windows import day_bounds, zone_of

AHEAD_MS = 300_000  # a phone's clock may be this far ahead of ours
LATEST_TAP_MS = (
    31 * 86_400_000
)  # a phone that was reset thinks it is 1970: nobody would ever look for its taps
LONGEST_CAMPAIGN_MS = 400 * 86_400_000
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,63}")


def _id(text: str) -> str:
    if not _ID.fullmatch(text):
        raise ValueError(f"up to 64 letters, digits and . _ : -, made by whoever sends it, not {shown(text)}")
    return text


def _when(text: str) -> str:
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f'must be a time like "2026-11-23T10:00:00+01:00", not {shown(text)}') from None
    if at.year not in YEARS:
        raise ValueError(OUT_OF_TIME)
    return text


Id: TypeAlias = Annotated[str, AfterValidator(_id)]
When: TypeAlias = Annotated[str, AfterValidator(_when)]
Persons: TypeAlias = Annotated[int, Field(ge=0, le=MAX_COUNT)]


class Body(BaseModel):
    """Unknown keys are faults: a mistyped one would otherwise be silently without effect."""

    model_config = ConfigDict(extra="forbid", strict=True, populate_by_name=True)

    id: Id
    by: str = Field("", max_length=64)


class Tap(Body):
    """One person seen leaving, with a bag or without."""

    zone: str
    bag: bool
    at: When | None = None


class Span(Body):
    from_: When = Field(alias="from")
    to: When


class Tally(Span):
    """Persons counted by hand at a line; a side that was not counted is absent."""

    line: str
    ins: Persons | None = None
    outs: Persons | None = None
    passes: Persons | None = None

    @model_validator(mode="after")
    def _something(self) -> Tally:
        if self.ins is None and self.outs is None and self.passes is None:
            raise ValueError("ins: one of ins, outs and passes must be given")
        return self


class Correcting(Span):
    """What really crossed a line; a side that is not given stays as it was counted."""

    line: str
    reason: str = Field(min_length=1, max_length=500)
    ins: Persons | None = None
    outs: Persons | None = None
    passes: Persons | None = None


class Acceptance(Body):
    """What the tallies of one side of a line say shall hold, from an instant or from the next window on."""

    line: str
    side: Literal["in", "out", "passes"]
    from_: When | None = Field(None, alias="from")


class Campaign(Span):
    """What was done in some zones, why, and what it was meant to bring."""

    zones: list[str] = Field(min_length=1, max_length=100)
    controls: list[str] = Field(default_factory=list, max_length=100)
    measure: Literal["visitors", "sales", "conversion"] = "visitors"
    purpose: str = Field("", max_length=500)
    goal: float | None = Field(None, gt=-1, lt=10)


Given = TypeVar("Given", bound=Body)
BODIES: dict[EntryKind, type[Body]] = {
    EntryKind.TAP: Tap,
    EntryKind.TALLY: Tally,
    EntryKind.CAMPAIGN: Campaign,
}


def read(kind: EntryKind, body: Any, place: Place, now_ms: int, by: str = "") -> Entry:
    """The entry of one body. `by` when the body does not say who. Raises EntryRefused."""
    given = checked(BODIES[kind], body)
    by = given.by or by
    if isinstance(given, Tap):
        return _tap(given, place, now_ms, by)
    if isinstance(given, Tally):
        return _tally(given, place, now_ms, by)
    assert isinstance(given, Campaign)  # noqa: S101  the table above has these three
    return _campaign(given, place, now_ms, by)


def read_correction(body: Any, place: Place, by: str = "") -> Correction:
    """As it came over HTTP; what is wrong with it beyond its form the store says. Raises EntryRefused."""
    given = checked(Correcting, body)
    span = _instant_ms(given.from_, place), _instant_ms(given.to, place)
    sides = (given.ins, given.outs, given.passes)
    return Correction(given.id, given.line, *span, *sides, reason=given.reason, by=given.by or by)


def read_acceptance(body: Any, place: Place) -> tuple[Acceptance, int | None]:
    """(the body, from when in ms). Raises EntryRefused."""
    given = checked(Acceptance, body)
    check_known("line", given.line, place.lines)
    return given, None if given.from_ is None else _instant_ms(given.from_, place)


def checked(model: type[Given], body: Any) -> Given:
    """The body in its form. Raises EntryRefused."""
    if not isinstance(body, Mapping):
        raise EntryRefused(f"must be an object, not {shown(body)}")
    try:
        return model.model_validate(dict(body))
    except ValidationError as error:
        raise EntryRefused("; ".join(_named(*fault) for fault in sentences(model, error))) from None


def _named(key: tuple[str, ...], sentence: str) -> str:
    return f"{'.'.join(key)}: {sentence}" if key else sentence


def _tap(tap: Tap, place: Place, now_ms: int, by: str) -> Entry:
    check_known("zone", tap.zone, place.zones)
    at_ms = now_ms if tap.at is None else _instant_ms(tap.at, place)
    _past("at", at_ms, now_ms)
    if at_ms < now_ms - LATEST_TAP_MS:
        raise EntryRefused(f"at: lies more than {LATEST_TAP_MS // 86_400_000} days back")
    return Entry(EntryKind.TAP, tap.id, tap.zone, at_ms, at_ms + 1, {"bag": tap.bag}, by, now_ms)


def _tally(tally: Tally, place: Place, now_ms: int, by: str) -> Entry:
    check_known("line", tally.line, place.lines)
    span = _instant_ms(tally.from_, place), _instant_ms(tally.to, place)
    _ordered(span, MAX_INTERVAL_MS)
    _past("to", span[1], now_ms)
    counted = {side: n for side in ("ins", "outs", "passes") if (n := getattr(tally, side)) is not None}
    return Entry(EntryKind.TALLY, tally.id, tally.line, *span, counted, by, now_ms)


def _campaign(campaign: Campaign, place: Place, now_ms: int, by: str) -> Entry:
    """A campaign may lie ahead; its controls are other zones than its own."""
    for key, zones in (("zones", campaign.zones), ("controls", campaign.controls)):
        for zone in zones:
            check_known(key, zone, place.zones)
        if len(set(zones)) < len(zones):
            raise EntryRefused(f"{key}: a zone stands there twice")
    both = sorted(set(campaign.zones) & set(campaign.controls))
    if both:
        raise EntryRefused(f"controls: {both[0]} is a zone of the campaign itself")
    span = _day_ms(campaign.from_, place, 0), _day_ms(campaign.to, place, 1)
    _ordered(span, LONGEST_CAMPAIGN_MS)
    content = campaign.model_dump(include={"zones", "controls", "measure", "purpose", "goal"})
    return Entry(EntryKind.CAMPAIGN, campaign.id, "", *span, content, by, now_ms)


def _past(key: str, at_ms: int, now_ms: int) -> None:
    if at_ms > now_ms + AHEAD_MS:
        raise EntryRefused(f"{key}: lies in the future")
    if at_ms < 0:
        raise EntryRefused(f"{key}: lies before 1970")


def _ordered(span: tuple[int, int], longest_ms: int) -> None:
    if span[1] <= span[0]:
        raise EntryRefused("to: must lie after from")
    if span[1] - span[0] > longest_ms:
        raise EntryRefused(f"to: more than {longest_ms // 86_400_000} days after from")


def _instant_ms(text: str, place: Place) -> int:
    """ms; a time without an offset is the site's."""
    at = datetime.fromisoformat(text)
    return round((at if at.tzinfo else at.replace(tzinfo=zone_of(place.timezone))).timestamp() * 1000)


def _day_ms(text: str, place: Place, edge: int) -> int:
    """A date alone means that whole business day: its beginning, or its end for `edge` 1."""
    if re.fullmatch(r"\d{4}-\d\d-\d\d", text):
        return day_bounds(date.fromisoformat(text), place.timezone, place.day_start_min)[edge]
    return _instant_ms(text, place)
