"""How configuration is read: as Kedro does, but each kind of file once a command."""

from __future__ import annotations

import copy
from typing import Any

from kedro.config import OmegaConfigLoader


class ReadOnceLoader(OmegaConfigLoader):
    """An `OmegaConfigLoader` that keeps what it read: parameters are asked for several times."""

    def __getitem__(self, key: str) -> dict[str, Any]:
        """Files of a kind, merged; callers may change what they get."""
        self.data.setdefault(key, super().__getitem__(key))
        return copy.deepcopy(self.data[key])
