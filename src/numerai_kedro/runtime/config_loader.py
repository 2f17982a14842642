"""How configuration is read: as Kedro does, but each kind of file once a command.

Files with keys are the owner's alone: whoever else could read them could submit.
"""

from __future__ import annotations

import copy
import logging
import stat
from pathlib import Path
from typing import Any

from kedro.config import OmegaConfigLoader

from numerai_kedro.runtime.own_model_blocks import with_defaults

logger = logging.getLogger(__name__)

OF_OTHERS = stat.S_IRWXG | stat.S_IRWXO


class ReadOnceLoader(OmegaConfigLoader):
    """An `OmegaConfigLoader` that keeps what it read: parameters are asked for several times."""

    def __getitem__(self, key: str) -> dict[str, Any]:
        """Files of a kind, merged; callers may change what they get."""
        if key == "credentials" and key not in self.data:
            self._keep_from_others()
        if key not in self.data:
            content = super().__getitem__(key)
            if key == "parameters":
                content = with_defaults(content, Path(self.conf_source).parent)
            self.data[key] = content
        return copy.deepcopy(self.data[key])

    def _keep_from_others(self) -> None:
        """Take the right to read keys from group and others, as ssh asks it of its own."""
        env = self.env or self.default_run_env
        if env in (None, self.base_env):  # which is committed, and holds no key
            return
        folder = Path(self._get_conf_env_path(env))
        patterns = self.config_patterns["credentials"]
        for path in {path for pattern in patterns for path in folder.glob(pattern)}:
            if not path.is_file():
                continue
            try:
                mode = path.stat().st_mode
                if mode & OF_OTHERS:
                    path.chmod(mode & ~OF_OTHERS)
                    logger.info("%s: others could read it; now its owner alone can", path)
            except OSError as refused:
                logger.warning("%s: others may read it: %s", path, refused.strerror)

    def texts(self, env: str, pattern: str) -> list[str]:
        """Texts of an environment's files, from a folder or from an archive."""
        folder = Path(self._get_conf_env_path(env))
        paths = sorted(self._fs.glob((folder / pattern).as_posix()))
        return [self._fs.cat_file(path).decode() for path in paths]
