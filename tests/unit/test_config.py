"""Wrong configurations: each misfortune is named, with its file and key, and all of them at once."""

from __future__ import annotations

import json
from datetime import date
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
from click.testing import CliRunner

from gateway import config, driver
from gateway.__main__ import main
from gateway.config.schema import schema
from gateway.driver import family_names
from gateway.errors import ConfigurationError
from gateway.model import Basis, Member, Role

HEAD = '[gateway]\nid = "box"\n[site]\nid = "here"\ntimezone = "Europe/Oslo"\n'
LINKS = """
[link]
bus = { over = "serial", options = { port = "/dev/null", poll_s = 2 } }
broker = { over = "mqtt", options = { host = "127.0.0.1" } }
"""
DOOR = '[counter.door]\nlink = "bus"\ndriver = "dcon"\nin = 0\nout = 1\n'
CORNER = """
[counter.corner]
link = "broker"
driver = "xovis"
topic = "x"
lines = { d5 = { logic = "A" }, d6 = { logic = "B", reversed = true } }
"""
TILL = '[till.pos]\nlink = "bus"\ndriver = "cleancash"\n'
UPSTREAM = '[upstream.office]\ndriver = "http"\n'


@pytest.fixture(autouse=True)
def _no_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)


def write(folder: Path, text: str, name: str = "gateway.toml") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def good(folder: Path, text: str) -> config.Config:
    return config.load(write(folder, HEAD + text))


def problems(folder: Path, text: str, head: str = HEAD) -> list[str]:
    """Every problem, without the name of the file."""
    path = write(folder, head + text)
    with pytest.raises(ConfigurationError) as caught:
        config.load(path)
    assert all(one.startswith(f"{path}: ") for one in caught.value.problems)
    return [one.removeprefix(f"{path}: ") for one in caught.value.problems]


