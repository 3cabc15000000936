"""From a message at the broker to the figure on the live page, in a real browser: `python bench/page.py [N]`.

One person at a time, at random instants. The page's own clock says when its visitors changed.
"""

from __future__ import annotations

import json
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from playwright.sync_api import Page, sync_playwright

from bench.run import mqtt_daemon
from simulators.processes import program
from simulators.publisher import Publisher

WATCH = """
() => {
  window.changed = {};
  new MutationObserver(() => {
    const shown = document.querySelector('.card[data-zone="mall"] .big')?.textContent;
    if (shown && !(shown in window.changed)) window.changed[shown] = Date.now();
  }).observe(document.body, { childList: true, subtree: true, characterData: true });
}
"""
PATIENCE_MS = 20_000


@contextmanager
def watched_page(http: int) -> Iterator[Page]:
    with sync_playwright() as playwright:
        arguments = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
        browser = playwright.chromium.launch(executable_path=program("chromium"), args=arguments)
        page = browser.new_page(locale="en-GB", bypass_csp=True)  # we look on by script
        page.goto(f"http://127.0.0.1:{http}/")
        page.wait_for_selector(".card", timeout=PATIENCE_MS)
        page.evaluate(WATCH)
        yield page
        browser.close()


def latencies_ms(folder: Path, persons: int) -> list[float]:
    """From handing each message to the broker's client until the page shows it."""
    daemon, broker = mqtt_daemon(folder)
    source = random.Random(1)
    found: list[float] = []
    try:
        with watched_page(daemon.http) as page, Publisher(port=broker) as publisher:
            for number in range(1, persons + 1):
                time.sleep(source.uniform(0.2, 1.2))
                sent = time.time() * 1000
                publisher.publish("counters/bench/door-00", _person(number))
                page.wait_for_function(f"window.changed['{number}']", timeout=PATIENCE_MS)
                found.append(page.evaluate(f"window.changed['{number}']") - sent)
    finally:
        daemon.close()
    return found


def _person(number: int) -> str:
    now = datetime.now(UTC).isoformat(timespec="milliseconds")
    return json.dumps({"sensor": "door-00", "ts": now, "in": 1, "out": 0, "seq": number})


def measure(folder: Path, persons: int = 100) -> dict[str, object]:
    found = latencies_ms(folder, persons)
    return {
        "to_page_ms_p50": round(statistics.median(found)),
        "to_page_ms_p95": round(statistics.quantiles(found, n=100)[94]),
        "n": len(found),
    }


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        print(json.dumps(measure(Path(scratch), int(sys.argv[1]) if len(sys.argv) > 1 else 100)))
