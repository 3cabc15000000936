"""Counters that push, over real sockets: nothing answered before it is stored, nobody slows the others."""

from __future__ import annotations

import asyncio
import gzip
import hmac
import json
import threading
import zlib
from base64 import b64encode
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from io import BytesIO
from types import SimpleNamespace
from typing import Any

import aiohttp
import pytest

from gateway.clock import Clock
from gateway.driver import Message
from gateway.links import listener
from gateway.links.listener import Listener
from gateway.links.push import LONG_BYTES, PushLink
from gateway.model import Crossings, Damaged, DamageReason, Ignored, Item, Stamp

JSON = {"Content-Type": "application/json"}
SOON_S = 30.0


@dataclass
class Settings:
    auth: str = "none"
    username: str | None = None
    secret: str = ""
    max_payload_bytes: int = 5 << 20
    silence_s: float = 0.0
    keys: Sequence[str] = ()
    signature_header: str | None = "X-Signature"
    signature_encoding: str = "hex"
    signature_hash: str = "sha256"
    notification_url: str | None = None


@dataclass
class Port:
    host: str = "127.0.0.1"
    port: int = 0
    allow: Sequence[str] = ("127.0.0.1",)


class JsonDriver:
    """`{"ins": 1}` has neither time nor id; `{"test": …}` counts nothing; other bodies are noise."""

    def decode(self, message: Message) -> Iterable[Item]:
        try:
            body = json.loads(message.payload)
        except ValueError:
            return [Damaged(DamageReason.SYNTAX, len(message.payload))]
        if "crash" in body:
            raise RuntimeError("a driver with a bug")
        if "test" in body:
            return [Ignored("connection test")]
        if body["ins"] < 0:
            return [Damaged(DamageReason.SANITY, len(message.payload))]
        return [Crossings("door", "main", None, None, ins=body["ins"])]


class XmlDriver:
    def decode(self, message: Message) -> Iterable[Item]:
        if message.payload.startswith(b"<count>"):
            return [Crossings("camera", "main", None, None, ins=int(message.payload[7:8]))]
        return [Damaged(DamageReason.SYNTAX, len(message.payload))]


@dataclass
class OneSource:
    driver: Any = field(default_factory=JsonDriver)
    topics: Sequence[str] = ()
    family: Any = None


@dataclass
class Told:
    source: Any
    items: list[Item]
    topic: str
    done: Callable[[], None] | None


class FakeIngest:
    """Commits soon, unless the test commits by hand."""

    def __init__(self) -> None:
        self.by_hand = False
        self.full = False
        self.fault = ""
        self.told: list[Told] = []
        self.strange: list[tuple[str, str, str]] = []
        self.arrived = asyncio.Event()
        self._committed = 0

    def deliver(
        self,
        link: str,
        source: Any,
        items: Iterable[Item],
        stamp: Stamp,
        *,
        topic: str = "",
        done: Callable[[], None] | None = None,
        payload: bytes = b"",
        peer: str = "",
    ) -> None:
        self.told.append(Told(source, list(items), topic, done))
        self.arrived.set()
        if not self.by_hand:
            asyncio.get_running_loop().call_later(0.01, self.commit)

    def overheard(
        self, link: str, payload: bytes, stamp: Stamp, why: str, *, topic: str = "", peer: str = ""
    ) -> None:
        self.strange.append((peer, topic, why))

    def commit(self) -> None:
        waiting, self._committed = self.told[self._committed :], len(self.told)
        for one in waiting:
            if one.done:
                one.done()

    @property
    def persons(self) -> list[int | None]:
        return [item.ins for one in self.told for item in one.items if isinstance(item, Crossings)]


