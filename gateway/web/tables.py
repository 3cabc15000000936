"""History as text: CSV of rows. Shared by the API and `export`."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

# behind what was there before, for those who read by position
CERTAINTY = (
    *(f"{ratio}.{part}" for ratio in ("conversion", "capture_rate") for part in ("low", "high", "why")),
    "flags",
)
AGGREGATE_COLUMNS = (
    "zone",
    "start",
    "size_s",
    "business_date",
    "revision",
    "reason",
    "ins",
    "outs",
    "passersby",
    "staff",
    "sales",
    "returns",
    "amount_minor",
    "currency",
    "occupancy",
    "occupancy_raw",
    "completeness",
    "estimated_ins",
    "estimated_outs",
    "time_quality",
    "conversion",
    "capture_rate",
    "closed",
    "residual",
    "calibration.version",
    "calibration.ins",
    "calibration.outs",
    "calibration.passersby",
    *CERTAINTY,
)
STRETCH_COLUMNS = (
    "zone",
    "calendar",
    "by",
    "label",
    "first",
    "last",
    "whole",
    "compares_with",
    "ins",
    "outs",
    "passersby",
    "staff",
    "sales",
    "returns",
    "amount_minor",
    "currency",
    "open_s",
    "watched_s",
    "completeness",
    "tier",
    "days_measured",
    "days_estimated",
    "days_unknown",
    "days_closed",
    "imputed_ins",
    "imputed_outs",
    "imputed_passersby",
    "imputed_error",
    "estimated_ins",
    "estimated_outs",
    "time_quality",
    "conversion",
    "conversion_crude",
    "capture_rate",
    "calibration.version",
    "calibration.ins",
    "calibration.outs",
    "calibration.passersby",
    "mall_share",
    "atv",
    "spv",
    "conversion_units",
    "turn_in_rate",
    "dwell",
    *CERTAINTY,
)
READING_COLUMNS = ("counter", "line", "side", "start", "end", "key", "persons")


def as_csv(rows: Iterable[Mapping[str, Any]], columns: Sequence[str], *, header: bool = True) -> str:
    """A header and one line a row; what is not known is an empty cell."""
    text = io.StringIO()
    out = csv.writer(text, lineterminator="\r\n")
    if header:
        out.writerow(columns)
    out.writerows([_cell(_value(row, column)) for column in columns] for row in rows)
    return text.getvalue()


def _value(row: Mapping[str, Any], column: str) -> Any:
    """`a.b` is the `b` of what `a` holds, if it holds anything."""
    name, _, part = column.partition(".")
    value = row.get(name)
    return (value or {}).get(part) if part else value


def _cell(value: Any) -> Any:
    """A ratio's cell is its value; text that a spreadsheet would run as a formula is disarmed."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Mapping):
        return value.get("value")
    if isinstance(value, list):
        return " ".join(value)
    if isinstance(value, str) and value[:1] in {"=", "+", "-", "@", "\t", "\r"}:
        return f"'{value}"
    return value
