"""Calibration in force: applied on read, versioned, never rewriting what was counted or sent."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway import measures
from gateway.amendments import Correction, LineFactor
from gateway.errors import EntryRefused
from gateway.measures.calibrated import Calibrated, Together
from gateway.model import Basis, Crossings, Event, LineRule, Member, Role, Transactions, ZoneSpec
from gateway.store import Grid
from gateway.store.calibrated import CalibratedSum
from gateway.store.in_force import Factor, factor_at
from gateway.store.memory import ZoneMember
from gateway.store.sums import LineWindow
from tests.unit.store.conftest import DOOR, HOUR, MINUTE, Box
from tests.unit.store.conftest import T0 as BEGIN

MakeBox = Callable[..., Awaitable[Box]]
T0 = BEGIN + HOUR
QUARTER, DAY = 15 * MINUTE, 24 * HOUR
RULES = [DOOR, LineRule("side", "main", max_per_s=0, expect_s=60), LineRule("till", "main", till=True)]
MEMBERS = (
    Member("door", "main", Role.ENTRANCE),
    Member("side", "main", Role.PASSING),
    Member("till", "main", Role.TILL),
)
SHOP = ZoneSpec("shop", "store", MEMBERS)


def ins(factor: float = 1.05, from_ms: int | None = None, **more: Any) -> LineFactor:
    return LineFactor(
        **{"line": "door", "side": "in", "factor": factor, "error": 0.01, "from_ms": from_ms, **more}
    )


async def counted(box: Box, quarters: int = 4, count: int = 5) -> None:
    """The same number in, one more out, each quarter from T0 on; closed."""
    for quarter in range(quarters):
        start = T0 + quarter * QUARTER
        for minute in range(15):  # whole coverage, all persons in the first minute
            at = start + minute * MINUTE
            box.at(at + MINUTE)
            await box.delta(at, at + MINUTE, 0 if minute else count, 0 if minute else count + 1)
    await settled(box)


async def settled(box: Box) -> None:
    box.pass_ms(20 * MINUTE)
    await box.close()
    box.balanced()


def rows(box: Box, as_of_ms: int | None = None, size_s: int = 900) -> list[dict[str, Any]]:
    reader = box.store.reader()
    try:
        return reader.aggregates("shop", T0, T0 + HOUR, size_s, as_of_ms)
    finally:
        reader.close_file()


def shown(box: Box, as_of_ms: int | None = None) -> list[Any]:
    """Calibrated ins of the hour's quarters; None where nothing is calibrated."""
    found = [row["calibrated"] for row in rows(box, as_of_ms)]
    return [one and one.to_json()["ins"] for one in found]


async def test_raw_and_calibrated_stand_side_by_side(box: Box) -> None:
    await box.store.calibrate(ins(from_ms=T0), box.now())
    await counted(box)
    assert [row["ins"] for row in rows(box)] == [5] * 4
    assert rows(box)[0]["calibrated"] == Calibrated(1, 5250, 6000, 0, 10_000, 0)
    assert box.ledger()["counted"] == 20
    assert box.store._con.execute("SELECT sum(ins) FROM line_windows").fetchone() == (20,)


async def test_four_small_windows_are_calibrated_as_one_large_one(box: Box) -> None:
    """Rounded window by window, 5 × 1.05 would be 5 for ever."""
    await box.store.calibrate(ins(from_ms=T0), box.now())
    await counted(box)
    assert sum(shown(box)) == 21


async def test_by_default_a_factor_holds_from_the_next_window_on(box: Box) -> None:
    box.at(T0 + 20 * MINUTE)
    put = await box.store.calibrate(ins(), box.now())
    assert (put.version, put.from_ms, put.made_ms) == (1, T0 + 30 * MINUTE, box.wall)
    await counted(box)
    assert shown(box) == [None, None, 5.25, 5.25]


