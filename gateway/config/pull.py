"""What a link that asks over HTTP is told."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, model_validator

from gateway.config.tables import Table, is_loopback, read_secret

NEEDED = {
    "none": (),
    "basic": ("username", "password_file"),
    "digest": ("username", "password_file"),
    "bearer": ("token_file",),
    "token": ("client_id", "key_file"),
}
OPEN = ("none", "digest")  # what may be said where others listen


def _address(text: str) -> str:
    url = urlsplit(text)
    if url.scheme not in ("http", "https") or not url.hostname:
        raise ValueError("must be an http:// or https:// address")
    if url.username or url.password:
        raise ValueError("must not hold a password: use auth")
    if url.query or url.fragment:
        raise ValueError("must end before ? and #: what is asked for belongs to the counter")
    return text


Address: TypeAlias = Annotated[str, AfterValidator(_address)]
Path: TypeAlias = Annotated[str, Field(pattern="^/")]


class PullOptions(Table):
    """A counter or portal that is asked over HTTP."""

    url: Address = Field(description="where everything asked for is below; https is verified")
    ca_file: str | None = Field(None, description="PEM of the authority to trust instead of the system's")
    fingerprint: str | None = Field(
        None,
        pattern="^([0-9A-Fa-f]{2}:?){32}$",
        description="SHA-256 of the one certificate to trust, for a device that signed its own",
    )
    auth: Literal["none", "basic", "digest", "bearer", "token"] = Field(
        "none", description="who we are: none, basic, digest, bearer, or token (one that lives minutes)"
    )
    username: str | None = Field(None, description="user, for basic and digest")
    password_file: str | None = Field(None, description="file with the password")
    token_file: str | None = Field(None, description="file with the bearer token; read anew for each request")
    client_id: str | None = Field(None, description="who asks for a short-lived token")
    key_file: str | None = Field(None, description="file with the key that goes with client_id")
    token_path: Path = Field("/token", description="where client id and key are posted for a token")
    token_client: str = Field("clientId", description="name of the client id in that question")
    token_key: str = Field("apiKey", description="name of the key in it")
    token_field: str = Field("token", description="name of the token in the answer; plain text is taken too")
    token_s: float = Field(600.0, ge=10, le=86400, description="how long a token lives, seconds")
    client_header: str | None = Field(
        None, pattern="^[A-Za-z0-9-]+$", description="header that carries client_id in every request"
    )
    poll_s: float = Field(60.0, gt=0, le=86400, description="every counter is asked this often, seconds")
    requests_per_h: int = Field(
        0, ge=0, le=1_000_000, description="most requests an hour, all counters together; 0: no limit"
    )
    max_body_bytes: int = Field(4 << 20, ge=256, le=64 << 20, description="longer answers are refused")
    recall_days: int = Field(
        7, ge=0, le=35, description="a gap this old is asked of a counter's own memory, days; 0: never"
    )

    @model_validator(mode="after")
    def _whole(self) -> PullOptions:
        for key in NEEDED[self.auth]:
            if not getattr(self, key):
                raise ValueError(f"{key}: missing for auth {self.auth}")
        url = urlsplit(self.url)
        if self.fingerprint and (self.ca_file or url.scheme == "http"):
            raise ValueError("fingerprint: belongs to https, without ca_file")
        if url.scheme == "http" and self.auth not in OPEN and not is_loopback(url.hostname or ""):
            raise ValueError(f"url: {self.auth} over http:// would tell the secret to all: https, or digest")
        return self

    def secret(self, name: Literal["password_file", "token_file", "key_file"]) -> str:
        """Raises ConfigurationError when the file is gone."""
        return read_secret(getattr(self, name))
