"""Alarms on their way: revisions that stay, who is sent them, and what becomes of an answer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace

from gateway.model import Basis, Event, LineRule, Member, Role, ZoneSpec
from gateway.quality import Alarm, Kind, Severity
from gateway.store import UpstreamPlan, alarms
from gateway.store.events import AlarmFacts
from tests.unit.store.conftest import DOOR, HOUR, MINUTE, T0, ZONE, Box

MakeBox = Callable[..., Awaitable[Box]]
DAY = 24 * HOUR
BACK = LineRule("back", "main", basis=Basis.DELTA, max_per_s=0, expect_s=60)
YARD = ZoneSpec("yard", "area", (Member("back", "main", Role.ENTRANCE),))
WANTING = {"hq": UpstreamPlan(alarms=True)}


def dead(line: str = "door", **changes: object) -> Alarm:
    alarm = Alarm(Kind.DEAD, line, T0, None, {"expected": 41.5}, "look", Severity.FAULT)
    return replace(alarm, **changes)  # type: ignore[arg-type]


async def tell(box: Box, alarm: Alarm) -> None:
    """As closing does: in one transaction."""
    store = box.store
    line = next(line for line in store._memory.by_id.values() if line.rule.ref == alarm.line)
    await store._write(lambda: alarms.book(store._con, store._memory, line.id, alarm, box.wall))


async def owed(box: Box, upstream: str = "hq") -> list[Event]:
    taken = await box.store.take(upstream, 100, live=True, live_from_ms=0)
    return [event for event in taken if event.alarm is not None]


def known(box: Box, *, everything: bool = False) -> list[AlarmFacts]:
    reader = box.store.reader()
    try:
        return reader.alarms_between(0, 1 << 62) if everything else reader.alarms()
    finally:
        reader.close_file()


async def test_an_alarm_is_delivered_once_and_its_end_too(make_box: MakeBox) -> None:
    box = await make_box(upstreams=WANTING)
    await tell(box, dead())
    [raised] = await owed(box)
    assert raised.id == f"site/alarm/1/{T0 // 1000}/1"
    data = raised.body["data"]
    assert isinstance(data, dict)
    assert (data["state"], data["line"], data["zones"], data["evidence"]) == (
        "raised",
        "door",
        ["shop"],
        {"expected": 41.5},
    )
    await box.settle([raised])
    assert await owed(box) == []
    box.pass_ms(HOUR)
    await tell(box, dead(until_ms=T0 + 40 * MINUTE))
    [cleared] = await owed(box)
    assert cleared.body["data"]["state"] == "cleared"  # type: ignore[index]
    assert cleared.body["data"]["until"] == "2026-11-25T10:40:00.000Z"  # type: ignore[index]
    await box.settle([cleared])
    assert await owed(box) == []
    assert known(box) == []
    box.balanced()


async def test_an_answer_to_the_raising_does_not_settle_the_end(make_box: MakeBox) -> None:
    box = await make_box(upstreams=WANTING)
    await tell(box, dead())
    sent = await owed(box)
    await tell(box, dead(until_ms=T0 + HOUR))
    await box.settle(sent)
    assert [event.revision for event in await owed(box)] == [2]


async def test_what_was_sent_is_the_same_when_it_is_sent_again_after_a_kill(make_box: MakeBox) -> None:
    box = await make_box(upstreams=WANTING)
    await tell(box, dead())
    before = await owed(box)
    await box.restart()
    box.pass_ms(HOUR)
    assert await owed(box) == before


async def test_a_rejected_alarm_waits_for_release_and_blocks_no_window(make_box: MakeBox) -> None:
    box = await make_box(upstreams=WANTING)
    await tell(box, dead())
    await box.settle(await owed(box), rejected={event.id: "no alarms here" for event in await owed(box)})
    assert await owed(box) == []
    box.at(T0 + 20 * MINUTE)
    await box.close()
    assert len(await box.everything()) == 1
    assert await box.store.release_rejected("hq") == 1
    assert len(await owed(box)) == 1


async def test_who_did_not_ask_for_alarms_gets_none(make_box: MakeBox) -> None:
    box = await make_box(upstreams={"hq": UpstreamPlan(), "owner": UpstreamPlan(alarms=True)})
    await tell(box, dead())
    assert await owed(box) == []
    assert len(await owed(box, "owner")) == 1


async def test_an_upstream_of_one_zone_hears_of_the_lines_of_that_zone_only(make_box: MakeBox) -> None:
    rules, zones = [DOOR, BACK], [ZONE, YARD]
    tenant = UpstreamPlan(zones=("yard",), alarms=True)
    box = await make_box(rules=rules, zones=zones, upstreams={**WANTING, "tenant": tenant})
    await tell(box, dead())
    await tell(box, dead("back"))
    assert [event.body["subject"] for event in await owed(box, "tenant")] == ["site/back"]
    assert len(await owed(box)) == 2


async def test_an_upstream_that_asks_later_is_told_what_is_open_and_what_it_knows_to_be_open(
    make_box: MakeBox,
) -> None:
    box = await make_box(rules=[DOOR, BACK], zones=[ZONE, YARD], upstreams=WANTING)
    await tell(box, dead())
    await box.settle(await owed(box))
    box.upstreams = {"hq": UpstreamPlan()}
    await box.configure()
    await tell(box, dead(until_ms=T0 + HOUR))
    await tell(box, dead("back"))
    await tell(box, dead("door", kind=Kind.STUCK))
    await tell(box, dead("door", kind=Kind.STUCK, until_ms=T0 + HOUR))
    assert await owed(box) == []
    box.upstreams = dict(WANTING)
    await box.configure()
    told = [(event.alarm, event.body["data"]["state"]) for event in await owed(box)]  # type: ignore[index]
    assert told == [(1, "cleared"), (2, "raised")]


async def test_a_line_that_left_an_upstreams_zone_is_still_told_to_be_well_again(make_box: MakeBox) -> None:
    tenant = {"tenant": UpstreamPlan(zones=("yard",), alarms=True)}
    box = await make_box(rules=[DOOR, BACK], zones=[ZONE, YARD], upstreams=tenant)
    await tell(box, dead("back"))
    box.upstream = "tenant"
    await box.settle(await owed(box, "tenant"))
    both = tuple(Member(name, "main", Role.ENTRANCE) for name in ("door", "back"))
    box.zones = [ZoneSpec("shop", "store", both), ZoneSpec("yard", "area", both[:1])]
    await box.configure()
    box.pass_ms(2 * HOUR)
    await tell(box, dead("back", until_ms=T0 + HOUR))
    [event] = await owed(box, "tenant")
    assert event.body["data"]["zones"] == ["shop"]  # type: ignore[index]


async def test_an_upstream_that_gets_another_zone_hears_what_is_open_there(make_box: MakeBox) -> None:
    tenant = {"tenant": UpstreamPlan(zones=("yard",), alarms=True)}
    box = await make_box(rules=[DOOR, BACK], zones=[ZONE, YARD], upstreams=tenant)
    await tell(box, dead())
    assert await owed(box, "tenant") == []
    box.upstreams = {"tenant": UpstreamPlan(zones=("yard", "shop"), alarms=True)}
    await box.configure()
    assert len(await owed(box, "tenant")) == 1


async def test_alarms_of_a_counter_that_was_taken_out_end(make_box: MakeBox) -> None:
    box = await make_box(rules=[DOOR, BACK], zones=[ZONE, YARD], upstreams=WANTING)
    await tell(box, dead("back"))
    await tell(box, dead())
    box.rules, box.zones = [DOOR], [ZONE]
    box.pass_ms(HOUR)
    await box.restart()
    assert [alarm.ref for alarm in known(box)] == ["door"]
    states = {event.body["subject"]: event.body["data"]["state"] for event in await owed(box)}  # type: ignore[index]
    assert states == {"site/back": "cleared", "site/door": "raised"}


async def test_the_end_of_an_alarm_nobody_raised_is_no_event(make_box: MakeBox) -> None:
    box = await make_box(upstreams=WANTING)
    await tell(box, dead(until_ms=T0 + HOUR))
    assert await owed(box) == []
    assert known(box, everything=True) == []


async def test_ended_alarms_go_with_the_retention_unless_somebody_waits(make_box: MakeBox) -> None:
    box = await make_box(upstreams=WANTING)
    box.grid = replace(box.grid, retention_days=40)
    await box.configure()
    await tell(box, dead())
    await tell(box, dead(until_ms=T0 + HOUR))
    await tell(box, dead(kind=Kind.STUCK))
    box.pass_ms(39 * DAY)
    await box.store.prune(box.now())
    assert len(known(box, everything=True)) == 2
    box.pass_ms(2 * DAY)
    await box.store.prune(box.now())
    assert len(known(box, everything=True)) == 2
    await box.settle(await owed(box))
    await box.store.prune(box.now())
    assert [alarm.kind for alarm in known(box, everything=True)] == ["stuck"]
    await tell(box, dead(since_ms=box.wall))
    assert [alarm.id for alarm in known(box)] == [2, 3]


async def test_forgetting_an_upstream_takes_its_alarms_along(make_box: MakeBox) -> None:
    box = await make_box(upstreams=WANTING)
    await tell(box, dead())
    box.upstreams = {"owner": UpstreamPlan(alarms=True)}
    await box.configure()
    await box.store.forget_upstream("hq")
    box.upstreams = {**WANTING, "owner": UpstreamPlan(alarms=True)}
    await box.configure()
    assert len(await owed(box)) == 1
    assert len(await owed(box, "owner")) == 1


async def test_a_crowd_is_kept_and_shown_but_alarms_nobody(make_box: MakeBox) -> None:
    box = await make_box(upstreams=WANTING)
    await tell(box, dead(kind=Kind.EVENT_HIGH, severity=Severity.INFO))
    assert await owed(box) == []
    assert [alarm.kind for alarm in known(box)] == ["event_high"]


async def test_a_clock_set_back_before_a_change_of_timezone_changes_no_alarm_that_was_sent(
    make_box: MakeBox,
) -> None:
    box = await make_box(upstreams=WANTING)
    box.pass_ms(HOUR)
    await tell(box, dead())
    [raised] = await owed(box)
    box.wall -= 30 * MINUTE
    box.grid = replace(box.grid, timezone="Asia/Kolkata")
    await box.configure()
    assert [event.body for event in await owed(box)] == [raised.body]
