"""Where people enter something: taps, tallies and campaigns, each under an id that their client made.

The same id with the same content is answered as the first time: a phone may send again what it did not
hear of; with other content it is a conflict. Only JSON is taken, and not from another site's page.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any, Protocol, TypeAlias

from aiohttp import web

from gateway.errors import EntryConflict, EntryRefused, StoreError
from gateway.model import EntryKind
from gateway.web import access
from gateway.web.query import instant_ms

PATHS = {"taps": EntryKind.TAP, "tallies": EntryKind.TALLY, "campaigns": EntryKind.CAMPAIGN}


class Desk(Protocol):
    """Who takes entries in; `gateway.entries.Entries` is one."""

    async def enter(
        self, kind: EntryKind, bodies: Sequence[Any], by: str = ""
    ) -> Sequence[tuple[Mapping[str, Any], bool]]:
        """Each as it is kept, and whether it is new. Raises EntryRefused, EntryConflict, StoreError."""
        ...

    async def correct(self, body: Any, by: str = "") -> tuple[Mapping[str, Any], bool]: ...

    async def accept(self, body: Any, by: str = "") -> tuple[Mapping[str, Any], bool]: ...


class Told(Protocol):
    """Who tells what entries come to; `gateway.entries.Findings` is one."""

    def taps(self, zone: str, from_ms: int | None, to_ms: int | None) -> Mapping[str, Any]: ...

    def tallies(self, line: str) -> Mapping[str, Any]: ...

    def campaigns(self) -> Mapping[str, Any]: ...

    def corrections(self) -> Mapping[str, Any]: ...

    def acceptances(self) -> Mapping[str, Any]: ...

    def report(self, campaign: str) -> Mapping[str, Any]: ...

    def growth(self, zone: str, first: str, last: str) -> Mapping[str, Any]: ...


Entry: TypeAlias = tuple[Desk, Told]


def routes(desk: Desk, told: Told) -> list[web.RouteDef]:
    """POST and GET of what can be entered."""
    return [
        *(web.post(f"/api/v1/{path}", _entering(partial(desk.enter, kind))) for path, kind in PATHS.items()),
        web.post("/api/v1/corrections", _entering(partial(_alone, desk.correct))),
        web.post("/api/v1/acceptances", _entering(partial(_alone, desk.accept))),
        web.get("/api/v1/corrections", _telling(lambda _query: told.corrections())),
        web.get("/api/v1/acceptances", _telling(lambda _query: told.acceptances())),
        web.get("/api/v1/taps", _telling(lambda query: told.taps(*_survey(query)))),
        web.get("/api/v1/tallies", _telling(lambda query: told.tallies(query.get("line", "")))),
        web.get("/api/v1/campaigns", _telling(lambda _query: told.campaigns())),
        web.get("/api/v1/campaigns/{id}", _telling(lambda query: told.report(query["id"]))),
        web.get("/api/v1/growth", _telling(lambda query: told.growth(*_period(query)))),
    ]


Enter = Callable[[Sequence[Any]], Awaitable[Sequence[tuple[Mapping[str, Any], bool]]]]
One = Callable[[Any], Awaitable[tuple[Mapping[str, Any], bool]]]


def _entering(enter: Enter) -> access.Answer:
    async def answer(request: web.Request) -> web.StreamResponse:
        body = await _json(request)
        several = isinstance(body, list)
        try:
            kept = await enter(body if several else [body])
        except EntryConflict as error:
            raise web.HTTPConflict(text=str(error)) from None
        except EntryRefused as error:
            raise web.HTTPUnprocessableEntity(text=str(error)) from None
        except StoreError as error:
            raise web.HTTPServiceUnavailable(text=str(error)) from None
        shown = [dict(entry) for entry, _new in kept]
        status = 201 if any(new for _entry, new in kept) else 200
        return web.json_response(shown if several else shown[0], status=status)

    return answer


async def _alone(one: One, bodies: Sequence[Any]) -> Sequence[tuple[Mapping[str, Any], bool]]:
    """What restates windows is entered one by one."""
    if len(bodies) != 1:
        raise EntryRefused("one at a time")
    return [await one(bodies[0])]


async def _json(request: web.Request) -> Any:
    """The body. A page of another site can post forms and text without asking us, but not JSON."""
    if request.content_type != "application/json":
        raise web.HTTPUnsupportedMediaType(text="Content-Type must be application/json")
    if request.headers.get("Sec-Fetch-Site", "same-origin") not in ("same-origin", "none"):
        raise web.HTTPForbidden(text="entered from another site's page")
    try:
        return json.loads(await request.text())
    except (ValueError, RecursionError):
        raise web.HTTPBadRequest(text="the body is no JSON") from None


def _telling(tell: Callable[[Mapping[str, str]], Mapping[str, Any]]) -> access.Answer:
    """Read off the loop: it may add up many days."""

    async def answer(request: web.Request) -> web.StreamResponse:
        try:
            told = await asyncio.to_thread(tell, {**request.query, **request.match_info})
        except EntryRefused as error:
            raise web.HTTPUnprocessableEntity(text=str(error)) from None
        except StoreError as error:
            raise web.HTTPServiceUnavailable(text=str(error)) from None
        return web.json_response(told)

    return answer


def _survey(query: Mapping[str, str]) -> tuple[str, int | None, int | None]:
    return query.get("zone", ""), instant_ms(query, "from", None), instant_ms(query, "to", None)


def _period(query: Mapping[str, str]) -> tuple[str, str, str]:
    return query.get("zone", ""), query.get("from", ""), query.get("to", "")