async def test_a_factor_since_earlier_restates_what_was_closed(box: Box) -> None:
    await counted(box)
    before = box.wall
    put = await box.store.calibrate(ins(from_ms=T0 + 2 * QUARTER), box.now())
    assert put.version == 1
    await settled(box)
    assert [(row["revision"], row["reason"], row["ins"]) for row in rows(box)] == [
        (1, "closed", 5),
        (1, "closed", 5),
        (2, "calibration", 5),
        (2, "calibration", 5),
    ]
    assert shown(box) == [None, None, 5.25, 5.25]
    assert shown(box, before) == [None] * 4


async def test_what_was_sent_never_changes(box: Box) -> None:
    """Revision 1 says the same after a calibration as before it; revision 2 says both figures."""

    def first(events: list[Event]) -> dict[str, Any]:
        [event] = [one for one in events if one.start_ms == T0]
        return dict(event.body["data"])  # type: ignore[call-overload]

    await counted(box)
    sent = await box.everything()
    await box.store.calibrate(ins(from_ms=T0), box.now())
    await settled(box)
    assert first(sent)["calibration"] is None
    again = first(await box.everything())
    assert (again["revision"], again["reason"], again["ins"]) == (2, "calibration", 5)
    assert again["calibration"] == {"version": 1, "ins": 5.25, "outs": 6, "passersby": 0}
    await box.store.calibrate(ins(1.1, T0), box.now())
    await settled(box)
    third = first(await box.everything())
    assert third["calibration"] == {"version": 2, "ins": 5.5, "outs": 6, "passersby": 0}


async def test_the_newest_version_that_has_begun_decides(box: Box) -> None:
    await counted(box)
    for factor, quarter in ((1.1, 0), (1.2, 2), (0.9, 1)):
        await box.store.calibrate(ins(factor, T0 + quarter * QUARTER), box.now())
    await settled(box)
    assert shown(box) == [5.5, 4.5, 4.5, 4.5]
    assert [row["calibrated"].version for row in rows(box)] == [1, 3, 3, 3]


async def test_an_ended_calibration_leaves_raw_figures_not_an_older_factor(box: Box) -> None:
    await counted(box)
    await box.store.calibrate(ins(1.1, T0), box.now())
    await box.store.calibrate(ins(1.2, T0 + QUARTER), box.now())
    ended = await box.store.end_calibration(2, "operator", box.now(), T0 + 3 * QUARTER)
    assert (ended.to_ms, ended.ended_by, ended.ended_ms) == (T0 + 3 * QUARTER, "operator", box.wall)
    await settled(box)
    assert shown(box) == [5.5, 6, 6, None]
    assert await box.store.end_calibration(2, "berit", box.now()) == ended
    with pytest.raises(EntryRefused, match="version: 2 has ended"):
        await box.store.end_calibration(2, "berit", box.now(), T0 + 2 * QUARTER)


async def test_one_that_ends_where_it_began_never_held(box: Box) -> None:
    await counted(box)
    await box.store.calibrate(ins(1.1, T0), box.now())
    await box.store.calibrate(ins(1.2, T0 + QUARTER), box.now())
    await box.store.end_calibration(2, "operator", box.now(), T0 + QUARTER)
    await settled(box)
    assert shown(box) == [5.5] * 4
    reader = box.store.reader()
    assert [(one.version, one.to_ms) for one in reader.calibrations()] == [(1, None), (2, T0 + QUARTER)]
    reader.close_file()


async def test_the_same_again_changes_nothing(box: Box) -> None:
    put = await box.store.calibrate(ins(from_ms=T0), box.now())
    box.pass_ms(MINUTE)
    assert await box.store.calibrate(ins(from_ms=T0), box.now()) == put
    assert await box.store.calibrate(ins(), box.now()) == put
    assert (await box.store.calibrate(ins(from_ms=T0 + QUARTER), box.now())).version == 2


