"""The small pure parts of the web: words, times in a query, cells of a CSV."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import gateway.web
from gateway import instants
from gateway.quality import REMEDIES, Kind
from gateway.quality.words import SENTENCES
from gateway.web.alarm_words import ALARM_WORDS
from gateway.web.tables import as_csv
from gateway.web.words import WORDS

STATIC = Path(gateway.web.__file__).parent / "static"
NOON_MS = 1_795_435_200_000


@pytest.mark.parametrize("tag", ["nb", "sv", "fi", "en"])
def test_every_word_the_page_uses_is_known(tag: str) -> None:
    used = set(re.findall(r"words\.(\w+)", (STATIC / "page.js").read_text()))
    used |= set(re.findall(r"\$(\w+)", (STATIC / "page.html").read_text())) - {"lang", "site", "words"}
    assert used <= set(WORDS[tag])
    assert all(WORDS[tag].values())


@pytest.mark.parametrize("tag", ["nb", "sv", "fi"])
def test_every_alarm_is_told_with_the_same_figures_in_every_language(tag: str) -> None:
    assert set(ALARM_WORDS[tag]) == {f"{part}_{kind}" for kind in Kind for part in ("alarm", "remedy")}
    for kind in Kind:
        assert kind in REMEDIES
        english = set(re.findall(r"\{(\w+)", SENTENCES[kind]))
        other = set(re.findall(r"\{(\w+)", ALARM_WORDS[tag][f"alarm_{kind}"]))
        assert other <= english, kind
        assert english - other <= {"unlikely", "slots", "sag", "usual_sag"}, kind


@pytest.mark.parametrize(
    "text",
    [
        "2026-11-23T12:00:00Z",
        "2026-11-23T12:00:00",
        "2026-11-23T13:00:00+01:00",
        "2026-11-23T13:00:00 01:00",  # a plus sign nobody escaped
        "1795435200",
    ],
)
def test_one_instant_written_in_many_ways(text: str) -> None:
    assert instants.parse(text) == NOON_MS


def test_a_date_is_its_midnight() -> None:
    assert instants.parse("2026-11-23") == NOON_MS - 12 * 3_600_000


@pytest.mark.parametrize("text", ["", "noon", "2026-13-01", "NaN", "١٧٩٥٤٣٥٢٠٠"])
def test_no_instant(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        instants.parse(text)


def test_cells_cannot_run_as_formulas() -> None:
    rows = [{"zone": "=HYPERLINK(1)", "ins": -3, "share": {"value": None, "why": "completeness"}}]
    assert as_csv(rows, ("zone", "ins", "share")) == "zone,ins,share\r\n'=HYPERLINK(1),-3,\r\n"
