"""What is wrong with a body, in its driver's words: for the answer to a push, and beside a refused file."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from itertools import islice
from typing import Any

from gateway.driver import Message
from gateway.model import Damaged, DamageReason, Item

SHOWN = 5  # faults told of one body
MAX_TOLD_BYTES = 1 << 20  # a longer body is not read a second time

log = logging.getLogger(__name__)


def faults(source: Any, message: Message) -> str:
    """`Data[0].In: no count from 0 to …; …`: paths and reasons without any value; "" where none are told."""
    family = getattr(source, "family", None)
    find = getattr(family, "faults", None)
    if find is None or len(message.payload) > MAX_TOLD_BYTES:
        return ""
    try:
        found = [f"{path}: {why}" for path, why in islice(find(source.device, message), SHOWN + 1)]
    except Exception:  # a driver's slip in a sentence must not cost the file or the push
        log.exception("driver %s could not tell what is wrong", getattr(family, "name", "?"))
        return ""
    return "; ".join(found[:SHOWN]) + ("; and more" if len(found) > SHOWN else "")


def rank(items: Iterable[Item]) -> tuple[bool, bool]:
    """Of several who count nobody in a body the lowest speaks of it: who reads all but a figure knows best.

    One who reads nothing of it may still be wrong about what a neighbour takes for a test.
    """
    reasons = {item.reason for item in items if isinstance(item, Damaged)}
    return DamageReason.SANITY not in reasons, bool(reasons)
