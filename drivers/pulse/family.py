"""Pulse: which contact counts whom, and what a contact says of its health."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Literal, cast

from pydantic import BeforeValidator, Field, model_validator

from drivers.lines.codec import LineCutter
from drivers.pulse.codec import Contact, Sight, What, read_line
from gateway.driver import Device, Family, Kind, LineOptions, Match, Options, Side
from gateway.model import (
    MAIN_LINE,
    Basis,
    Crossings,
    Damaged,
    DamageReason,
    DeviceState,
    Ignored,
    Item,
    Resets,
    Status,
)

TELL_EVERY_MS = 10_000  # a contact that rests is a sign of life so often
TOLD_FOR_MS = 900_000  # lost edges and gaps are told for a quarter of an hour
OUT_OF_TURN_MS = 100  # two contacts' edges may be told in another order than they came
MOST_CONTACTS = 64  # without a configuration
OTHER = Ignored("another contact")

Name = Annotated[
    str, BeforeValidator(lambda given: str(given) if type(given) is int else given), Field(max_length=32)
]


class PulseOptions(Options):
    """One beam, turnstile or relay on one or two contacts."""

    in_: Name | None = Field(None, alias="in", description="contact that closes for persons going in")
    out: Name | None = Field(None, description="contact that closes for persons going out")
    both: Name | None = Field(None, description="contact of a beam without direction")
    inverted: bool = Field(False, description="it rests closed, and opens when somebody passes")
    edge: Literal["rising", "falling"] = Field(
        "rising", description="a pulse counts when it begins (rising) or when it has ended (falling)"
    )
    debounce_s: float = Field(
        0.02, ge=0, le=10, description="shorter pulses, and shorter gaps in a pulse, are bounce, seconds"
    )
    stuck_s: float = Field(
        60.0, ge=0, le=86_400, description="a longer pulse is a stuck contact, seconds; 0: never"
    )
    per_pulse: int = Field(1, ge=1, le=1000, description="persons in one pulse")

    @model_validator(mode="after")
    def _sides(self) -> PulseOptions:
        if self.both is not None and (self.in_ is not None or self.out is not None):
            raise ValueError("either `both`, or `in` and `out`")
        if self.in_ is not None and self.in_ == self.out:
            raise ValueError("`in` and `out` name the same contact")
        return self

    @property
    def contacts(self) -> tuple[str, ...]:
        return tuple(name for name in (self.in_, self.out, self.both) if name is not None)


class Pulse:
    """Stream: the text of contacts in, an event for each pulse out. `contacts`: those it wants to hear of."""

    def __init__(self, options: PulseOptions) -> None:
        self.contacts = options.contacts
        self._options = options
        self._cutter = LineCutter()
        self._states = {name: self._contact() for name in self.contacts}
        self._heard_ms: int | None = None
        self._gap: tuple[int, int] | None = None  # when nobody had watched, and for how many ms
        self._told: dict[str, tuple[Status, int]] = {}  # device → what was last said of it, and when

    def feed(self, data: bytes, at_ms: int, side: Side = Side.DEVICE) -> Iterable[Item]:  # noqa: ARG002
        items: list[Item] = []
        for line in self._cutter.feed(data, at_ms):
            if isinstance(line, Damaged):
                items.append(line)
                continue
            sight = read_line(line)
            items += (
                [Damaged(DamageReason.SYNTAX, len(line))] if sight is None else self._see(sight, len(line))
            )
        return items

    def reopened(self, side: Side) -> None:  # noqa: ARG002
        self._cutter.reopened()

    def _contact(self) -> Contact:
        return Contact(round(self._options.debounce_s * 1000), self._options.edge == "rising")

    def _see(self, sight: Sight, size: int) -> list[Item]:
        if not self.contacts and len(self._states) < MOST_CONTACTS:
            self._states.setdefault(sight.contact, self._contact())
        contact = self._states.get(sight.contact)
        if contact is None:
            return [OTHER] if not self.contacts else []
        items: list[Item] = []
        if self._heard_ms is not None and sight.at_ms < self._heard_ms - OUT_OF_TURN_MS:
            self._start_again()  # the clock of whoever watches began anew
        lost = contact.lost
        if sight.what is What.LOST:
            self._lose(contact, sight)
        elif self._pulse(contact, sight):
            items.append(self._passed(sight.contact))
        if contact.lost > lost:
            items.append(Damaged(DamageReason.LENGTH, size))
        self._heard_ms = sight.at_ms
        return items + self._status(sight)

    def _lose(self, contact: Contact, sight: Sight) -> None:
        if sight.figure:
            contact.lose(sight.figure, sight.at_ms)
        elif self._heard_ms is not None and self._heard_ms < sight.at_ms:
            self._gap = sight.at_ms, sight.at_ms - self._heard_ms
        contact.forget()

    def _pulse(self, contact: Contact, sight: Sight) -> bool:
        active = bool(sight.figure) is not self._options.inverted
        seen = contact.edge if sight.what is What.EDGE else contact.level
        return seen(active, sight.at_ms)

    def _start_again(self) -> None:
        for contact in self._states.values():
            contact.forget()
            contact.lost_ms = None
        self._heard_ms = self._gap = None
        self._told.clear()

    def _device(self, contact: str) -> str:
        return "+".join(self.contacts) or contact

    def _passed(self, contact: str) -> Crossings:
        persons, options = self._options.per_pulse, self._options
        return Crossings(
            self._device(contact),
            MAIN_LINE,
            None,
            None,
            ins=persons if contact == options.in_ else None,
            outs=persons if contact == options.out else None,
            passes=persons if contact not in (options.in_, options.out) else None,
            basis=Basis.EVENT,
        )

    def _status(self, sight: Sight) -> list[Item]:
        """Told when it changes, and now and then as a sign of life."""
        device = self._device(sight.contact)
        state, detail = self._health(sight.at_ms, self.contacts or (sight.contact,))
        status = Status(device, None, state, detail)
        told, told_ms = self._told.get(device, (None, 0))
        if status == told and sight.at_ms - told_ms < TELL_EVERY_MS:
            return []
        self._told[device] = status, sight.at_ms
        return [status]

    def _health(self, at_ms: int, contacts: Iterable[str]) -> tuple[DeviceState, str]:
        states = [(name, self._states[name]) for name in contacts]
        stuck_ms = round(self._options.stuck_s * 1000)
        stuck = [name for name, one in states if one.active and 0 < stuck_ms <= at_ms - one.since_ms]
        if stuck:
            said = f"contact {', '.join(stuck)} stuck for over {self._options.stuck_s:g} s"
            return DeviceState.FAULT, said
        if any(one.lost_ms is not None and at_ms - one.lost_ms < TOLD_FOR_MS for _, one in states):
            edges = sum(one.lost for _, one in states)
            return DeviceState.DEGRADED, f"edges lost: {edges}; persons may have passed uncounted"
        if self._gap and at_ms - self._gap[0] < TOLD_FOR_MS:
            said = f"not watched for {self._gap[1] / 1000:.1f} s: who passed then is not counted"
            return DeviceState.DEGRADED, said
        return DeviceState.OK, ""


def _options(device: Device) -> PulseOptions:
    return cast("PulseOptions", device.options)


def problems(device: Device) -> list[str]:
    """A configured counter must know its contacts; `decode` shows any."""
    return [] if _options(device).contacts else ["a contact is missing: `in` and `out`, or `both`"]


FAMILY = Family(
    name="pulse",
    summary="dry contacts: GPIO lines, or CTS, DSR, RI and DCD of a serial port; one pulse is one person",
    kind=Kind.STREAM,
    over=frozenset({"gpio", "serial", "tcp"}),
    options=PulseOptions,
    line_options=LineOptions,
    open=lambda device: Pulse(_options(device)),
    match=lambda device: Match("+".join(_options(device).contacts) or None, {MAIN_LINE: MAIN_LINE}),
    basis=Basis.EVENT,
    resets=Resets.NEVER,
    problems=problems,
)
