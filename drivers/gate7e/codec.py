"""7E/7F frames: the one question that reads, and the status that answers it.

Question: 7E 00 machine 10 00 00 00 chk. Status, 18 bytes: 7F version machine fault gate alarm left(3)
right(3) infrared executed voltage u u chk; big-endian. chk is the complement of the sum of all bytes before
it. The same command byte opens doors and resets counts: no other command can be built here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from gateway.model import Damaged, DamageReason

QUESTION, STATUS = 0x7E, 0x7F
QUERY = 0x10
QUESTION_BYTES, STATUS_BYTES = 8, 18
MAX_RECEIVED_BYTES = 96  # frames of others may come before ours
MACHINES = range(1, 100)


@dataclass(frozen=True, slots=True)
class State:
    """One status frame. `left` and `right`: persons, 24 bit; the codes are 0 when nothing is the matter."""

    version: int
    machine: int
    fault: int
    alarm: int
    left: int
    right: int
    infrared: int


class NotOurs:
    """An intact status of another machine."""


Reply: TypeAlias = State | Damaged | NotOurs
NOT_OURS = NotOurs()


def query(machine: int) -> bytes:
    """The only bytes that are ever sent. Raises ValueError for what is no machine number."""
    if machine not in MACHINES:
        raise ValueError(f"no such machine: {machine}")
    text = bytes((QUESTION, 0, machine, QUERY, 0, 0, 0))
    return text + bytes((~sum(text) & 0xFF,))


def read_question(request: bytes) -> int | None:
    """The machine that is asked; None if this is not our question."""
    if len(request) != QUESTION_BYTES or request[2] not in MACHINES:
        return None
    return request[2] if request == query(request[2]) else None


def whole(machine: int, received: bytes) -> bool:
    """Has our status come, be it damaged? Those of others are waited past."""
    if len(received) >= MAX_RECEIVED_BYTES:
        return True
    return any(not isinstance(reply, NotOurs) for reply in _statuses(machine, received))


def read_reply(machine: int | None, data: bytes) -> Reply:
    """The last status of `machine` (None: of any) in `data`; noise around it does not matter."""
    replies = _statuses(machine, data)
    if not replies:
        return Damaged(DamageReason.LENGTH if STATUS in data else DamageReason.SYNTAX, len(data))
    ours = [reply for reply in replies if isinstance(reply, State)]
    damaged = [reply for reply in replies if isinstance(reply, Damaged)]
    return (ours or damaged or replies)[-1]


def _statuses(machine: int | None, data: bytes) -> list[Reply]:
    """Every status in `data`. A frame that fails is searched too: its lead byte may have been noise."""
    found: list[Reply] = []
    at = data.find(STATUS)
    while 0 <= at <= len(data) - STATUS_BYTES:
        frame = data[at : at + STATUS_BYTES]
        intact = sum(frame) & 0xFF == 0xFF
        found.append(_read(machine, frame) if intact else Damaged(DamageReason.CHECKSUM, STATUS_BYTES))
        at = data.find(STATUS, at + (STATUS_BYTES if intact else 1))
    return found


def _read(machine: int | None, frame: bytes) -> State | NotOurs:
    if machine is not None and frame[2] != machine:
        return NOT_OURS
    return State(
        version=frame[1],
        machine=frame[2],
        fault=frame[3],
        alarm=frame[5],
        left=int.from_bytes(frame[6:9], "big"),
        right=int.from_bytes(frame[9:12], "big"),
        infrared=frame[12],
    )
