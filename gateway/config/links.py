"""What each kind of link is told: these models are the schema of `[link]` options."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Annotated, Any, Literal, TypeAlias
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from gateway.config.folder import FolderOptions
from gateway.config.pull import PullOptions
from gateway.config.push import PushOptions
from gateway.config.tables import Table, read_secret

WEEK_S = 7 * 24 * 3600
ASKING = ("serial", "tcp", "pull")  # their counters are asked in turn, every poll_s
WITH_PORTS = ("serial", "tcp", "gpio", "folder")  # each has its ports, or files, for itself


def _port(text: str) -> str:
    if "://" not in text:
        return text
    url = urlsplit(text)
    try:
        sound = url.scheme in ("socket", "rfc2217") and url.hostname and url.port
    except ValueError:
        sound = False
    if not sound:
        raise ValueError(f'must be a device, "socket://HOST:PORT" or "rfc2217://HOST:PORT", not "{text}"')
    return text


Port: TypeAlias = Annotated[str, Field(min_length=1), AfterValidator(_port)]


class SerialOptions(Table):
    """A serial port or RS-485 bus; or the two sides of a line between a till and its unit."""

    port: Port | None = Field(
        None,
        description="device, best a name below /dev/serial/by-path/ or by-id/; or a serial server: "
        "socket://HOST:PORT, rfc2217://HOST:PORT",
    )
    port_till: Port | None = Field(None, description="instead of port, a tap: hears what the till says")
    port_unit: Port | None = Field(None, description="the tap's other ear: hears the unit or printer")
    baudrate: int = Field(9600, ge=50, le=4_000_000, description="bits per second")
    bytesize: Literal[5, 6, 7, 8] = Field(8, description="data bits")
    parity: Literal["N", "E", "O", "M", "S"] = Field("N", description="none, even, odd, mark or space")
    stopbits: float = Field(1.0, ge=1, le=2, multiple_of=0.5, description="1, 1.5 or 2")
    poll_s: float = Field(5.0, gt=0, le=3600, description="every counter is asked this often, seconds")
    quiet_s: float | None = Field(
        None, ge=0, le=1, description="silence before each question, seconds; default: four characters"
    )
    echo: bool = Field(False, description="the adapter hears its own questions")
    resets_on_open: bool = Field(
        False, description="the board restarts when the port is opened: a lower total is then a fresh start"
    )

    @model_validator(mode="after")
    def _ears(self) -> SerialOptions:
        if not (self.port or self.port_till or self.port_unit):
            raise ValueError("port: missing")
        if self.port and (self.port_till or self.port_unit):
            raise ValueError("port: either one port, or port_till and port_unit")
        if self.port_till and self.port_till == self.port_unit:
            raise ValueError("port_unit: the same as port_till")
        return self

    @property
    def ports(self) -> list[str]:
        return [port for port in (self.port, self.port_till, self.port_unit) if port]


class TcpOptions(Table):
    """A device or gateway that answers on a TCP port, e.g. Modbus TCP."""

    host: str = Field(min_length=1, description="name or address of the device")
    port: int = Field(ge=1, le=65535, description="its TCP port; Modbus TCP is 502")
    poll_s: float = Field(5.0, gt=0, le=3600, description="every counter is asked this often, seconds")

    @property
    def ports(self) -> list[str]:
        return [f"{self.host}:{self.port}"]


def _version(given: Any) -> Any:
    return str(given) if given in (5, 3.1) and not isinstance(given, bool) else given


class MqttOptions(Table):
    """A broker."""

    host: str = Field(min_length=1, description="name or address of the broker")
    port: int = Field(0, ge=0, le=65535, description="default 1883, with TLS 8883")
    version: Annotated[Literal["5", "3.1.1"], BeforeValidator(_version)] = Field(
        "5", description="MQTT version"
    )
    client_id: str = Field("", max_length=128, description="default: gateway id and link id")
    username: str | None = Field(None, description="user at the broker")
    password_file: str | None = Field(None, description="file with its password")
    tls: bool = Field(False, description="encrypt; also switched on by ca_file or cert_file")
    ca_file: str | None = Field(None, description="PEM of the authority to trust instead of the system's")
    cert_file: str | None = Field(None, description="PEM of our client certificate")
    key_file: str | None = Field(None, description="PEM of its key")
    keepalive_s: int = Field(30, ge=5, le=65535, description="longest silence of the connection, seconds")
    session_expiry_s: int = Field(
        WEEK_S, ge=60, le=0xFFFFFFFF, description="how long the broker keeps our session, seconds (MQTT 5)"
    )
    receive_maximum: int = Field(1000, ge=1, le=65535, description="messages in flight before we acknowledge")
    max_payload_bytes: int = Field(262_144, ge=256, le=16 << 20, description="larger messages are refused")
    silence_s: float = Field(
        0.0, ge=0, le=7 * 86400, description="without a message this long we connect anew, seconds; 0: never"
    )

    @model_validator(mode="before")
    @classmethod
    def _defaults(cls, given: Any) -> Any:
        if not isinstance(given, dict):
            return given
        tls = given.get("tls", bool(given.get("ca_file") or given.get("cert_file")))
        return {"port": 8883 if tls is True else 1883, **given, "tls": tls}

    @model_validator(mode="after")
    def _pairs(self) -> MqttOptions:
        if self.password_file and not self.username:
            raise ValueError("username: missing beside password_file")
        if self.key_file and not self.cert_file:
            raise ValueError("cert_file: missing beside key_file")
        return self

    @property
    def password(self) -> str | None:
        """Raises ConfigurationError when the file is gone."""
        return read_secret(self.password_file) if self.password_file else None


class GpioOptions(Table):
    """Dry contacts: lines of a GPIO chip, or the modem lines of a serial port."""

    chip: str | None = Field(
        None, min_length=1, description="GPIO character device; its contacts are numbers or names of lines"
    )
    port: str | None = Field(
        None, min_length=1, description="instead of chip, a serial port: its contacts are cts, dsr, ri, dcd"
    )
    bias: Literal["pull-up", "pull-down", "none"] | None = Field(
        None, description="resistor inside the chip: pull-up, pull-down or none; default: as it is"
    )
    poll_s: float = Field(0.02, gt=0, le=1, description="a port's contacts are looked at this often, seconds")

    @model_validator(mode="after")
    def _one(self) -> GpioOptions:
        if (self.chip is None) == (self.port is None):
            raise ValueError("chip: either a chip or a port")
        if self.port and self.bias:
            raise ValueError("bias: a port has no such resistors")
        if self.chip and find_spec("gpiod") is None:
            raise ValueError("chip: needs the package gpiod: venv/bin/pip install 'gpiod>=2.1,<3'")
        return self

    @property
    def ports(self) -> list[str]:
        return [self.port] if self.port else []


LINK_OPTIONS: dict[str, type[Table]] = {
    "serial": SerialOptions,
    "tcp": TcpOptions,
    "mqtt": MqttOptions,
    "gpio": GpioOptions,
    "pull": PullOptions,
    "push": PushOptions,
    "folder": FolderOptions,
}
