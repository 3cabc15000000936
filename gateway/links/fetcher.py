"""One address, asked over HTTP: within the budget, under our login, never led elsewhere."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping
from typing import Protocol

import aiohttp
from yarl import URL

from gateway import __version__
from gateway.clock import Clock
from gateway.driver import Fetch, Response
from gateway.errors import LinkError, unreached
from gateway.links.budget import Budget
from gateway.links.login import Headers, Login, LoginSettings
from gateway.links.supervise import LinkState
from gateway.retry import retry_after_s

TRIES = 3  # of one question that is put off (429) or asked under a token that has ended (401)
PUT_OFF = frozenset({429, 503})
PUT_OFF_S = 60.0  # where a 429 does not say for how long
SILENT = 2  # questions in a row without any answer: then it is the address, not the question
LOOPBACK_WAIT_S = 5.0  # of real time, even when a simulated clock shrinks the time-out
ERRORS = (aiohttp.ClientError, OSError, EOFError, ValueError)
TLS_ERRORS = (aiohttp.ClientSSLError, aiohttp.ServerFingerprintMismatch, ssl.SSLError)


class WebSettings(LoginSettings, Protocol):
    """Where, and what is believed there."""

    @property
    def url(self) -> str: ...
    @property
    def ca_file(self) -> str | None: ...
    @property
    def fingerprint(self) -> str | None: ...
    @property
    def max_body_bytes(self) -> int: ...


class Fetcher:
    """`fetch` answers what concerns one question and raises LinkError for what concerns the address.

    `why`: what was wrong with the last answer, "" for a good one.
    """

    def __init__(
        self, settings: WebSettings, login: Login, budget: Budget, clock: Clock, state: LinkState
    ) -> None:
        self._settings, self._login, self._budget, self._clock = settings, login, budget, clock
        self._state = state
        self._silent = 0
        self.why = ""
        tls, digest = self._tls(), self._digest()
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=tls, limit=1),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"User-Agent": f"counter-gateway/{__version__}", "Accept-Encoding": "identity"},
            middlewares=digest,
            trust_env=False,
        )

    async def close(self) -> None:
        await self._session.close()

    async def fetch(self, fetch: Fetch, known: Mapping[str, str] | None = None) -> Response:
        """`known`: what makes the question conditional. `data` is None for anything but a whole 2xx."""
        response = Response(None, self._clock.wall_ms())
        for _ in range(TRIES):
            headers = {**fetch.headers, **(known or {}), **await self._login.headers(self._ask)}
            response = await self._ask(fetch, headers)
            renewed = response.status == 401 and self._login.refused()
            if not renewed and self._put_off_s(response) is None:
                break
        self._judge(fetch, response)
        return response

    def _judge(self, fetch: Fetch, response: Response) -> None:
        """Raises LinkError for an answer that nobody at this address will improve on."""
        status = response.status
        self.why = "" if response.data is not None or status == 304 else self.why
        if status == 401:
            raise LinkError(f"401 for {fetch.path}: our login is not taken")
        if 300 <= status < 400 and status != 304:
            raise LinkError(f"{status} for {fetch.path}: redirects are not followed")

    async def _ask(self, fetch: Fetch, headers: Headers | None = None) -> Response:
        """Waits for its turn in the budget, asks once and heeds a wish to be left alone."""
        loop = asyncio.get_running_loop()
        await asyncio.sleep(self._budget.wait_s(loop.time()))
        self._budget.spend(loop.time())
        response = await self._once(fetch, fetch.headers if headers is None else headers)
        put_off_s = self._put_off_s(response)
        if put_off_s is not None:
            self._budget.rest(loop.time(), put_off_s)
            self._state.error = f"{response.status}: told to wait {put_off_s:g} s"
        return response

    def _put_off_s(self, response: Response) -> float | None:
        """How long the other side wants to be left alone; None when it does not."""
        if response.status not in PUT_OFF:
            return None
        headers = {name.title(): value for name, value in response.headers.items()}
        asked_s = retry_after_s(headers, response.at_ms)
        return PUT_OFF_S if asked_s is None and response.status == 429 else asked_s

    async def _once(self, fetch: Fetch, headers: Mapping[str, str]) -> Response:
        wait_s = self._wait_s(fetch.timeout_ms / 1000)
        try:
            async with self._session.request(
                fetch.method,
                _below(self._settings.url, fetch.path),
                data=fetch.body,
                headers=headers,
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=wait_s),
            ) as answer:
                data = await self._body(answer)
                self._silent = 0
                told = {name.lower(): value for name, value in answer.headers.items()}
                return Response(data, self._clock.wall_ms(), answer.status, told)
        except TimeoutError:
            self._silent += 1
            self.why = f"no answer within {fetch.timeout_ms / 1000:g} s"
            if self._silent >= SILENT:
                raise LinkError(self.why) from None
            return Response(None, self._clock.wall_ms())
        except TLS_ERRORS as error:
            raise LinkError(f"TLS: {error}") from error
        except aiohttp.ClientConnectorError as error:
            raise LinkError(unreached(str(error.host), error.port, error.os_error)) from error
        except ERRORS as error:
            raise LinkError(str(error) or type(error).__name__) from error

    async def _body(self, answer: aiohttp.ClientResponse) -> bytes | None:
        """The whole body of a 2xx; None when longer than allowed: then the rest is not read."""
        self.why = str(answer.status)
        if not 200 <= answer.status < 300:
            return None
        limit = self._settings.max_body_bytes
        try:
            await answer.content.readexactly(limit + 1)
        except asyncio.IncompleteReadError as whole:
            return whole.partial
        self.why = f"an answer of more than {limit} bytes"
        self._state.telegrams["too_large"] += 1
        answer.close()
        return None

    def _tls(self) -> ssl.SSLContext | aiohttp.Fingerprint | bool:
        """Raises LinkError for a damaged certificate."""
        if not self._settings.url.startswith("https:"):
            return True
        if self._settings.fingerprint:
            return aiohttp.Fingerprint(bytes.fromhex(self._settings.fingerprint.replace(":", "")))
        try:
            return ssl.create_default_context(cafile=self._settings.ca_file)
        except OSError as error:
            raise LinkError(f"TLS: {self._settings.ca_file}: {error}") from error

    def _digest(self) -> tuple[aiohttp.DigestAuthMiddleware, ...]:
        if self._settings.auth != "digest":
            return ()
        return (aiohttp.DigestAuthMiddleware(self._settings.username or "", self._login.password()),)

    def _wait_s(self, seconds: float) -> float:
        """Simulated seconds are short, the peer on this machine is not faster for it."""
        simulation = self._clock.simulation
        return max(seconds, LOOPBACK_WAIT_S * simulation.speed if simulation else 0.0)


def _below(url: str, path: str) -> URL:
    """What is asked for below the link's address; a mere query, or nothing, asks the address as it is."""
    return URL(url + path if path[:1] in ("", "?") else url.rstrip("/") + "/" + path.lstrip("/"))
