"""What a pushed body is wrapped in: gzip or deflate, and parts of which one is the message."""

from __future__ import annotations

import re
import zlib

from gateway.links.refusals import Refusal

MAX_PARTS = 64
MAX_MEMBERS = 8  # of one gzip body
READABLE = re.compile(r"(application|text)/((.+\+)?(json|xml)|csv|plain)|text/.+")
MESSAGE = re.compile(r"(application|text)/(.+\+)?(json|xml)")
NAMED = re.compile(rb'name="[^"]*\.(json|xml)"', re.IGNORECASE)
ENCODINGS = ("", "identity", "gzip", "x-gzip", "deflate")


def check_kind(content_type: str, content_encoding: str) -> None:
    """Before the body is read. Raises Refusal(415)."""
    kind = kind_of(content_type)
    if kind and not READABLE.fullmatch(kind) and not kind.startswith("multipart/"):
        raise Refusal(415, f"nobody reads {kind}: JSON, XML, text or multipart is wanted")
    if content_encoding.strip().lower() not in ENCODINGS:
        raise Refusal(415, f"nobody undoes {content_encoding}: gzip, deflate or none is wanted")


def kind_of(content_type: str) -> str:
    return content_type.partition(";")[0].strip().lower()


def unpack(body: bytes, content_type: str, content_encoding: str, limit: int) -> bytes:
    """The message in a body. Raises Refusal: 413 above `limit` bytes, 422 when it is damaged."""
    encoding = content_encoding.strip().lower()
    if encoding not in ("", "identity"):
        body = inflate(body, limit)
    if kind_of(content_type).startswith("multipart/") and body.strip():
        body = message_part(body, content_type)
    return body


def inflate(body: bytes, limit: int) -> bytes:
    """gzip (also several members), zlib or bare deflate: what it is shows at its beginning."""
    found = b""
    for _ in range(MAX_MEMBERS):
        if not body:
            break
        part, body = _inflate_one(body, limit + 1 - len(found))
        found += part
        if len(found) > limit:
            raise too_large(limit)
    if body:
        raise Refusal(422, "the body is packed into too many pieces", counted="damaged")
    return found


def _inflate_one(body: bytes, most: int) -> tuple[bytes, bytes]:
    """At most `most` bytes of the first member, and what stands behind it."""
    wrapped = body[:2] == b"\x1f\x8b" or (body[0] & 0x0F == 8 and int.from_bytes(body[:2], "big") % 31 == 0)
    stream = zlib.decompressobj(wbits=47 if wrapped else -15)
    try:
        found = stream.decompress(body, most)
    except zlib.error:
        raise Refusal(422, "the body cannot be unpacked", counted="damaged") from None
    if not stream.eof and len(found) < most:
        raise Refusal(422, "the packed body is cut off", counted="damaged")
    return found, stream.unused_data.lstrip(b"\0")


def too_large(limit: int) -> Refusal:
    return Refusal(413, f"more than {limit} bytes", counted="too_large")


def message_part(body: bytes, content_type: str) -> bytes:
    """The first part that is JSON or XML by its type, its file name or, where neither tells, its look."""
    found = re.search(r'boundary=(?:"([^"]{1,200})"|([^\s;,]{1,200}))', content_type, re.IGNORECASE)
    if found is None:
        raise Refusal(422, "multipart without a boundary", counted="damaged")
    mark = rb"\r?\n--" + re.escape((found[1] or found[2]).encode())
    for part in re.split(mark, b"\n" + body, maxsplit=MAX_PARTS)[1:]:
        head, *content = re.split(rb"\r?\n\r?\n", part, maxsplit=1)
        if content and _is_message(head, content[0]):
            return content[0]
    raise Refusal(422, "no part is JSON or XML", counted="damaged")


def _is_message(head: bytes, content: bytes) -> bool:
    found = re.search(rb"^content-type:\s*([^\s;]+)", head, re.IGNORECASE | re.MULTILINE)
    kind = found[1].decode("ascii", "replace").lower() if found else ""
    if kind in ("", "text/plain", "application/octet-stream"):
        return bool(NAMED.search(head)) or content.lstrip()[:1] in (b"{", b"[", b"<")
    return bool(MESSAGE.fullmatch(kind))
