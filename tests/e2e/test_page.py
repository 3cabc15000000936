"""The live page in a real browser: what a person sees, and that it moves."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, async_playwright, expect

from gateway.instants import rfc3339
from gateway.measures.ratios import Ratio
from gateway.web.routes import serving
from simulators.processes import program
from tests.health_sample import FakeHealth, sample

pytestmark = [pytest.mark.needs("chromium"), pytest.mark.asyncio(loop_scope="module")]
WAIT_MS = 15_000
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"]


@dataclass
class Seen:
    """One page and everything it complained about."""

    page: Page
    source: FakeHealth
    port: int
    complaints: list[str] = field(default_factory=list)
    foreign: list[str] = field(default_factory=list)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    """One for all: each test has a context of its own in it."""
    async with async_playwright() as playwright:
        found = await playwright.chromium.launch(executable_path=program("chromium"), args=ARGUMENTS)
        yield found
        await found.close()


@pytest_asyncio.fixture(loop_scope="module")
async def seen(browser: Browser, request: pytest.FixtureRequest) -> AsyncIterator[Seen]:
    wanted = {"locale": "nb-NO", "width": 1280, **getattr(request, "param", {})}
    source = FakeHealth()
    async with serving(source, "127.0.0.1", 0) as (_, port):
        size = {"width": wanted["width"], "height": 900}
        context = await browser.new_context(locale=wanted["locale"], viewport=size)  # type: ignore[arg-type]
        page = await context.new_page()
        shown = Seen(page, source, port)
        page.on("console", lambda said: shown.complaints.append(said.text) if said.type == "error" else None)
        page.on("pageerror", lambda error: shown.complaints.append(str(error)))
        page.on("request", lambda asked: _note(asked.url, shown))
        await page.goto(f"http://127.0.0.1:{port}/")
        await expect(page.locator(".card")).to_have_count(3, timeout=WAIT_MS)
        await expect(page.locator("#chart rect.bar").first).to_be_visible(timeout=WAIT_MS)
        yield shown
        await context.close()


def _note(url: str, shown: Seen) -> None:
    if not url.startswith((f"http://127.0.0.1:{shown.port}/", "data:")):
        shown.foreign.append(url)


async def keep_picture(page: Page, name: str) -> None:
    """Pictures are kept for whoever asks for them by PICTURES=folder."""
    if folder := os.environ.get("PICTURES"):
        await page.screenshot(path=Path(folder) / f"{name}.png", full_page=True)


async def test_the_day_at_a_glance(seen: Seen) -> None:
    page = seen.page
    mall, shop = page.locator('[data-zone="mall"]'), page.locator('[data-zone="shop-1"]')
    await expect(mall.locator(".big")).to_have_text("1 250")
    await expect(mall).to_contain_text("kjøpesenter")
    await expect(mall).to_contain_text("Inne nå")
    await expect(mall).not_to_contain_text("Konvertering")  # it has no till
    await expect(mall).to_contain_text("åpent, stenger 21:00")
    await expect(shop).to_contain_text("stengt, åpner 10:00")
    await expect(page.locator('[data-zone="shop-2"]')).not_to_contain_text("Åpningstid")  # it has no hours
    await expect(shop).to_contain_text("17,9 %")
    await expect(shop.locator(".band").first).to_contain_text("–")
    await expect(page.locator('[data-zone="shop-2"]')).to_contain_text("for lite er observert")
    await expect(page.locator("#simulated")).to_be_visible()
    await expect(page.locator("#untrusted")).to_be_hidden()
    await expect(page.locator("#books")).to_contain_text("avvik 0")
    await expect(page.locator("#links")).to_contain_text("connection refused")
    await expect(page.locator("#counters")).to_contain_text("beam blocked")
    await expect(page.locator("#upstreams")).to_contain_text("3 venter, 1 avvist")
    await expect(page.locator("#clock")).to_have_text("13:00:00")  # Oslo, not the browser's zone
    await keep_picture(page, "page-nb")
    assert seen.complaints == []
    assert seen.foreign == []


async def test_gaps_are_hatched(seen: Seen) -> None:
    chart = seen.page.locator("#chart")
    assert (
        await chart.locator("rect.missing").count() == 4 + 2
    )  # a hole of an hour, half an hour badly watched
    assert await chart.locator("rect.bar").count() == 36 - 13
    assert "04:00" in await chart.inner_text()


async def test_a_person_crosses_and_the_number_moves(seen: Seen) -> None:
    zones = list(seen.source.health.zones)
    zones[0] = replace(zones[0], ins=1251, occupancy=18)
    seen.source.change(zones=zones, simulated=False, clock_trusted=False, fault="disk full")
    await expect(seen.page.locator('[data-zone="mall"] .big')).to_have_text("1 251", timeout=WAIT_MS)
    await expect(seen.page.locator("#simulated")).to_be_hidden()
    await expect(seen.page.locator("#untrusted")).to_be_visible()
    await expect(seen.page.locator("#fault")).to_contain_text("disk full")


async def test_markup_in_names_stays_text(seen: Seen) -> None:
    await expect(seen.page.locator('[data-zone="shop-1"] h3')).to_contain_text("Kaffe & <Te>")
    await expect(seen.page.locator("h1")).to_have_text("Fjord & <Sentrum>")
    bad = replace(sample().links[0], link="<img src=x onerror=alert(1)>", error="<b>bold</b>")
    seen.source.change(links=[bad])
    await expect(seen.page.locator("#links .detail")).to_have_text("<b>bold</b>", timeout=WAIT_MS)
    assert await seen.page.locator("#links img, #links b").count() == 0


async def test_a_gateway_that_is_gone_is_said_to_be(seen: Seen) -> None:
    await seen.page.route("**/api/**", lambda route: asyncio.ensure_future(route.abort()))
    await expect(seen.page.locator("#stale")).to_be_visible(timeout=WAIT_MS)
    await expect(seen.page.locator('[data-zone="mall"] .big')).to_have_text("1 250")
    await seen.page.unroute("**/api/**")
    await expect(seen.page.locator("#stale")).to_be_hidden(timeout=WAIT_MS)


async def test_another_zone_is_charted(seen: Seen) -> None:
    await seen.page.select_option("#chart-zone", "shop-1")
    deadline = asyncio.get_running_loop().time() + 15
    while "shop-1" not in {zone for zone, *_ in seen.source.asked}:
        assert asyncio.get_running_loop().time() < deadline
        await asyncio.sleep(0.05)


async def test_a_page_without_an_answer_says_that_it_is_waiting(seen: Seen) -> None:
    await seen.page.route("**/api/**", lambda route: asyncio.ensure_future(route.abort()))
    await seen.page.reload()
    await expect(seen.page.locator("#loading")).to_have_text("Henter tallene …")
    await expect(seen.page.locator("main")).to_be_hidden()
    await expect(seen.page.locator("#stale")).to_be_visible(timeout=WAIT_MS)
    await seen.page.unroute("**/api/**")
    await expect(seen.page.locator("main")).to_be_visible(timeout=WAIT_MS)
    await expect(seen.page.locator("#loading")).to_be_hidden()


async def test_what_is_not_set_up_is_said_to_be_missing(seen: Seen) -> None:
    seen.source.change(zones=[], links=[], counters=[], upstreams=[])
    await expect(seen.page.locator("#loading")).to_contain_text("[zone]", timeout=WAIT_MS)
    for part in ("links", "counters", "upstreams"):
        await expect(seen.page.locator(f"#{part}")).to_have_text("ingen", timeout=WAIT_MS)


async def test_a_day_without_a_closed_window_is_no_empty_chart(seen: Seen) -> None:
    await seen.page.route(
        "**/aggregates?**", lambda route: asyncio.ensure_future(route.fulfill(json={"aggregates": []}))
    )
    await seen.page.select_option("#chart-zone", "shop-2")
    await expect(seen.page.locator("#chart")).to_contain_text("Ingen avsluttede", timeout=WAIT_MS)


async def test_a_silent_counter_was_last_heard_and_is_not_heard(seen: Seen) -> None:
    at_ms = int(datetime.fromisoformat("2026-11-23T14:39:00Z").timestamp() * 1000)
    gone = replace(sample().counters[0], name="North door", state="silent", last_reading_ms=at_ms)
    seen.source.change(counters=[gone])
    await expect(seen.page.locator("#counters")).to_contain_text("ikke hørt, sist 15:39", timeout=WAIT_MS)


async def test_a_rate_and_its_band_have_as_many_digits(seen: Seen) -> None:
    zones = list(seen.source.health.zones)
    zones[1] = replace(zones[1], conversion=Ratio(0.23, 0.2, 0.265, "visitors/1"))
    seen.source.change(zones=zones)
    shop = seen.page.locator('[data-zone="shop-1"]')
    await expect(shop).to_contain_text("23,0 % (20,0–26,5 %)", timeout=WAIT_MS)


async def test_more_receipts_than_visitors_are_shown_and_said_to_be_strange(seen: Seen) -> None:
    zones = list(seen.source.health.zones)
    zones[1] = replace(zones[1], conversion=Ratio(1.5, 0.9, 2.5, "visitors/1", flags=("ratio_gt_1",)))
    seen.source.change(zones=zones)
    shop = seen.page.locator('[data-zone="shop-1"]')
    await expect(shop).to_contain_text(
        "150,0 % (90,0–250,0 %) over 100 %: er en teller død?", timeout=WAIT_MS
    )


async def test_short_windows_are_added_up_to_bars_that_can_be_seen(seen: Seen) -> None:
    day_ms = int(datetime.fromisoformat("2026-11-23T03:00:00Z").timestamp() * 1000)
    minutes = [
        {"start": rfc3339(day_ms + 60_000 * minute), "ins": 2, "completeness": float(minute >= 15)}
        for minute in range(40)
    ]
    seen.source.change(site=replace(sample().site, size_s=60))
    await expect(seen.page.locator("#footer")).to_be_visible()
    await seen.page.route(
        "**/aggregates?**size_s=60*",
        lambda route: asyncio.ensure_future(route.fulfill(json={"aggregates": minutes})),
    )
    titles = seen.page.locator("#chart rect.bar title")
    await expect(titles).to_have_text(
        ["04:00–04:15: 30", "04:15–04:30: 30", "04:30–04:45: 20"], timeout=WAIT_MS
    )
    await expect(seen.page.locator("#chart rect.missing")).to_have_count(1)


@pytest.mark.parametrize(
    ("seen", "dead", "busy"),
    [
        ({"locale": "nb-NO"}, "Død: ingen siden 11:45, 42 var ventet", "Ingenting er feil."),
        ({"locale": "sv-SE"}, "Död: ingen sedan 11:45, 42 var väntade", "Inget är fel."),
        ({"locale": "fi-FI", "width": 360}, "odotettiin 42", "Mikään ei ole rikki."),
        (
            {"locale": "en-GB", "width": 360},
            "nobody since 11:45 where 42 were expected",
            "Nothing is broken.",
        ),
    ],
    indirect=["seen"],
)
async def test_what_looks_wrong_is_said_in_words_until_it_is_over(seen: Seen, dead: str, busy: str) -> None:
    page = seen.page
    await expect(page.locator('[data-alarm="dead"]')).to_contain_text(dead)
    await expect(page.locator('[data-alarm="dead"] .dot.bad')).to_be_visible()
    await expect(page.locator('[data-alarm="event_high"]')).to_contain_text(busy)
    await expect(page.locator('[data-alarm="event_high"] .dot.note')).to_be_visible()
    await keep_picture(page, f"alarms-{await page.locator('html').get_attribute('lang')}")
    widths = await page.evaluate("[document.documentElement.scrollWidth, window.innerWidth]")
    assert widths[0] <= widths[1]
    seen.source.change(alarms=[])
    await expect(page.locator("#wrong")).to_be_hidden(timeout=WAIT_MS)
    await expect(page.locator("#calm")).to_be_visible()
    assert seen.complaints == []


@pytest.mark.parametrize("seen", [{"locale": "fi-FI", "width": 360}], indirect=True)
async def test_it_fits_a_phone_in_finnish(seen: Seen) -> None:
    await expect(seen.page.locator('[data-zone="mall"]')).to_contain_text("kauppakeskus")
    await keep_picture(seen.page, "page-fi-phone")
    widths = await seen.page.evaluate("[document.documentElement.scrollWidth, window.innerWidth]")
    assert widths[0] <= widths[1]
    assert seen.complaints == []
