"""Who we are, said in headers; a short-lived token is bought when it is needed and before it ends."""

from __future__ import annotations

import asyncio
import base64
import json
import re
from collections.abc import Awaitable, Callable
from typing import Any, Literal, Protocol

from gateway.driver import Fetch, Response
from gateway.errors import ConfigurationError, LinkError

MARGIN = 0.1  # of a token's life: asked for anew so long before its end
TOKEN = re.compile(r"[A-Za-z0-9._~+/-]{1,4096}=*")  # RFC 6750, and no longer than a header may be

Headers = dict[str, str]
Ask = Callable[[Fetch], Awaitable[Response]]


class LoginSettings(Protocol):
    """Which login, and what it needs."""

    @property
    def auth(self) -> str: ...
    @property
    def username(self) -> str | None: ...
    @property
    def client_id(self) -> str | None: ...
    @property
    def client_header(self) -> str | None: ...
    @property
    def token_path(self) -> str: ...
    @property
    def token_client(self) -> str: ...
    @property
    def token_key(self) -> str: ...
    @property
    def token_field(self) -> str: ...
    @property
    def token_s(self) -> float: ...
    def secret(self, name: Literal["password_file", "token_file", "key_file"]) -> str: ...


class Login:
    """One for one address. Secrets are read from their files whenever they are said."""

    def __init__(self, settings: LoginSettings) -> None:
        self._settings = settings
        self._token = ""
        self._fresh_until = 0.0

    def password(self) -> str:
        """Raises LinkError when the file is gone."""
        return self._secret("password_file")

    def refused(self) -> bool:
        """A 401: may asking again with another token help?"""
        had, self._token = self._token, ""
        return bool(had)

    async def headers(self, ask: Ask) -> Headers:
        """For the next request; `ask` buys a token where one is needed. Raises LinkError."""
        auth, own = self._settings.auth, self._own()
        if auth == "basic":
            words = f"{self._settings.username}:{self.password()}".encode()
            return own | {"Authorization": f"Basic {base64.b64encode(words).decode()}"}
        if auth == "bearer":
            return own | _bearer(self._secret("token_file"))
        if auth == "token":
            if not self._token or asyncio.get_running_loop().time() >= self._fresh_until:
                await self._buy(ask)
            return own | _bearer(self._token)
        return own

    async def _buy(self, ask: Ask) -> None:
        settings, began = self._settings, asyncio.get_running_loop().time()
        words = {settings.token_client: settings.client_id, settings.token_key: self._secret("key_file")}
        headers = {"Content-Type": "application/json", "Accept": "application/json"} | self._own()
        fetch = Fetch(settings.token_path, "POST", headers, json.dumps(words).encode())
        response = await ask(fetch)
        if response.data is None:
            raise LinkError(f"no token from {settings.token_path}: {response.status or 'no answer'}")
        self._token = _token(response.data, settings.token_field)
        self._fresh_until = began + settings.token_s * (1 - MARGIN)

    def _own(self) -> Headers:
        header, client = self._settings.client_header, self._settings.client_id
        return {header: client} if header and client else {}

    def _secret(self, name: Literal["password_file", "token_file", "key_file"]) -> str:
        try:
            return self._settings.secret(name)
        except ConfigurationError as error:
            raise LinkError(str(error)) from error


def _token(body: bytes, field: str) -> str:
    """From JSON, at `field`, or the whole body. Raises LinkError."""
    text = body.decode("utf-8", "replace").strip()
    try:
        said: Any = json.loads(text)
    except (ValueError, RecursionError):
        said = text
    found = said.get(field) if isinstance(said, dict) else said
    if not isinstance(found, str) or not TOKEN.fullmatch(found):
        raise LinkError(f"the answer holds no {field} that is a token")
    return found


def _bearer(token: str) -> Headers:
    if not TOKEN.fullmatch(token):
        raise LinkError("the token holds what no token holds")
    return {"Authorization": f"Bearer {token}"}