WRONG = {
    "a mistyped table": ('[clok]\ntrust = "rtc"', "clok: unknown key (did you mean clock?)"),
    "a mistyped key": ("[windows]\nsize = 900", "windows.size: unknown key (did you mean size_s?)"),
    "a push port on the page's": (
        (
            '[http]\nlisten = "127.0.0.1:81"\n[push]\nlisten = "127.0.0.1:81"\nallow = ["127.0.0.1"]\n'
            '[link.lan]\nover = "push"\noptions = { auth = "none" }'
        ),
        "push.listen: [http] has this address and port",
    ),
    "counters that push without a port": (
        '[link.lan]\nover = "push"\noptions = { auth = "none" }',
        "push.listen: missing: counters push to link lan",
    ),
    "an open door without a list of guests": (
        '[push]\nlisten = "127.0.0.1:81"\n[link.lan]\nover = "push"\noptions = { auth = "none" }',
        "link.lan.options.auth: none needs [push] allow",
    ),
    "a door without a key": (
        '[push]\nlisten = "127.0.0.1:81"\n[link.lan]\nover = "push"\noptions = { auth = "digest" }',
        "link.lan.options.password_file: missing beside auth = digest",
    ),
    "signed bodies without the header that signs them": (
        (
            '[push]\nlisten = "127.0.0.1:81"\n[link.lan]\nover = "push"\n'
            'options = { auth = "hmac", key_file = "head-office.token" }'
        ),
        "link.lan.options.signature_header: missing beside auth = hmac",
    ),
    "a signed address beside a token": (
        (
            '[push]\nlisten = "127.0.0.1:81"\n[link.lan]\nover = "push"\n'
            'options = { token_file = "head-office.token", notification_url = "https://x.example" }'
        ),
        "link.lan.options.notification_url: not used by auth = token",
    ),
    "a network that is none": ('[push]\nallow = ["192.168.10.x"]', "push.allow[0]: must be a network like "),
    "text where a number belongs": (
        '[windows]\nreadings_days = "many"',
        'windows.readings_days: must be a whole number, not "many"',
    ),
    "a fraction where a whole number belongs": (
        "[windows]\nreadings_days = 1.5",
        "windows.readings_days: must be a whole number, not 1.5",
    ),
    "a size nobody supports": ("[windows]\nsize_s = 901", "windows.size_s: must be one of 60, 300, 900"),
    "a ratio above one": (
        "[windows]\nmin_completeness = 2",
        "windows.min_completeness: must be at most 1, not 2",
    ),
    "a limit in the millions": (
        '[push]\nlisten = "127.0.0.1:81"\n[link.lan]\nover = "push"\noptions.max_payload_bytes = 134217728',
        "link.lan.options.max_payload_bytes: must be at most 67108864, not 134217728",
    ),
    "aggregates that go before their readings": (
        "[windows]\nretention_days = 3",
        "windows.retention_days: must not be less than readings_days",
    ),
    "a word that is not offered": ('[clock]\ntrust = "alway"', "(did you mean always?)"),
    "an address without a port": ('[http]\nlisten = "localhost"', 'http.listen: must be "ADDRESS:PORT"'),
    "a page open to others without a token": (
        '[http]\nlisten = "0.0.0.0:80"',
        "http.listen: 0.0.0.0 is open to others: token_file is needed",
    ),
    "a folder by a relative path": (
        '[link.a]\nover = "folder"\noptions = { path = "receipts" }',
        'link.a.options.path: must be absolute, not "receipts"',
    ),
    "two links that take the same files": (
        (
            "[link]\n"
            'a = { over = "folder", options = { path = "/srv/in", pattern = "*.csv" } }\n'
            'b = { over = "folder", options = { path = "/srv/in/", pattern = "*.csv" } }'
        ),
        "link.b.options.pattern: link a takes these files too",
    ),
    "a mistyped kind of link": ('[link.a]\nover = "serail"', "(did you mean serial?)"),
    "a capital letter in an id": ('[link.Bus]\nover = "serial"\noptions = { port = "x" }', "link.Bus: no id"),
    "a serial link without a port": ('[link.a]\nover = "serial"', "link.a.options.port: missing"),
    "a port and a tap at once": (
        '[link.a]\nover = "serial"\noptions = { port = "x", port_till = "y" }',
        "link.a.options.port: either one port, or port_till and port_unit",
    ),
    "a tap with one ear twice": (
        '[link.a]\nover = "serial"\noptions = { port_till = "x", port_unit = "x" }',
        "link.a.options.port_unit: the same as port_till",
    ),
    "a serial server of another kind": (
        '[link.a]\nover = "serial"\noptions = { port = "telnet://server:23" }',
        'link.a.options.port: must be a device, "socket://HOST:PORT"',
    ),
    "a serial server without a port": (
        '[link.a]\nover = "serial"\noptions = { port = "socket://server" }',
        'link.a.options.port: must be a device, "socket://HOST:PORT"',
    ),
    "a tap for a device that must be asked": (
        (
            '[link.tap]\nover = "serial"\noptions = { port_till = "x", port_unit = "y" }\n'
            '[counter.a]\nlink = "tap"\ndriver = "dcon"\nboth = 0'
        ),
        "counter.a.link: tap is a tap: it only listens, and dcon must be asked",
    ),
    "two taps on one port": (
        (
            '[link.a]\nover = "serial"\noptions = { port_till = "x" }\n'
            '[link.b]\nover = "serial"\noptions = { port_unit = "x" }'
        ),
        "link.b.options.port: link a has this port too",
    ),
    "two links on one address": (
        (
            '[link.a]\nover = "tcp"\noptions = { host = "h", port = 502 }\n'
            '[link.b]\nover = "tcp"\noptions = { host = "h", port = 502 }'
        ),
        "link.b.options.port: link a has this port too",
    ),
    "two links on one port": (
        LINKS + 'b2 = { over = "serial", options = { port = "/dev/null" } }',
        "link.b2.options.port: link bus has this port too",
    ),
    "a password without a user": (
        '[link.b]\nover = "mqtt"\noptions = { host = "h", password_file = "gateway.toml" }',
        "link.b.options.username: missing beside password_file",
    ),
    "a secret that is not there": (
        '[http]\ntoken_file = "gone"',
        "http.token_file: there is no file ",
    ),
    "an unknown driver": (
        LINKS + '[counter.a]\nlink = "bus"\ndriver = "dcom"',
        'counter.a.driver: unknown driver "dcom" (did you mean dcon?); known: ' + ", ".join(family_names()),
    ),
    "a driver that its link cannot carry": (
        LINKS + '[counter.a]\nlink = "broker"\ndriver = "dcon"\nin = 0',
        "counter.a.driver: dcon is not carried over mqtt (link broker); over: serial",
    ),
    "a link that does not exist": (
        LINKS + '[counter.a]\nlink = "brokr"\ndriver = "xovis"\ntopic = "t"',
        'counter.a.link: there is no link "brokr" (did you mean broker?)',
    ),
    "a counter without a link": (LINKS + '[counter.a]\ndriver = "xovis"', "counter.a.link: missing"),
    "a mistyped option of a driver": (
        LINKS + DOOR + 'adress = "02"',
        "counter.door.adress: unknown key (did you mean address?)",
    ),
    "a mistyped core key beside a driver's": (
        LINKS + DOOR + "revers = true",
        "counter.door.revers: unknown key (did you mean reversed?)",
    ),
    "a mistyped key of one line": (
        LINKS + CORNER.replace("logic = ", "logick = "),
        "counter.corner.lines.d5.logick: unknown key (did you mean logic?)",
    ),
    "a line's key beside several lines": (
        LINKS + CORNER + 'logic = "C"',
        "counter.corner.logic: belongs to one line",
    ),
    "a channel that a driver needs": (
        LINKS + '[counter.a]\nlink = "bus"\ndriver = "dcon"',
        "counter.a: a channel is missing",
    ),
    "one address twice on a bus": (
        LINKS + DOOR + DOOR.replace("door", "gate"),
        "counter.gate: counter door has the same address on link bus",
    ),
    "one device's line counted twice": (
        LINKS + CORNER + CORNER.replace("counter.corner", "counter.edge"),
        "counter.edge: counter corner has the same device on link broker",
    ),
    "a broker's counter without a topic": (
        LINKS + '[counter.a]\nlink = "broker"\ndriver = "xovis"',
        "counter.a.topic: missing",
    ),
    "a mapping that does not exist": (
        LINKS
        + '[mapping.acme]\nreading = [{ ins = "i" }]\n'
        + '[counter.a]\nlink = "broker"\ndriver = "mapping"\nmapping = "acne"\ntopic = "t"',
        "counter.a.mapping: there is no [mapping.acne] (did you mean acme?)",
    ),
    "a key like no other of a small table": (
        LINKS
        + '[mapping.acme]\nreading = [{ ins = "i" }]\n'
        + '[counter.a]\nlink = "broker"\ndriver = "mapping"\nmapping = "acme"\ntopic = "t"\n'
        + 'match = { serial = "7" }',
        "counter.a.match.serial: unknown key; known: counter, till, line",
    ),
    "a mistyped key in a mapping": (
        LINKS
        + '[mapping.acme]\nreading = [{ ins = "i", rowz = "a[*]" }]\n'
        + '[counter.a]\nlink = "broker"\ndriver = "mapping"\nmapping = "acme"\ntopic = "t"',
        "mapping.acme.reading[0].rowz: unknown key (did you mean rows?)",
    ),
    "a till that is a counter too": (
        LINKS + DOOR + '[till.door]\nlink = "broker"\ndriver = "xovis"\ntopic = "t"',
        "till.door: a counter has this id too",
    ),
    "a currency nobody prints": (
        LINKS + '[till.a]\nlink = "broker"\ndriver = "xovis"\ntopic = "t"\ncurrency = "kr"',
        "till.a.currency: must be three capital letters",
    ),
    "a zone with an unknown counter": (
        LINKS + DOOR + '[zone.m]\nkind = "mall"\nentrances = ["dor"]',
        'zone.m.entrances: there is no counter "dor" (did you mean door?)',
    ),
    "a zone that must say which line": (
        LINKS + CORNER + '[zone.m]\nkind = "mall"\nentrances = ["corner"]',
        'zone.m.entrances: counter "corner" has several lines: name one (d5, d6)',
    ),
    "a zone with an unknown line": (
        LINKS + CORNER + '[zone.m]\nkind = "mall"\nentrances = ["corner/d7"]',
        'zone.m.entrances: counter "corner" has no line "d7"; it has d5, d6',
    ),
    "a line in a zone twice": (
        LINKS + CORNER + '[zone.m]\nkind = "mall"\nentrances = ["corner/d5", "-corner/d5"]',
        'zone.m.entrances: "-corner/d5" stands here twice',
    ),
    "an entrance by which only staff comes in": (
        LINKS + CORNER + '[zone.m]\nkind = "store"\nentrances = ["corner/d5"]\nstaff = ["corner/d5"]',
        'zone.m.staff: "corner/d5" stands in entrances already',
    ),
    "a till in a zone twice": (
        LINKS + TILL + '[zone.m]\nkind = "store"\ntills = ["pos", "pos"]',
        'zone.m.tills: "pos" stands here twice',
    ),
    "a member written in a way of its own": (
        '[zone.m]\nkind = "mall"\npassing = ["a b"]',
        'zone.m.passing: "a b" is not written as counter, counter/line or -counter/line',
    ),
    "a zone with an unknown till": (
        '[zone.m]\nkind = "mall"\ntills = ["pos"]',
        'zone.m.tills: there is no till "pos"',
    ),
    "a zone with an unknown parent": (
        '[zone.m]\nkind = "mall"\nparent = "n"',
        'zone.m.parent: there is no zone "n"',
    ),
    "zones within each other": (
        '[zone.m]\nkind = "mall"\nparent = "n"\n[zone.n]\nkind = "floor"\nparent = "m"',
        "zone.m.parent: the zone would lie within itself",
    ),
    "a roster of a day nobody knows": (
        '[zone.m]\nkind = "store"\nroster = { mon-fry = 3 }',
        "zone.m.roster.mon-fry: unknown key (did you mean mon-fri?)",
    ),
    "a roster with a day twice": (
        '[zone.m]\nkind = "store"\nroster = { mon-fri = 3, tue = 4 }',
        "zone.m.roster.tue: tue is named twice",
    ),
    "a roster without hours": (
        '[zone.m]\nkind = "store"\nroster = { mon-fri = 3 }',
        "zone.m.roster: needs hours, of the zone or the site",
    ),
    "a roster of less than nobody": (
        '[zone.m]\nkind = "store"\nroster = { mon-fri = -3 }',
        "zone.m.roster.mon-fri: must be 0 to 10000, not -3",
    ),
    "staff told by a line and by a roster": (
        LINKS + CORNER + '[zone.m]\nkind = "store"\nstaff = ["corner/d5"]\nroster = { mon-fri = 3 }',
        "zone.m.roster: staff is told by the lines of staff already",
    ),
    "a group of less than one": (
        '[zone.m]\nkind = "store"\ngroup = 0.5',
        "zone.m.group: must be at least 1, not 0.5",
    ),
    "a zone with unknown hours": (
        '[zone.m]\nkind = "mall"\nhours = "x"',
        "zone.m.hours: there is no [hours.x]",
    ),
    "an id used again": (
        '[zone.m]\nkind = "mall"\nwas = ["n"]\n[zone.n]\nkind = "mall"',
        'zone.m.was: "n" is a zone of today',
    ),
    "a day nobody knows": ('[hours.a]\nmon-fry = "10:00-21:00"', "(did you mean mon-fri?)"),
    "hours that overlap": (
        '[hours.a]\nmon = ["10:00-12:00", "11:00-13:00"]',
        "hours.a.mon: the times overlap",
    ),
    "a day named twice": ('[hours.a]\nmon-fri = "closed"\ntue = "closed"', "hours.a.tue: tue is named twice"),
    "a time that is none": ('[hours.a]\nmon = "10-18"', 'hours.a.mon: must be "HH:MM-HH:MM"'),
    "a date that is none": (
        "[hours.a]\ndates = { 2026-02-30 = 'closed' }",
        "hours.a.dates.2026-02-30: not a date",
    ),
    "an unknown upstream driver": (
        '[upstream.a]\ndriver = "htpp"',
        "upstream.a.driver: unknown upstream driver",
    ),
    "an upstream in clear text": (
        UPSTREAM + 'options = { url = "http://office.example/" }',
        "upstream.office.options.url: must be https, except on this machine",
    ),
    "an upstream for an unknown zone": (
        UPSTREAM + 'options = { url = "https://o.example/" }\nsend = { zones = ["m"] }',
        'upstream.office.send.zones: there is no zone "m"',
    ),
    "an upstream with a size nobody supports": (
        UPSTREAM + 'options = { url = "https://o.example/" }\nsend = { sizes_s = [900, 7] }',
        "upstream.office.send.sizes_s[1]: must be one of 60, 300, 900, 1800, 3600, not 7",
    ),
}


