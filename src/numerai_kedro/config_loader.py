"""How configuration is read: as Kedro does, but each kind of file once a command."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

from kedro.config import OmegaConfigLoader


class ReadOnceLoader(OmegaConfigLoader):
    """An `OmegaConfigLoader` that keeps what it read: parameters are asked for several times."""

    def __getitem__(self, key: str) -> dict[str, Any]:
        """Files of a kind, merged; callers may change what they get."""
        self.data.setdefault(key, super().__getitem__(key))
        return copy.deepcopy(self.data[key])

    def texts(self, env: str, pattern: str) -> list[str]:
        """Texts of an environment's files, from a folder or from an archive."""
        folder = Path(self._get_conf_env_path(env))
        found = sorted(self._fs.glob((folder / pattern).as_posix()))
        return [self._fs.cat_file(one).decode() for one in found]
