"""Which tournament: what `kedro tournament use` writes to conf/local/globals.yml, typed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, field_validator, model_validator

from numerai_kedro.demo.sizes import SIZES
from numerai_kedro.errors import ConfigurationError

DEFAULT_SIZE, DEFAULT_SEED = "demo", 0
NUMERAI_SIZE = "numerai"


class TournamentSettings(BaseModel, frozen=True, extra="forbid"):
    """Address and identity of a tournament; keys are never part of it.

    Parameters
    ----------
    name
        ``demo`` is the embedded tournament, ``numerai`` the real one.
    data_version
        Pinned: a newer one is never used silently.
    data_folder
        Everything this project keeps for the tournament; two tournaments never share one.
    size
        A size of the demo (`SIZES`); ``numerai`` for the real tournament.
    seed
        Of the demo's world.
    api_url
        Instead of the tournament's own address: a local server's, or ``file://`` and a folder of
        previously downloaded files.
    """

    name: Literal["demo", "numerai"]
    data_version: str
    data_folder: Path
    size: str = DEFAULT_SIZE
    seed: int = DEFAULT_SEED
    api_url: str | None = None

    @field_validator("api_url")
    @classmethod
    def _empty_is_none(cls, value: str | None) -> str | None:
        if value and not value.startswith("file:"):
            value = value.rstrip("/")
        return value or None

    @model_validator(mode="after")
    def _size_fits(self) -> TournamentSettings:
        sizes = tuple(SIZES) if self.name == "demo" else (NUMERAI_SIZE,)
        if self.size not in sizes:
            raise ConfigurationError(
                f'globals.yml: size "{self.size}" is none of the {self.name} tournament\'s: '
                f"{', '.join(sizes)}; choose with kedro tournament use {self.name}."
            )
        if self.seed < 0:
            raise ConfigurationError(f"globals.yml: seed {self.seed}: seeds count from 0.")
        return self


def data_folder_of(name: str, size: str, seed: int) -> str:
    """Folder that belongs to a choice: the two tournaments, and two demos, never mix."""
    if name != "demo":
        return f"data/{name}"
    return (
        "data/demo" if (size, seed) == (DEFAULT_SIZE, DEFAULT_SEED) else f"data/demo-{size}-{seed}"
    )


def keys_of(credentials: object) -> tuple[str | None, str | None]:
    """Public id and secret key of an entry of credentials.yml; None for a missing one.

    Raises
    ------
    ConfigurationError
        The entry is not a mapping.
    """
    keys = credentials or {}
    if not isinstance(keys, Mapping):
        raise ConfigurationError(
            "credentials.yml: numerai: should hold public_id and secret_key, each on a line of its "
            "own below it (conf/local)."
        )
    return keys.get("public_id") or None, keys.get("secret_key") or None
