"""Holidays of the Nordic countries, who decides on a day that several rules claim, and nobody to ask."""

from __future__ import annotations

import json
import sys
from datetime import date
from pathlib import Path

import pytest
from click.testing import CliRunner

from gateway import config, holidays
from gateway.__main__ import main
from gateway.clock import Clock
from gateway.config import almanac
from gateway.errors import ConfigurationError
from tests.daemon_rig import NOON

HEAD = """
[gateway]
id = "box"
data_dir = "data"
[site]
id = "s"
timezone = "Europe/Oslo"
hours = "c"
[hours.c]
"""
WEEK = 'mon-fri = "10:00-21:00"\nsat = "10:00-18:00"\n'
NORWAY = HEAD + WEEK + 'holidays = { country = "NO", open = "closed" }\n'
YEARS = range(2025, 2030)
ABSENT = (sys.executable, "-c", "import no_such_package")
HANGS = (sys.executable, "-c", "import time; time.sleep(60)")
GARBLED = (sys.executable, "-c", "print('{')")


def write(folder: Path, text: str) -> Path:
    path = folder / "gateway.toml"
    path.write_text(text)
    return path


def load(folder: Path, text: str = NORWAY, years: range = YEARS) -> config.Config:
    return config.load(write(folder, text), years, keep=True)


def problems(folder: Path, text: str) -> list[str]:
    path = write(folder, text)
    with pytest.raises(ConfigurationError) as caught:
        config.load(path, YEARS)
    return [one.removeprefix(f"{path}: ") for one in caught.value.problems]


# -- which days ----------------------------------------------------------------------------------------------

# NO: lov om helligdager og helligdagsfred, lov om 1 og 17 mai; SE: lag (1989:253) om allmänna helgdagar;
# church's days, 1 May and 6 December, with the two eves on which nobody works. Easter Sunday 2026: 5 April.
PUBLIC_2026 = {
    "NO": "01-01 04-02 04-03 04-05 04-06 05-01 05-14 05-17 05-24 05-25 12-25 12-26",
    "SE": "01-01 01-06 04-03 04-05 04-06 05-01 05-14 05-24 06-06 06-20 10-31 12-25 12-26",
    "DK": "01-01 04-02 04-03 04-05 04-06 05-14 05-24 05-25 12-25 12-26",
    "FI": "01-01 01-06 04-03 04-05 04-06 05-01 05-14 05-24 06-19 06-20 10-31 12-06 12-24 12-25 12-26",
    "IS": "01-01 04-02 04-03 04-05 04-06 04-23 05-01 05-14 05-24 05-25 06-17 08-03 12-25 12-26",
}


@pytest.mark.parametrize("country", PUBLIC_2026)
def test_the_public_holidays_of_2026(country: str) -> None:
    days = holidays.answer(country, None, range(2026, 2027))["days"]
    assert " ".join(day.removeprefix("2026-") for day, _, public in days if public) == PUBLIC_2026[country]


@pytest.mark.parametrize(
    ("country", "name", "day"),
    [
        ("NO", "Grunnlovsdag", "2026-05-17"),
        ("SE", "Midsommarafton", "2026-06-19"),
        ("SE", "Julafton", "2026-12-24"),
        ("DK", "Grundlovsdag", "2026-06-05"),
        ("FI", "Juhannusaatto", "2026-06-19"),
        ("IS", "Frídagur verslunarmanna", "2026-08-03"),
    ],
)
def test_days_bear_the_names_people_know_them_by(country: str, name: str, day: str) -> None:
    """In the country's language, whatever the language of the box."""
    assert [day, name] in [one[:2] for one in holidays.answer(country, None, range(2026, 2027))["days"]]


def test_a_part_of_a_country_has_days_of_its_own() -> None:
    """Åland's day of self-government."""
    days = {day for day, _, public in holidays.answer("FI", "01", range(2026, 2027))["days"] if public}
    assert "2026-06-09" in days


def test_the_process_answers_as_a_process(tmp_path: Path) -> None:
    said = almanac.ask("NO", None, range(2026, 2028))
    assert said == holidays.answer("NO", None, range(2026, 2028))
    assert almanac.ask("NO", "99", range(2026, 2027))["unknown"] == "subdiv"


# -- who decides ---------------------------------------------------------------------------------------------


def test_public_holidays_are_closed_and_other_days_go_by_the_week(tmp_path: Path) -> None:
    loaded = load(tmp_path)
    closed = loaded.hours["c"]
    assert closed.of(date(2026, 4, 3)) == ()  # a Friday
    assert closed.of(date(2026, 4, 4)) == ((600, 1080),)
    assert closed.of(date(2029, 12, 25)) == ()
    assert loaded.warnings == ()


