"""How counters that push prove who they are: token, basic, digest (RFC 7616), a signature, or their address.

Nonces are not remembered until they were used well: each carries its time and our signature. What is then
remembered, the highest count seen with it, is bounded; a forgotten or old nonce only costs the counter one
more question (`stale=true`).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
import secrets
import time
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import md5, sha256
from itertools import count
from typing import Any, Protocol

from multidict import CIMultiDict

from gateway.links.refusals import Refusal

REALM = "counter-gateway"
NONCE_LIFE_S = 300
REMEMBERED_NONCES = 1024
ALGORITHMS = {"SHA-256": sha256, "MD5": md5}  # as offered, the better one first
PAIR = re.compile(r'(\w+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))')


class Settings(Protocol):
    """What the configuration says of a link's counters."""

    @property
    def auth(self) -> str: ...  # token, basic, digest, hmac or none
    @property
    def username(self) -> str | None: ...
    @property
    def secret(self) -> str: ...
    @property
    def keys(self) -> Sequence[str]: ...
    @property
    def signature_header(self) -> str | None: ...
    @property
    def signature_encoding(self) -> str: ...  # base64 or hex
    @property
    def signature_hash(self) -> str: ...  # as hashlib names it
    @property
    def notification_url(self) -> str | None: ...


@dataclass(frozen=True, slots=True)
class Asked:
    """What of a request matters here. `target`: path and query as they were sent."""

    method: str
    target: str
    authorization: str
    query: Mapping[str, str]
    authentication: str = ""  # a header of that name, which some counters send instead
    headers: Mapping[str, str] = field(default_factory=dict)  # found whatever their case


class Guard(Protocol):
    by_body: bool  # only the body shows who it is from

    def check(self, asked: Asked) -> None:
        """Before the body is read. Raises Refusal(401)."""

    def check_body(self, asked: Asked, body: bytes) -> None:
        """As it was sent, still packed; before anything is done with it. Raises Refusal(401)."""


def guard_for(settings: Settings) -> Guard:
    """Raises ConfigurationError when a file with a secret is gone."""
    if settings.auth == "token":
        return Token(settings.secret)
    if settings.auth == "basic":
        return Basic(settings.username, settings.secret)
    if settings.auth == "digest":
        return Digest(settings.username, settings.secret)
    if settings.auth == "hmac":
        return Signed(settings)
    return Open()


def same(given: str, right: str) -> bool:
    """In a time that tells nothing of where they differ."""
    return hmac.compare_digest(given.encode("utf-8", "replace"), right.encode())


class Open:
    """The list of networks is all the guard there is."""

    by_body = False

    def check(self, asked: Asked) -> None:
        del asked

    def check_body(self, asked: Asked, body: bytes) -> None:
        del asked, body


class Token(Open):
    """Bearer, or the bare token as some counters send it, or `?token=`."""

    def __init__(self, token: str) -> None:
        self._token = token

    def check(self, asked: Asked) -> None:
        shown = asked.authorization or asked.authentication
        scheme, _, rest = shown.partition(" ")
        given = rest.strip() if scheme.lower() in ("bearer", "token") else shown.strip()
        if not same(given or asked.query.get("token", ""), self._token):
            raise Refusal(401, "a token is needed", headers={"WWW-Authenticate": f'Bearer realm="{REALM}"'})


class Basic(Open):
    def __init__(self, username: str | None, password: str) -> None:
        self._username, self._password = username, password

    def check(self, asked: Asked) -> None:
        name, password = _basic(asked.authorization)
        right = same(password, self._password)
        if not (same(name, self._username or name) and right):
            headers = {"WWW-Authenticate": f'Basic realm="{REALM}", charset="UTF-8"'}
            raise Refusal(401, "a name and a password are needed", headers=headers)


