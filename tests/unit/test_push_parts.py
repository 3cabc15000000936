"""What a push is wrapped in and how its sender proves itself, without a socket."""

from __future__ import annotations

import gzip
import json
import tracemalloc
import zlib
from base64 import b64encode
from dataclasses import dataclass
from hashlib import md5, sha256
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from multidict import CIMultiDict

from gateway.links import credentials
from gateway.links.credentials import REMEMBERED_NONCES, Asked, Digest, guard_for
from gateway.links.refusals import Refusal
from gateway.links.unpack import check_kind, unpack

LIMIT = 10_000
PICTURE_FIRST = (
    b'--a b\r\nContent-Disposition: form-data; name="p"; filename="p.jpg"\r\n'
    b"Content-Type: image/jpeg\r\n\r\n\xff\xd8\r\n--\r\n"
    b'--a b\r\nContent-Disposition: form-data; name="f"; filename="counts.xml"\r\n\r\n'
    b"<a>\r\n</a>\r\n--a b--"
)


@dataclass
class Settings:
    auth: str
    username: str | None = "Mufasa"
    secret: str = "Circle of Life"


def asked(authorization: str = "", target: str = "/push/lan", method: str = "POST") -> Asked:
    return Asked(method, target, authorization, {})


def challenge(guard: Digest, authorization: str = "") -> tuple[str, str]:
    """The nonce offered, and the whole of what was offered."""
    with pytest.raises(Refusal) as caught:
        guard.check(asked(authorization))
    headers = caught.value.response().headers
    offered = ", ".join(headers.getall("WWW-Authenticate"))
    return offered.split('nonce="')[1].split('"')[0], offered


def answer(nonce: str, count: int = 1, name: str = "MD5", uri: str = "/push/lan", qop: str = "auth") -> str:
    """RFC 7616, 3.4.1, by hand."""
    algorithm = {"MD5": md5, "SHA-256": sha256}[name]
    first = algorithm(b"Mufasa:counter-gateway:Circle of Life").hexdigest()
    second = algorithm(f"POST:{uri}".encode()).hexdigest()
    middle = f"{nonce}:{count:08x}:0a4f113b:auth" if qop else nonce
    response = algorithm(f"{first}:{middle}:{second}".encode()).hexdigest()
    rest = f', qop=auth, nc={count:08x}, cnonce="0a4f113b"' if qop else ""
    said = f'username="Mufasa", realm="counter-gateway", nonce="{nonce}", uri="{uri}", algorithm={name}'
    return f'Digest {said}, response="{response}"{rest}'


@pytest.mark.parametrize("name", ["MD5", "SHA-256"])
def test_digest_answers_are_taken_in_order_and_once(name: str) -> None:
    guard = Digest("Mufasa", "Circle of Life")
    nonce, offered = challenge(guard)
    assert f"algorithm={name}" in offered
    guard.check(asked(answer(nonce, 1, name)))
    guard.check(asked(answer(nonce, 3, name)))
    for count in (3, 2):
        assert "stale=true" in challenge(guard, answer(nonce, count, name))[1]


def test_an_older_counter_answers_without_qop_and_a_nonce_serves_it_once() -> None:
    guard = Digest("Mufasa", "Circle of Life")
    nonce, _ = challenge(guard)
    guard.check(asked(answer(nonce, qop="")))
    assert "stale=true" in challenge(guard, answer(nonce, qop=""))[1]


def test_a_count_that_nobody_signed_makes_no_copy_of_an_older_counters_answer_new() -> None:
    guard = Digest("Mufasa", "Circle of Life")
    copied = answer(challenge(guard)[0], qop="")
    guard.check(asked(copied))
    assert "stale=true" in challenge(guard, f'{copied}, qop="", nc=00000002, cnonce="0a4f113b"')[1]


def test_a_nonce_that_was_used_and_forgotten_is_worth_nothing() -> None:
    guard = Digest("Mufasa", "Circle of Life")
    copied = answer(challenge(guard)[0])
    guard.check(asked(copied))
    for _ in range(REMEMBERED_NONCES):
        guard.check(asked(answer(challenge(guard)[0])))
    assert "stale=true" in challenge(guard, copied)[1]


