"""What a link is told that counters push to."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from gateway.config.tables import Table, read_secret


class PushOptions(Table):
    """Counters that post to `/push/LINK` on the port of [push]."""

    auth: Literal["token", "basic", "digest", "none"] = Field(
        "token", description="how counters prove who they are; none needs [push] allow"
    )
    token_file: str | None = Field(
        None, description="file with the token, shown as Authorization: Bearer or as ?token="
    )
    username: str | None = Field(None, description="user of basic and digest; default: any name will do")
    password_file: str | None = Field(None, description="file with the password of basic and digest")
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
        wanted = {"token": "token_file", "basic": "password_file", "digest": "password_file"}.get(self.auth)
        if wanted and not getattr(self, wanted):
            raise ValueError(f"{wanted}: missing beside auth = {self.auth}")
        for name in ("token_file", "password_file"):
            if getattr(self, name) and name != wanted:
                raise ValueError(f"{name}: not used by auth = {self.auth}")
        if self.username and wanted != "password_file":
            raise ValueError(f"username: not used by auth = {self.auth}")
        return self

    @property
    def secret(self) -> str:
        """Token or password. Raises ConfigurationError when the file is gone."""
        path = self.token_file or self.password_file
        return read_secret(path) if path else ""
