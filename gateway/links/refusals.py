"""Why a push is not taken in, as the counter that sent it is told."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus

from aiohttp import web

RETRY_S = 10


class Refusal(Exception):
    """`status` and `why` go to the counter; `counted` is the telegram's result, "" if it never became one."""

    def __init__(
        self, status: int, why: str, *, headers: Mapping[str, str] | None = None, counted: str = ""
    ) -> None:
        super().__init__(why)
        self.status, self.why, self.counted = status, why, counted
        self._headers = headers or {}

    def response(self) -> web.Response:
        """RFC 9457 problem details."""
        title = HTTPStatus(self.status).phrase
        body = {"type": "about:blank", "title": title, "status": self.status, "detail": self.why}
        return web.json_response(
            body, status=self.status, content_type="application/problem+json", headers=self._headers
        )


def not_now(why: str) -> Refusal:
    """The counter keeps what it has and comes again."""
    return Refusal(503, why, headers={"Retry-After": str(RETRY_S)})