async def test_rates_are_made_of_calibrated_entries_with_their_error(make_box: MakeBox) -> None:
    box = await make_box(rules=RULES, zones=[SHOP])
    await box.store.calibrate(ins(1.2, T0, error=0.05), box.now())
    await box.store.calibrate(ins(0.8, T0, line="side", side="out", error=0.02), box.now())
    await counted(box, 1, 100)
    for minute in range(15):
        at = T0 + minute * MINUTE
        figures = (0, 0) if minute else (300, 200)
        await box.take_in(Crossings("side", "main", at, at + MINUTE, *figures), counter="side")
    await box.take_in(Transactions("till", T0, T0 + QUARTER, sales=30), counter="till")
    await settled(box)
    [event] = [one for one in await box.everything() if one.start_ms == T0]
    data: Any = event.body["data"]
    assert data["calibration"] == {"version": 2, "ins": 120, "outs": 101, "passersby": 460}
    assert data["conversion"] == measures.conversion(30, 120, s_k=0.05).to_json()
    s_passersby = 0.02 * 160 / 460
    assert (
        data["capture_rate"]
        == measures.capture_rate(120, 460, math.hypot(0.05, round(s_passersby, 6))).to_json()
    )
    [low, high] = [data["capture_rate"][name] for name in ("low", "high")]
    plain = measures.capture_rate(120, 460)
    assert plain.low is not None
    assert plain.high is not None
    assert low < plain.low < plain.high < high


async def test_the_live_day_is_calibrated_too(box: Box) -> None:
    await box.store.calibrate(ins(1.1, T0 + QUARTER), box.now())
    await counted(box, 2)
    await box.delta(T0 + 3 * QUARTER, T0 + 3 * QUARTER + MINUTE, 10)
    reader = box.store.reader()
    [zone] = reader.live(box.wall)
    reader.close_file()
    assert zone.ins == 20
    assert zone.calibrated is not None
    assert zone.calibrated.to_json()["ins"] == 5 + 5.5 + 11


async def test_from_the_other_side_the_other_figure_is_calibrated(make_box: MakeBox) -> None:
    box = await make_box(zones=[ZoneSpec("shop", "store", (Member("door", "main", Role.ENTRANCE, -1),))])
    await box.store.calibrate(ins(1.2, T0), box.now())
    await counted(box, 1)
    assert rows(box)[0]["calibrated"].to_json() == {"version": 1, "ins": 6, "outs": 6, "passersby": 0}


async def test_a_beam_is_calibrated_by_its_passes(make_box: MakeBox) -> None:
    box = await make_box(rules=[replace(DOOR, basis=Basis.DELTA)])
    box.at(T0 + HOUR)
    await box.take_in(Crossings("door", "main", T0, T0 + QUARTER, passes=9))
    await box.store.calibrate(ins(1.2, T0, side="passes"), box.now())
    await settled(box)
    assert rows(box)[0]["calibrated"].to_json() == {"version": 1, "ins": 4.8, "outs": 6, "passersby": 0}


async def test_what_a_person_entered_is_not_calibrated(box: Box) -> None:
    """Half of the window was counted by eye: 40 of its 45 are what they are."""
    await box.store.calibrate(ins(1.2, T0), box.now())
    await counted(box, 1)
    said = Correction("c", "door", T0 + 5 * MINUTE, T0 + QUARTER, 40, reason="by eye")
    await box.store.correct(said, box.now())
    await settled(box)
    assert rows(box)[0]["ins"] == 45
    assert shown(box)[0] == 46
    await box.store.undo_correction("c", "not by eye", "", box.now())
    await settled(box)
    assert shown(box)[0] == 6


