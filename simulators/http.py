"""`counter-simulator http`: counters that push what they counted, with the troubles of real ones.

Xovis 5.x logics packages and plain JSON, posted to `URL/xovis/<counter>/push` and `URL/counters/<counter>`,
or as another make's `Voice` says. A counter keeps a package until it was told "stored", and sends it again
when the answer was lost; some packages come late, twice, overlapping, packed, or are connection tests.
"""

from __future__ import annotations

import base64
import gzip
import http.client
import random
import signal
import threading
import time
from collections import deque
from collections.abc import Mapping
from contextlib import ExitStack
from queue import Queue
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

import click

from simulators.mqtt import Plan, plan_options

RETRY_S = 0.5
TIMEOUT_S = 30.0
WAITING = 1000  # packages that one counter keeps
TIMED = 10_000  # answers whose time is remembered


class Poster:
    """One counter's way to the gateway, a package after the other. `flush` raises TimeoutError.

    `lose`: share of answers that never reach the counter; `pack`: share of packages sent as gzip.
    """

    def __init__(
        self,
        url: str,
        headers: Mapping[str, str],
        chance: random.Random,
        *,
        lose: float = 0.0,
        pack: float = 0.0,
        patience_s: float = 60.0,
    ) -> None:
        parts = urlsplit(url)
        self._path = parts.path.rstrip("/")
        self._query = f"?{parts.query}" if parts.query else ""
        self._connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=TIMEOUT_S)
        self._headers, self._chance, self._lose, self._pack = headers, chance, lose, pack
        self._patience_s = patience_s
        self._waiting: Queue[tuple[str, bytes] | None] = Queue(WAITING)
        self._settled = threading.Condition()
        self._unsettled = 0
        self._closing = False
        self.took_s: deque[float] = deque(maxlen=TIMED)  # from request to answer
        self.lost = 0  # answers
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def __enter__(self) -> Poster:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing = True
        self._waiting.put(None)
        self._thread.join(TIMEOUT_S)

    def publish(self, topic: str, payload: bytes) -> None:
        """Keeps one package until it is stored; waits while too many are kept."""
        with self._settled:
            self._unsettled += 1
        self._waiting.put((topic, payload), timeout=self._patience_s)

    @property
    def busy(self) -> bool:
        """Is a package not stored yet?"""
        return self._unsettled > 0

    def flush(self) -> None:
        with self._settled:
            if not self._settled.wait_for(lambda: self._unsettled == 0, self._patience_s):
                raise TimeoutError(f"{self._unsettled} packages not stored after {self._patience_s:g} s")

    def _run(self) -> None:
        while (package := self._waiting.get()) is not None:
            while not self._closing and not self._stored(*package):
                time.sleep(RETRY_S)
            with self._settled:
                self._unsettled -= 1
                self._settled.notify_all()
        self._connection.close()

    def _stored(self, topic: str, payload: bytes) -> bool:
        """One attempt: was the counter told so?"""
        began = time.monotonic()
        try:
            self._post(topic, payload)
            if self._chance.random() < self._lose:
                self.lost += 1
                self._connection.close()
                return False
            answer = self._connection.getresponse()
            answer.read()
        except (OSError, http.client.HTTPException):
            self._connection.close()
            return False
        self.took_s.append(time.monotonic() - began)
        return 200 <= answer.status < 300

    def _post(self, topic: str, payload: bytes) -> None:
        headers = dict(self._headers)
        if self._chance.random() < self._pack:
            payload, headers["Content-Encoding"] = gzip.compress(payload), "gzip"
        self._connection.request("POST", f"{self._path}/{topic}{self._query}", payload, headers)


def authorization(token: str | None, user: str | None) -> dict[str, str]:
    if token:
        return {"Authorization": f"Bearer {token}"}
    if user:
        return {"Authorization": f"Basic {base64.b64encode(user.encode()).decode()}"}
    return {}


@click.command("http")
@click.option("--url", default="http://127.0.0.1:8081/push/lan", show_default=True)
@click.option("--token", help="Shown as a bearer token.")
@click.option("--user", help="NAME:PASSWORD for basic authentication.")
@click.option("--lose", default=0.0, help="Share of answers that are lost; 0 to 1.")
@click.option("--pack", default=0.0, help="Share of packages sent as gzip; 0 to 1.")
@plan_options
def command(url: str, token: str | None, user: str | None, lose: float, pack: float, **options: Any) -> None:
    """Counters that push over HTTP."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # the truth is written then, too
    plan = Plan(**options)
    began = time.monotonic()
    counters = plan.counters()
    with ExitStack() as stack:
        posters = [
            stack.enter_context(
                Poster(
                    url,
                    {"Content-Type": counter.voice.content_type, **authorization(token, user)},
                    random.Random(f"{plan.seed}/{counter.name}/way"),
                    lose=lose,
                    pack=pack,
                )
            )
            for counter in counters
        ]
        sent = plan.play(counters, posters)
    lost = sum(poster.lost for poster in posters)
    answers = sorted(took_s for poster in posters for took_s in poster.took_s) or [0.0]
    usual_ms = answers[len(answers) * 99 // 100] * 1000
    took_s = time.monotonic() - began
    click.echo(
        f"{sent} packages stored in {took_s:.1f} s, {lost} answers lost, 99 of 100 within {usual_ms:.0f} ms",
        err=True,
    )
