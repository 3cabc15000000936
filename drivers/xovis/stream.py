"""Packages on a TCP stream: how they begin."""

from __future__ import annotations

import re

from drivers.objects import Root

ROOT = Root(
    whole=re.compile(rb'\{\s{0,8}"(?:logics_data|live_data|status_data|connection_test)"'),
    half=re.compile(rb'\{\s{0,8}(?:"[a-z_]{0,15})?'),
)
