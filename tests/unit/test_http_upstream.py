"""HttpUpstream against real loopback servers that do every wrong thing."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import json
import ssl
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web
from pydantic import ValidationError

from gateway.clock import Clock, parse_simulated
from gateway.errors import UnknownDriver
from gateway.model import Event, Receipt
from gateway.upstreams import load_upstream
from gateway.upstreams.http import HttpOptions, HttpUpstream, encode
from simulators.upstream import HeadOffice
from tests.upstream_events import event, events

TIMEOUT_S = 1.0
Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def sender(url: str, folder: Path = Path(), **options: object) -> AsyncIterator[HttpUpstream]:
    values = {"url": url, "timeout_s": TIMEOUT_S, **options}
    upstream = HttpUpstream(HttpOptions.model_validate(values), folder.joinpath, Clock())
    try:
        yield upstream
    finally:
        await upstream.close()


@asynccontextmanager
async def raw_server(serve: Serve) -> AsyncIterator[str]:
    """A server that does with each connection as told, HTTP or not."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await serve(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/events"
    finally:
        server.close()


async def send(url: str, batch: list[Event], folder: Path = Path(), **options: object) -> Receipt:
    async with sender(url, folder, **options) as upstream, asyncio.timeout(10 * TIMEOUT_S):
        return await upstream.send(batch)


def all_of(batch: list[Event]) -> frozenset[str]:
    return frozenset(one.id for one in batch)