async def test_restating_goes_on_after_a_kill_and_holds_back_pruning(make_box: MakeBox) -> None:
    box = await make_box(grid=Grid(size_s=900, readings_days=1), upstreams={})
    await counted(box)
    box.pass_ms(20 * HOUR)
    await box.close()
    await box.store.calibrate(ins(from_ms=T0), box.now())
    await box.store.close(box.now(), 2)
    assert shown(box) == [5.25, 5.25, None, None]
    await box.restart(reboot=True)
    box.pass_ms(9 * HOUR)
    await box.store.prune(box.now())
    assert box.store._memory.frozen_ms <= T0 + HOUR
    await box.close()
    assert shown(box) == [5.25] * 4
    await box.store.prune(box.now())
    assert box.store._memory.frozen_ms > T0
    with pytest.raises(EntryRefused, match=r"from: windows before .* are final"):
        await box.store.calibrate(ins(1.1, T0), box.now())
    with pytest.raises(EntryRefused, match=r"to: windows before .* are final"):
        await box.store.end_calibration(1, "", box.now(), T0)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"factor": 1.2501}, "factor: 1.2501 lies outside 0.8 to 1.25: mend the counter"),
        ({"factor": 0.79}, "factor: 0.79 lies outside"),
        ({"factor": math.nan}, "factor: nan lies outside"),
        ({"error": -0.01}, "error: "),
        ({"error": 0.26}, "error: "),
        ({"error": math.nan}, "error: "),
        ({"side": "ins"}, "side: one of in, out, passes, not ins"),
        ({"side": "passes"}, "side: door does not count passes, it counts in, out"),
        ({"line": "gate"}, "line: no line gate"),
        ({"source": "x" * 501}, "source: "),
        ({"from_ms": T0 * 1000}, "from: lies more than a year ahead"),
    ],
)
async def test_what_cannot_be_true_is_refused_by_name(box: Box, change: dict[str, Any], words: str) -> None:
    await counted(box, 1)
    with pytest.raises(EntryRefused) as caught:
        await box.store.calibrate(replace(ins(), **change), box.now())
    assert str(caught.value).startswith(words)


async def test_ending_what_is_not_there_or_before_it_began_is_refused(box: Box) -> None:
    with pytest.raises(EntryRefused, match="version: there is no calibration 7"):
        await box.store.end_calibration(7, "", box.now())
    await box.store.calibrate(ins(from_ms=T0 + DAY), box.now())
    with pytest.raises(EntryRefused, match="to: calibration 1 begins at"):
        await box.store.end_calibration(1, "", box.now(), T0)
    with pytest.raises(EntryRefused, match="to: lies more than a year ahead"):
        await box.store.end_calibration(1, "", box.now(), T0 * 1000)
    assert (await box.store.end_calibration(1, "", box.now())).to_ms == T0 + DAY


async def test_without_a_clock_nothing_is_calibrated(box: Box) -> None:
    box.trusted = False
    with pytest.raises(EntryRefused, match="clock"):
        await box.store.calibrate(ins(), box.now())


def test_errors_of_two_doors_add_up_as_squares() -> None:
    """Two doors of 100 with 3 and 4 %: 200 persons, 5 of them unsure, not 7."""
    factors = {(1, 1): [Factor(1, 0, None, 10**6, 30_000)], (2, 1): [Factor(2, 0, None, 10**6, 40_000)]}
    total = CalibratedSum(factors, 0)
    for line in (1, 2):
        total.add(ZoneMember(line, 1, Role.ENTRANCE), LineWindow(ins=100))
    assert total.result() == Calibrated(2, 200_000, 0, 0, 25_000, 0)


def test_the_error_of_a_factor_is_the_same_in_all_windows() -> None:
    """Adding up windows does not make a factor surer."""
    window = Calibrated(3, 100_000, 0, 0, 20_000, 0)

    def together(*parts: tuple[Calibrated | None, int]) -> Calibrated | None:
        total = Together()
        for one, ins_ in parts:
            total.add(one, (ins_, 0, 0))
        return total.result()

    assert together(*[(window, 95)] * 4) == Calibrated(3, 400_000, 0, 0, 20_000, 0)
    assert together((window, 95), (None, 300)) == Calibrated(3, 400_000, 0, 0, 5_000, 0)
    assert together((None, 300)) is None


spans = st.tuples(st.integers(0, 9), st.none() | st.integers(0, 9))


@given(st.lists(spans, max_size=6), st.integers(0, 9))
def test_which_factor_holds_is_what_the_rule_says(given_: list[tuple[int, int | None]], at: int) -> None:
    made = [Factor(version, low, to, 10**6, 0) for version, (low, to) in enumerate(given_, 1)]
    held = [one for one in made if one.to_ms is None or one.to_ms > one.from_ms]
    begun = [one for one in held if one.from_ms <= at]
    newest = begun[-1] if begun and (begun[-1].to_ms is None or at < begun[-1].to_ms) else None
    assert factor_at({(1, 1): held[::-1]}, 1, 1, at) == newest
