"""Money as drivers report it: minor units of a currency (ISO 4217)."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal

from drivers.bodies import PLAIN, Noise, Numerals, decimal
from gateway.model import MAX_MONEY_MINOR

NO_MINOR = ("BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG", "RWF", "UGX", "UYI", "VND", "VUV")
FRANCS = ("XAF", "XOF", "XPF")
THREE_MINOR = ("BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND")


def minor_digits(currency: str) -> int:
    """Digits of the minor unit."""
    return 0 if currency in NO_MINOR or currency in FRANCS else 3 if currency in THREE_MINOR else 2


def currency_code(value: object, default: str) -> str:
    """Three letters; absent: the default. Raises Noise."""
    if value is None or value == "":
        return default
    if isinstance(value, str) and len(value) == 3 and value.isascii() and value.isalpha():
        return value.upper()
    raise Noise


def minor_units(value: object, digits: int, numerals: Numerals = PLAIN) -> int:
    """A number or text in whole units; rounded half up, since sums of floats carry dust. Raises Noise."""
    scaled = decimal(value, numerals).scaleb(digits)
    if abs(scaled) > MAX_MONEY_MINOR:
        raise Noise
    return int(scaled.quantize(Decimal(1), ROUND_HALF_UP))