@dataclass
class Rig:
    link: PushLink
    listener: Listener
    ingest: FakeIngest
    session: aiohttp.ClientSession
    dialled: list[asyncio.StreamWriter] = field(default_factory=list)

    async def hang_up(self) -> None:
        for writer in self.dialled:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()

    @property
    def base(self) -> str:
        assert self.listener.address
        return f"http://127.0.0.1:{self.listener.address[1]}"

    @property
    def url(self) -> str:
        return f"{self.base}/push/lan"

    async def post(self, body: Any = b'{"ins": 1}', **more: Any) -> tuple[int, str]:
        more.setdefault("headers", JSON)
        async with self.session.post(more.pop("url", self.url), data=body, **more) as answer:
            return answer.status, await answer.text()

    async def dial(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        assert self.listener.address
        reader, writer = await asyncio.open_connection("127.0.0.1", self.listener.address[1])
        self.dialled.append(writer)
        return reader, writer

    def telegrams(self, result: str) -> int:
        return self.link.state.telegrams[result]


@asynccontextmanager
async def rig(
    settings: Settings | None = None,
    port: Port | None = None,
    sources: Sequence[OneSource] | None = None,
    answer_s: float = 20.0,
    **limits: Any,
) -> AsyncIterator[Rig]:
    clock, ingest, stop = Clock("always"), FakeIngest(), asyncio.Event()
    listener = Listener(port or Port(), clock, **limits)
    link = PushLink(
        "lan",
        settings or Settings(),
        [OneSource()] if sources is None else sources,
        clock,
        ingest,
        listener,
        answer_s=answer_s,
    )
    running = asyncio.create_task(link.run(stop))
    try:
        await until(lambda: link.state.up)
        async with aiohttp.ClientSession() as session:
            around = Rig(link, listener, ingest, session)
            try:
                yield around
            finally:
                await around.hang_up()
    finally:
        stop.set()
        await asyncio.wait_for(running, 10)


def head(length: int) -> bytes:
    kind = f"Content-Type: application/json\r\nContent-Length: {length}"
    return f"POST /push/lan HTTP/1.1\r\nHost: x\r\n{kind}\r\n\r\n".encode()


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(SOON_S):
        while not true():
            await asyncio.sleep(0.005)


async def test_no_answer_before_the_commit() -> None:
    async with rig() as around:
        around.ingest.by_hand = True
        answer = asyncio.create_task(around.post())
        await asyncio.wait_for(around.ingest.arrived.wait(), SOON_S)
        done, _ = await asyncio.wait([answer], timeout=0.2)
        assert not done
        around.ingest.commit()
        assert await answer == (200, "")
        assert around.ingest.persons == [1]


async def test_a_store_that_stalls_sends_the_counter_away_and_knows_it_again() -> None:
    async with rig(answer_s=0.1) as around:
        around.ingest.by_hand = True
        async with around.session.post(around.url, data=b'{"ins": 1}', headers=JSON) as answer:
            assert answer.status == 503
            assert int(answer.headers["Retry-After"]) > 0
        around.ingest.commit()
        assert await around.post() == (200, "")
        assert around.ingest.persons == [1]
        assert around.telegrams("duplicate") == 1
        around.ingest.by_hand = False
        assert await around.post() == (200, "")
        assert around.ingest.persons == [1, 1]  # the next person looks the same


async def test_a_body_whose_answer_was_lost_is_counted_once() -> None:
    async with rig() as around:
        around.ingest.by_hand = True
        _, writer = await around.dial()
        writer.write(head(10) + b'{"ins": 1}')
        await asyncio.wait_for(around.ingest.arrived.wait(), SOON_S)
        writer.transport.abort()
        again = asyncio.create_task(_again(around))
        await until(lambda: around.telegrams("duplicate") == 1)
        around.ingest.commit()
        assert (await again)[0] == 200
        assert around.ingest.persons == [1]


async def _again(around: Rig) -> tuple[int, str]:
    (door,) = around.link._unanswered.values()
    await until(lambda: not door.connected())
    return await around.post()


class Pausing(JsonDriver):
    """Reads a long body only when it is let."""

    def __init__(self) -> None:
        self.reading, self.may_read = threading.Event(), threading.Event()

    def decode(self, message: Message) -> Iterable[Item]:
        if len(message.payload) > LONG_BYTES:
            self.reading.set()
            assert self.may_read.wait(SOON_S), "nothing else went on meanwhile"
        return super().decode(message)


async def test_a_long_body_is_read_aside_and_in_its_turn() -> None:
    driver = Pausing()
    async with rig(sources=[OneSource(driver)]) as around:
        long = asyncio.create_task(around.post(b'{"ins": 1}' + b" " * LONG_BYTES))
        await until(driver.reading.is_set)
        short = asyncio.create_task(around.post(b'{"ins": 2}'))
        await until(lambda: len(around.link._unanswered) == 2)
        assert around.ingest.persons == []
        driver.may_read.set()
        assert [status for status, _ in await asyncio.gather(long, short)] == [200, 200]
        assert around.ingest.persons == [1, 2]


async def test_a_refusal_that_nobody_heard_is_not_kept() -> None:
    async with rig() as around:
        _, writer = await around.dial()
        writer.write(head(5) + b"noise")
        await until(lambda: bool(around.ingest.told))
        writer.transport.abort()
        assert (await around.post(b"noise"))[0] == 422
        assert len(around.ingest.told) == 2
        assert not around.link._unanswered


async def test_two_persons_at_once_that_look_alike_are_two() -> None:
    async with rig() as around:
        around.ingest.by_hand = True
        both = [asyncio.create_task(around.post()) for _ in range(2)]
        await until(lambda: len(around.ingest.told) == 2)
        around.ingest.commit()
        assert [status for status, _ in await asyncio.gather(*both)] == [200, 200]
        assert around.ingest.persons == [1, 1]


@pytest.mark.parametrize("body", [b'{"test": 1}', b"", b" \r\n"])
async def test_connection_tests_are_answered_and_count_nobody(body: bytes) -> None:
    async with rig() as around:
        assert await around.post(body) == (200, "")
        assert around.ingest.persons == []


async def test_nothing_is_taken_in_while_the_buffer_cannot_store() -> None:
    async with rig() as around:
        around.ingest.fault = "the card is full"
        status, text = await around.post()
        assert (status, json.loads(text)["detail"]) == (503, "the buffer cannot store: the card is full")
        around.ingest.fault, around.ingest.full = "", True
        assert (await around.post())[0] == 503
        around.ingest.full = False
        assert (await around.post())[0] == 200
        assert around.ingest.persons == [1]


async def test_a_damaged_body_is_refused_with_its_reason_and_not_for_ever() -> None:
    async with rig() as around:
        for _ in range(2):
            async with around.session.post(around.url, data=b"{", headers=JSON) as answer:
                assert answer.status == 422
                assert answer.content_type == "application/problem+json"
                assert (await answer.json())["detail"] == "damaged: syntax"
        assert (await around.post(b"{"))[0] == 200
        assert (await around.post(b"{{"))[0] == 422
        assert (await around.post(b'{"crash": 1}'))[0] == 422
        assert around.ingest.persons == []


async def test_what_is_no_message_is_named() -> None:
    async with rig() as around:
        png = {"Content-Type": "image/png"}
        assert (await around.post(headers=png))[0] == 415
        assert (await around.post(headers={**JSON, "Content-Encoding": "br"}))[0] == 415
        assert (await around.post(url=f"{around.base}/push/nobody"))[0] == 404
        assert (await around.post(url=f"{around.base}/metrics"))[0] == 404
        async with around.session.get(around.url) as answer:
            assert (answer.status, answer.headers["Allow"]) == (405, "POST, PUT")
        async with around.session.put(around.url, data=b'{"ins": 2}', headers=JSON) as answer:
            assert answer.status == 200
        assert around.ingest.persons == [2]


@pytest.mark.parametrize("pack", [gzip.compress, zlib.compress, lambda body: _bare(body)])
async def test_packed_bodies_are_unpacked(pack: Callable[[bytes], bytes]) -> None:
    encoding = "gzip" if pack is gzip.compress else "deflate"
    async with rig() as around:
        body = pack(b'{"ins": 3}')
        assert (await around.post(body, headers={**JSON, "Content-Encoding": encoding}))[0] == 200
        assert (await around.post(body[:-3], headers={**JSON, "Content-Encoding": encoding}))[0] == 422
        assert around.ingest.persons == [3]
        assert around.telegrams("damaged") == 1


def _bare(body: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(body) + packer.flush()


async def test_a_body_that_swells_is_refused_before_it_has_swollen() -> None:
    async with rig() as around:
        bomb = gzip.compress(bytes(500 << 20), 9)
        assert len(bomb) < 600_000
        assert (await around.post(bomb, headers={**JSON, "Content-Encoding": "gzip"}))[0] == 413
        assert around.telegrams("too_large") == 1


@pytest.mark.parametrize("chunked", [False, True])
async def test_six_megabytes_are_too_large_and_the_refusal_is_heard(chunked: bool) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(6):
            yield bytes(1 << 20)

    async with rig() as around:
        body: Any = pieces() if chunked else BytesIO(bytes(6 << 20))
        status, text = await around.post(body)
        assert (status, "5242880" in text) == (413, True)
        assert around.telegrams("too_large") == 1
        assert (await around.post())[0] == 200


async def test_a_client_that_sends_all_before_it_listens_hears_the_refusal() -> None:
    async with rig() as around:
        reader, writer = await around.dial()
        writer.write(head(20 << 20))
        for _ in range(20):
            writer.write(bytes(1 << 20))
            await writer.drain()
        assert b" 413 " in await asyncio.wait_for(reader.readline(), SOON_S)


async def test_what_waits_to_be_stored_is_held_and_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listener, "HELD_BYTES", 10_000)
    body = b'{"ins": 1}' + b" " * 6000
    async with rig() as around:
        around.ingest.by_hand = True
        first = asyncio.create_task(around.post(body))
        await until(lambda: bool(around.ingest.told))
        assert (await around.post(body))[0] == 503
        around.ingest.commit()
        assert (await first)[0] == 200
        around.ingest.by_hand = False
        alone = b'{"ins": 1}' + b" " * 20_000  # nobody would ever take it otherwise
        assert (await around.post(alone))[0] == 200


async def test_five_megabytes_with_a_picture_are_read_and_the_picture_is_dropped() -> None:
    async with rig() as around:
        form = aiohttp.FormData()
        form.add_field("snapshot", BytesIO(bytes(5_000_000)), filename="a.jpg", content_type="image/jpeg")
        form.add_field("data", '{"ins": 4}', content_type="application/json")
        assert (await around.post(form, headers={}))[0] == 200
        only = aiohttp.FormData()
        only.add_field("snapshot", b"\xff\xd8", filename="a.jpg", content_type="image/jpeg")
        assert (await around.post(only, headers={}))[0] == 422
        assert around.ingest.persons == [4]


async def test_a_device_that_waits_to_be_asked_for_its_body_is_asked() -> None:
    async with rig() as around:
        status, _ = await around.post(b'{"ins": 5}', expect100=True)
        assert (status, around.ingest.persons) == (200, [5])


async def test_whoever_understands_a_body_counts_it() -> None:
    sources = [OneSource(), OneSource(XmlDriver()), OneSource(topics=["south/#"])]
    async with rig(sources=sources) as around:
        assert (await around.post(b"<count>6</count>", headers={"Content-Type": "text/xml"}))[0] == 200
        assert [one.source for one in around.ingest.told] == [sources[1]]
        assert (await around.post(b"<what/>", headers={"Content-Type": "text/xml"}))[0] == 422
        around.ingest.told.clear()
        around.ingest._committed = 0
        for place in ("/north", "", "/south/1/"):
            assert (await around.post(url=around.url + place))[0] == 200
        assert [(one.source, one.topic) for one in around.ingest.told] == [
            (sources[0], "north"),
            (sources[0], "/"),
            (sources[0], "south/1"),
            (sources[2], "south/1"),
        ]


class Polite:
    """Takes whatever it does not know for a test of the connection."""

    def decode(self, message: Message) -> Iterable[Item]:
        return [Ignored(f"connection test of {len(message.payload)} bytes")]


async def test_damage_on_a_counters_own_path_is_not_hidden_by_a_neighbour_who_ignores_it() -> None:
    sources = [OneSource(Polite()), OneSource(topics=["south/#"])]
    async with rig(sources=sources) as around:
        status, why = await around.post(b"{", url=around.url + "/south/1")
        assert (status, "damaged: syntax" in why) == (422, True)
        assert (await around.post(b"{", url=around.url + "/north"))[0] == 200  # nobody's: a test, perhaps
        assert (await around.post(b'{"test": 1}', url=around.url + "/south/1"))[0] == 200


async def test_a_figure_that_cannot_be_is_told_although_a_neighbour_takes_the_body_for_a_test() -> None:
    async with rig(sources=[OneSource(Polite()), OneSource()]) as around:
        status, why = await around.post(b'{"ins": -1}')
        assert (status, "damaged: sanity" in why) == (422, True)
        assert [one.items for one in around.ingest.told] == [[Damaged(DamageReason.SANITY, 11)]]
        assert (await around.post(b"{"))[0] == 200  # the neighbour's test, perhaps


async def test_behind_a_proxy_each_link_and_each_reason_is_news_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with rig(Settings("token", secret="right")) as around:
        for link in ("lan", "nowhere", "lan", "nowhere", "elsewhere"):
            assert (await around.post(url=f"{around.base}/push/{link}"))[0] in (401, 404)
        around.listener.doors["shop"] = around.link
        assert (await around.post(url=f"{around.base}/push/shop"))[0] == 401
    told = [one.getMessage() for one in caplog.records if one.levelname == "WARNING"]
    refused = [one.partition(" to ")[2] for one in told if "is refused" in one]
    assert [one.partition(":")[0] for one in refused] == [
        "'/push/lan' is refused",
        "'/push/nowhere' is refused",
        "'/push/shop' is refused",
    ]


async def test_a_maker_who_wants_certain_words_hears_them_when_it_is_stored() -> None:
    family = SimpleNamespace(answer=b'{"status": "OK"}')
    async with rig(sources=[OneSource(family=family)]) as around:
        async with around.session.post(around.url, data=b'{"ins": 1}', headers=JSON) as answer:
            assert (answer.status, answer.content_type) == (200, "application/json")
            assert await answer.read() == family.answer
        assert await around.post(b'{"test": 1}') == (200, '{"status": "OK"}')


async def test_strangers_who_sign_with_nothing_keep_no_signed_sale_waiting() -> None:
    """Who a body is from shows only once it is read: what strangers may make us hold must not be all."""
    settings = Settings("hmac", keys=["hush"])
    async with rig(settings) as around:
        for _ in range(10):
            _reader, writer = await around.dial()
            head = "POST /push/lan HTTP/1.1\r\nHost: x\r\nX-Signature: {}\r\nContent-Length: 5000000\r\n\r\n"
            writer.write(head.format("00" * 32).encode() + b" " * 4_900_000)
            with suppress(ConnectionError):
                await writer.drain()
        body = b'{"ins": 1, "note": "' + b"x" * 20_000 + b'"}'
        signed = {"X-Signature": hmac.digest(b"hush", body, "sha256").hex(), **JSON}
        assert (await around.post(body, headers=signed))[0] == 200
        assert around.listener._held < listener.HELD_BYTES / 2


@pytest.mark.parametrize("signature", ["", "00" * 31, "00" * 33, "00" * 48])
async def test_what_cannot_be_a_signature_is_refused_before_the_body_is_read(signature: str) -> None:
    async with rig(Settings("hmac", keys=["hush"])) as around:
        reader, writer = await around.dial()
        head = (
            f"POST /push/lan HTTP/1.1\r\nHost: x\r\nX-Signature: {signature}\r\nContent-Length: 500\r\n\r\n"
        )
        writer.write(head.encode())
        async with asyncio.timeout(SOON_S):
            assert b" 401 " in await reader.readline()


async def test_only_the_networks_of_the_list_may_push() -> None:
    async with rig(port=Port(allow=["192.0.2.0/24"])) as around:
        assert (await around.post())[0] == 403
    async with rig(port=Port(allow=["192.0.2.0/24", "127.0.0.0/8"])) as around:
        assert (await around.post())[0] == 200


async def test_a_link_without_counters_says_so() -> None:
    async with rig(sources=[]) as around:
        assert (await around.post())[0] == 404
        assert around.telegrams("unknown_counter") == 1


async def test_a_token_is_shown_in_a_header_or_in_the_address() -> None:
    async with rig(Settings("token", secret="open sesame")) as around:
        for headers, query in [
            ({"Authorization": "Bearer open sesame"}, ""),
            ({"Authorization": "open sesame"}, ""),
            ({"Authentication": "open sesame"}, ""),
            ({}, "?token=open%20sesame"),
        ]:
            assert (await around.post(url=around.url + query, headers={**JSON, **headers}))[0] == 200
        for wrong in ({}, {"Authorization": "Bearer"}, {"Authorization": "Bearer open"}):
            status, text = await around.post(headers={**JSON, **wrong})
            assert (status, json.loads(text)["status"]) == (401, 401)
        assert len(around.ingest.persons) == 4


async def test_basic_names_and_passwords() -> None:
    async with rig(Settings("basic", "cam", "pä:ss")) as around:
        assert (await around.post(headers=basic("cam", "pä:ss")))[0] == 200
        for wrong in (basic("cam", "pass"), basic("cat", "pä:ss"), {**JSON, "Authorization": "Basic ?"}):
            assert (await around.post(headers=wrong))[0] == 401
    async with rig(Settings("basic", None, "pass")) as around:
        assert (await around.post(headers=basic("anybody", "pass")))[0] == 200


def basic(name: str, password: str) -> dict[str, str]:
    return {**JSON, "Authorization": f"Basic {b64encode(f'{name}:{password}'.encode()).decode()}"}


async def test_an_unknown_sender_costs_no_memory() -> None:
    async with rig(Settings("token", secret="open sesame")) as around:
        reader, writer = await around.dial()
        writer.write(head(5_000_000))
        answer = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), SOON_S)
        assert b" 401 " in answer  # told before it has sent anything


