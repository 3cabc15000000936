"""Counters and portals that are asked over HTTP, in turn; what was missed is asked of their memory."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol, cast

from gateway.clock import Clock
from gateway.driver import Fetch, Pull, Response
from gateway.errors import LinkError
from gateway.links.backfill import Backfill, Coverage, Piece
from gateway.links.budget import Budget
from gateway.links.fetcher import Fetcher, WebSettings
from gateway.links.ingest import Ingest
from gateway.links.login import Login
from gateway.links.supervise import Backoff, LinkState, keep
from gateway.links.turns import Source, Turn, Turns
from gateway.model import Damaged, Item

RECALL_SHARE = 5  # the n-th part of the hour's requests may go into what was missed
RECALL_PAUSE_S = 1.0  # between two questions to a memory, whatever the budget
LOOK_S = 30.0  # from one look for gaps to the next

log = logging.getLogger(__name__)

Talk = Generator[Fetch, Response, Iterable[Item]]


class PullSettings(WebSettings, Protocol):
    """How often, how much an hour and how far back."""

    @property
    def poll_s(self) -> float: ...
    @property
    def requests_per_h(self) -> int: ...
    @property
    def recall_days(self) -> int: ...


@dataclass(slots=True)
class Told:
    """What one round of questions came to."""

    items: list[Item] = field(default_factory=list)
    answered: bool = False
    error: str = ""  # the address was lost on the way
    asked: list[bytes] = field(default_factory=list)  # questions
    new: dict[bytes, dict[str, str]] = field(default_factory=dict)  # question → what makes it conditional


class PullLink:
    """`run` asks until `stop`; `state` is what health shows. Up: somebody answers."""

    def __init__(
        self,
        id: str,  # noqa: A002
        options: PullSettings,
        sources: Sequence[Source],
        clock: Clock,
        ingest: Ingest,
        coverage: Coverage | None = None,
        *,
        backoff: Backoff | None = None,
    ) -> None:
        self.id, self.state = id, LinkState()
        self._options, self._clock, self._ingest = options, clock, ingest
        self._backoff = backoff
        self._login, self._budget = Login(options), Budget(options.requests_per_h)
        self._backfill = Backfill(sources, coverage, options.recall_days)
        self._spare = Budget(-(-options.requests_per_h // RECALL_SHARE))
        self._asked = [source for source in sources if hasattr(source.driver, "poll")]
        self._turns: Turns[Pull] | None = None
        self._look_at = 0.0
        self._seen: dict[int, dict[bytes, dict[str, str]]] = {}  # source → last questions → answer

    async def run(self, stop: asyncio.Event) -> None:
        """Returns when `stop` is set; every failure in between is retried with back-off."""
        await keep(
            lambda: self._attempt(stop), self.state, self._clock, stop, name=self.id, backoff=self._backoff
        )

    async def _attempt(self, stop: asyncio.Event) -> None:
        """Until stopped, or until the address is lost: raises LinkError."""
        loop = asyncio.get_running_loop()
        stopper, work = loop.create_task(stop.wait()), loop.create_task(self._work())
        try:
            await asyncio.wait((stopper, work), return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopper.cancel()
            work.cancel()
            (ended,) = await asyncio.gather(work, return_exceptions=True)
        if isinstance(ended, Exception) and not stop.is_set():
            raise ended

    async def _work(self) -> None:
        loop = asyncio.get_running_loop()
        if self._turns is None:
            asked = [(source, cast("Pull", source.driver)) for source in self._asked]
            self._turns = Turns(asked, self._options.poll_s, loop.time())
        self._look_at = loop.time()
        if not self._asked:  # only what was missed is asked for, and that may be nothing
            self.state.opened(self._clock.wall_ms())
        fetcher = Fetcher(self._options, self._login, self._budget, self._clock, self.state)
        try:
            while True:
                await self._until_due(fetcher, self._turns)
                await self._ingest.wait_room()
                turn = self._turns.next
                self._turns.settle(loop.time(), await self._poll(fetcher, turn))
        finally:
            await fetcher.close()

    async def _poll(self, fetcher: Fetcher, turn: Turn[Pull]) -> bool:
        """One round with one counter; delivers what it told. True if it answered at all."""
        source, talk = turn.source, turn.driver.poll(self._clock.wall_ms())
        told = await self._hear(fetcher, talk, partial(self._known, source))
        if told.answered:
            self.state.opened(self._clock.wall_ms())
        elif not told.error and not self.state.up:
            self.state.lost(self._clock.wall_ms(), fetcher.why)
        if not told.error and told.answered is (turn.missed > 0):  # a lost address is the link's to tell
            self._tell(turn, fetcher.why, answered=told.answered)
        self._deliver(source, told)
        if told.error:
            raise LinkError(told.error)
        return told.answered

    async def _hear(
        self, fetcher: Fetcher, talk: Talk, known: Callable[[Fetch], Mapping[str, str]] = lambda _: {}
    ) -> Told:
        """To the end of the driver's questions, even when the address is lost on the way."""
        told = Told()
        try:
            fetch = next(talk)
            while True:
                response = Response(None, self._clock.wall_ms())
                if not told.error:
                    response = await self._ask(fetcher, fetch, known(fetch), told)
                fetch = talk.send(response)
        except StopIteration as end:
            told.items = list(end.value or ())
        finally:
            talk.close()
        return told

    async def _ask(self, fetcher: Fetcher, fetch: Fetch, known: Mapping[str, str], told: Told) -> Response:
        told.asked.append(fetch.line)
        try:
            response = await fetcher.fetch(fetch, known)
        except LinkError as error:  # what was told before is still delivered
            told.error = str(error)
            return Response(None, self._clock.wall_ms())
        told.answered |= response.data is not None or response.status == 304
        if response.data is not None and fetch.method == "GET":
            told.new[fetch.line] = _conditions(response.headers)
        return response

    def _known(self, source: Source, fetch: Fetch) -> Mapping[str, str]:
        return self._seen.get(id(source), {}).get(fetch.line, {})

    def _deliver(self, source: Source, told: Told) -> None:
        """What came damaged is asked for again, whether it has changed or not."""
        if not any(isinstance(item, Damaged) for item in told.items):
            before = self._seen.get(id(source), {})
            self._seen[id(source)] = {line: told.new.get(line, before.get(line, {})) for line in told.asked}
        if told.items:
            self._ingest.deliver(self.id, source, told.items, self._clock.stamp())

    def _tell(self, turn: Turn[Pull], why: str, *, answered: bool) -> None:
        names = ", ".join(turn.source.counters)
        if answered:
            log.info("link %s: %s answers again", self.id, names)
        else:
            log.warning("link %s: %s does not answer: %s", self.id, names, why)

    # What was missed

    async def _until_due(self, fetcher: Fetcher, turns: Turns[Pull]) -> None:
        """Until a counter is due; what was missed is asked for meanwhile."""
        loop = asyncio.get_running_loop()
        while (left_s := turns.due_at - loop.time()) > 0:
            if self._look_at <= loop.time():
                self._look_at = loop.time() + LOOK_S
                await self._backfill.look(self._clock.wall_ms())
            piece, pause_s = self._backfill.next(loop.time()), self._pause_s(loop.time())
            if piece and pause_s <= 0:
                await self._recall(fetcher, piece)
            else:
                look_s = self._look_at - loop.time()
                await asyncio.sleep(max(0.0, min(left_s, look_s, pause_s if piece else LOOK_S)))

    def _pause_s(self, now: float) -> float:
        """Polls come first: recalling has a part of the hour's budget, and a pace."""
        return max(self._budget.wait_s(now), self._spare.wait_s(now))

    async def _recall(self, fetcher: Fetcher, piece: Piece) -> None:
        """What comes replaces what is stored of that time and never adds (semantics 1)."""
        loop = asyncio.get_running_loop()
        await self._ingest.wait_room()
        told = await self._hear(fetcher, piece.driver.recall(piece.start_ms, piece.end_ms))
        for _ in told.asked:
            self._spare.spend(loop.time())
        self._spare.rest(loop.time(), RECALL_PAUSE_S)
        self._backfill.settle(piece, loop.time(), answered=told.answered and not told.error)
        if told.items:
            self._ingest.deliver(self.id, piece.source, told.items, self._clock.stamp())
        if told.error:
            raise LinkError(told.error)
        if told.answered:
            self.state.opened(self._clock.wall_ms())


def _conditions(headers: Mapping[str, str]) -> dict[str, str]:
    """What makes the next question answer 304 when there is nothing new."""
    given = {"If-None-Match": headers.get("etag"), "If-Modified-Since": headers.get("last-modified")}
    return {name: value for name, value in given.items() if value}