RULES = (
    HEAD
    + WEEK
    + (
        'holidays = { country = "NO", open = "12:00-16:00", names = { "Første juledag" = "closed",'
        ' "Grunnlovsdag" = "14:00-18:00" }, eves = { "Første juledag" = "09:00-13:00",'
        ' "Andre juledag" = "09:00-10:00", "Første pinsedag" = "10:00-15:00" } }\n'
        'dates = { 2026-12-26 = "11:00-12:00", 2028-12-24 = "closed" }\n'
    )
)


@pytest.mark.parametrize(
    ("day", "spans"),
    [
        ("2026-04-06", ((720, 960),)),  # a public holiday like any other
        ("2026-12-25", ()),  # by its name
        ("2026-12-24", ((540, 780),)),  # the day before
        ("2026-12-26", ((660, 720),)),  # a date goes before all
        ("2028-12-24", ()),
        ("2026-05-17", ((840, 1080),)),
        ("2026-05-23", ((600, 900),)),
        ("2027-12-25", ()),  # the eve of another, but a holiday itself
        ("2027-05-17", ((840, 1080),)),  # Constitution Day and Whit Monday: named before unnamed
        ("2026-12-28", ((600, 1260),)),
    ],
)
def test_date_before_name_before_holiday_before_eve_before_weekday(
    tmp_path: Path, day: str, spans: tuple[tuple[int, int], ...]
) -> None:
    assert load(tmp_path, RULES).hours["c"].of(date.fromisoformat(day)) == spans


def test_of_two_named_holidays_on_one_day_the_shorter_opening_holds(tmp_path: Path) -> None:
    text = (
        HEAD
        + 'holidays = { country = "NO", names = { "Grunnlovsdag" = "10:00-20:00",'
        + ' "Andre pinsedag" = "12:00-14:00" } }\n'
    )
    assert load(tmp_path, text).hours["c"].of(date(2027, 5, 17)) == ((720, 840),)


def test_a_day_that_is_not_public_counts_only_by_its_name(tmp_path: Path) -> None:
    """Danish shops close on Constitution Day; on the workers' day they need not."""
    text = HEAD + WEEK + 'holidays = { country = "DK", names = { "Grundlovsdag" = "closed" } }\n'
    hours = load(tmp_path, text).hours["c"]
    assert (hours.of(date(2026, 6, 5)), hours.of(date(2026, 5, 1))) == ((), ((600, 1260),))


def test_check_lists_what_came_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Clock, "wall_ms", lambda _clock: NOON)  # what is over is not listed
    path = write(tmp_path, RULES)
    shown = CliRunner().invoke(main, ["check", "--effective", "-c", str(path)])
    assert shown.exit_code == 0
    assert "# hours.c: 2028-12-25 Første juledag: closed\n" in shown.stdout
    assert "# hours.c: 2028-06-03 day before Første pinsedag: 10:00-15:00\n" in shown.stdout
    assert "2028-12-24" not in "".join(line for line in shown.stdout.splitlines() if line.startswith("#"))
    found = json.loads(CliRunner().invoke(main, ["check", "--effective", "--json", "-c", str(path)]).stdout)
    assert {"hours": "c", "date": "2028-12-25", "name": "Første juledag", "open": "closed"} in found[
        "holidays"
    ]
    plain = CliRunner().invoke(main, ["check", "-c", str(path)]).stdout
    assert "hours.c: next holiday " in plain


def test_check_writes_nothing(tmp_path: Path) -> None:
    """Root checks, another user counts: the file would be root's."""
    path = write(tmp_path, NORWAY)
    assert CliRunner().invoke(main, ["check", "-c", str(path)]).exit_code == 0
    assert [*tmp_path.iterdir()] == [path]


# -- contradictions ------------------------------------------------------------------------------------------

