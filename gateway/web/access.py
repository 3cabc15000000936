"""Who may ask: names of this machine on loopback, a token elsewhere. Every answer forbids foreign content."""

from __future__ import annotations

import base64
import binascii
import hmac
import ipaddress
import logging
from collections.abc import Awaitable, Callable
from http import HTTPStatus

from aiohttp import hdrs, web
from aiohttp.typedefs import Middleware

log = logging.getLogger("gateway.web")

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]
OPEN_PATHS = frozenset({"/healthz", "/readyz"})  # probes carry no token and learn nothing
SECURITY = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
}


def is_loopback(host: str) -> bool:
    """Does this listening address reach only this machine?"""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def require_token(host: str, token: str | None) -> None:
    """Raises ValueError when `host` is reachable from outside and nothing guards it."""
    if not is_loopback(host) and not token:
        raise ValueError(f"http.listen: {host} is not loopback, so http.token_file is needed")


def problem(status: int, detail: str, headers: dict[str, str] | None = None) -> web.Response:
    """RFC 9457 problem details."""
    body = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status, "detail": detail}
    return web.json_response(body, status=status, content_type="application/problem+json", headers=headers)


def _offered(request: web.Request) -> str:
    """The token of a Bearer header, or the password of a Basic one (what a browser can be asked for)."""
    scheme, _, rest = request.headers.get(hdrs.AUTHORIZATION, "").partition(" ")
    if scheme.lower() == "bearer":
        return rest.strip()
    if scheme.lower() == "basic":
        try:
            return base64.b64decode(rest, validate=True).decode().partition(":")[2]
        except (binascii.Error, UnicodeDecodeError):
            return ""
    return ""


def guard(token: str | None) -> Middleware:
    """With a token: it must be shown. Without: the Host must name loopback, else a page elsewhere asks."""

    @web.middleware
    async def check(request: web.Request, handler: Answer) -> web.StreamResponse:
        if request.path in OPEN_PATHS:
            return await handler(request)
        if token is None:
            if not _names_loopback(request.headers.get(hdrs.HOST, "")):
                return problem(403, "this address answers only to localhost")
        elif not hmac.compare_digest(_offered(request).encode(), token.encode()):
            return problem(401, "a token is needed", {"WWW-Authenticate": 'Basic realm="counter-gateway"'})
        return await handler(request)

    return check


def _names_loopback(host: str) -> bool:
    name = host.rpartition(":")[0] if host.rpartition(":")[2].isdigit() and "]" not in host[-1:] else host
    return is_loopback(name)


@web.middleware
async def problems(request: web.Request, handler: Answer) -> web.StreamResponse:
    """Every error leaves as problem+json; what we did not foresee is logged, never shown."""
    try:
        return await handler(request)
    except web.HTTPException as error:
        if error.status < 400:
            raise
        allow = {"Allow": error.headers["Allow"]} if "Allow" in error.headers else None
        return problem(error.status, error.text or error.reason, allow)
    except Exception:
        log.exception("%s %s failed", request.method, request.path)
        return problem(500, "see the log")


@web.middleware
async def harden(request: web.Request, handler: Answer) -> web.StreamResponse:
    response = await handler(request)
    if not response.prepared:
        response.headers.update(SECURITY)
        response.headers.setdefault("Cache-Control", "no-store")
    return response
