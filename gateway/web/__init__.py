"""The local HTTP: page, API, metrics and probes."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from gateway.web.entering import Entry
    from gateway.web.routes import Source


class HttpTable(Protocol):
    """`[http]` of a configuration."""

    @property
    def host(self) -> str: ...

    @property
    def port(self) -> int: ...

    @property
    def token(self) -> str | None: ...


class WithHttp(Protocol):
    @property
    def http(self) -> HttpTable: ...


def serve(config: WithHttp, health: Source, entry: Entry) -> AbstractAsyncContextManager[tuple[str, int]]:
    """The local HTTP while the context lasts; it gives the bound (host, port)."""
    from gateway.web.routes import serving

    http = config.http
    return serving(health, http.host, http.port, http.token, entry)