WRONG = {
    "a night into the next opening": (
        'fri = "10:00-02:00"\nsat = "01:00-10:00"',
        "hours.c.sat: sat opens while fri is still open",
    ),
    "a night into Monday": (
        'sun = "20:00-06:00"\nmon-fri = "05:00-10:00"',
        "hours.c.mon-fri: mon opens while sun is still open",
    ),
    "a range into itself": (
        'mon-tue = ["00:00-04:00", "22:00-03:00"]',
        "hours.c.mon-tue: tue opens while mon is still open",
    ),
    "a date into the next day": (
        'mon-sun = "01:00-10:00"\ndates = { 2026-12-24 = "20:00-02:00" }',
        "hours.c.dates.2026-12-24: 2026-12-25 opens while 2026-12-24 is still open",
    ),
    "a date while the evening before goes on": (
        'mon-sun = "20:00-02:00"\ndates = { 2026-12-24 = "00:00-10:00" }',
        "hours.c.dates.2026-12-24: 2026-12-24 opens while 2026-12-23 is still open",
    ),
    "a holiday while the evening before goes on": (
        'mon-sun = "20:00-04:00"\nholidays = { country = "NO", open = "02:00-10:00" }',
        "hours.c.holidays: 2026-05-01 opens while 2026-04-30 is still open",
    ),
    "closed and open": ('mon = ["closed", "10:00-12:00"]', "hours.c.mon: is closed and open at once"),
    "nothing": ("mon = []", 'hours.c.mon: must be "closed" or times, not an empty list'),
    "a date that is none": ('dates = { 2026-02-29 = "closed" }', "hours.c.dates.2026-02-29: not a date"),
    "the last day of all": ('dates = { 9999-12-31 = "closed" }', "hours.c.dates.9999-12-31: not a date"),
    "the first day of all": ('dates = { 0001-01-01 = "closed" }', "hours.c.dates.0001-01-01: not a date"),
    "a date in another writing": ('dates = { 20261224 = "closed" }', "hours.c.dates.20261224: not a date"),
    "a week for a date": ('dates = { "2026-W52-4" = "closed" }', "not a date like 2026-12-24"),
    "a country that is none": (
        'holidays = { country = "QQ" }',
        'hours.c.holidays.country: no holidays are known of "QQ"',
    ),
    "a country in small letters": (
        'holidays = { country = "no" }',
        "hours.c.holidays.country: must be a country code",
    ),
    "no country": ('holidays = { open = "closed" }', "hours.c.holidays.country: missing"),
    "a country that is a number": (
        "holidays = { country = 47 }",
        "hours.c.holidays.country: must be a country code",
    ),
    "no table": ('holidays = "NO"', "hours.c.holidays: must be a table"),
    "a part that is none": (
        'holidays = { country = "NO", subdiv = "99" }',
        'hours.c.holidays.subdiv: no holidays are known of "99"; known: 03,',
    ),
    "a part of a country that has none": ('holidays = { country = "DK", subdiv = "1" }', "known: none"),
    "a name misspelt": (
        'holidays = { country = "NO", names = { "Grunnlovsdagen" = "closed" } }',
        "hours.c.holidays.names.Grunnlovsdagen: no holiday of NO is called so (did you mean Grunnlovsdag?);",
    ),
    "the eve of nothing": (
        'holidays = { country = "NO", eves = { "Xyz" = "closed" } }',
        "hours.c.holidays.eves.Xyz: no holiday of NO is called so; there are ",
    ),
    "a key misspelt": (
        'holidays = { country = "NO", opne = "closed" }',
        "hours.c.holidays.opne: unknown key (did you mean open?)",
    ),
    "times of a name": (
        'holidays = { country = "NO", names = { "Grunnlovsdag" = "noon" } }',
        'hours.c.holidays.names.Grunnlovsdag: must be "HH:MM-HH:MM"',
    ),
    "names that are no table": (
        'holidays = { country = "NO", names = "x" }',
        "hours.c.holidays.names: must be a table of holidays",
    ),
}


@pytest.mark.parametrize(("text", "said"), WRONG.values(), ids=WRONG)
def test_what_cannot_be_is_named_with_its_key(tmp_path: Path, text: str, said: str) -> None:
    assert any(said in one for one in problems(tmp_path, HEAD + text + "\n")), problems(tmp_path, HEAD + text)


@pytest.mark.parametrize(
    "text",
    [
        'fri = "10:00-02:00"\nsat = "02:00-10:00"',  # one ends as the other begins
        'mon-sun = "22:00-06:00"\nholidays = { country = "NO" }',  # the night before a holiday ends on it
        'mon-sun = "00:00-24:00"',
        'mon-sun = "20:00-02:00"\ndates = { 2026-12-24 = "closed" }',
    ],
)
def test_what_only_looks_odd_is_accepted(tmp_path: Path, text: str) -> None:
    assert load(tmp_path, HEAD + text + "\n").warnings == ()


def test_opening_and_closing_the_wrong_way_round_is_a_warning(tmp_path: Path) -> None:
    text = 'mon-fri = "21:00-10:00"\nsat = ["10:00-18:00"]\ndates = { 2026-12-31 = "15:00-10:00" }\n'
    loaded = load(tmp_path, HEAD + text)
    assert [one.rpartition(".toml: ")[2] for one in loaded.warnings] == [
        "hours.c.mon-fri: is open all night: are opening and closing swapped?",
        "hours.c.dates.2026-12-31: is open all night: are opening and closing swapped?",
    ]