def test_an_answer_for_another_place_is_worth_nothing() -> None:
    guard = Digest("Mufasa", "Circle of Life")
    nonce, _ = challenge(guard)
    assert "stale" not in challenge(guard, answer(nonce, uri="/push/other"))[1]
    with pytest.raises(Refusal):
        guard.check(asked(answer(nonce), method="PUT"))


def test_a_nonce_of_another_run_or_of_long_ago_is_stale(monkeypatch: pytest.MonkeyPatch) -> None:
    guard = Digest("Mufasa", "Circle of Life")
    foreign, _ = challenge(Digest("Mufasa", "Circle of Life"))
    nonce, _ = challenge(guard)
    assert "stale=true" in challenge(guard, answer(foreign))[1]
    later_s = credentials._now_s() + credentials.NONCE_LIFE_S + 1
    monkeypatch.setattr(credentials, "_now_s", lambda: later_s)
    assert "stale=true" in challenge(guard, answer(nonce))[1]


def test_unanswered_questions_are_not_remembered_and_answered_ones_not_for_ever() -> None:
    guard = Digest("Mufasa", "Circle of Life")
    for _ in range(100):
        challenge(guard)
    assert not guard._counts
    for _ in range(REMEMBERED_NONCES + 10):
        guard.check(asked(answer(challenge(guard)[0])))
    assert len(guard._counts) == REMEMBERED_NONCES


@given(st.one_of(st.text(), st.text().map("Digest {}".format), st.text().map('Digest nonce="{}"'.format)))
@settings(max_examples=200, deadline=None)
def test_no_header_gets_in_or_breaks_anything(header: str) -> None:
    for auth in ("token", "basic", "digest"):
        with pytest.raises(Refusal) as caught:
            guard_for(Settings(auth)).check(asked(header))
        assert caught.value.status == 401


@pytest.mark.parametrize(
    ("kind", "body", "found"),
    [
        ("application/json", b"{}", b"{}"),
        (
            "multipart/form-data; boundary=x",
            b"--x\r\nContent-Type: text/xml\r\n\r\n<a/>\r\n--x--\r\n",
            b"<a/>",
        ),
        (
            'multipart/form-data; boundary="a b"',
            PICTURE_FIRST,
            b"<a>\r\n</a>",
        ),
        ("multipart/mixed;boundary=x", b'--x\r\n\r\n {"a":1}\r\n--x--', b' {"a":1}'),
        ("multipart/mixed;boundary=x", b'--x\n\n{"a":1}\n--x--', b'{"a":1}'),
        ("multipart/mixed;boundary=x", b"", b""),
    ],
)
def test_the_part_that_is_a_message_is_found(kind: str, body: bytes, found: bytes) -> None:
    check_kind(kind, "")
    assert unpack(body, kind, "", LIMIT) == found


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("multipart/form-data", b"--x\r\n\r\n{}\r\n--x--"),
        ("multipart/form-data; boundary=x", b"--x\r\nContent-Type: image/png\r\n\r\n{}\r\n--x--"),
        ("multipart/form-data; boundary=y", b"--x\r\n\r\n{}\r\n--x--"),
    ],
)
def test_a_multipart_body_without_a_message_is_damaged(kind: str, body: bytes) -> None:
    with pytest.raises(Refusal) as caught:
        unpack(body, kind, "", LIMIT)
    assert (caught.value.status, caught.value.counted) == (422, "damaged")


@pytest.mark.parametrize(
    ("kind", "status"),
    [("", 0), ("text/csv; charset=utf-8", 0), ("application/vnd.x+json", 0), ("Text/XML", 0)]
    + [(kind, 415) for kind in ("image/png", "application/octet-stream", "application/jsonp", "json")],
)
def test_kinds_of_content_that_somebody_reads(kind: str, status: int) -> None:
    if not status:
        check_kind(kind, "")
        return
    with pytest.raises(Refusal) as caught:
        check_kind(kind, "")
    assert caught.value.status == status


