"""One address over HTTP, on loopback: how we say who we are, and where we are never led."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import re
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import pytest
from aiohttp import web

from gateway.clock import Clock
from gateway.config import PullOptions
from gateway.driver import Fetch, Response
from gateway.errors import LinkError
from gateway.links.budget import Budget
from gateway.links.fetcher import Fetcher
from gateway.links.login import Login
from gateway.links.supervise import LinkState

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass
class Asking:
    fetcher: Fetcher
    state: LinkState

    async def ask(self, path: str = "/counts", **more: Any) -> Response:
        return await self.fetcher.fetch(Fetch(path, **more))


@contextlib.asynccontextmanager
async def asking(handler: Handler, below: str = "", **options: Any) -> AsyncIterator[Asking]:
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handler)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1, handler_cancellation=True)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    settings = PullOptions(url=f"http://127.0.0.1:{runner.addresses[0][1]}{below}", **options)
    state = LinkState()
    fetcher = Fetcher(settings, Login(settings), Budget(0), Clock("always"), state)
    try:
        yield Asking(fetcher, state)
    finally:
        await fetcher.close()
        await runner.cleanup()


@pytest.fixture
def secret(tmp_path: Path) -> str:
    path = tmp_path / "word"
    path.write_text("opensesame\n")
    return str(path)


async def test_basic(secret: str) -> None:
    async def handler(request: web.Request) -> web.Response:
        expected = "Basic " + base64.b64encode(b"Aladdin:opensesame").decode()
        return web.Response(text="{}", status=200 if request.headers["Authorization"] == expected else 401)

    async with asking(handler, auth="basic", username="Aladdin", password_file=secret) as one:
        assert (await one.ask()).data == b"{}"


async def test_bearer_is_read_anew(secret: str) -> None:
    heard = []

    async def handler(request: web.Request) -> web.Response:
        heard.append(request.headers["Authorization"])
        return web.Response()

    async with asking(handler, auth="bearer", token_file=secret) as one:
        await one.ask()
        Path(secret).write_text("another\n")
        await one.ask(headers={"Authorization": "Bearer of the driver"})
    assert heard == ["Bearer opensesame", "Bearer another"]


@pytest.mark.parametrize(
    ("below", "path", "asked"),
    [
        ("/counts.json", "", "/counts.json"),
        ("/counts.json", "?day=1", "/counts.json?day=1"),
        ("/api/", "", "/api/"),
        ("/api/", "/counts", "/api/counts"),
        ("/api", "counts", "/api/counts"),
        ("", "", "/"),
        ("", "?day=1", "/?day=1"),
    ],
)
async def test_only_what_lies_below_the_address_gets_a_slash(below: str, path: str, asked: str) -> None:
    heard = []

    async def handler(request: web.Request) -> web.Response:
        heard.append(request.path_qs)
        return web.Response()

    async with asking(handler, below) as one:
        await one.ask(path)
    assert heard == [asked]


def md5(text: str) -> str:
    return hashlib.md5(text.encode()).hexdigest()


async def test_digest_never_says_the_password(secret: str) -> None:
    """RFC 7616, worked out here by hand: MD5, qop auth."""
    heard: list[str] = []

    async def handler(request: web.Request) -> web.Response:
        given = request.headers.get("Authorization", "")
        heard.append(given)
        said = dict(re.findall(r'(\w+)="?([^",]*)"?', given))
        if said:
            first, second = md5("me:camera:opensesame"), md5(f"GET:{said['uri']}")
            middle = f"{said['nonce']}:{said['nc']}:{said['cnonce']}:{said['qop']}"
            if said["response"] == md5(f"{first}:{middle}:{second}"):
                return web.Response(text="counted")
        challenge = 'Digest realm="camera", nonce="0a1b2c", qop="auth", algorithm=MD5'
        return web.Response(status=401, headers={"WWW-Authenticate": challenge})

    async with asking(handler, auth="digest", username="me", password_file=secret) as one:
        assert (await one.ask("/local/counts?live-sum.json")).data == b"counted"
        assert (await one.ask("/local/counts?live-sum.json")).status == 200
    assert heard[0] == ""
    assert not any("opensesame" in given for given in heard)


async def test_a_login_that_is_not_taken_concerns_the_address(secret: str) -> None:
    async def handler(_request: web.Request) -> web.Response:
        return web.Response(status=401)

    for options in (
        {},
        {"auth": "basic", "username": "me", "password_file": secret},
        {"auth": "digest", "username": "me", "password_file": secret},
    ):
        async with asking(handler, **options) as one:
            with pytest.raises(LinkError, match="401 for /counts: our login is not taken"):
                await one.ask()


@pytest.mark.parametrize(
    "body", [b"{}", b'{"token": 7}', b"", b'{"token": "a b"}', b'{"token": "x\\ny"}', b"[" * 9000]
)
async def test_an_answer_without_a_token_is_told(secret: str, body: bytes) -> None:
    async def handler(_request: web.Request) -> web.Response:
        return web.Response(body=body)

    async with asking(handler, auth="token", client_id="1", key_file=secret) as one:
        with pytest.raises(LinkError, match=r"token"):
            await one.ask()


async def test_a_token_as_plain_text_or_as_a_json_string_is_taken(secret: str) -> None:
    for body in (b"abc.def\n", b'"abc.def"', b'{"access": "abc.def"}'):

        async def handler(request: web.Request, body: bytes = body) -> web.Response:
            if request.path == "/auth/login":
                assert await request.json() == {"client_id": "77", "secret": "opensesame"}
                return web.Response(body=body)
            assert request.headers["Authorization"] == "Bearer abc.def"
            assert request.headers["X-Client"] == "77"
            return web.Response(text="ok")

        words = {"token_path": "/auth/login", "token_client": "client_id", "token_key": "secret"}
        login = {"auth": "token", "client_id": "77", "key_file": secret, "client_header": "X-Client"}
        async with asking(handler, token_field="access", **words, **login) as one:
            assert (await one.ask()).data == b"ok"


async def test_nobody_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    settings = PullOptions(url=f"http://127.0.0.1:{port}")
    fetcher = Fetcher(settings, Login(settings), Budget(0), Clock("always"), LinkState())
    with pytest.raises(LinkError, match=f"^cannot reach 127.0.0.1:{port}: Connection refused$"):
        await fetcher.fetch(Fetch("/counts"))
    await fetcher.close()


async def test_a_secret_that_is_gone_is_told(secret: str) -> None:
    async def handler(_request: web.Request) -> web.Response:
        return web.Response()

    async with asking(handler, auth="bearer", token_file=secret) as one:
        Path(secret).unlink()
        with pytest.raises(LinkError, match="cannot be read"):
            await one.ask()


@pytest.mark.parametrize(
    "path", ["//evil.example/x", "http://evil.example/x", "@evil.example", "/a b?c=d e", "/æ"]
)
async def test_whatever_a_driver_asks_for_the_address_stays_ours(path: str) -> None:
    heard = []

    async def handler(request: web.Request) -> web.Response:
        heard.append(request.path)
        return web.Response()

    async with asking(handler, below="/api/") as one:
        assert (await one.ask(path)).status == 200
    assert heard[0].startswith("/api/")


async def test_a_post_says_its_body_and_headers() -> None:
    async def handler(request: web.Request) -> web.Response:
        assert (request.method, await request.read()) == ("POST", b"<search/>")
        assert request.headers["Content-Type"] == "application/xml"
        return web.Response(text="found", headers={"ETag": '"1"'})

    async with asking(handler) as one:
        response = await one.ask(
            method="POST", body=b"<search/>", headers={"Content-Type": "application/xml"}
        )
    assert (response.data, response.status, response.headers["etag"]) == (b"found", 200, '"1"')


@pytest.mark.parametrize("status", [400, 403, 404, 500, 502, 503])
async def test_what_is_wrong_with_one_question_is_its_own(status: int) -> None:
    async def handler(_request: web.Request) -> web.Response:
        return web.Response(status=status, text="no")

    async with asking(handler) as one:
        response = await one.ask()
        assert (response.data, response.status) == (None, status)
        assert one.fetcher.why == str(status)


@pytest.mark.parametrize("length", [True, False], ids=["declared", "endless"])
async def test_a_long_answer_is_not_read_to_its_end(length: bool) -> None:
    sent = 0

    async def handler(request: web.Request) -> web.StreamResponse:
        nonlocal sent
        answer = web.StreamResponse()
        if length:
            answer.content_length = 1 << 30
        await answer.prepare(request)
        with contextlib.suppress(ConnectionError):
            while sent < 1 << 26:
                await answer.write(b" " * 65_536)
                sent += 65_536
        return answer

    async with asking(handler, max_body_bytes=4096) as one:
        assert (await one.ask()).data is None
        assert one.fetcher.why == "an answer of more than 4096 bytes"
        assert one.state.telegrams["too_large"] == 1
    assert sent < 1 << 26


async def test_a_body_cut_short_is_no_answer() -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse()
        answer.content_length = 1000
        await answer.prepare(request)
        await answer.write(b"half")
        cast("Any", request.transport).abort()
        return answer

    async with asking(handler) as one:
        with pytest.raises(LinkError):
            await one.ask()


async def test_the_second_question_without_any_answer_concerns_the_address() -> None:
    async def handler(_request: web.Request) -> web.StreamResponse:
        await asyncio.Event().wait()
        raise AssertionError

    async with asking(handler) as one:
        assert (await one.ask(timeout_ms=50)).data is None
        assert one.fetcher.why == "no answer within 0.05 s"
        with pytest.raises(LinkError, match=r"no answer within 0\.05 s"):
            await one.ask(timeout_ms=50)
