"""Currencies without the usual two digits after the point (ISO 4217)."""

from __future__ import annotations

NO_MINOR = ("BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG", "RWF", "UGX", "UYI", "VND", "VUV")
FRANCS = ("XAF", "XOF", "XPF")
THREE_MINOR = ("BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND")


def minor_digits(currency: str) -> int:
    """Digits of the minor unit."""
    return 0 if currency in NO_MINOR or currency in FRANCS else 3 if currency in THREE_MINOR else 2
