"""Events over HTTPS: CloudEvents in batched mode, one POST a batch, an answer that says what is stored."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import json
import ssl
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import aiohttp
from pydantic import AfterValidator, Field
from yarl import URL

from gateway import __version__
from gateway.clock import Clock
from gateway.driver import Options
from gateway.errors import unreached
from gateway.model import Event, Receipt
from gateway.upstreams import Secrets, UpstreamDriver
from gateway.upstreams.answers import Meaning, Sieve, Verdict, judge

CONTENT_TYPE = "application/cloudevents-batch+json"
GZIP_FROM_BYTES = 4096
BODY_BYTES = 65_536  # of an answer, plus
REASON_BYTES = 512  # for each event sent, so that every one of them may be rejected with a reason
LOOPBACK_WAIT_S = 5.0  # of real time, even when a simulated clock shrinks the time-out
LATER_ERRORS = (aiohttp.ClientError, OSError, TimeoutError, EOFError)
TLS_ERRORS = (aiohttp.ClientSSLError, aiohttp.ServerFingerprintMismatch, ssl.SSLError)


def _web_address(text: str) -> str:
    url = URL(text)
    if url.scheme not in ("http", "https") or not url.host:
        raise ValueError("must be an http:// or https:// address")
    if url.user or url.password:
        raise ValueError("must not hold a password: use token_file")
    return text


class HttpOptions(Options):
    """`[upstream.NAME.options]` of driver http."""

    url: Annotated[str, AfterValidator(_web_address)] = Field(description="where batches are posted")
    token_file: str | None = Field(None, description="file with the bearer token; read anew for each batch")
    ca_file: str | None = Field(None, description="PEM of the authority to trust instead of the system's")
    cert_file: str | None = Field(None, description="PEM of our client certificate")
    key_file: str | None = Field(None, description="PEM of its key, when apart from cert_file")
    timeout_s: float = Field(30.0, gt=0, le=600, description="for one POST and its whole answer, seconds")
    batch: int = Field(500, ge=1, le=5000, description="most events in one POST")
    gzip: bool = Field(True, description="compress bodies of 4 kB and more")


def encode(batch: Sequence[Event], compress: bool) -> tuple[bytes, dict[str, str]]:
    """Body and headers of one POST. The key is of the JSON text: the same for a repeat, compressed or not."""
    bodies = [event.body for event in batch]
    text = json.dumps(bodies, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()
    headers = {"Content-Type": CONTENT_TYPE, "Idempotency-Key": hashlib.sha256(text).hexdigest()}
    if all(event.replayed for event in batch):
        headers["Footfall-Replayed"] = "true"
    if not compress or len(text) < GZIP_FROM_BYTES:
        return text, headers
    return gzip.compress(text, compresslevel=1, mtime=0), headers | {"Content-Encoding": "gzip"}


class HttpUpstream:
    """Posts batches to one address. Redirects, cookies and the environment's proxies are not followed."""

    def __init__(self, options: HttpOptions, secrets: Secrets, clock: Clock) -> None:
        self._options = options
        self._secrets = secrets
        self._clock = clock
        self._sieve = Sieve()
        self._session: aiohttp.ClientSession | None = None

    async def send(self, batch: Sequence[Event]) -> Receipt:
        return await self._sieve.deliver(batch, self._post)

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def _post(self, batch: Sequence[Event]) -> Verdict:
        try:
            session, token = self._open(), self._authorization()
        except (OSError, ValueError) as error:  # a missing token, a damaged certificate
            return Verdict(Meaning.MISCONFIGURED, f"{type(error).__name__}: {error}")
        body, headers = await asyncio.to_thread(encode, batch, self._options.gzip)
        try:
            return await self._exchange(session, body, headers | token, len(batch))
        except TLS_ERRORS as error:
            return Verdict(Meaning.MISCONFIGURED, f"TLS: {error}")
        except aiohttp.InvalidURL as error:
            return Verdict(Meaning.MISCONFIGURED, f"address: {error}")
        except TimeoutError:
            return Verdict(Meaning.LATER, f"no answer within {self._options.timeout_s:g} s")
        except aiohttp.ClientConnectorError as error:
            return Verdict(Meaning.LATER, unreached(error.host, error.port, error.os_error))
        except LATER_ERRORS as error:
            return Verdict(Meaning.LATER, str(error) or type(error).__name__)

    async def _exchange(
        self, session: aiohttp.ClientSession, body: bytes, headers: dict[str, str], events: int
    ) -> Verdict:
        url = self._options.url
        async with session.post(url, data=body, headers=headers, allow_redirects=False) as answer:
            told = await _read(answer, BODY_BYTES + REASON_BYTES * events)
            return judge(answer.status, answer.headers, told, self._clock.wall_ms())

    def _open(self) -> aiohttp.ClientSession:
        """The session, made at the first batch: making one touches files, and there is no loop before."""
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(ssl=self._tls(), limit=2),
                timeout=aiohttp.ClientTimeout(total=self._wait_s()),
                cookie_jar=aiohttp.DummyCookieJar(),
                headers={"User-Agent": f"counter-gateway/{__version__}", "Accept-Encoding": "identity"},
                auto_decompress=False,
                trust_env=False,
            )
        return self._session

    def _tls(self) -> ssl.SSLContext | bool:
        if not self._options.url.startswith("https:"):
            return True
        options = self._options
        context = ssl.create_default_context(cafile=options.ca_file and str(self._secrets(options.ca_file)))
        if options.cert_file:
            key = options.key_file and str(self._secrets(options.key_file))
            context.load_cert_chain(str(self._secrets(options.cert_file)), key)
        return context

    def _wait_s(self) -> float:
        """Simulated seconds are short, the peer on this machine is not faster for it."""
        simulation = self._clock.simulation
        return max(self._options.timeout_s, LOOPBACK_WAIT_S * simulation.speed if simulation else 0.0)

    def _authorization(self) -> dict[str, str]:
        if not self._options.token_file:
            return {}
        path: Path = self._secrets(self._options.token_file)
        token = path.read_text().strip()
        if not (token and token.isascii() and token.isprintable()) or " " in token:
            raise ValueError(f"{path.name} holds no token: expected one line of visible characters")
        return {"Authorization": f"Bearer {token}"}


async def _read(answer: aiohttp.ClientResponse, limit: int) -> bytes | None:
    """The body, or None when longer than `limit`: then the rest is not read and the connection dropped."""
    told = bytearray()
    async for chunk in answer.content.iter_chunked(16_384):
        told += chunk
        if len(told) > limit:
            answer.close()
            return None
    return bytes(told)


DRIVER = UpstreamDriver("http", HttpOptions, HttpUpstream)