def test_packed_bodies_of_several_members_up_to_the_limit() -> None:
    assert unpack(gzip.compress(b"[1,") + gzip.compress(b"2]"), "", "gzip", LIMIT) == b"[1,2]"
    assert len(unpack(gzip.compress(bytes(LIMIT)), "", "GZIP", LIMIT)) == LIMIT
    for body in (gzip.compress(bytes(LIMIT + 1)), gzip.compress(bytes(LIMIT)) + gzip.compress(b"1")):
        with pytest.raises(Refusal) as caught:
            unpack(body, "", "gzip", LIMIT)
        assert caught.value.status == 413
    with pytest.raises(Refusal) as caught:
        unpack(gzip.compress(b"1") * 9, "", "gzip", LIMIT)
    assert caught.value.status == 422


def test_a_body_that_swells_is_never_held_whole() -> None:
    bomb = gzip.compress(bytes(100 << 20))
    tracemalloc.start()
    try:
        with pytest.raises(Refusal):
            unpack(bomb, "", "gzip", LIMIT)
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


@given(
    st.binary(max_size=300),
    st.sampled_from(["", "gzip", "deflate"]),
    st.sampled_from(["application/json", "multipart/form-data; boundary=x", "multipart/x; boundary="]),
)
@settings(max_examples=300, deadline=None)
def test_any_bytes_are_unpacked_or_refused(body: bytes, packing: str, kind: str) -> None:
    for one in (body, zlib.compress(body), b"--x\r\n\r\n" + body):
        try:
            unpack(one, kind, packing, LIMIT)
        except Refusal as refusal:
            assert refusal.status in (413, 422)  # noqa: PT017


@dataclass
class Signing:
    keys: tuple[str, ...]
    auth: str = "hmac"
    username: str | None = None
    secret: str = ""
    signature_header: str | None = "X-Signature"
    signature_encoding: str = "base64"
    signature_hash: str = "sha256"
    notification_url: str | None = None


def signs(settings: Signing, body: bytes, given: str) -> bool:
    guard = guard_for(settings)
    request = Asked("POST", "/push/lan", "", {}, headers=CIMultiDict({"x-signature": given}))
    try:
        guard.check(request)
        guard.check_body(request, body)
    except Refusal as refusal:
        return (refusal.status, refusal.counted) != (401, "unsigned")
    return True


SQUARE = json.loads((Path(__file__).parents[1] / "vectors/square_webhooks.json").read_text())["signatures"]
# RFC 4231, test case 2
JEFE, ASKS = "Jefe", b"what do ya want for nothing?"
SHA256 = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
SHA512 = (
    "164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea250554"
    "9758bf75c05a994a6d034f65f8f0e6fdcaeab1a34d4a6b4b636e070a38bce737"
)


@pytest.mark.parametrize("vector", SQUARE)
def test_an_address_and_a_body_that_square_signed(vector: dict[str, str]) -> None:
    settings = Signing((vector["key"],), notification_url=vector["url"])
    body, given = vector["body"].encode(), vector["signature"]
    assert signs(settings, body, given)
    assert not signs(settings, body + b" ", given)
    assert not signs(Signing((vector["key"],), notification_url=vector["url"] + "/"), body, given)
    assert not signs(Signing((vector["key"] + "x",), notification_url=vector["url"]), body, given)
    assert not signs(Signing((vector["key"],)), body, given)


def test_a_signature_of_the_body_alone_in_either_notation() -> None:
    base64 = b64encode(bytes.fromhex(SHA256)).decode()
    assert signs(Signing((JEFE,)), ASKS, base64)
    hexed = Signing((JEFE,), signature_encoding="hex")
    assert signs(hexed, ASKS, SHA256)
    assert signs(hexed, ASKS, f"sha256={SHA256.upper()}")
    assert signs(Signing((JEFE,), signature_encoding="hex", signature_hash="sha512"), ASKS, SHA512)
    assert not signs(hexed, ASKS, base64)
    assert not signs(Signing((JEFE,)), ASKS, SHA256)


def test_while_a_key_is_exchanged_both_will_do() -> None:
    settings = Signing(("new", JEFE), signature_encoding="hex")
    assert signs(settings, ASKS, SHA256)
    assert not signs(Signing(("new", "newer"), signature_encoding="hex"), ASKS, SHA256)
    assert not signs(Signing(()), b"", "")  # no key at all opens nothing


@settings(deadline=None)
@given(st.text() | st.binary(max_size=40).map(lambda noise: b64encode(noise).decode()))
def test_no_signature_that_is_made_up_fits(given_: str) -> None:
    assert not signs(Signing((JEFE,)), ASKS, given_)
