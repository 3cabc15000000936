"""What stands in a body that nobody has described yet: its format and the paths a mapping could name."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from itertools import islice
from typing import Any

from drivers.bodies import Noise, parse_json
from drivers.mapping.formats import CsvKeys, parse_csv
from drivers.markup import Element, parse_xml

MAX_DEPTH = 16
MAX_PATHS = 200
MAX_KEY = 60  # characters; a longer one is no name
MAX_DIGITS = 4  # of a name
SEPARATORS = (";", "\t", ",", "|")

Leaf = tuple[str, object]


def outline(payload: bytes) -> tuple[str, list[Leaf]] | None:
    """(format, paths with their first values); None for what is neither JSON, XML nor CSV.

    A list stands as `[*]`, described by all its elements; so the path up to `[*]` is what `rows` takes.
    """
    body = payload.lstrip(b"\xef\xbb\xbf \t\r\n")
    try:
        if body[:1] in (b"{", b"["):
            return "json", _distinct(_walk(parse_json(body), "", 0))
        if body[:1] == b"<":
            return "xml", _distinct(_walk(parse_xml(body), "", 0))
    except Noise:
        return None
    return _table(body)


def _distinct(leaves: Iterator[Leaf]) -> list[Leaf]:
    found: dict[str, object] = {}
    for path, value in leaves:
        found.setdefault(path, value)
        if len(found) >= MAX_PATHS:
            break
    return list(found.items())


def _walk(value: Any, path: str, depth: int) -> Iterator[Leaf]:
    if depth > MAX_DEPTH:
        return
    if isinstance(value, Element):
        if value or not value.inner:
            yield path or "$", str(value)
        for name, child in value.inner.items():
            yield from _walk(child, _joined(path, name), depth + 1)
    elif isinstance(value, dict):
        for name, child in value.items():
            yield from _walk(child, _joined(path, name), depth + 1)
    elif isinstance(value, list):
        for child in value:
            yield from _walk(child, f"{path or '$'}[*]", depth + 1)
    else:
        yield path or "$", value


def _joined(path: str, name: str) -> str:
    """A name that names one device or person is no name but a value, and not told."""
    step = name if name.isprintable() and not set(name) & set(".[]\"'^$= ") else f'"{name}"'
    if _is_value(name) or not 0 < len(name) <= MAX_KEY or '"' in name or not name.isprintable():
        step = "…"
    return f"{path}.{step}" if path else step


def _is_value(name: str) -> bool:
    """A number, a telephone, a MAC, a date, an address: where things are kept by id."""
    return not any(map(str.isalpha, name)) or "@" in name[1:] or sum(map(str.isdigit, name)) > MAX_DIGITS


def _table(body: bytes) -> tuple[str, list[Leaf]] | None:
    """Two lines or more with as many cells each; the separator that makes the most of them."""
    encoding, text = _decoded(body)
    best = max(SEPARATORS, key=lambda sign: _columns(text, sign))
    if _columns(text, best) < 2 or not "".join(text.split()).isprintable():
        return None
    try:
        rows = parse_csv(CsvKeys(separator=best, encoding=encoding), body)
    except (Noise, ValueError):
        return None
    if not rows:
        return None
    settings = f"separator {best!r}" + ("" if encoding == "utf-8-sig" else f", encoding {encoding!r}")
    told = not any(map(_is_value, filter(None, rows.names)))  # else the first row is no header
    return f"csv, {settings}", [(name if told and name else "…", rows[0].get(name)) for name in rows.names]


def _decoded(body: bytes) -> tuple[str, str]:
    try:
        return "utf-8-sig", body.decode("utf-8-sig")
    except ValueError:
        return "cp1252", body.decode("cp1252", "replace")


def _columns(text: str, separator: str) -> int:
    """Of the first line, if the second has as many."""
    try:
        rows = list(islice(csv.reader(io.StringIO(text), delimiter=separator), 2))
    except csv.Error:
        return 0
    return len(rows[0]) if len(rows) == 2 and len(rows[0]) == len(rows[1]) else 0