@pytest.mark.parametrize(("text", "said"), WRONG.values(), ids=WRONG.keys())
def test_misfortune_is_named(tmp_path: Path, text: str, said: str) -> None:
    found = problems(tmp_path, text)
    assert any(said in one for one in found), found
    assert len(found) == len(set(found))


SITE = {
    "no site": ("", "site.id: missing"),
    "an unknown timezone": (
        '[site]\nid = "a"\ntimezone = "Europe/Olso"',
        'site.timezone: unknown timezone "Europe/Olso"',
    ),
    "unknown hours": ('[site]\nid = "a"\ntimezone = "UTC"\nhours = "x"', "site.hours: there is no [hours.x]"),
    "a day that begins inside a window": (
        '[site]\nid = "a"\ntimezone = "UTC"\nday_start = "04:10"',
        "site.day_start: 04:10 in UTC is not on the edge of a window of 900 s",
    ),
    "a day whose zone is apart by half an hour": (
        '[site]\nid = "a"\ntimezone = "Asia/Kolkata"\nday_start = "04:00"\n[windows]\nsize_s = 3600',
        "site.day_start: 04:00 in Asia/Kolkata is not on the edge of a window of 3600 s",
    ),
}


@pytest.mark.parametrize(("text", "said"), SITE.values(), ids=SITE.keys())
def test_misfortune_of_the_site_is_named(tmp_path: Path, text: str, said: str) -> None:
    assert any(said in one for one in problems(tmp_path, text, head=""))


