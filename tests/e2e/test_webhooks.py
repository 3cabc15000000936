"""Webhooks into the real daemon while it is killed: what was answered is stored, what was not comes again."""

from __future__ import annotations

import csv
import io
import subprocess
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from simulators.receipts import Receipt
from simulators.webhooks import STYLES, Hooked
from tests import machine_time
from tests.e2e.test_run import COMMAND, Daemon
from tests.torture.rig import free_port, wait_until

CONFIG = """
[push]
listen = "127.0.0.1:{port}"
[link.shop]
over = "push"
options = {{ auth = "hmac", key_file = "shop.key", signature_header = "X-Shopify-Hmac-Sha256" }}
[till]
pos-1 = {{ link = "shop", driver = "shopify", match = {{ location = "1" }} }}
pos-2 = {{ link = "shop", driver = "shopify", match = {{ location = "2" }} }}
[zone]
shop = {{ kind = "store", tills = ["pos-1", "pos-2"] }}
"""


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    box = Daemon(tmp_path)
    yield box
    box.close()


def exported(box: Daemon) -> Counter[tuple[str, str]]:
    span = ["--from", "2000-01-01T00:00:00Z", "--to", "2100-01-01T00:00:00Z"]
    command = [COMMAND, "export", "-c", str(box.config), "--readings", "--format", "csv", *span]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    sums: Counter[tuple[str, str]] = Counter()
    for row in csv.DictReader(io.StringIO(done.stdout)):
        sums[row["counter"], row["side"]] += int(row["persons"])
    return sums


@pytest.mark.timeout(180)
def test_kill_9_among_webhooks_loses_and_doubles_no_sale(
    daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("simulators.webhooks.RETRY_S", 0.05)
    port = free_port()
    (daemon.folder / "shop.key").write_text("hush\n")
    (daemon.folder / "shop.key").chmod(0o600)
    daemon.write(CONFIG.format(port=port))
    process = daemon.start()
    began_ms = int(machine_time.now_s()) * 1000 - 3_600_000
    sold = [Receipt(f"pos-{1 + n % 2}", f"r{n}", began_ms + 1000 * n, 100 + n, n % 9 == 0) for n in range(60)]
    ways = [
        Hooked(f"http://127.0.0.1:{port}/push/shop", STYLES["shopify"]("NOK"), "hush", n, "", 0.2)
        for n in (1, 2)
    ]
    threads = [
        threading.Thread(target=way.report, args=("", 0, 0, sold[number::2]))
        for number, way in enumerate(ways)
    ]
    for thread in threads:
        thread.start()
    for _ in range(3):
        taken = sum(way.taken for way in ways)
        wait_until(lambda: sum(way.taken for way in ways) > taken + 20, 60, "some answers")  # noqa: B023
        process.kill()
        process.wait(10)
        process = daemon.start()
    for thread in threads:
        thread.join(90)
        assert not thread.is_alive()
    truth: Counter[tuple[str, str]] = Counter()
    for one in sold:
        truth[one.till, "returns" if one.returned else "sales"] += 1
        truth[one.till, "amount"] += 0 if one.returned else one.amount_minor
    assert exported(daemon) == truth
    process.terminate()
    assert process.wait(20) == 0
    done = subprocess.run([COMMAND, "audit", "-c", str(daemon.config)], capture_output=True, check=False)
    assert done.returncode == 0
