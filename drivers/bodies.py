"""What message families share: reading a JSON body and believing only sane values.

Nothing here raises anything but `Noise`, for any bytes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from hashlib import blake2b
from typing import TypeAlias, cast

from gateway.model import MAX_COUNT, DamageReason

MAX_NAME = 128  # characters of a device's id, a line's name or a key
MAX_INSTANT_MS = 253_402_300_800_000  # the year 10 000
LONGEST_MS = 25 * 3_600_000  # of an interval: no device sums up more than a day, which autumn makes longer
SECONDS_BELOW = 100_000_000_000  # as seconds the year 5138, as milliseconds 1973
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MILLISECOND = timedelta(milliseconds=1)


class Noise(Exception):
    """A body or a value that no device means."""

    def __init__(self, reason: DamageReason = DamageReason.SANITY) -> None:
        super().__init__(reason)
        self.reason = reason


Table: TypeAlias = Mapping[str, object]
Numerals: TypeAlias = tuple[str, str]  # the decimal sign, and what stands between thousands
PLAIN: Numerals = (".", "")

# NaN, Infinity and numbers too long to convert stay a value: they damage their own field, not its neighbours.
_strict = json.JSONDecoder()
_patient = json.JSONDecoder(parse_int=lambda digits: int(digits) if len(digits) < 64 else float("inf"))


def parse_json(payload: bytes) -> object:
    """The body. Raises Noise(syntax)."""
    try:
        text = payload.decode().strip(" \t\r\n\ufeff")
        body, end = _scan(text)
    except (ValueError, RecursionError):
        raise Noise(DamageReason.SYNTAX) from None
    if end != len(text):
        raise Noise(DamageReason.SYNTAX)
    return body


def _scan(text: str) -> tuple[object, int]:
    try:
        return _strict.raw_decode(text)
    except json.JSONDecodeError:
        raise
    except ValueError:  # more digits than int() takes
        return _patient.raw_decode(text)


def table(value: object) -> Table:
    """An object; anything else is an empty one."""
    return cast("Table", value) if isinstance(value, dict) else {}


def tables(value: object) -> list[Table]:
    """A list of objects; anything else is an empty one."""
    return [table(entry) for entry in value] if isinstance(value, list) else []


def whole(value: object, limit: int = MAX_COUNT, numerals: Numerals = PLAIN) -> int | None:
    """A count 0…limit; absent stays absent. Raises Noise."""
    if type(value) is int:
        if 0 <= value <= limit:
            return value
        raise Noise
    if value is None or value == "":
        return None
    number = decimal(value, numerals)
    if number != number.to_integral_value() or not 0 <= number <= limit:
        raise Noise
    return int(number)


def decimal(value: object, numerals: Numerals = PLAIN) -> Decimal:
    """A finite number, also from text (`1 234,50` with a decimal comma). Raises Noise."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise Noise
    text = str(value)
    if isinstance(value, str):
        text = _plain(text, numerals)
    try:
        number = Decimal(text)
    except (InvalidOperation, ValueError):
        raise Noise from None
    if not number.is_finite() or abs(number.adjusted()) > 30:
        raise Noise
    return number


def _plain(text: str, numerals: Numerals) -> str:
    if len(text) > MAX_NAME or "_" in text:
        raise Noise
    text = "".join(text.split())  # also the no-break spaces between thousands
    comma, thousands = numerals
    if thousands and thousands in text:
        text = _ungrouped(text, comma, thousands)
    return text.replace(",", ".") if comma == "," else text


def _ungrouped(text: str, comma: str, thousands: str) -> str:
    """Groups of three only: `12.50` where dots stand between thousands is not 1250. Raises Noise."""
    head, sign, tail = text.partition(comma)
    first, *groups = head.lstrip("+-").split(thousands)
    if not 1 <= len(first) <= 3 or any(len(group) != 3 for group in groups) or thousands in tail:
        raise Noise
    return head.replace(thousands, "") + sign + tail


def name(value: object) -> str | None:
    """A device's id or a line's name as text; absent stays absent. Raises Noise."""
    if isinstance(value, str):
        if value.isprintable() and len(value) <= MAX_NAME:
            return str(value) or None  # an XML element leaves behind what stands in it
        raise Noise
    if value is None:
        return None
    if type(value) is int and abs(value) < 2**64:
        return str(value)
    if type(value) is float and value.is_integer() and abs(value) < 2**53:
        return str(int(value))
    raise Noise


def opaque(text: str) -> str:
    """An id that names a receipt or could follow a person: known again, and not told."""
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=12).hexdigest()


def parse_aware(text: str) -> datetime:
    """RFC 3339, with or without its offset. Raises Noise."""
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        pass
    try:
        return datetime.fromisoformat(text.strip().upper())
    except ValueError:
        raise Noise from None


def utc_ms(value: object) -> int:
    """RFC 3339; what bears no offset is UTC. Raises Noise."""
    if not isinstance(value, str):
        raise Noise
    moment = parse_aware(value)
    return to_ms(moment if moment.tzinfo else moment.replace(tzinfo=UTC))


def to_ms(moment: datetime) -> int:
    """An aware datetime in ms, exactly. Raises Noise outside 1970…9999."""
    try:
        return sane_ms((moment - EPOCH) // MILLISECOND)
    except OverflowError:
        raise Noise from None


def sane_ms(instant_ms: int) -> int:
    if 0 < instant_ms < MAX_INSTANT_MS:
        return instant_ms
    raise Noise


def unix_ms(value: object, factor: int) -> int:
    """Unix time in units of `factor` ms. Raises Noise."""
    if type(value) is int:
        return sane_ms(value * factor)
    return sane_ms(int((decimal(value) * factor).to_integral_value()))
