"""The local HTTP over a real socket, with a health source of a centre that never was."""

from __future__ import annotations

import asyncio
import base64
import csv
import json
import socket
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from datetime import date
from typing import Any

import pytest
from aiohttp import ClientSession, TCPConnector

from gateway.instants import rfc3339
from gateway.model import EntryKind
from gateway.web.routes import serving
from tests.health_sample import DAY_MS, NOW_MS, FakeHealth
from tests.patience import until


class Visit:
    """One client and where it goes."""

    def __init__(self, session: ClientSession, port: int, source: FakeHealth) -> None:
        self.session, self.port, self.source = session, port, source

    async def get(self, path: str, **headers: str) -> tuple[int, dict[str, str], str]:
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        async with self.session.get(f"http://127.0.0.1:{self.port}{path}", headers=names) as response:
            return response.status, dict(response.headers), await response.text()

    async def json(self, path: str) -> Any:
        status, _, body = await self.get(path)
        assert status == 200, body
        return json.loads(body)


class FakeEntry:
    """Nothing was entered."""

    async def enter(
        self, kind: EntryKind, bodies: Sequence[Any], by: str = ""
    ) -> Sequence[tuple[Mapping[str, Any], bool]]:
        return []

    async def correct(self, body: Any, by: str = "") -> tuple[Mapping[str, Any], bool]:
        return {}, False

    async def accept(self, body: Any, by: str = "") -> tuple[Mapping[str, Any], bool]:
        return {}, False

    def corrections(self) -> Mapping[str, Any]:
        return {"corrections": []}

    def acceptances(self) -> Mapping[str, Any]:
        return {"acceptances": []}

    def taps(self, zone: str, from_ms: int | None, to_ms: int | None) -> Mapping[str, Any]:
        return {"zone": zone}

    def tallies(self, line: str) -> Mapping[str, Any]:
        return {"line": line}

    def campaigns(self) -> Mapping[str, Any]:
        return {"campaigns": []}

    def report(self, campaign: str) -> Mapping[str, Any]:
        return {"id": campaign}

    def growth(self, zone: str, first: str, last: str) -> Mapping[str, Any]:
        return {"zone": zone}


@pytest.fixture
async def visit() -> AsyncIterator[Visit]:
    source, entry = FakeHealth(), FakeEntry()
    async with (
        serving(source, "127.0.0.1", 0, entry=(entry, entry)) as (_, port),
        ClientSession(connector=TCPConnector(force_close=True)) as session,
    ):
        yield Visit(session, port, source)


@pytest.fixture
async def guarded() -> AsyncIterator[Visit]:
    source = FakeHealth()
    async with (
        serving(source, "127.0.0.1", 0, token="s3cret") as (_, port),
        ClientSession(connector=TCPConnector(force_close=True)) as session,
    ):
        yield Visit(session, port, source)


async def test_live_has_figures_ratios_and_reasons(visit: Visit) -> None:
    live = await visit.json("/api/v1/live")
    zones = {zone["zone"]: zone for zone in live["zones"]}
    assert live["at"] == "2026-11-23T12:00:00.000Z"
    assert live["simulated"] is True
    assert zones["mall"]["ins"] == 1250
    assert zones["mall"]["conversion"] == {"value": None, "why": "not_configured"}
    assert zones["shop-1"]["conversion"]["formula"] == "visitors/1"
    assert zones["shop-2"]["conversion"] == {"value": None, "why": "completeness"}
    assert live["books"]["balanced"] is True
    assert live["upstreams"][0]["oldest_pending"] == "2026-11-23T11:58:00.000Z"
    assert live["links"][1]["error"] == "connection refused"


async def test_alarms_now_and_in_a_span(visit: Visit) -> None:
    [dead, busy] = (await visit.json("/api/v1/alarms"))["alarms"]
    assert (dead["line"], dead["kind"], dead["until"]) == ("corner/d5", "dead", None)
    assert dead["since"] == "2026-11-23T10:45:00.000Z"
    assert (dead["evidence"]["expected"], busy["severity"]) == (41.5, "info")
    later = await visit.json("/api/v1/alarms?from=2026-11-23T11:00:00Z")
    assert [alarm["alarm"] for alarm in later["alarms"]] == [busy["alarm"]]
    status, _, body = await visit.get("/api/v1/alarms?from=2026-11-24T00:00:00Z&to=2026-11-23T00:00:00Z")
    assert (status, json.loads(body)["detail"]) == (422, "from must lie before to")


