"""The file that the gateway reads for a fleet."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from simulators.fleet.plan import Counter, Plan, Till, Way
from simulators.fleet.polled import PortalThread

POLL_S = 5
TIMEOUT_S = 1.0  # real seconds: a busy machine does not become faster with the clock
ANY = 0  # max_per_s: whom a busy machine held up come all at once, the more of them the faster the clock
MAPPING = """
[mapping.receipts]
time = { format = "rfc3339" }
[[mapping.receipts.reading]]
till = "till"
start = "from"
end = "to"
sales = "sales"
returns = "returns"
amount = "amount"
currency = "currency"
[mapping.files]
format = { csv = { separator = ";", encoding = "cp1252", decimal = "," } }
time = { format = "%d.%m.%Y %H:%M", zone = "site", span_s = 900, label = "start" }
[[mapping.files.reading]]
till = "Kasse"
start = "Fra"
sales = "Kvitteringer"
returns = "Returer"
amount = "Omsetning"
currency = "=NOK"
"""


@dataclass(frozen=True, slots=True)
class Around:
    """Where everything is. `broker`, `push`, `page`: ports of 127.0.0.1; `office`: an address."""

    folder: Path
    broker: int
    push: int
    page: int
    office: str
    timezone: str
    speed: float

    @property
    def receipts(self) -> Path:
        return self.folder / "receipts"


def write(plan: Plan, around: Around, lan: Mapping[str, int], portal: PortalThread) -> Path:
    """`around.folder/gateway.toml`, and the secret beside it. `lan`: ports of the Modbus gateways."""
    key = around.folder / "portal.key"
    key.touch(0o600)
    key.write_text(f"{portal.key}\n")
    lines = [
        *_head(around),
        "[link]",
        *_links(plan, around, lan, portal),
        "[counter]",
        *(_counter(one, around.speed) for one in plan.counters),
        "[till]",
        *(_till(one) for one in plan.tills),
        "[zone]",
        *_zones(plan),
        MAPPING,
        f'[upstream.office]\ndriver = "http"\noptions = {{ url = "{around.office}" }}',
    ]
    path = around.folder / "gateway.toml"
    path.write_text("\n".join(lines) + "\n")
    return path


def _head(around: Around) -> Iterator[str]:
    yield '[gateway]\nid = "fleet"\ndata_dir = "data"'
    yield f'[site]\nid = "fleet"\ntimezone = "{around.timezone}"\ncurrency = "NOK"\nday_start = "04:00"'
    yield "[windows]\nsize_s = 900"
    yield f'[http]\nlisten = "127.0.0.1:{around.page}"'
    yield f'[push]\nlisten = "127.0.0.1:{around.push}"\nallow = ["127.0.0.1"]'


def _links(plan: Plan, around: Around, lan: Mapping[str, int], portal: PortalThread) -> Iterator[str]:
    for bus in plan.buses:
        where = (
            f'over = "tcp", options = {{ host = "127.0.0.1", port = {lan[bus]}, poll_s = {POLL_S} }}'
            if bus in lan
            else f'over = "serial", options = {{ port = "{around.folder / bus}", poll_s = {POLL_S} }}'
        )
        yield f"{bus} = {{ {where} }}"
    yield f'broker = {{ over = "mqtt", options = {{ host = "127.0.0.1", port = {around.broker} }} }}'
    yield 'cameras = { over = "push", options = { auth = "none" } }'
    yield 'shops = { over = "push", options = { auth = "none" } }'
    yield (
        f'receipts = {{ over = "folder", options = {{ path = "{around.receipts}", pattern = "*.csv",'
        ' done = "archive", poll_s = 5 } }'
    )
    token = f'auth = "token", client_id = "{portal.client_id}", key_file = "portal.key"'
    asking = 'client_header = "ClientID", poll_s = 900, requests_per_h = 480'
    yield f'portal = {{ over = "pull", options = {{ url = "{portal.url}", {token}, {asking} }} }}'


def _counter(counter: Counter, speed: float) -> str:
    keys = _register(counter, speed) if counter.bus else counter.make.keys(counter.id)
    turned = ", reversed = true" if counter.turned else ""
    link = counter.bus or counter.make.link
    return f'{counter.id} = {{ link = "{link}", driver = "{counter.make.driver}", {keys}{turned} }}'


def _register(counter: Counter, speed: float) -> str:
    patience = f"timeout_s = {min(60.0, TIMEOUT_S * speed):g}, max_per_s = {ANY}"
    if counter.make.driver == "dcon":
        return f'address = "{counter.address:02X}", in = 0, out = 1, {patience}'
    return f'framing = "tcp", address = {counter.address}, map = "lot", {patience}'


def _till(till: Till) -> str:
    mapping = "files" if till.way is Way.FOLDER else "receipts"
    topic = f', topic = "tills/{till.id}/interval"' if till.way is Way.MQTT else ""
    return (
        f'{till.id} = {{ link = "{till.way}", driver = "mapping", mapping = "{mapping}"{topic},'
        f' match = {{ till = "{till.id}" }} }}'
    )


def _zones(plan: Plan) -> Iterator[str]:
    for name, zone in plan.zones.items():
        parent = "" if name == "mall" else 'parent = "mall", '
        members = {"entrances": zone.entrances, "passing": zone.passing, "tills": zone.tills}
        told = ", ".join(f"{role} = {json.dumps(ids)}" for role, ids in members.items() if ids)
        yield f'{name} = {{ kind = "{zone.kind}", {parent}{told} }}'
