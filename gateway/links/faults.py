"""What is wrong with a body, in its driver's words: for the answer to a push, and beside a refused file."""

from __future__ import annotations

import logging
from itertools import islice
from typing import Any

from gateway.driver import Message

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
