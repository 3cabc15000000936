"""Times, intervals and keys as Xovis sensors of all generations write them."""

from __future__ import annotations

from hashlib import blake2b

from drivers.bodies import LONGEST_MS, SECONDS_BELOW, Noise, parse_aware, to_ms, unix_ms


def instant(value: object) -> int:
    """UNIX ms (the default), UNIX s or RFC 3339 with an offset: the agent's setting. Raises Noise."""
    if isinstance(value, str):
        moment = parse_aware(value)
        if moment.tzinfo is None:
            raise Noise
        return to_ms(moment)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Noise
    return unix_ms(value, 1000 if abs(value) < SECONDS_BELOW else 1)


def interval(start: object, end: object) -> tuple[int, int]:
    """Raises Noise where it is empty, turned round or longer than a day."""
    start_ms, end_ms = instant(start), instant(end)
    if not 0 < end_ms - start_ms <= LONGEST_MS:
        raise Noise
    return start_ms, end_ms


def event_key(*parts: object) -> str:
    """A hash: track ids follow a person and are never stored."""
    return blake2b(repr(parts).encode(errors="replace"), digest_size=12).hexdigest()