@asynccontextmanager
async def answering(handler: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> AsyncIterator[str]:
    app = web.Application(client_max_size=1 << 24)
    app.router.add_route("*", "/events", handler)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/events"
    finally:
        await runner.cleanup()


# what is sent -----------------------------------------------------------------------------------------------


async def test_a_batch_arrives_as_the_contract_describes_it(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("s3cret\n")
    seen: list[tuple[str, dict[str, str], bytes]] = []

    async def handler(request: web.Request) -> web.Response:
        seen.append((request.method, dict(request.headers), await request.read()))
        return web.Response()

    batch = events(3)
    async with answering(handler) as url:
        receipt = await send(url, batch, tmp_path, token_file="token")
    assert receipt == Receipt(accepted=all_of(batch))
    [(method, headers, body)] = seen
    assert method == "POST"
    assert headers["Content-Type"] == "application/cloudevents-batch+json"
    assert headers["Idempotency-Key"] == hashlib.sha256(body).hexdigest()
    assert headers["Authorization"] == "Bearer s3cret"
    assert "Footfall-Replayed" not in headers
    assert "Content-Encoding" not in headers
    assert json.loads(body) == [one.body for one in batch]


async def test_a_large_batch_is_compressed_and_keyed_by_its_text() -> None:
    async with HeadOffice() as office:
        await send(office.url, events(100))
        await send(office.url, events(100), gzip=False)
        compressed, plain = office.requests
        assert office.tally()["fresh"] == 100
        assert office.tally()["repeated"] == 100
    assert compressed.headers["Content-Encoding"] == "gzip"
    assert "Content-Encoding" not in plain.headers
    assert compressed.headers["Idempotency-Key"] == plain.headers["Idempotency-Key"]
    assert int(compressed.headers["Content-Length"]) < int(plain.headers["Content-Length"]) / 5


def test_repeats_are_the_same_bytes() -> None:
    assert encode(events(100), compress=True) == encode(events(100), compress=True)
    body, headers = encode(events(100), compress=True)
    assert headers["Idempotency-Key"] == hashlib.sha256(gzip.decompress(body)).hexdigest()


def test_backlog_is_marked_in_a_header_never_in_the_body() -> None:
    one = event()
    replayed = Event(one.zone, one.size_s, one.start_ms, one.revision, one.id, one.body, replayed=True)
    live_body, live_headers = encode([one], compress=True)
    body, headers = encode([replayed], compress=True)
    assert body == live_body
    assert headers == live_headers | {"Footfall-Replayed": "true"}


async def test_a_renewed_token_is_used_without_a_restart(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("old")
    async with (
        HeadOffice(token="new") as office,
        sender(office.url, tmp_path, token_file="token") as upstream,
    ):
        assert (await upstream.send(events(1))).misconfigured
        (tmp_path / "token").write_text("new")
        assert (await upstream.send(events(1))).accepted


@pytest.mark.parametrize("content", [None, "", "two words", "two\nlines", "snö"])
async def test_a_missing_or_unusable_token_sends_nothing(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "token").write_text(content)
    async with HeadOffice() as office:
        receipt = await send(office.url, events(1), tmp_path, token_file="token")
        assert not office.requests
    assert receipt.misconfigured
    assert not receipt.accepted
    assert not content or content not in receipt.why_kept


async def test_the_environments_proxy_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    async with HeadOffice() as office:
        assert (await send(office.url, events(1))).accepted


# what is answered -------------------------------------------------------------------------------------------


async def test_rejected_events_come_with_reasons_and_the_rest_is_stored() -> None:
    batch = events(50)
    bad = batch[7].id
    async with HeadOffice(mode=f"reject:{bad}") as office:
        receipt = await send(office.url, batch)
        assert len(office.windows()) == 49
    assert receipt.rejected == {bad: "rejected on demand"}
    assert receipt.accepted == all_of(batch) - {bad}


async def test_a_strict_receiver_with_one_poisoned_event_gets_all_the_others() -> None:
    batch = events(200)
    bad = batch[77].id
    async with HeadOffice(mode=f"poison:{bad}") as office:
        receipt = await send(office.url, batch)
        assert len(office.windows()) == 199
    assert list(receipt.rejected) == [bad]


async def test_a_receiver_of_small_batches_gets_small_batches() -> None:
    async with HeadOffice(mode="limit:16") as office:
        receipt = await send(office.url, events(100))
        assert len(office.windows()) == 100
    assert len(receipt.accepted) == 100


async def test_a_reason_for_every_event_of_a_full_batch_is_read() -> None:
    batch = events(500)

    async def handler(_request: web.Request) -> web.Response:
        return web.json_response({"rejected": {one.id: "x" * 300 for one in batch}})

    async with answering(handler) as url:
        assert len((await send(url, batch)).rejected) == 500


@pytest.mark.parametrize(
    ("mode", "why"),
    [
        ("refuse", ""),
        ("status:503", "503"),
        ("status:429", "429"),
        ("status:500", "500"),
        ("stall", "no answer within 1 s"),
        ("trickle", "no answer within 1 s"),
        ("portal", "captive portal"),
        ("flood", "longer body"),
        ("lose-answers", ""),
    ],
)
async def test_a_fault_keeps_every_event_for_later(mode: str, why: str) -> None:
    async with HeadOffice(mode=mode) as office:
        receipt = await send(office.url, events(5))
    assert not receipt.accepted
    assert not receipt.rejected
    assert not receipt.misconfigured
    assert receipt.why_kept
    assert why in receipt.why_kept


@pytest.mark.parametrize("mode", ["status:401", "status:403", "status:404", "status:405", "redirect"])
async def test_what_the_operator_must_mend(mode: str) -> None:
    async with HeadOffice(mode=mode) as office:
        receipt = await send(office.url, events(5))
        assert len(office.requests) == 1
    assert receipt.misconfigured
    assert not receipt.accepted
    assert not receipt.rejected


async def test_retry_after_is_handed_on() -> None:
    async with HeadOffice(mode="status:503:42") as office:
        assert (await send(office.url, events(1))).retry_after_s == 42


async def test_nobody_listens() -> None:
    async with HeadOffice() as office:
        url = office.url
        await office.set_mode("down")
        receipt = await send(url, events(2))
        assert not receipt.misconfigured
        assert not receipt.accepted
        assert receipt.why_kept == f"cannot reach {url.split('/')[2]}: Connection refused"
        await office.set_mode("ok")
        assert office.url == url
        assert (await send(url, events(2))).accepted


async def test_a_name_that_does_not_resolve_is_no_misconfiguration() -> None:
    receipt = await send("http://head-office.invalid/events", events(1))
    assert receipt.why_kept
    assert not receipt.misconfigured


async def test_a_lost_answer_is_repeated_harmlessly() -> None:
    batch = events(20)
    async with HeadOffice(mode="lose-answers") as office, sender(office.url) as upstream:
        assert not (await upstream.send(batch)).accepted
        await office.set_mode("ok")
        assert (await upstream.send(batch)).accepted == all_of(batch)
        assert office.sums()["mall"]["ins"] == 20 * 31
        assert office.tally()["repeated"] == 20
        first, second = office.requests
        assert first.headers["Idempotency-Key"] == second.headers["Idempotency-Key"]


async def _garbage(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(100)
    writer.write(b"\x00\xff SSH-2.0-dropbear\r\n\r\n")


async def _cut_answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n{}")
    await writer.drain()


async def _giant_header(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 200 OK\r\nX: " + b"x" * 1_000_000 + b"\r\n\r\n")
    await writer.drain()


async def _bad_length(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n")
    await writer.drain()


async def _unasked_gzip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    bomb = gzip.compress(b" " * 10_000_000)
    head = f"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {len(bomb)}\r\n\r\n"
    writer.write(head.encode() + bomb)
    await writer.drain()


@pytest.mark.parametrize("serve", [_garbage, _cut_answer, _giant_header, _bad_length, _unasked_gzip])
async def test_no_http_at_all_or_half_of_it_is_never_stored(serve: Serve) -> None:
    async with raw_server(serve) as url:
        receipt = await send(url, events(3))
    assert not receipt.accepted
    assert not receipt.rejected
    assert not receipt.misconfigured
    assert receipt.why_kept


async def test_a_flood_is_cut_off_early() -> None:
    written = 0

    async def flood(request: web.Request) -> web.StreamResponse:
        nonlocal written
        answer = web.StreamResponse()
        await answer.prepare(request)
        while True:
            await answer.write(b" " * 65_536)
            written += 65_536

    async with answering(flood) as url:
        receipt = await send(url, events(1))
    assert not receipt.accepted
    assert written < 16 << 20, "socket buffers, not the whole flood"


# TLS --------------------------------------------------------------------------------------------------------


def certificate(folder: Path, name: str) -> tuple[Path, Path]:
    """A self-signed certificate, which is its own authority."""
    key, cert = folder / f"{name}.key", folder / f"{name}.crt"
    command = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
    ]
    command += ["-days", "2", "-subj", f"/CN={name}", "-addext", f"subjectAltName={name}"]
    subprocess.run([*command, "-keyout", key, "-out", cert], check=True, capture_output=True)
    return cert, key


@asynccontextmanager
async def secure(folder: Path, subject: str) -> AsyncIterator[tuple[str, Path]]:
    cert, key = certificate(folder, subject)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)

    async def handler(_request: web.Request) -> web.Response:
        return web.Response()

    app = web.Application()
    app.router.add_post("/events", handler)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
    try:
        yield f"https://127.0.0.1:{runner.addresses[0][1]}/events", cert
    finally:
        await runner.cleanup()


@pytest.mark.needs("openssl")
async def test_tls_is_verified_against_the_given_authority(tmp_path: Path) -> None:
    async with secure(tmp_path, "IP:127.0.0.1") as (url, cert):
        trusted = await send(url, events(1), tmp_path, ca_file=cert.name)
        untrusted = await send(url, events(1), tmp_path)
    assert trusted.accepted
    assert untrusted.misconfigured
    assert "TLS" in untrusted.why_kept


@pytest.mark.needs("openssl")
async def test_a_certificate_for_another_name_is_a_misconfiguration(tmp_path: Path) -> None:
    async with secure(tmp_path, "DNS:somebody-else.example") as (url, cert):
        receipt = await send(url, events(1), tmp_path, ca_file=cert.name)
    assert receipt.misconfigured
    assert not receipt.accepted


async def test_plain_http_where_tls_is_expected_is_a_misconfiguration() -> None:
    async with HeadOffice() as office:
        receipt = await send(office.url.replace("http:", "https:"), events(1))
    assert receipt.misconfigured
    assert not receipt.accepted


@pytest.mark.parametrize("content", [None, "not a certificate"])
async def test_a_missing_or_damaged_authority_sends_nothing(tmp_path: Path, content: str | None) -> None:
    if content:
        (tmp_path / "ca.crt").write_text(content)
    receipt = await send("https://127.0.0.1:9/events", events(1), tmp_path, ca_file="ca.crt")
    assert receipt.misconfigured


# options ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"url": "ftp://host/x"},
        {"url": "events"},
        {"url": "https://"},
        {"url": "https://me:word@host/x"},
        {"url": "https://host/x", "timeout_s": 0},
        {"url": "https://host/x", "verify": False},
    ],
)
def test_wrong_options_are_named(options: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        HttpOptions.model_validate(options)


def test_a_driver_is_found_by_its_name() -> None:
    driver = load_upstream("http")
    assert driver.name == "http"
    opened = driver.open(driver.options.model_validate({"url": "https://host/x"}), Path, Clock())
    assert isinstance(opened, HttpUpstream)
    with pytest.raises(UnknownDriver, match=r"'htpp'; known: http"):
        load_upstream("htpp")


async def test_a_simulated_clock_leaves_a_real_receiver_its_real_seconds() -> None:
    clock = Clock(simulated=parse_simulated("2026-11-23T09:00:00Z,300"))
    upstream = HttpUpstream(HttpOptions(url="http://127.0.0.1:9/x"), Path, clock)
    assert upstream._wait_s() == 1500
