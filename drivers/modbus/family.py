"""Modbus: options, what is asked in which order, and what the answers mean."""

from __future__ import annotations

import difflib
from collections.abc import Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Annotated, Any, cast

from pydantic import BeforeValidator, Field

from drivers import polled
from drivers.modbus import codec
from drivers.modbus.codec import Asked, Echo, Framing, NotOurs, Question, Refused, Reply
from drivers.modbus.lines import ModbusLine, line_problems, lines_of, missing, registers_of, turn_of
from drivers.modbus.maps import MAPS
from drivers.modbus.registers import Full, Image, Map, Place, questions
from gateway.driver import Device, Family, Kind, Options, Request, Response
from gateway.errors import ConfigurationError
from gateway.model import Basis, Damaged, DamageReason, DeviceState, Ignored, Item, Status

LOOK_EVERY = 12  # polls between two looks at the signs of trouble
GIVE_UP = 2  # looks without an answer, after which a device is not asked for that sign
SHOWN_TROUBLES = 2  # in one status
WORST_FIRST = (DeviceState.FAULT, DeviceState.DEGRADED)
ECHO_WORDS = "hears our own questions: set echo on its link"


def _known(given: Any) -> Any:
    """A name stands for the map that is shipped under it."""
    if not isinstance(given, str):
        return given
    if given in MAPS:
        return MAPS[given]
    near = difflib.get_close_matches(given, list(MAPS), n=1, cutoff=0.6)
    meant = f" (did you mean {near[0]}?)" if near else ""
    raise ValueError(
        f'there is no map "{given[:40]}"{meant}; known: {", ".join(MAPS)}, or a table of your own'
    )


class ModbusOptions(Options):
    """One device."""

    address: int = Field(1, description="unit address: 1 to 247, over TCP 0 to 255", ge=0, le=255)
    map: Annotated[Map, BeforeValidator(_known, json_schema_input_type=str | Map)] = Field(
        cast("Map", "lot"),  # for `decode` without options; a configuration must name its map
        validate_default=True,
        description=f"which registers: {', '.join(MAPS)}, or a table of your own",
    )
    framing: Framing = Field(Framing.RTU, description="rtu, or tcp: Modbus TCP")
    timeout_s: float = Field(0.3, description="longest wait for an answer, in seconds", gt=0, le=60)


@dataclass(slots=True)
class _Findings:
    """What one poll or answer came to, besides totals."""

    items: list[Item] = field(default_factory=list)
    troubles: list[tuple[DeviceState, str]] = field(default_factory=list)

    def values(self, question: Question, reply: Reply) -> dict[tuple[int, int], int]:
        """The registers in a reply; anything else is noted."""
        if isinstance(reply, tuple):
            return {(question.function, question.address + at): value for at, value in enumerate(reply)}
        if isinstance(reply, Damaged):
            self.items.append(reply)
        elif isinstance(reply, NotOurs):
            self.items.append(Ignored("answer to something else"))
        elif isinstance(reply, Echo):
            self.troubles.append((DeviceState.DEGRADED, ECHO_WORDS))
        else:
            state = DeviceState.DEGRADED if reply.code in codec.PASSING else DeviceState.FAULT
            self.troubles.append((state, reply.words))
        return {}

    def status(self, counter: str) -> Status:
        """The worst that was found; nothing is well."""
        for state in WORST_FIRST:
            words = dict.fromkeys(said for found, said in self.troubles if found is state)
            if words:
                return Status(counter, None, state, "; ".join([*words][:SHOWN_TROUBLES]))
        return Status(counter, None, DeviceState.OK)