@pytest.mark.parametrize(("part", "number"), [("zones", 3), ("counters", 3), ("links", 2), ("upstreams", 1)])
async def test_each_part_alone(visit: Visit, part: str, number: int) -> None:
    answer = await visit.json(f"/api/v1/{part}")
    assert len(answer[part]) == number
    assert answer[part] == (await visit.json("/api/v1/live"))[part]


async def test_audit(visit: Visit) -> None:
    assert (await visit.json("/api/v1/audit"))["balanced"] is True


async def test_history_as_json(visit: Visit) -> None:
    answer = await visit.json(
        "/api/v1/aggregates?zone=mall&from=2026-11-23T03:00:00Z&to=2026-11-23T12:00:00%2B00:00&size_s=900"
    )
    assert visit.source.asked == [("mall", DAY_MS, NOW_MS, 900, None)]
    assert len(answer["aggregates"]) == 32
    assert answer["aggregates"][0]["start"] == rfc3339(DAY_MS)


async def test_history_defaults_to_the_last_day_in_the_configured_size(visit: Visit) -> None:
    await visit.json("/api/v1/aggregates?zone=mall")
    assert visit.source.asked == [("mall", NOW_MS - 86_400_000, NOW_MS, 900, None)]


async def test_history_as_csv(visit: Visit) -> None:
    status, headers, body = await visit.get("/api/v1/aggregates?zone=mall", Accept="text/csv")
    lines = body.split("\r\n")
    assert status == 200
    assert headers["Content-Type"] == "text/csv; charset=utf-8"
    assert lines[0].startswith("zone,start,size_s,")
    assert lines[1].startswith(f"mall,{rfc3339(DAY_MS)},900,")
    assert len(lines) == 32 + 2


@pytest.mark.parametrize(
    ("query", "word"),
    [
        ("", "zone is missing"),
        ("zone=nowhere", "unknown zone"),
        ("zone=mall&from=yesterday", "from: expected"),
        ("zone=mall&from=2026-11-24T00:00:00Z", "must lie before"),
        ("zone=mall&size_s=-1", "size_s"),
        ("zone=mall&size_s=1e9", "size_s"),
        ("zone=mall&size_s=7", "size_s: expected 60, 300, 900, 1800, 3600"),
        ("zone=mall&from=1000000000&size_s=60", "windows asked for"),
        ("zone=mall&from=999999999999999", "from: "),
        ("zone=mall&to=" + "9" * 3000, "to: "),
    ],
)
async def test_a_wrong_question_is_a_problem_in_words(visit: Visit, query: str, word: str) -> None:
    status, headers, body = await visit.get(f"/api/v1/aggregates?{query}")
    assert status == 422
    assert headers["Content-Type"].startswith("application/problem+json")
    assert word in json.loads(body)["detail"]
    assert visit.source.asked == []


async def test_days_default_to_the_last_seven_business_days(visit: Visit) -> None:
    answer = await visit.json("/api/v1/days?zone=mall")
    assert visit.source.asked_days == [("mall", date(2026, 11, 17), date(2026, 11, 24), "day", False)]
    assert answer["days"][0]["tier"] == "measured"


async def test_days_of_doors_by_week(visit: Visit) -> None:
    await visit.json("/api/v1/days?zone=mall&from=2026-11-01&to=2026-12-01&by=week&doors=1")
    assert visit.source.asked_days == [("mall", date(2026, 11, 1), date(2026, 12, 1), "week", True)]


async def test_days_as_csv(visit: Visit) -> None:
    status, headers, body = await visit.get("/api/v1/days?zone=mall", Accept="text/csv")
    [row] = csv.DictReader(body.splitlines())
    assert (status, headers["Content-Type"]) == (200, "text/csv; charset=utf-8")
    assert (row["label"], row["ins"], row["tier"], row["atv"], row["spv"]) == (
        "2026-11-17",
        "3",
        "measured",
        "2.5",
        "",
    )