def test_half_hour_zones_have_their_half_hour_days(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        '[site]\nid = "a"\ntimezone = "Asia/Kolkata"\nday_start = "04:30"\n[windows]\nsize_s = 3600',
    )
    assert config.load(path).site.day_start_min == 270


def test_many_misfortunes_are_named_at_once(tmp_path: Path) -> None:
    text = "\n".join(
        [
            LINKS.replace("poll_s = 2", "baudrate = -1").replace('"serial"', '"serail"'),
            DOOR + 'adress = "x"',
            '[zone.m]\nkind = "mal"\nentrances = ["dor"]\nparent = "q"',
            '[http]\nport = 8080\nlisten = "0.0.0.0:1"',
            '[hours.a]\nmonday = "closed"',
        ]
    )
    found = "\n".join(problems(tmp_path, text))
    for said in ("baudrate", "serail", "adress", "mal", "dor", "zone.m.parent", "http.port", "monday"):
        assert said in found


def test_value_where_a_table_belongs_is_named(tmp_path: Path) -> None:
    assert "clock: must be a table, not 3" in problems(tmp_path, HEAD, head="clock = 3\n")


def test_broken_toml_is_named_with_its_line(tmp_path: Path) -> None:
    assert "line 6" in problems(tmp_path, "[windows\n")[0]


