"""What a till knows of one customer, and how files are put into a folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Receipt:
    """One customer paid (or got money back, then `amount_minor` is 0: returns are counted apart)."""

    till: str
    number: str
    at_ms: int
    amount_minor: int
    returned: bool = False


def put(folder: Path, name: str, content: bytes) -> None:
    """Whole and at once: written under a hidden name, then renamed."""
    hidden = folder / f".{name}"
    hidden.write_bytes(content)
    hidden.rename(folder / name)