@pytest.mark.parametrize(
    ("query", "word"),
    [
        ("", "zone is missing"),
        ("zone=nowhere", "unknown zone"),
        ("zone=mall&by=year", "by: expected"),
        ("zone=mall&by=period", "by: there are none"),
        ("zone=mall&from=2026-11-23T00:00:00Z", "from: expected a date"),
        ("zone=mall&from=2026-11-24&to=2026-11-24", "must lie before"),
        ("zone=mall&from=2020-01-01", "at most 400 days"),
        ("zone=mall&to=9999-12-31", "to: out of range"),
        ("zone=mall&from=0001-01-01", "from: out of range"),
    ],
)
async def test_a_wrong_question_for_days_is_a_problem_in_words(visit: Visit, query: str, word: str) -> None:
    status, _, body = await visit.get(f"/api/v1/days?{query}")
    assert status == 422
    assert word in json.loads(body)["detail"]
    assert visit.source.asked_days == []


@pytest.mark.parametrize(
    "path", ["/nothing", "/static/../routes.py", "/static/routes.py", "/static/%2e%2e%2fpage.py"]
)
async def test_what_is_not_there_is_a_problem(visit: Visit, path: str) -> None:
    status, headers, body = await visit.get(path)
    assert (status, json.loads(body)["status"]) == (404, 404)
    assert headers["Content-Type"].startswith("application/problem+json")


async def test_a_fault_of_ours_shows_nothing_of_itself(
    visit: Visit, caplog: pytest.LogCaptureFixture
) -> None:
    async def broken() -> None:
        raise RuntimeError("inner workings")

    visit.source.snapshot = broken  # type: ignore[method-assign,assignment]
    status, _, body = await visit.get("/api/v1/live")
    assert status == 500
    assert "inner" not in body
    assert "inner workings" in caplog.text


async def test_only_get_is_answered(visit: Visit) -> None:
    async with visit.session.post(f"http://127.0.0.1:{visit.port}/api/v1/live", data=b"x") as response:
        assert response.status == 405
        assert response.content_type == "application/problem+json"
        assert "GET" in response.headers["Allow"]


@pytest.mark.parametrize(
    "host", ["evil.example", "localhost.evil.example", "192.168.1.7:8080", "127.0.0.1.evil:80", ""]
)
async def test_a_rebound_name_is_refused(visit: Visit, host: str) -> None:
    status, _, _ = await visit.get("/api/v1/live", Host=host)
    assert status == 403


@pytest.mark.parametrize(
    "host", ["localhost", "localhost:8080", "127.0.0.1:1", "127.3.2.1", "[::1]", "[::1]:8080"]
)
async def test_loopback_names_are_served(visit: Visit, host: str) -> None:
    status, _, _ = await visit.get("/api/v1/live", Host=host)
    assert status == 200


async def test_probes(visit: Visit) -> None:
    assert (await visit.get("/healthz", Host="10.0.0.1"))[0] == 200
    assert (await visit.get("/readyz"))[0] == 200
    visit.source.ready = False
    assert (await visit.get("/readyz"))[0] == 503
    assert (await visit.get("/healthz"))[0] == 200


async def test_metrics_content_type(visit: Visit) -> None:
    status, headers, body = await visit.get("/metrics")
    assert (status, headers["Content-Type"].split(";")[0]) == (200, "text/plain")
    assert "footfall_books_imbalance_persons 0.0" in body


@pytest.mark.parametrize("path", ["/", "/api/v1/live", "/static/page.js", "/nothing", "/metrics"])
async def test_every_answer_forbids_foreign_content(visit: Visit, path: str) -> None:
    _, headers, _ = await visit.get(path)
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert "unsafe" not in headers["Content-Security-Policy"]
    assert headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize(
    ("accept", "tag", "word"),
    [
        ("nb-NO,nb;q=0.9,en;q=0.5", "nb", "Besøkende"),
        ("nn", "nb", "Besøkende"),
        ("sv-SE", "sv", "Besökare"),
        ("de, fi;q=0.4, sv;q=0.3", "fi", "Kävijöitä"),
        ("en-GB", "en", "Visitors"),
        ("de,fr", "en", "Visitors"),
        ("sv;q=0, fi;q=x", "en", "Visitors"),
        ("", "en", "Visitors"),
    ],
)
async def test_the_page_speaks_the_readers_language(visit: Visit, accept: str, tag: str, word: str) -> None:
    status, headers, body = await visit.get("/", Accept_Language=accept)
    assert (status, headers["Content-Language"]) == (200, tag)
    assert f'<html lang="{tag}">' in body
    assert word in body