def test_a_key_twice_is_named(tmp_path: Path) -> None:
    assert problems(tmp_path, LINKS + DOOR + "in = 1\n")


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot be read"):
        config.load(tmp_path / "gone.toml")


def test_file_that_is_no_text_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigurationError, match="not UTF-8"):
        config.load(tmp_path / "a.toml")


class TestIncludes:
    def test_later_word_wins_key_by_key_and_keeps_its_origin(self, tmp_path: Path) -> None:
        common = write(tmp_path, HEAD + "[windows]\nsize_s = 300\nreadings_days = 7\n", "common.toml")
        main_file = write(tmp_path, 'include = ["common.toml"]\n[windows]\nsize_s = 60\n')
        loaded = config.load(main_file)
        assert (loaded.windows.size_s, loaded.windows.readings_days) == (60, 7)
        rows = {key: (value, file) for key, value, file in config.effective(loaded.merged)}
        assert rows["windows.size_s"] == (60, main_file)
        assert rows["windows.readings_days"] == (7, common)

    def test_globs_are_read_in_order(self, tmp_path: Path) -> None:
        (tmp_path / "d").mkdir()
        for name, size in (("b", 300), ("a", 60)):
            write(tmp_path / "d", f"[windows]\nsize_s = {size}\n", f"{name}.toml")
        assert config.load(write(tmp_path, 'include = ["d/*.toml"]\n' + HEAD)).windows.size_s == 300

    def test_fault_is_named_in_the_file_it_stands_in(self, tmp_path: Path) -> None:
        doors = write(tmp_path, DOOR + 'adress = "1"\n', "doors.toml")
        path = write(tmp_path, 'include = ["doors.toml"]\n' + HEAD + LINKS)
        with pytest.raises(ConfigurationError) as caught:
            config.load(path)
        assert caught.value.problems == [
            f"{doors}: counter.door.adress: unknown key (did you mean address?)",
        ]

    def test_circle_is_named(self, tmp_path: Path) -> None:
        write(tmp_path, 'include = ["gateway.toml"]\n', "b.toml")
        path = write(tmp_path, 'include = ["b.toml"]\n' + HEAD)
        with pytest.raises(ConfigurationError, match="includes itself"):
            config.load(path)

    def test_missing_include_is_named(self, tmp_path: Path) -> None:
        path = write(tmp_path, 'include = ["b.toml"]\n' + HEAD)
        with pytest.raises(ConfigurationError, match=r"include: there is no file .*b\.toml"):
            config.load(path)