def _basic(header: str) -> tuple[str, str]:
    scheme, _, rest = header.partition(" ")
    if scheme.lower() != "basic":
        return "", ""
    try:
        name, _, password = base64.b64decode(rest.strip(), validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return "", ""
    return name, password


class Signed:
    """The body is signed with a key that both sides know; by some senders behind the address they post to.

    Any of several keys will do: while one is exchanged, both sides know the old one and the new.
    """

    by_body = True

    def __init__(self, settings: Settings) -> None:
        self._keys = [key.encode() for key in settings.keys]
        self._header, self._hash = settings.signature_header or "", settings.signature_hash
        self._in_hex = settings.signature_encoding == "hex"
        self._before = (settings.notification_url or "").encode()
        self._wanted = f"{settings.signature_hash} in {settings.signature_encoding}"
        self._size = hashlib.new(self._hash).digest_size

    def check(self, asked: Asked) -> None:
        """What cannot fit any body is refused before one is read."""
        if len(self._given(asked)) != self._size:
            raise self._refusal(f"a signature is needed in {self._header}: {self._wanted}")

    def check_body(self, asked: Asked, body: bytes) -> None:
        given, signed = self._given(asked), self._before + body
        right = [hmac.compare_digest(given, hmac.digest(key, signed, self._hash)) for key in self._keys]
        if not any(right):
            raise self._refusal(f"the signature in {self._header} does not fit: another key, address or body")

    def _given(self, asked: Asked) -> bytes:
        """Empty for none, and for what is no signature at all."""
        text = asked.headers.get(self._header, "").strip().removeprefix(f"{self._hash}=")
        try:
            return bytes.fromhex(text) if self._in_hex else base64.b64decode(text, validate=True)
        except ValueError:
            return b""

    def _refusal(self, why: str) -> Refusal:
        headers = {"WWW-Authenticate": f'HMAC realm="{REALM}"'}
        return Refusal(401, why, headers=headers, counted="unsigned")


class Digest(Open):
    """SHA-256 and MD5, `qop=auth`; without `qop`, as older counters answer, a nonce serves once."""

    def __init__(self, username: str | None, password: str) -> None:
        self._username, self._password = username, password
        self._key = secrets.token_bytes(16)
        self._counts: OrderedDict[str, int] = OrderedDict()  # nonce → highest count used with it
        self._made = count(1)
        self._forgotten = 0  # nonces up to this number may have been used and are no longer known

    def check(self, asked: Asked) -> None:
        said = _pairs(asked.authorization)
        if not said or not self._right(said, asked):
            raise self._refusal("a name and a password are needed")
        if not self._fresh(said):
            raise self._refusal("this nonce is used up", stale=True)

    def _right(self, said: Mapping[str, str], asked: Asked) -> bool:
        algorithm = ALGORITHMS.get(said.get("algorithm", "MD5").upper())
        name, uri, qop = said.get("username", ""), said.get("uri", ""), said.get("qop", "")
        if algorithm is None or uri != asked.target or qop not in ("", "auth"):
            return False
        secret = _hex(algorithm, name, REALM, self._password)
        middle = [said.get(word, "") for word in ("nonce", "nc", "cnonce", "qop")] if qop else [said["nonce"]]
        right = _hex(algorithm, secret, *middle, _hex(algorithm, asked.method, uri))
        known = same(name, self._username or name)
        return same(said.get("response", "").lower(), right) and known

    def _fresh(self, said: Mapping[str, str]) -> bool:
        """Ours, young, and counted further than before: a copied request is worth nothing."""
        nonce = said["nonce"]
        stamp, _, signature = nonce.rpartition("-")
        if not same(signature, self._sign(stamp)) or _now_s() - int(stamp.split("-")[0], 16) > NONCE_LIFE_S:
            return False
        if nonce not in self._counts and _number(nonce) <= self._forgotten:
            return False
        spelled = said.get("nc", "") if said.get("qop") else "1"  # without qop no count is signed
        uses = int(spelled, 16) if re.fullmatch(r"[0-9a-fA-F]{1,8}", spelled) else 0
        if uses <= self._counts.get(nonce, 0):
            return False
        self._counts[nonce] = uses
        self._counts.move_to_end(nonce)
        if len(self._counts) > REMEMBERED_NONCES:
            self._forgotten = max(self._forgotten, _number(self._counts.popitem(last=False)[0]))
        return True

    def _sign(self, stamp: str) -> str:
        return hmac.digest(self._key, stamp.encode("utf-8", "replace"), "sha256").hex()[:32]

    def _refusal(self, why: str, *, stale: bool = False) -> Refusal:
        """One challenge for each algorithm, all with one nonce."""
        stamp = f"{_now_s():x}-{next(self._made):x}"
        rest = f'realm="{REALM}", nonce="{stamp}-{self._sign(stamp)}", qop="auth"'
        rest += ", stale=true" if stale else ""
        challenges = [f"Digest {rest}, algorithm={name}" for name in ALGORITHMS]
        return Refusal(401, why, headers=CIMultiDict(("WWW-Authenticate", one) for one in challenges))


def _pairs(header: str) -> dict[str, str]:
    """What a Digest header says; empty unless it names a nonce."""
    scheme, _, rest = header.partition(" ")
    if scheme.lower() != "digest":
        return {}
    pairs = {
        name.lower(): re.sub(r"\\(.)", r"\1", quoted) or bare for name, quoted, bare in PAIR.findall(rest)
    }
    return pairs if "nonce" in pairs else {}


def _number(nonce: str) -> int:
    """Of those that we made, in order."""
    return int(nonce.split("-")[1], 16)


def _now_s() -> int:
    return int(time.monotonic())


def _hex(algorithm: Any, *parts: str) -> str:
    return str(algorithm(":".join(parts).encode("utf-8", "replace")).hexdigest())
