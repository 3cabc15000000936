"""Alarms through any history of raising, ending, lost and late answers, kills and changed minds."""

from __future__ import annotations

import asyncio
import json
import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.model import Basis, Event, LineRule, Member, Role, ZoneSpec
from gateway.quality import Alarm, Kind, Severity
from gateway.store import UpstreamPlan, alarms
from tests.unit.store.conftest import HOUR, MINUTE, T0, Box

LINES = ("door", "back")
RULES = [LineRule(name, "main", basis=Basis.DELTA, max_per_s=0, expect_s=60) for name in LINES]
ZONES = [ZoneSpec("shop", "store", tuple(Member(name, "main", Role.ENTRANCE) for name in LINES))]
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("flip"), st.sampled_from(LINES), st.just(Kind.DEAD)),
        st.tuples(st.sampled_from(["lose", "answer late"])),
        st.tuples(st.sampled_from(["send", "lose", "answer late", "reject", "release", "kill", "prune"])),
        st.tuples(st.just("want"), st.booleans()),
    ),
    max_size=40,
)


class History:
    """One box, one head office that keeps the highest revision, and answers still on their way."""

    def __init__(self, box: Box) -> None:
        self.box = box
        self.open: dict[tuple[str, Kind], int] = {}  # what the detectors hold to be wrong, since when
        self.late: list[list[Event]] = []
        self.bodies: dict[str, str] = {}
        self.office: dict[int, tuple[int, str]] = {}  # alarm → (revision, state)

    async def flip(self, line: str, kind: Kind) -> None:
        """What was well is wrong now, or the other way round."""
        store, now = self.box.store, self.box.wall
        since = self.open.pop((line, kind), None)
        ends = None if since is None else now
        if since is None:
            self.open[line, kind] = since = now
        alarm = Alarm(
            kind, line, since, ends, {"expected": 9.0} if ends is None else {}, "dead", Severity.FAULT
        )
        number = LINES.index(line) + 1
        await store._write(lambda: alarms.book(store._con, store._memory, number, alarm, now))

    async def step(self, name: str, *rest: object) -> None:
        self.box.pass_ms(MINUTE)
        if name == "flip":
            await self.flip(*rest)  # type: ignore[arg-type]
        elif name == "want":
            self.box.upstreams = {"hq": UpstreamPlan(alarms=bool(rest[0]))}
            await self.box.configure()
        elif name == "kill":
            await self.box.restart()
        elif name == "prune":
            await self.box.store.prune(self.box.now())
        elif name == "release":
            await self.box.store.release_rejected("hq")
        elif name == "answer late":
            for batch in self.late:
                await self.box.settle(batch)
            self.late.clear()
        else:
            await self.exchange(name)

    async def exchange(self, how: str) -> None:
        batch = await self.box.store.take("hq", 100, live=True, live_from_ms=0)
        for event in batch:
            body = json.dumps(event.body)
            assert self.bodies.setdefault(event.id, body) == body, "an event once sent never changes"
        if how == "reject":
            await self.box.settle(batch, rejected={event.id: "no" for event in batch})
            return
        for event in batch:
            if event.alarm is not None:
                state = json.loads(self.bodies[event.id])["data"]["state"]
                self.office[event.alarm] = max(self.office.get(event.alarm, (0, "")), (event.revision, state))
        if how == "lose":
            self.late.append(batch)
        else:
            await self.box.settle(batch)


async def lived(folder: Path, steps: list[tuple[object, ...]]) -> None:
    box = Box(folder)
    box.rules, box.zones, box.upstreams = RULES, ZONES, {"hq": UpstreamPlan(alarms=True)}
    await box.open()
    await box.configure()
    history = History(box)
    for step in steps:
        await history.step(*step)  # type: ignore[arg-type]
    for step in (("want", True), ("release",), ("answer late",), ("send",), ("send",)):
        await history.step(*step)  # type: ignore[arg-type]
    reader = box.store.reader()
    known = reader.alarms_between(0, T0 + 1000 * HOUR)
    reader.close_file()
    assert {(one.ref, one.kind) for one in known if one.until_ms is None} == set(history.open)
    said = {one.id: "raised" if one.until_ms is None else "cleared" for one in known}
    for number, (_revision, state) in history.office.items():
        assert said[number] == state
    for one in known:
        assert one.until_ms is not None or one.id in history.office, "what is open, head office knows"
    assert [e for e in await box.everything() if e.alarm is not None] == []
    box.balanced()
    await box.store.aclose()


@settings(max_examples=100, deadline=None)
@given(STEPS)
def test_head_office_ends_up_knowing_what_the_box_knows(steps: list[tuple[object, ...]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(lived(Path(folder), steps))