class TestSecrets:
    TEXT = UPSTREAM + 'options = { url = "https://o.example/", token_file = "token" }\n'

    def token(self, folder: Path, text: str = "secret\n", mode: int = 0o600) -> Path:
        path = folder / "token"
        path.write_text(text)
        path.chmod(mode)
        return path

    def test_found_beside_the_file(self, tmp_path: Path) -> None:
        path = self.token(tmp_path)
        found = getattr(good(tmp_path, self.TEXT).upstream["office"].options, "token_file")  # noqa: B009
        assert found == str(path)
        assert config.read_secret(found) == "secret"

    def test_delivered_credential_comes_first(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.token(tmp_path, "old\n")
        folder = tmp_path / "credentials"
        folder.mkdir()
        delivered = self.token(folder, "new\n", mode=0o440)
        monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(folder))
        options = good(tmp_path, self.TEXT).upstream["office"].options
        assert getattr(options, "token_file") == str(delivered)  # noqa: B009

    @pytest.mark.parametrize("mode", [0o640, 0o604])
    def test_open_to_others_is_refused(self, tmp_path: Path, mode: int) -> None:
        self.token(tmp_path, mode=mode)
        assert "is open to others: chmod 600" in problems(tmp_path, self.TEXT)[0]

    @pytest.mark.parametrize("text", ["", "\n", " \r\n\n", "\ufeff\n"])
    def test_empty_is_refused(self, tmp_path: Path, text: str) -> None:
        self.token(tmp_path, text)
        assert problems(tmp_path, self.TEXT)[0].endswith("token is empty")

    @pytest.mark.parametrize("text", ["\nsecret\n", "\ufeffsecret\r\n", " \nsecret"])
    def test_a_blank_line_or_an_editors_mark_before_it_is_no_secret(self, tmp_path: Path, text: str) -> None:
        assert config.read_secret(self.token(tmp_path, text)) == "secret"

    def test_a_file_that_has_lost_its_secret_opens_nothing(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigurationError, match="no secret in it"):
            config.read_secret(self.token(tmp_path, "\n"))

    def test_secret_never_stands_in_what_is_printed(self, tmp_path: Path) -> None:
        self.token(tmp_path, "xyzzy\n")
        loaded = good(tmp_path, self.TEXT)
        assert "xyzzy" not in repr(loaded) + str(config.effective(loaded.merged))


