"""The tournament as a catalog entry: loading it connects."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from kedro.io import AbstractDataset, DatasetError

from numerai_kedro.numerai.client import Client
from numerai_kedro.runtime.connection import connect
from numerai_kedro.runtime.tournament_settings import TournamentSettings, keys_of


class TournamentDataset(AbstractDataset[None, Client]):
    """Demo or real tournament; one connection per run.

    Parameters
    ----------
    filepath
        The data folder; the demo keeps its server's state in it.
    credentials
        ``{public_id, secret_key}``; downloads need none, so both may be empty.
    """

    def __init__(
        self,
        *,
        tournament: Literal["demo", "numerai"],
        size: str,
        seed: int,
        data_version: str,
        api_url: str | None,
        filepath: str,
        credentials: dict[str, str] | None = None,
        metadata: dict[str, Any] | None = None,
    ) -> None:
        self._settings = TournamentSettings(
            name=tournament,
            size=size,
            seed=seed,
            data_version=data_version,
            api_url=api_url,
            data_folder=Path(filepath),
        )
        self._keys = keys_of(credentials)
        self._client: Client | None = None
        self.metadata = metadata

    def load(self) -> Client:
        """Connect once; the demo's server is started if none is running."""
        if self._client is None:
            self._client = connect(self._settings, *self._keys)
        return self._client

    def save(self, data: None) -> None:
        """Refuse: nobody saves a tournament."""
        raise DatasetError("the tournament is only read")

    def contents(self) -> dict[str, Path | str]:
        """Constant: the nodes that ask a tournament always run."""
        return {"": "tournament"}

    def _exists(self) -> bool:
        return True

    def _describe(self) -> dict[str, Any]:
        # Never the keys.
        return {"tournament": self._settings.name}

    def __getstate__(self) -> dict[str, Any]:
        # A copy in another process opens its own connection.
        return self.__dict__ | {"_client": None}
