"""What measures cost: each call, and all a live snapshot shows of a hundred zones (goal: under 20 ms)."""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from gateway import measures
from gateway.measures import (
    calibration,
    campaign,
    converting,
    dispersion,
    dwell,
    growth,
    imputing,
    lag,
    money,
    presence,
)

ZONES = 100
DAY = [(index * 7919) % 60 for index in range(288)]  # five-minute windows
SALES = [count // 5 for count in DAY]
KERNEL = lag.kernel(900, 300)
TALLIES = [
    calibration.Tally(*pair)
    for pair in ((118, 112), (205, 197), (97, 95), (164, 151), (143, 139), (188, 176))
]
WEEKS = [[512, 498, 530, 561, 640, 890, 402]] * 4
YEAR = [3900 + (index * 37) % 400 for index in range(52)]
DOORS = [growth.Door(f"door-{index}", 1000 + index, 1010) for index in range(20)]


def zone(index: int) -> list[dict[str, object]]:
    """All that is shown of one zone, from sums; early figures with the dearest formula."""
    sales, ins = 40 + index, 300 + index
    recent, now = lag.lag_step((4.0,) * len(KERNEL), 5, KERNEL)
    inside = measures.occupancy_live(17.0, 5, 3, presence.live_ratio(presence.Drift(1900, 2000))[0])
    phi = dispersion.phi(dispersion.Dispersion(50, 20))
    shown = [
        measures.conversion(sales, ins, staff=12, phi=phi, s_k=0.01),
        converting.conversion_crude(sales, ins, phi=phi),
        converting.conversion_units(sales, ins, 1.36, staff=12, phi=phi),
        converting.conversion_shrunk(sales, ins, 0.2, 200),
        lag.conversion_lagged(sales, ins - now, phi=phi, s_k=0.01),
        lag.conversion_lagged(9, 50.0, phi=phi, window_s=3600, mean_s=900),
        measures.capture_rate(ins, 8 * ins),
        measures.mall_share(ins, 9000, phi),
        money.average_transaction(sales * 23_000, sales),
        money.sales_per_visitor(sales * 23_000, sales, ins),
        dwell.dwell_so_far(ins, ins * 20_000.0, ins - 17, (ins - 17) * 20_700.0, 43_000),
    ]
    complete = measures.completeness(880_000, 900_000)
    gated = [measures.gate(ratio, complete, 0.8).to_json() for ratio in shown]
    return [*gated, {"occupancy": round(inside), "lagged": recent[0]}]


def snapshot() -> None:
    for index in range(ZONES):
        zone(index)


CALLS: dict[str, Callable[[], object]] = {
    "conversion": lambda: measures.conversion(212, 1166, phi=3, s_k=0.013),
    "conversion_shrunk": lambda: converting.conversion_shrunk(2, 7, 0.2, 200),
    "conversion_difference": lambda: converting.conversion_difference((212, 1166), (180, 1120)),
    "capture_rate": lambda: measures.capture_rate(674, 8420),
    "mall_share": lambda: measures.mall_share(674, 5310),
    "lag_step": lambda: lag.lag_step((4.0,) * len(KERNEL), 5, KERNEL),
    "lagged_day_of_288": lambda: lag.lagged(DAY, KERNEL),
    "kernel": lambda: lag.kernel(900, 300),
    "dispersion_of_a_day": lambda: list(
        dispersion.squares(dispersion.to_date(SALES, DAY, 12), sum(SALES), float(sum(DAY)))
    ),
    "occupancy_of_a_day": lambda: list(presence.series(zip(DAY, DAY, strict=True), 0.97)),
    "calibrate_6": lambda: calibration.calibrate(TALLIES),
    "estimate": lambda: imputing.estimate(1250, 1322, 118, 0.91),
    "like_for_like_20": lambda: growth.like_for_like(DOORS),
    "placebo_52_weeks": lambda: campaign.placebo(YEAR),
    "verdict": lambda: campaign.verdict(
        campaign.matched(WEEKS, WEEKS[0]), campaign.Placebo(0.1, -0.2, 0.2, 48)
    ),
}


def cost_us(call: Callable[[], object], rounds: int = 7, seconds: float = 0.02) -> float:
    """Microseconds of processor a call, median of rounds: others may be busy on the machine."""
    began, times = time.process_time(), 0
    while time.process_time() - began < seconds:
        call()
        times += 1
    found = []
    for _ in range(rounds):
        began = time.process_time()
        for _ in range(times):
            call()
        found.append((time.process_time() - began) / times * 1e6)
    return statistics.median(found)


def costs() -> dict[str, object]:
    return {
        "snapshot_of_100_zones_ms": round(cost_us(snapshot) / 1000, 2),
        "figures_a_zone": len(zone(0)),
        "call_us": {name: round(cost_us(call), 1) for name, call in CALLS.items()},
    }
