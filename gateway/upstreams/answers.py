"""What a receiver's HTTP answer means, and how a refused batch is halved. Pure but for the post itself."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from http import HTTPStatus

from gateway.model import Event, Receipt
from gateway.retry import retry_after_s

SINGLES_IN_A_ROW = 20  # refused one by one without a success: it is the receiver, not the events
MAX_REASON_CHARS = 256
MAX_SUSPECTS = 1000
AGAIN_LATER = {408, 425, 429}
REFUSED = {400, 409, 422}
TOO_LARGE = 413


class Meaning(StrEnum):
    STORED = "stored"
    LATER = "later"
    TOO_LARGE = "too large"
    REFUSED = "refused"
    MISCONFIGURED = "misconfigured"


@dataclass(frozen=True, slots=True)
class Verdict:
    """One answer: `rejected` (id → reason) only with STORED, `retry_after_s` only with LATER."""

    meaning: Meaning
    why: str = ""
    rejected: Mapping[str, str] = field(default_factory=dict)
    retry_after_s: float | None = None


def judge(status: int, headers: Mapping[str, str], body: bytes | None, now_ms: int | None = None) -> Verdict:
    """The contract's answer table. `body` None: longer than we read; `now_ms` for a date in Retry-After."""
    said = f"{status} {_phrase(status)}".strip()
    if 200 <= status < 300:
        return _judge_success(said, body)
    if status in REFUSED:
        return Verdict(Meaning.REFUSED, _because(said, body))
    if status == TOO_LARGE:
        return Verdict(Meaning.TOO_LARGE, said)
    if status in AGAIN_LATER or not 300 <= status < 500:
        return Verdict(Meaning.LATER, said, retry_after_s=retry_after_s(headers, now_ms))
    if 300 <= status < 400:
        said += f": redirects to {headers.get('Location', 'nowhere')[:MAX_REASON_CHARS]} are not followed"
    return Verdict(Meaning.MISCONFIGURED, said)


def _phrase(status: int) -> str:
    return HTTPStatus(status).phrase if status in HTTPStatus._value2member_map_ else ""


def _judge_success(said: str, body: bytes | None) -> Verdict:
    if body is None:
        return Verdict(Meaning.LATER, f"{said} with a longer body than any receiver sends")
    if not body.strip():
        return Verdict(Meaning.STORED)
    answer = _parse(body)
    if not isinstance(answer, dict):
        return Verdict(Meaning.LATER, f"{said}, but the body is no JSON object: a captive portal?")
    rejected = answer.get("rejected") or {}
    if not isinstance(rejected, dict):
        return Verdict(Meaning.LATER, f"{said}, but `rejected` is no object of id and reason")
    return Verdict(Meaning.STORED, rejected={id_: _reason(why) for id_, why in rejected.items()})


def _parse(body: bytes) -> object:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def _reason(why: object) -> str:
    text = why if isinstance(why, str) else json.dumps(why)
    return text[:MAX_REASON_CHARS] or "no reason given"


def _because(said: str, body: bytes | None) -> str:
    """The status and, of a JSON answer, its title or detail (problem+json); never raw foreign text."""
    answer = _parse(body) if body else None
    words = [answer.get(key) for key in ("title", "detail", "error")] if isinstance(answer, dict) else []
    told = "; ".join(word for word in words if isinstance(word, str))
    return f"{said}: {told}"[:MAX_REASON_CHARS] if told else said


Post = Callable[[Sequence[Event]], Awaitable[Verdict]]


class Sieve:
    """Posts a batch, halving it where the answer asks for it, until each event is accepted, rejected or kept.

    An event refused alone is rejected when another of its batch was accepted; also when the receiver has
    accepted others since it was last refused alone, or a poisoned event without company would stay for ever.
    """

    def __init__(self) -> None:
        self.refused_in_a_row = 0
        self._suspects: dict[str, bool] = {}  # id → were others accepted since?

    async def deliver(self, batch: Sequence[Event], post: Post) -> Receipt:
        return await _Sifting(self, post).run(batch)

    def saw_success(self) -> None:
        self.refused_in_a_row = 0
        self._suspects = dict.fromkeys(self._suspects, True)

    def convicts(self, id_: str) -> bool:
        """Is there a witness against an event refused alone? If not, remember it for the next time."""
        if self._suspects.pop(id_, False):
            return True
        self._suspects[id_] = False
        while len(self._suspects) > MAX_SUSPECTS:
            del self._suspects[next(iter(self._suspects))]
        return False


class _Sifting:
    """One `deliver`: chunks still to post, and what has become of the others."""

    def __init__(self, sieve: Sieve, post: Post) -> None:
        self._sieve = sieve
        self._post = post
        self._chunks: list[Sequence[Event]] = []
        self._accepted: set[str] = set()
        self._rejected: dict[str, str] = {}
        self._alone: dict[str, str] = {}  # refused singles → why
        self._end: Verdict | None = None

    async def run(self, batch: Sequence[Event]) -> Receipt:
        self._chunks = [batch] if batch else []
        while self._chunks and self._end is None:
            chunk = self._next()
            self._book(chunk, await self._post(chunk))
        return self._receipt()

    def _next(self) -> Sequence[Event]:
        """Deeper into the last half; but after a refused single the largest piece, to find a success soon."""
        if self._alone and not self._accepted:
            self._chunks.sort(key=len)
        return self._chunks.pop()

    def _book(self, chunk: Sequence[Event], verdict: Verdict) -> None:
        if verdict.meaning is Meaning.STORED:
            self._store(chunk, verdict)
        elif verdict.meaning not in (Meaning.TOO_LARGE, Meaning.REFUSED):
            self._end = verdict
        elif len(chunk) > 1:
            middle = len(chunk) // 2
            self._chunks += [chunk[middle:], chunk[:middle]]
        elif verdict.meaning is Meaning.TOO_LARGE:
            self._rejected[chunk[0].id] = verdict.why
        else:
            self._refuse(chunk[0].id, verdict.why)

    def _store(self, chunk: Sequence[Event], verdict: Verdict) -> None:
        ids = {event.id for event in chunk}
        self._rejected |= {id_: why for id_, why in verdict.rejected.items() if id_ in ids}
        stored = ids - verdict.rejected.keys()
        self._accepted |= stored
        if stored:
            self._sieve.saw_success()

    def _refuse(self, id_: str, why: str) -> None:
        self._alone[id_] = why
        if self._accepted:
            return
        self._sieve.refused_in_a_row += 1
        row = self._sieve.refused_in_a_row
        tried = not self._chunks or len(self._alone) >= SINGLES_IN_A_ROW  # each batch gets its chance
        if row >= SINGLES_IN_A_ROW and tried:
            self._end = Verdict(Meaning.MISCONFIGURED, f"{row} events refused one by one, the last: {why}")

    def _receipt(self) -> Receipt:
        suspects = {} if self._accepted else self._unwitnessed()
        self._rejected |= {id_: why for id_, why in self._alone.items() if id_ not in suspects}
        end = self._end or Verdict(Meaning.REFUSED, next(iter(suspects.values()), ""))
        return Receipt(
            accepted=frozenset(self._accepted),
            rejected=self._rejected,
            retry_after_s=end.retry_after_s,
            why_kept=end.why,
            misconfigured=end.meaning is Meaning.MISCONFIGURED,
            suspects=frozenset(suspects),
        )

    def _unwitnessed(self) -> dict[str, str]:
        if self._end and self._end.meaning is Meaning.MISCONFIGURED:
            return dict(self._alone)
        return {id_: why for id_, why in self._alone.items() if not self._sieve.convicts(id_)}
