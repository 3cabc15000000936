"""A closer look at a payload that nobody understands: does an installed family, and what is in it? Pure."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import islice
from typing import cast

from pydantic import ValidationError

from gateway.driver import Device, Family, Kind, Message, Messages, families
from gateway.errors import GatewayError
from gateway.instants import rfc3339
from gateway.model import Crossings, Damaged, Ignored, Item, Occupancy, Register, Status, Transactions

MAX_PATHS = 40
MAX_SHAPE = 40  # characters
log = logging.getLogger(__name__)

TIME = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d([.,]\d+)?)?(Z|[+-]\d\d:?\d\d)?")
EPOCHS = {
    "unix_s": (1_400_000_000, 2_200_000_000),
    "unix_ms": (1_400_000_000_000, 2_200_000_000_000),
}
COUNTS = (Crossings, Register, Transactions, Occupancy)
SIGNS = (
    ("ins", "in"),
    ("outs", "out"),
    ("passes", "passing"),
    ("total_in", "in in all"),
    ("total_out", "out in all"),
    ("total_passes", "passing in all"),
    ("persons", "inside"),
    ("sales", "receipts"),
    ("returns", "returns"),
)


@dataclass(frozen=True, slots=True)
class Look:
    """What was seen. `paths`: each path and the shape of its first value, never the value."""

    format: str  # json, xml, csv …, text, bytes; "" where it was too long to look
    bytes: int
    paths: Sequence[tuple[str, str]] = ()
    family: Family | None = None  # one whose decoder understands it without being told anything
    device: str = ""
    items: Sequence[Item] = ()

    @property
    def mappable(self) -> bool:
        """Could a mapping describe it?"""
        return bool(self.paths) and self.format != "text"


def look(message: Message, over: str) -> Look:
    """By the families that such a link can carry; they are imported at the first look."""
    able = _able(over)
    form, paths = _outline(able, message)
    heard = [(family, _decoded(family, message)) for family in able]
    for kinds in (COUNTS, Status):  # who counts before who but says how it is
        for family, items in heard:
            told = [item for item in items if isinstance(item, kinds)]
            if told:
                device = device_of(told[0])
                mine = [item for item in told if device_of(item) == device]
                return Look(form, len(message.payload), paths, family, device, mine)
    return Look(form, len(message.payload), paths)


@cache
def _able(over: str) -> Sequence[Family]:
    """What is installed does not change while we run, and finding it takes long."""
    return [one for one in families()[0] if over in one.over and one.kind is Kind.MESSAGES]


def _decoded(family: Family, message: Message) -> list[Item]:
    """Nothing where the family must be told something first, or some of it is damage."""
    try:
        driver = cast("Messages", family.open(Device(family.options())))
        items = list(driver.decode(message))
    except (ValidationError, GatewayError, ValueError):
        return []
    except Exception:
        log.exception("driver %s failed on a payload of somebody else", family.name)
        return []
    return [] if any(isinstance(item, Damaged) for item in items) else items


def _outline(able: Sequence[Family], message: Message) -> tuple[str, Sequence[tuple[str, str]]]:
    for family in able:
        found = _outlined(family, message.payload)
        if found is not None:
            return found[0], [(path, shape_of(value)) for path, value in islice(found[1], MAX_PATHS)]
    text = message.payload.decode("utf-8", "replace")
    plain = "\ufffd" not in text and (text.isprintable() or text.isascii()) and text.strip().isprintable()
    form = "text" if plain else "bytes"
    return form, [("", shape(text.strip()))] if plain else []


def _outlined(family: Family, payload: bytes) -> tuple[str, Iterable[tuple[str, object]]] | None:
    try:
        return family.outline(payload) if family.outline else None
    except Exception:
        log.exception("driver %s failed on a payload of somebody else", family.name)
        return None


def shape_of(value: object) -> str:
    """What a value looks like, and whether it could be a time."""
    if value is None or isinstance(value, bool):
        return "null" if value is None else "true or false"
    if isinstance(value, int | float):
        units = (f" ({unit}?)" for unit, (first, last) in EPOCHS.items() if first <= value < last)
        return shape(str(value)) + next(units, "")
    text = str(value)
    return shape(text) + (" (rfc3339)" if TIME.fullmatch(text) else "")


def shape(text: str) -> str:
    """How a text is written without what it says: digits as 9, letters as a and A."""
    signs = ["9" if one.isdigit() else _letter(one) if one.isalpha() else one for one in text[:MAX_SHAPE]]
    return "".join(signs) + ("…" if len(text) > MAX_SHAPE else "")


def _letter(one: str) -> str:
    return "A" if one.isupper() else "a"


def device_of(item: Item) -> str:
    return item.till if isinstance(item, Transactions) else str(getattr(item, "counter", ""))


def words(item: Item) -> str:
    """Persons or receipts of one item, and when: `3 in, 2 out, 09:00 to 09:01`."""
    if isinstance(item, Damaged | Ignored | Status):
        return ""
    told = [f"{number} {sign}" for name, sign in SIGNS if (number := getattr(item, name, None)) is not None]
    return ", ".join((*told, *_when(item)))


def _when(item: Item) -> Iterator[str]:
    start_ms, end_ms = getattr(item, "start_ms", None), getattr(item, "end_ms", None)
    at_ms = getattr(item, "at_ms", None)
    if start_ms is not None and end_ms is not None and end_ms - start_ms > 1:
        yield f"{rfc3339(start_ms)} to {rfc3339(end_ms)}"
    elif (moment := start_ms if at_ms is None else at_ms) is not None:
        yield f"at {rfc3339(moment)}"