def test_hours_that_nobody_names_are_a_warning(tmp_path: Path) -> None:
    loaded = load(tmp_path, HEAD.replace('hours = "c"\n', "") + WEEK)
    assert [one.rpartition(".toml: ")[2] for one in loaded.warnings] == [
        "hours.c: neither [site] nor a zone names it"
    ]


# -- when nobody answers -------------------------------------------------------------------------------------


def only(loaded: config.Config) -> str:
    [warning] = loaded.warnings
    return warning.removeprefix(f"{loaded.path}: hours.c.holidays: ")


@pytest.mark.parametrize(
    ("command", "why"),
    [
        (ABSENT, "asking for them failed (ModuleNotFoundError: No module named 'no_such_package')"),
        (("/nowhere/python",), "asking for them failed (FileNotFoundError)"),
        (HANGS, "asking for them failed (TimeoutExpired)"),
        (GARBLED, "asking for them gave no answer"),
    ],
    ids=["absent", "no interpreter", "hangs", "garbled"],
)
def test_without_an_answer_the_week_holds_and_it_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...], why: str
) -> None:
    monkeypatch.setattr(almanac, "COMMAND", command)
    monkeypatch.setattr(almanac, "PATIENCE_S", 1.0)
    loaded = load(tmp_path)
    assert only(loaded) == f"the holidays of NO are not known, days go by their weekday: {why}"
    assert loaded.hours["c"].of(date(2026, 12, 25)) == ((600, 1260),)
    assert [*loaded.holiday_years] == []


def test_who_does_not_answer_is_waited_for_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A mall with shops of many countries' hours must start before systemd loses patience."""
    asked: list[str] = []

    def ask(country: str, _subdiv: str | None, _years: range) -> dict[str, object]:
        asked.append(country)
        raise almanac.Silent("hangs")

    monkeypatch.setattr(almanac, "ask", ask)
    more = "".join(
        f'[hours.{one.lower()}]\nholidays = {{ country = "{one}" }}\n' for one in ("SE", "DK", "FI")
    )
    loaded = load(tmp_path, NORWAY + more)
    assert asked == ["NO"]
    assert sum("are not known" in one for one in loaded.warnings) == 4


def test_what_was_learned_is_not_asked_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = load(tmp_path)
    monkeypatch.setattr(almanac, "COMMAND", ABSENT)
    again = load(tmp_path)
    assert (again.warnings, again.hours, again.holiday_years) == ((), first.hours, YEARS)


@pytest.mark.parametrize("old", ["version", "years"])
def test_an_old_answer_is_renewed_and_kept_where_that_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, old: str
) -> None:
    """An update of the package may know of a new law; years run out."""
    load(tmp_path)
    file = tmp_path / "data" / "holidays.json"
    kept = json.loads(file.read_text())
    if old == "version":
        kept["NO/"]["version"] = "0.1"
        kept["NO/"]["days"].append(["2026-11-30", "A day that was abolished", True])
        file.write_text(json.dumps(kept))
    years = YEARS if old == "version" else range(2027, 2032)
    monkeypatch.setattr(almanac, "COMMAND", ABSENT)
    loaded = load(tmp_path, years=years)
    assert only(loaded).startswith(
        "the holidays of NO are those that were known (until 2029): asking for them failed"
    )
    assert (loaded.hours["c"].of(date(2026, 11, 30)) == ()) is (old == "version")
    monkeypatch.undo()
    renewed = load(tmp_path, years=years)
    assert (renewed.warnings, renewed.holiday_years) == ((), years)
    assert renewed.hours["c"].of(date(2027, 12, 24)) == ((600, 1260),)


@pytest.mark.parametrize("text", ["", "{", "[]", "7", '{"NO/": 3}', '{"NO/": {"days": [["x"]]}}', "\x00\xff"])
def test_a_damaged_file_is_as_good_as_none(tmp_path: Path, text: str) -> None:
    """A power cut may leave anything."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "holidays.json").write_bytes(text.encode("latin-1"))
    loaded = load(tmp_path)
    assert loaded.hours["c"].of(date(2026, 12, 25)) == ()
    assert load(tmp_path).warnings == ()


def test_a_place_that_cannot_be_written_is_only_asked_again(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file where the directory belongs")
    assert load(tmp_path).hours["c"].of(date(2026, 12, 25)) == ()


def test_without_years_nobody_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`status`, `tail` and `decode` read the file too, and have no use for holidays."""

    def ask(*_: object) -> dict[str, object]:
        raise AssertionError("asked")

    monkeypatch.setattr(almanac, "ask", ask)
    assert config.load(write(tmp_path, NORWAY)).observed == {"c": []}