class TestMeaning:
    def test_only_line_is_main_and_its_keys_stand_at_the_counter(self, tmp_path: Path) -> None:
        door = good(tmp_path, LINKS + DOOR + "reversed = true\nmax_per_s = 4\n").counter["door"]
        assert list(door.device.lines) == ["main"]
        line = door.lines["main"]
        assert (line.reversed, line.max_per_s, line.basis) == (True, 4.0, Basis.TOTAL)

    def test_polled_counter_is_expected_within_three_polls(self, tmp_path: Path) -> None:
        loaded = good(tmp_path, LINKS + DOOR + CORNER)
        assert loaded.counter["door"].lines["main"].expect_s == 6
        assert loaded.counter["corner"].lines["d5"].expect_s is None

    def test_line_may_differ_from_its_counter(self, tmp_path: Path) -> None:
        lines = good(tmp_path, LINKS + CORNER).counter["corner"].lines
        assert (lines["d5"].reversed, lines["d6"].reversed) == (False, True)

    def test_zone_sees_a_line_from_the_other_side(self, tmp_path: Path) -> None:
        text = '[zone.m]\nkind = "store"\nentrances = ["door", "-corner/d6"]\npassing = ["corner/d5"]\n'
        (zone,) = good(tmp_path, LINKS + DOOR + CORNER + text).zones()
        assert zone.members == (
            Member("door", "main", Role.ENTRANCE),
            Member("corner", "d6", Role.ENTRANCE, -1),
            Member("corner", "d5", Role.PASSING),
        )

    def test_hours_cross_midnight_and_dates_override(self, tmp_path: Path) -> None:
        text = (
            '[hours.a]\nmon-fri = ["10:00-12:00", "20:00-02:00"]\ndates = { 2026-12-24 = "09:00-13:00" }\n'
            '[zone.m]\nkind = "mall"\nhours = "a"\n'
        )
        hours = good(tmp_path, text).open_hours()["m"]
        assert hours.of(date(2026, 11, 23)) == ((600, 720), (1200, 1560))
        assert hours.of(date(2026, 11, 22)) == ()
        assert hours.of(date(2026, 12, 24)) == ((540, 780),)

    def test_counter_that_no_zone_uses_is_only_a_warning(self, tmp_path: Path) -> None:
        loaded = good(tmp_path, LINKS + DOOR)
        assert loaded.warnings == (f"{loaded.path}: counter.door: no zone uses it",)

    @pytest.mark.parametrize(
        "text", ["2026-11-01T01:00:00+01:00", "2026-11-01T00:00:00Z", "2026-11-01 00:00+00:00"]
    )
    def test_an_upstream_may_begin_with_an_instant(self, tmp_path: Path, text: str) -> None:
        loaded = good(tmp_path, UPSTREAM + f'options = {{ url = "https://h/e" }}\nfrom = "{text}"\n')
        assert (loaded.upstream["office"].from_ms, loaded.warnings) == (1_793_491_200_000, ())

    @pytest.mark.parametrize("text", ["yesterday", "2026-11-01T00:00:00", "2026-13-01T00:00:00Z"])
    def test_an_instant_names_its_zone(self, tmp_path: Path, text: str) -> None:
        path = write(tmp_path, HEAD + UPSTREAM + f'options = {{ url = "https://h/e" }}\nfrom = "{text}"\n')
        with pytest.raises(ConfigurationError, match=r"upstream\.office\.from: must be an instant"):
            config.load(path)

    def test_broker_defaults(self, tmp_path: Path) -> None:
        options = good(tmp_path, LINKS).link["broker"].options
        assert isinstance(options, config.MqttOptions)
        assert (options.port, options.client_id, options.version) == (1883, "box-broker", "5")

    def test_tls_moves_the_port(self, tmp_path: Path) -> None:
        options = good(tmp_path, LINKS.replace('"127.0.0.1"', '"h", tls = true')).link["broker"].options
        assert isinstance(options, config.MqttOptions)
        assert options.port == 8883

    def test_hash_follows_the_meaning_and_not_the_writing(self, tmp_path: Path) -> None:
        one = good(tmp_path, LINKS + DOOR).hash
        assert good(tmp_path, "# a remark\n" + LINKS + DOOR).hash == one
        assert good(tmp_path, LINKS + DOOR.replace("in = 0\nout = 1", "in = 1\nout = 0")).hash != one

    @pytest.mark.parametrize(
        ("url", "leaves"),
        [
            ("https://o.example/", True),
            ("http://127.0.0.1:9/", False),
            ("http://localhost:9/", False),
            ("https://localhost.o.example/", True),
        ],
    )
    def test_simulated_counts_stay_on_this_machine(self, tmp_path: Path, url: str, leaves: bool) -> None:
        loaded = good(tmp_path, UPSTREAM + f'options = {{ url = "{url}" }}')
        assert bool(config.loopback_only(loaded)) is leaves