async def test_digest_with_a_client_of_another_make() -> None:
    async with rig(Settings("digest", "cam", "secret")) as around:
        for command in (("--digest",), ("--digest", "--http1.0")):
            assert await _curl(around.url, "cam:secret", *command) == "200"
        assert await _curl(around.url, "cam:wrong", "--digest") == "401"
        assert await _curl(around.url, "cat:secret", "--digest") == "401"
        assert await _curl(around.url, "cam:secret", "--basic") == "401"
        assert around.ingest.persons == [1, 1]


async def _curl(url: str, user: str, *options: str) -> str:
    command = ["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "-u", user, *options]
    command += ["-H", "Content-Type: application/json", "-d", '{"ins": 1}', url]
    curl = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    said, _ = await asyncio.wait_for(curl.communicate(), 20)
    return said.decode()


async def test_digest_with_sha_256_and_a_nonce_used_twice() -> None:
    async with rig(Settings("digest", "cam", "secret")) as around:
        digest = aiohttp.DigestAuthMiddleware("cam", "secret")
        async with aiohttp.ClientSession(middlewares=(digest,)) as session:
            for _ in range(3):
                async with session.post(around.url, data=b'{"ins": 1}', headers=JSON) as answer:
                    assert answer.status == 200
                    shown = answer.request_info.headers["Authorization"]
        assert "SHA-256" in shown
        async with around.session.post(
            around.url, data=b"{}", headers={**JSON, "Authorization": shown}
        ) as answer:
            assert answer.status == 401
            assert "stale=true" in answer.headers["WWW-Authenticate"]
        assert around.ingest.persons == [1, 1, 1]


async def test_a_body_a_byte_at_a_time_is_cut_and_slows_nobody() -> None:
    async with rig(arrive_s=0.5) as around:
        slow = asyncio.create_task(_drip(around))
        for _ in range(10):
            assert (await asyncio.wait_for(around.post(), 1))[0] == 200
        assert b" 408 " in await asyncio.wait_for(slow, SOON_S)
        assert around.ingest.persons == [1] * 10


async def _drip(around: Rig) -> bytes:
    reader, writer = await around.dial()
    writer.write(head(1000))
    answer = asyncio.create_task(reader.read(200))
    while not answer.done():
        writer.write(b" ")
        await asyncio.sleep(0.05)
    return answer.result()


async def test_a_head_that_never_ends_is_cut() -> None:
    async with rig(idle_s=0.3) as around:
        reader, writer = await around.dial()
        writer.write(b"POST /push/lan HTTP/1.1\r\nX-Long: ")
        answer = asyncio.create_task(reader.read(200))
        async with asyncio.timeout(SOON_S):
            while not answer.done():
                writer.write(b"x")
                await asyncio.sleep(0.05)
        with suppress(ConnectionError):
            assert answer.result() == b""


@pytest.mark.parametrize("broken", [b"zz\r\n", b"-1\r\n", b"2\r\n{}", b"2\r\n{}zz\r\n"])
async def test_a_body_in_broken_pieces_is_no_news(broken: bytes, caplog: pytest.LogCaptureFixture) -> None:
    async with rig(arrive_s=0.3) as around:
        reader, writer = await around.dial()
        kind = b"Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
        writer.write(b"POST /push/lan HTTP/1.1\r\nHost: x\r\n" + kind + broken)
        assert b" 40" in await asyncio.wait_for(reader.readline(), SOON_S)
        assert (await around.post())[0] == 200
        assert around.ingest.persons == [1]
        assert not [one for one in caplog.records if one.levelname == "ERROR"]


async def test_a_connection_that_we_cut_ourselves_is_no_news(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    read = Listener._read

    async def cut(listener: Listener, request: Any, limit: int) -> bytes:
        request.protocol.force_close()
        return await read(listener, request, limit)

    monkeypatch.setattr(Listener, "_read", cut)
    async with rig() as around:
        reader, writer = await around.dial()
        writer.write(head(10))
        with suppress(ConnectionError):
            assert await asyncio.wait_for(reader.read(), SOON_S) == b""
    assert [one.levelname for one in caplog.records if "cut off" in one.getMessage()] == ["WARNING"]
    assert not [one for one in caplog.records if one.levelname == "ERROR"]


async def test_a_counter_that_goes_away_is_no_news(caplog: pytest.LogCaptureFixture) -> None:
    async with rig() as around:
        for body in (b"", b'{"ins"'):
            reader, writer = await around.dial()
            writer.write(head(10).replace(b"x\r\n", b"x\r\nExpect: 100-continue\r\n") + body)
            assert b" 100 " in await asyncio.wait_for(reader.readline(), SOON_S)
            writer.transport.abort()
        assert (await around.post())[0] == 200
        assert around.ingest.persons == [1]
    assert not [one for one in caplog.records if one.levelname == "ERROR"]


def test_a_refusal_of_somebody_who_has_gone_is_no_news(caplog: pytest.LogCaptureFixture) -> None:
    gone: Any = SimpleNamespace(protocol=SimpleNamespace(peername=None), path="/push/lan")
    Listener(Port(), Clock("always"))._note(gone, 403, "not from your network")
    assert caplog.records == []


async def test_a_thousand_idle_connections_and_slow_ones_slow_nobody() -> None:
    async with rig() as around:
        slow = [asyncio.create_task(_drip(around)) for _ in range(20)]
        for _ in range(1000):
            await around.dial()
        loop = asyncio.get_running_loop()
        for _ in range(20):
            began = loop.time()
            assert (await around.post())[0] == 200
            assert loop.time() - began < 1
        for one in slow:
            one.cancel()
        await asyncio.gather(*slow, return_exceptions=True)


async def test_a_head_without_measure_is_refused() -> None:
    async with rig() as around:
        many = {**JSON, **{f"X-{number}": "x" for number in range(100)}}
        for headers in ({**JSON, "X-Long": "x" * 5000}, many):
            assert (await around.post(headers=headers))[0] in (400, 431)
        assert around.ingest.persons == []


async def test_idle_connections_make_room_for_those_who_bring_something() -> None:
    async with rig(connections=20) as around:
        known = await around.dial()
        await _bring(*known)
        idle = [await around.dial() for _ in range(100)]
        await until(lambda: sum(reader.at_eof() for reader, _ in idle) >= 80)
        await _bring(*await around.dial())
        await _bring(*known)
        assert around.ingest.persons == [1, 1, 1]


async def _bring(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(head(10) + b'{"ins": 1}')
    assert b" 200 " in await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), SOON_S)


async def test_those_who_wait_for_a_commit_are_never_cut() -> None:
    async with rig(connections=3) as around:
        around.ingest.by_hand = True
        waiting = [asyncio.create_task(around.post()) for _ in range(3)]
        await until(lambda: len(around.ingest.told) == 3)
        for _ in range(10):
            await around.dial()
        around.ingest.commit()
        assert [status for status, _ in await asyncio.gather(*waiting)] == [200] * 3


async def test_a_taken_port_is_told_and_tried_again() -> None:
    async with rig() as around:
        assert around.listener.address
        port = Port(port=around.listener.address[1])
        clock, stop = Clock("always"), asyncio.Event()
        listener = Listener(port, clock)
        running = asyncio.create_task(listener.run(stop))
        await until(lambda: "in use by another program" in listener.state.error)
        stop.set()
        await running


async def test_a_link_to_which_nobody_pushes_counts_as_down() -> None:
    async with rig(Settings(silence_s=0.2)) as around:
        assert (await around.post())[0] == 200
        assert around.link.state.up
        await until(lambda: not around.link.state.up)
        assert around.link.state.error.startswith("nothing was pushed for ")
        assert (await around.post())[0] == 200
        assert around.link.state.up


async def test_one_port_serves_several_links() -> None:
    async with rig() as around:
        clock, stop = Clock("always"), asyncio.Event()
        other = PushLink(
            "roof", Settings("token", secret="x"), [OneSource()], clock, around.ingest, around.listener
        )
        running = asyncio.create_task(other.run(stop))
        await until(lambda: "roof" in around.listener.doors)
        assert (await around.post(url=f"{around.base}/push/roof"))[0] == 401
        assert (await around.post(url=f"{around.base}/push/roof?token=x"))[0] == 200
        stop.set()
        await running