async def test_names_are_escaped(visit: Visit) -> None:
    site = replace(visit.source.health.site, name='"><script>alert(1)</script>')
    visit.source.change(site=site)
    _, _, body = await visit.get("/")
    assert "<script>alert" not in body
    assert "&lt;script&gt;alert" in body


async def test_the_page_needs_nothing_from_elsewhere(visit: Visit) -> None:
    for path in ("/", "/static/page.js", "/static/page.css"):
        body = (await visit.get(path))[2].replace("http://www.w3.org/2000/svg", "")
        assert "http://" not in body
        assert "https://" not in body


async def test_openapi_names_every_route(visit: Visit) -> None:
    paths = (await visit.json("/api/openapi.json"))["paths"]
    for path in paths.keys() - {"/api/v1/events"}:  # a stream has no end
        query = "?zone=mall" if path.endswith(("aggregates", "days")) else ""
        assert (await visit.get(path.replace("{id}", "advent") + query))[0] == 200
    assert {
        "/",
        "/metrics",
        "/healthz",
        "/readyz",
        "/api/v1/live",
        "/api/v1/aggregates",
        "/api/v1/audit",
        "/api/v1/events",
    } < set(paths)


async def test_a_token_is_asked_for(guarded: Visit) -> None:
    status, headers, body = await guarded.get("/api/v1/live")
    assert status == 401
    assert headers["WWW-Authenticate"].startswith("Basic")
    assert "s3cret" not in body
    assert (await guarded.get("/healthz"))[0] == 200


@pytest.mark.parametrize(
    ("offer", "status"),
    [
        ("Bearer s3cret", 200),
        ("bearer s3cret", 200),
        ("Basic " + base64.b64encode(b"anyone:s3cret").decode(), 200),
        ("Bearer wrong", 401),
        ("Basic " + base64.b64encode(b"s3cret:").decode(), 401),
        ("Basic !!!", 401),
        ("Basic " + base64.b64encode(b"\xff:\xff").decode(), 401),
        ("s3cret", 401),
    ],
)
async def test_offers_of_a_token(guarded: Visit, offer: str, status: int) -> None:
    assert (await guarded.get("/api/v1/live", Authorization=offer))[0] == status


async def test_with_a_token_any_name_will_do(guarded: Visit) -> None:
    assert (await guarded.get("/", Authorization="Bearer s3cret", Host="box.lan:8080"))[0] == 200


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.2", "box.lan"])
async def test_an_outside_address_without_a_token_is_refused(host: str) -> None:
    with pytest.raises(ValueError, match="token_file"):
        async with serving(FakeHealth(), host, 0):
            pass


async def test_a_port_that_is_taken_is_named_by_its_key_and_had_once_it_is_free(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("gateway.web.routes.FIRST_PAUSE_S", 0.01)
    source, taken = FakeHealth(), socket.create_server(("127.0.0.1", 0))
    port = taken.getsockname()[1]
    async with serving(source, "127.0.0.1", port) as address, ClientSession() as session:
        assert address == ("127.0.0.1", port)
        assert source.unserved == f"http.listen: 127.0.0.1:{port}: in use by another program"
        taken.close()
        await until(lambda: not source.unserved)
        async with session.get(f"http://127.0.0.1:{port}/healthz") as answer:
            assert answer.status == 200


async def test_leaving_does_not_wait_for_a_port() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        async with serving(FakeHealth(), "127.0.0.1", taken.getsockname()[1]):
            pass


async def test_a_huge_header_is_refused(visit: Visit) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", visit.port)
    writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Long: " + b"a" * 100_000 + b"\r\n\r\n")
    status = await asyncio.wait_for(reader.readline(), 10)
    writer.close()
    assert b" 400 " in status