class TestCommands:
    def test_check_names_every_fault_and_exits_2(self, tmp_path: Path) -> None:
        path = write(tmp_path, HEAD + LINKS + DOOR + 'adress = "1"\n[clok]\n')
        result = CliRunner().invoke(main, ["check", "-c", str(path)])
        assert result.exit_code == 2
        assert f"{path}: counter.door.adress: unknown key (did you mean address?)" in result.stdout
        assert f"{path}: clok: unknown key (did you mean clock?)" in result.stdout

    def test_check_as_data(self, tmp_path: Path) -> None:
        path = write(tmp_path, HEAD + LINKS + DOOR)
        result = CliRunner().invoke(main, ["check", "--json", "--effective", "-c", str(path)])
        found = json.loads(result.stdout)
        assert (result.exit_code, found["ok"], found["problems"]) == (0, True, [])
        assert {"key": "site.id", "value": "here", "file": str(path)} in found["effective"]

    def test_check_effective_is_toml_again(self, tmp_path: Path) -> None:
        path = write(tmp_path, HEAD + LINKS + CORNER)
        result = CliRunner().invoke(main, ["check", "--effective", "-c", str(path)])
        again = write(tmp_path, result.stdout, "again.toml")
        assert config.load(again).hash == config.load(path).hash

    def test_run_refuses_a_bad_file(self, tmp_path: Path) -> None:
        path = write(tmp_path, HEAD + "[clok]\n")
        result = CliRunner().invoke(main, ["run", "-c", str(path)])
        assert (result.exit_code, "clok" in result.stderr) == (2, True)

    def test_drivers_shows_options_with_defaults(self) -> None:
        listed = CliRunner().invoke(main, ["drivers"])
        assert [line.split()[0] for line in listed.stdout.splitlines()] == family_names()
        shown = CliRunner().invoke(main, ["drivers", "dcon"]).stdout
        assert "timeout_s" in shown
        assert "seconds" in shown

    def test_unknown_driver_exits_2(self) -> None:
        assert CliRunner().invoke(main, ["drivers", "dcom"]).exit_code == 2

    def test_schema_knows_the_drivers_keys(self) -> None:
        assert json.loads(CliRunner().invoke(main, ["schema"]).stdout) == schema()
        counters = schema()["properties"]["counter"]["additionalProperties"]["anyOf"]
        by_driver = {one["properties"]["driver"]["const"]: one for one in counters}
        assert {"in", "out", "both", "address", "reversed"} <= set(by_driver["dcon"]["properties"])
        assert "$ref" not in json.dumps(schema())


def test_a_driver_that_cannot_be_loaded_is_named_and_the_others_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody's own package may be half installed."""
    point = EntryPoint("acme", "no_such_package.family:FAMILY", driver.ENTRY_POINTS)
    installed = {**driver._installed(), "acme": point}
    monkeypatch.setattr(driver, "_installed", lambda: installed)
    listed = CliRunner().invoke(main, ["drivers"])
    assert listed.exit_code == 1
    assert "dcon" in listed.stdout
    assert "driver acme cannot be loaded: ModuleNotFoundError" in listed.stderr
    path = tmp_path / "gateway.toml"
    path.write_text(
        '[site]\nid = "s"\n[link]\nb = { over = "serial", options = { port = "/dev/x" } }\n'
        '[counter]\na = { link = "b", driver = "acme" }\n'
    )
    checked = CliRunner().invoke(main, ["check", "-c", str(path)])
    assert checked.exit_code == 2
    assert "counter.a.driver: driver acme cannot be loaded" in checked.output
