"""Pure: an entry as API and commands show it."""

from __future__ import annotations

from typing import Any

from gateway.amendments import Correction
from gateway.instants import rfc3339
from gateway.model import Entry, EntryKind

NO_FACTOR = {
    "no_history": "six tallies of a hundred persons each, with the counter heard all the time, are the least",
    "no_denominator": "nearly all was counted in one of them",
    "implausible_factor": "beyond 0.8 to 1.25 the counter is to be mended, not multiplied",
}
SUBJECT = {EntryKind.TAP: "zone", EntryKind.TALLY: "line", EntryKind.ACCEPTANCE: "line"}


def to_json(entry: Entry) -> dict[str, Any]:
    """Its content as it was sent, with who and when."""
    row: dict[str, Any] = {"id": entry.id}
    if entry.kind in SUBJECT:
        row[SUBJECT[entry.kind]] = entry.subject
    if entry.kind is EntryKind.TAP:
        row["at"] = rfc3339(entry.start_ms)
    elif entry.kind is EntryKind.ACCEPTANCE:
        row["from"] = rfc3339(entry.start_ms)
    else:
        row |= {"from": rfc3339(entry.start_ms), "to": rfc3339(entry.end_ms)}
    row |= {**entry.content, "by": entry.by, "entered": rfc3339(entry.entered_ms)}
    if entry.withdrawn_ms is not None:
        row["withdrawn"] = rfc3339(entry.withdrawn_ms)
    return row


def correction_json(one: Correction) -> dict[str, Any]:
    """A correction, undone or in force."""
    sides = {"ins": one.ins, "outs": one.outs, "passes": one.passes}
    row: dict[str, Any] = {"id": one.id, "line": one.line}
    row |= {"from": rfc3339(one.start_ms), "to": rfc3339(one.end_ms)}
    row |= {side: n for side, n in sides.items() if n is not None}
    row |= {"reason": one.reason, "by": one.by, "entered": rfc3339(one.made_ms)}
    if one.undone_ms is not None:
        undone = {"at": rfc3339(one.undone_ms), "by": one.undone_by, "reason": one.undone_reason}
        row["undone"] = undone
    return row