class Modbus:
    """Exchange: settings after each failure, totals at each poll, signs of trouble now and then."""

    def __init__(self, device: Device) -> None:
        options = cast("ModbusOptions", device.options)
        self._options, self._map = options, options.map
        if problems := line_problems(device, self._map):
            raise ConfigurationError(problems)
        self._any_unit = not device.lines and "address" not in options.model_fields_set
        self._lines = lines_of(device, self._map)
        used = {name for line in self._lines for _, name in line.sides}
        self._totals = {name: total for name, total in self._map.totals.items() if name in used}
        self._signs = [sign for sign in self._map.signs if sign.total is None or sign.total in used]
        self._survey_questions = self._questions(
            one for total in self._totals.values() for one in total.settings
        )
        self._count_questions = self._questions(self._totals.values())
        self._look_questions = self._questions(self._signs)
        asked = {*self._survey_questions, *self._count_questions, *self._look_questions}
        alike = {(question.function, question.value_bytes) for question in asked}
        # an RTU reply names the unit and its own length, but not the registers that were asked for
        self._named = self._options.framing is Framing.TCP or len(alike) == len(asked)
        self._turns = {name: turn_of(total, {}) for name, total in self._totals.items()}
        self._surveyed = False
        self._polls = 0
        self._transaction = 0
        self._unheard: dict[Question, int] = {}  # look → how often in a row it was refused or not answered
        self._seen: dict[str, dict[str, int]] = {}  # trouble that may pass → totals when it was last seen
        self._lasting: dict[str, DeviceState] = {}  # trouble at the last look
        self._told: Status | None = None

    def poll(self, now_ms: int) -> Generator[Request, Response, Iterable[Item]]:  # noqa: ARG002 - no clock here
        """One round of questions. Silence of the device ends the round."""
        found = _Findings()
        if not self._surveyed:
            self._polls = 0
            self._surveyed = yield from self._survey(found)
        image: Image = {}
        if self._surveyed:
            image = yield from self._count(found)
        totals = self._believed(image, found)
        looked = bool(image) and self._polls % LOOK_EVERY == 0
        if looked:
            yield from self._look(image, totals, found)
        self._polls += bool(image)
        counter = str(self._options.address)
        troubled = bool(found.troubles)
        found.troubles += [(state, said) for said, state in self._lasting.items()]
        status = found.status(counter)
        if looked or troubled or (image and status != self._told):
            found.items.append(status)
            self._told = status
        return [*found.items, *self._registers(totals, counter)]

    def answer(self, request: bytes, response: Response) -> Iterable[Item]:
        """What one question and its answer say by themselves."""
        asked = codec.read_question(request, self._options.framing)
        if asked is None:
            return [Ignored("not a question of ours")]
        question = asked.question
        if not self._any_unit and question.unit != self._options.address:
            return [Ignored("another device")]
        if response.data is None:
            return []
        found = _Findings()
        image = found.values(question, codec.read_reply(asked, response.data))
        totals = self._believed(image, found)
        signs = [sign for sign in self._signs if sign.troubled(image) is not None]
        found.troubles += [(sign.device_state, sign.says) for sign in signs if sign.troubled(image)]
        if signs or found.troubles:
            found.items.append(found.status(str(question.unit)))
        items = [*found.items, *self._registers(totals, str(question.unit))]
        return items or [Ignored("tells neither totals nor trouble")]

    def _questions(self, places: Iterable[Place]) -> Sequence[Question]:
        spans = [place.span for place in places]
        return questions(self._options.address, spans, apart=self._map.apart)

    def _survey(self, found: _Findings) -> Generator[Request, Response, bool]:
        """Where do the totals come round? True when they can be believed; a device may refuse to tell."""
        image: Image = {}
        for question in self._survey_questions:
            reply = yield from self._ask(question)
            if isinstance(reply, Refused):
                continue
            values = {} if reply is None else found.values(question, reply)
            if not values:
                return False
            image |= values
        self._turns = {name: turn_of(total, image) for name, total in self._totals.items()}
        for memory in (self._unheard, self._seen, self._lasting):
            memory.clear()  # it may be another device now
        return True

    def _count(self, found: _Findings) -> Generator[Request, Response, Image]:
        image: Image = {}
        for question in self._count_questions:
            reply = yield from self._ask(question)
            if reply is None:
                self._surveyed = False  # it may be another device when it comes back
                break
            image |= found.values(question, reply)
        return image

    def _believed(self, image: Image, found: _Findings) -> dict[str, int]:
        """Totals by name. One that stands at its end tells nothing any more."""
        totals = {}
        for name, total in self._totals.items():
            last = self._turns[name].last
            try:
                value = total.read(image, last)
            except ValueError:
                found.items.append(Damaged(DamageReason.SANITY, total.width // 8))
                self._surveyed = False
                continue
            if value is not None and value == last and total.full is Full.SATURATE:
                found.troubles.append((DeviceState.FAULT, f"total {name} is full and counts no more"))
            elif value is not None:
                totals[name] = value
            if total.contact(image) not in (None, 0, 1):
                found.troubles.append((DeviceState.DEGRADED, f"contact {name} closed and opened unequally"))
        return totals

    def _look(
        self, counted: Image, totals: dict[str, int], found: _Findings
    ) -> Generator[Request, Response, None]:
        """Ask for the signs of trouble. What is not told stays as it was."""
        image: Image = {}
        for question in self._look_questions:
            unheard = self._unheard.get(question, 0)
            if unheard >= GIVE_UP:
                continue
            reply = yield from self._ask(question)
            if reply is None:
                self._unheard[question] = unheard + 1
                break
            if isinstance(reply, Refused):
                self._unheard[question] = GIVE_UP
            else:
                self._unheard.pop(question, None)
                image |= found.values(question, reply)
        for sign in self._signs:
            troubled = sign.troubled(image)
            if troubled is not None:
                self._note(sign.says, sign.device_state, troubled, totals if sign.standing else None)
        for name, total in self._totals.items():
            closed = total.contact(counted)
            if closed is not None:
                self._note(f"contact {name} stays closed", DeviceState.DEGRADED, closed == 1, totals)

    def _note(self, said: str, state: DeviceState, troubled: bool, standing: dict[str, int] | None) -> None:
        """Trouble or not. With `standing` totals only if it was so at the look before, at the same totals."""
        lasts = standing is None or standing == self._seen.pop(said, None)
        if troubled and standing is not None:
            self._seen[said] = standing
        if troubled and lasts:
            self._lasting[said] = state
        else:
            self._lasting.pop(said, None)

    def _ask(self, question: Question) -> Generator[Request, Response, Reply | None]:
        """The reply; None for silence."""
        if self._options.framing is Framing.TCP:
            self._transaction = (self._transaction + 1) % (codec.MAX_TRANSACTION + 1)
        asked = Asked(question, self._options.framing, self._transaction)
        timeout_ms = round(self._options.timeout_s * 1000)
        response = yield Request(asked.payload, timeout_ms, partial(codec.whole, asked), self._named)
        return None if response.data is None else codec.read_reply(asked, response.data)

    def _registers(self, totals: Mapping[str, int], counter: str) -> Iterable[Item]:
        return [
            register
            for line in self._lines
            for register in registers_of(line, totals, self._turns, self._map, counter)
        ]


def _problems(device: Device) -> Sequence[str]:
    """What a configuration must say, though `decode` can do without."""
    options = cast("ModbusOptions", device.options)
    problems = line_problems(device, options.map)
    if "map" not in options.model_fields_set:
        problems = [f"map: missing: {', '.join(MAPS)}, or a table of your own"]
    if options.framing is Framing.RTU and options.address not in codec.RTU_UNITS:
        problems.append(f"address: must be 1 to 247 with framing rtu, not {options.address}")
    if not device.lines and not (options.map.in_ or options.map.out):
        problems.append(missing(options.map))
    return problems


FAMILY = Family(
    name="modbus",
    summary="Modbus turnstiles and pulse counters by a register map, RTU or TCP: polled totals",
    kind=Kind.EXCHANGE,
    over=frozenset({"serial", "tcp"}),
    options=ModbusOptions,
    line_options=ModbusLine,
    open=Modbus,
    match=polled.match,
    basis=Basis.TOTAL,
    problems=_problems,
)
