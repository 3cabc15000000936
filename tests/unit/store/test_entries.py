"""What people enter, made an entry or a sentence; and once for each id, whatever is sent again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gateway.commands.campaign import in_file
from gateway.commands.tally import rows
from gateway.entries import Place
from gateway.entries.bodies import read
from gateway.errors import EntryConflict, EntryRefused
from gateway.model import Entry, EntryKind
from gateway.store.entries import MAX_TAPS_A_DAY
from tests.unit.store.conftest import HOUR, MINUTE, T0, Box

PLACE = Place("Europe/Oslo", 240, frozenset({"mall", "shop-05"}), frozenset({"door", "corner/d5"}))
TAP = {"id": "tap-1", "zone": "shop-05", "bag": True}
TALLY = {
    "id": "t-1",
    "line": "door",
    "from": "2026-11-25T09:00:00Z",
    "to": "2026-11-25T09:15:00Z",
    "ins": 118,
}
CAMPAIGN = {"id": "advent", "from": "2026-11-28", "to": "2026-11-29", "zones": ["shop-05"]}


def entered(kind: EntryKind, body: Any, **more: Any) -> Entry:
    return read(kind, {**body, **more}, PLACE, T0, "api")


def test_a_tap_without_a_time_is_now() -> None:
    entry = entered(EntryKind.TAP, TAP)
    assert (entry.subject, entry.start_ms, entry.content, entry.by) == ("shop-05", T0, {"bag": True}, "api")


def test_a_time_without_an_offset_is_the_sites() -> None:
    entry = entered(EntryKind.TALLY, TALLY, **{"from": "2026-11-25T10:00", "to": "2026-11-25T10:15"})
    assert (entry.start_ms, entry.end_ms) == (T0 - HOUR, T0 - HOUR + 15 * MINUTE)
    assert entry.content == {"ins": 118}


def test_the_days_of_a_campaign_are_whole_business_days() -> None:
    entry = entered(EntryKind.CAMPAIGN, CAMPAIGN)  # 04:00 in Oslo to 04:00
    assert entry.end_ms - entry.start_ms == 48 * HOUR
    assert entry.start_ms % (24 * HOUR) == 3 * HOUR


@pytest.mark.parametrize(
    ("kind", "change", "sentence"),
    [
        (EntryKind.TAP, {"zone": "shop-5"}, "zone: there is no zone .* mean shop-05"),
        (EntryKind.TAP, {"bag": "yes"}, "bag: must be true or false"),
        (EntryKind.TAP, {"id": "a b"}, "id: up to 64"),
        (EntryKind.TAP, {"bags": True}, "bags: unknown key .* mean bag"),
        (EntryKind.TAP, {"at": "noon"}, "at: must be a time"),
        (EntryKind.TAP, {"at": "2027-01-01T00:00:00Z"}, "at: lies in the future"),
        (EntryKind.TAP, {"at": "1969-01-01T00:00:00Z"}, "at: must lie between 1970 and 2200"),
        (EntryKind.TALLY, {"line": "corner"}, "line: there is no line"),
        (EntryKind.TALLY, {"ins": -1}, "ins: must be at least 0"),
        (EntryKind.TALLY, {"ins": 10**12}, "ins: must be at most"),
        (EntryKind.TALLY, {"ins": 1.5}, "ins: must be a whole number"),
        (EntryKind.TALLY, {"ins": None}, "ins: one of ins, outs and passes"),
        (EntryKind.TALLY, {"to": "2026-11-25T09:00:00Z"}, "to: must lie after from"),
        (EntryKind.TALLY, {"to": "2026-11-25T12:00:00Z"}, "to: lies in the future"),
        (EntryKind.TALLY, {"from": "2026-01-01T00:00:00Z"}, "to: more than 31 days"),
        (EntryKind.CAMPAIGN, {"zones": []}, "zones: "),
        (EntryKind.CAMPAIGN, {"zones": ["mall", "mall"]}, "zones: a zone stands there twice"),
        (EntryKind.CAMPAIGN, {"controls": ["shop-05"]}, "controls: shop-05 is a zone of the campaign"),
        (EntryKind.CAMPAIGN, {"goal": float("nan")}, "goal: "),
        (EntryKind.CAMPAIGN, {"measure": "luck"}, "measure: must be one of"),
        (EntryKind.CAMPAIGN, {"to": "2029-01-01"}, "to: more than 400 days"),
    ],
)
def test_what_cannot_be_is_refused_in_a_sentence(kind: EntryKind, change: Any, sentence: str) -> None:
    body: Any = {EntryKind.TAP: TAP, EntryKind.TALLY: TALLY, EntryKind.CAMPAIGN: CAMPAIGN}[kind]
    with pytest.raises(EntryRefused, match=sentence):
        entered(kind, body, **change)


@pytest.mark.parametrize("body", [None, 3, [], "tap"])
def test_what_is_no_object_is_refused(body: Any) -> None:
    with pytest.raises(EntryRefused, match="must be an object"):
        read(EntryKind.TAP, body, PLACE, T0)


async def test_the_same_id_is_the_same_entry(box: Box) -> None:
    tap = entered(EntryKind.TAP, TAP)
    [(first, new)] = await box.store.enter([tap])
    box.pass_ms(HOUR)
    again = read(EntryKind.TAP, TAP, PLACE, box.wall, "sent again an hour later")
    [(second, repeated)] = await box.store.enter([again])
    assert (new, repeated) == (True, False)
    assert second == first
    assert box.store.reader().taps(0, box.wall) == {"shop-05": (1, 1)}


async def test_an_id_used_for_something_else_is_a_conflict_and_nothing_of_the_list_is_kept(box: Box) -> None:
    await box.store.enter([entered(EntryKind.TALLY, TALLY)])
    other = [entered(EntryKind.TALLY, TALLY, id="t-2"), entered(EntryKind.TALLY, TALLY, ins=119)]
    with pytest.raises(EntryConflict, match="t-1"):
        await box.store.enter(other)
    assert [entry.id for entry in box.store.reader().entries(EntryKind.TALLY)] == ["t-1"]


async def test_a_withdrawn_entry_does_not_count_but_stays(box: Box) -> None:
    await box.store.enter([entered(EntryKind.TAP, TAP)])
    await box.store.withdraw(EntryKind.TAP, "tap-1", T0 + 1)
    reader = box.store.reader()
    assert reader.taps(0, T0 + HOUR) == {}
    assert reader.entries(EntryKind.TAP) == []
    assert reader.entries(EntryKind.TAP, withdrawn=True)[0].withdrawn_ms == T0 + 1
    with pytest.raises(EntryRefused, match="no tally tap-1"):
        await box.store.withdraw(EntryKind.TALLY, "tap-1", T0)


async def test_entries_survive_a_restart(box: Box) -> None:
    await box.store.enter([entered(EntryKind.CAMPAIGN, CAMPAIGN, goal=0.1, purpose="advent lights")])
    await box.store.aclose()
    await box.open()
    [campaign] = box.store.reader().entries(EntryKind.CAMPAIGN)
    assert campaign.content["goal"] == 0.1
    assert campaign.content["zones"] == ["shop-05"]


async def test_a_phone_that_taps_by_itself_does_not_fill_the_card(
    box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert MAX_TAPS_A_DAY > 10_000
    monkeypatch.setattr("gateway.store.entries.MAX_TAPS_A_DAY", 2)
    taps = [entered(EntryKind.TAP, TAP, id=f"tap-{n}") for n in range(3)]
    with pytest.raises(EntryRefused, match="more than 2 taps"):
        await box.store.enter(taps)
    await box.store.enter(taps[:2])


def test_a_file_of_tallies_is_read_by_its_first_row(tmp_path: Path) -> None:
    file = tmp_path / "tallies.csv"
    file.write_text("line;from;to;ins;outs\r\ndoor;2026-11-25 10:00;2026-11-25 10:15;118;\r\n")
    [body] = rows(file)
    assert body.pop("id").startswith("row-")
    assert body == {"line": "door", "from": "2026-11-25 10:00", "to": "2026-11-25 10:15", "ins": 118}
    assert next(rows(file))["id"] == next(rows(file))["id"], "importing twice enters nothing twice"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("line,from,to,ins\ndoor,a,b\n", "row 2: not as many cells"),
        ("line,from,to,ins\ndoor,a,b,many\n", "row 2: ins: must be a whole number"),
    ],
)
def test_a_wrong_row_is_named(tmp_path: Path, text: str, sentence: str) -> None:
    file = tmp_path / "tallies.csv"
    file.write_text(text)
    with pytest.raises(ValueError, match=sentence):
        list(rows(file))


def test_campaigns_of_a_file(tmp_path: Path) -> None:
    file = tmp_path / "campaigns.toml"
    file.write_text('[campaign.advent]\nfrom = 2026-11-28\nto = 2026-11-29\nzones = ["shop-05"]\n')
    [body] = in_file(file)
    assert body == CAMPAIGN
    file.write_text("[other]\n")
    with pytest.raises(ValueError, match="campaign"):
        in_file(file)
