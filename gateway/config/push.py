"""What a link is told that counters push to."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from gateway.config.tables import Table, read_lines, read_secret

NEEDED = {
    "token": ("token_file",),
    "basic": ("password_file",),
    "digest": ("password_file",),
    "hmac": ("key_file", "signature_header"),
}
ALLOWED = {
    "basic": ("username",),
    "digest": ("username",),
    "hmac": ("signature_encoding", "signature_hash", "notification_url"),
}
OF_AUTH = {name for names in (*NEEDED.values(), *ALLOWED.values()) for name in names}


class PushOptions(Table):
    """Counters that post to `/push/LINK` on the port of [push]."""

    auth: Literal["token", "basic", "digest", "hmac", "none"] = Field(
        "token",
        description="how counters prove who they are; hmac: each body is signed; none needs [push] allow",
    )
    token_file: str | None = Field(
        None, description="file with the token, shown as Authorization: Bearer or as ?token="
    )
    username: str | None = Field(None, description="user of basic and digest; default: any name will do")
    password_file: str | None = Field(None, description="file with the password of basic and digest")
    key_file: str | None = Field(
        None, description="file with the key of hmac; several, one a line, while one is exchanged"
    )
    signature_header: str | None = Field(
        None, pattern=r"^[A-Za-z0-9-]+$", description="header that carries the signature of hmac"
    )
    signature_encoding: Literal["base64", "hex"] = Field("base64", description="how that header writes it")
    signature_hash: Literal["sha256", "sha512"] = Field("sha256", description="hash of hmac")
    notification_url: str | None = Field(
        None,
        min_length=1,
        description="hmac of senders that sign their address for us and the body: that address to the letter",
    )
    max_payload_bytes: int = Field(
        5_242_880, ge=256, le=64 << 20, description="larger bodies are refused, packed or unpacked"
    )
    silence_s: float = Field(
        0.0,
        ge=0,
        le=7 * 86400,
        description="without a push this long the link counts as down, seconds; 0: never",
    )

    @model_validator(mode="after")
    def _secrets(self) -> PushOptions:
        needed = NEEDED.get(self.auth, ())
        for name in needed:
            if not getattr(self, name):
                raise ValueError(f"{name}: missing beside auth = {self.auth}")
        foreign = (OF_AUTH & self.model_fields_set) - {*needed, *ALLOWED.get(self.auth, ())}
        for name in sorted(foreign):
            raise ValueError(f"{name}: not used by auth = {self.auth}")
        return self

    @property
    def secret(self) -> str:
        """Token or password. Raises ConfigurationError when the file is gone."""
        path = self.token_file or self.password_file
        return read_secret(path) if path else ""

    @property
    def keys(self) -> list[str]:
        """Of hmac. Raises ConfigurationError when the file is gone."""
        return read_lines(self.key_file) if self.key_file else []
