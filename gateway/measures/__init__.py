"""What counts mean. Formulas live only here, as pure functions of sums; docs/measures.md says it for their
readers.

A ratio is computed from sums at read time and carries its 95 % interval and the id of its formula. What is
not known is `None` with a reason, never 0. Here is what every snapshot and event needs; the rest is asked
of its module by name: `lag` and `dispersion` (learnt from closed days), `money`, `dwell`, `calibration`,
`imputing`, `growth`, `campaign`.
"""

from gateway.measures.capture import capture_rate, mall_share
from gateway.measures.converting import (
    PHI_START,
    SMALL_SALES,
    conversion,
    conversion_crude,
    conversion_units,
)
from gateway.measures.counts import (
    completeness,
    footfall,
    footfall_average,
    footfall_undirected,
    imbalance,
)
from gateway.measures.intervals import Z_95, log_interval, wilson
from gateway.measures.presence import occupancy, occupancy_live, occupancy_raw
from gateway.measures.ratios import (
    DIGITS,
    INCOMPLETE,
    NO_DENOMINATOR,
    NOT_CONFIGURED,
    PASSERSBY,
    RATIO_GT_1,
    VISITORS,
    Ratio,
    flagged,
    gate,
    told,
    unknown,
)

__all__ = [
    "DIGITS",
    "INCOMPLETE",
    "NOT_CONFIGURED",
    "NO_DENOMINATOR",
    "PASSERSBY",
    "PHI_START",
    "RATIO_GT_1",
    "SMALL_SALES",
    "VISITORS",
    "Z_95",
    "Ratio",
    "capture_rate",
    "completeness",
    "conversion",
    "conversion_crude",
    "conversion_units",
    "flagged",
    "footfall",
    "footfall_average",
    "footfall_undirected",
    "gate",
    "imbalance",
    "log_interval",
    "mall_share",
    "occupancy",
    "occupancy_live",
    "occupancy_raw",
    "told",
    "unknown",
    "wilson",
]
