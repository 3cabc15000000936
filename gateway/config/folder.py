"""What a link is told that watches a folder."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator

from gateway.config.tables import Table


class FolderOptions(Table):
    """A folder into which somebody puts files: each is one message."""

    path: str = Field(
        min_length=1, description="the folder, absolute; archive and refused are made inside it"
    )
    pattern: str = Field(
        "*",
        min_length=1,
        description="names of the files, with * and ?; names with a leading dot or .tmp never",
    )
    done: Literal["archive", "delete"] = Field(
        "archive",
        description="what becomes of a file whose counts are stored: moved into archive, or deleted",
    )
    poll_s: float = Field(
        5.0,
        gt=0,
        le=3600,
        description="from one look to the next; a file is read when it stayed the same, seconds",
    )
    max_file_bytes: int = Field(8_388_608, ge=256, le=64 << 20, description="larger files are refused")

    @field_validator("path")
    @classmethod
    def _absolute(cls, path: str) -> str:
        if not Path(path).is_absolute():
            raise ValueError(f'must be absolute, not "{path}"')
        return path

    @property
    def ports(self) -> list[str]:
        return [str(Path(self.path) / self.pattern)]
