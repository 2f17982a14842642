"""Finished folds and fits, looked up by what they were made from.

A key consists of digests of the data and the code, and the parameters: after a crash, or in the
next week, the same key finds the finished piece on disk. A node that uses the store stays pure: its
output is the same with a full, an empty or an absent store.
"""

from __future__ import annotations

import logging
import os
import shutil
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from numerai_kedro.errors import StoreError
from numerai_kedro.files import atomic_write, digest_bytes, digest_json
from numerai_kedro.files.checked_file import build_checked, checked_content
from numerai_kedro.files.kept_json import find_kept, write_kept
from numerai_kedro.files.trusted_pickle import read_trusted, write_trusted

logger = logging.getLogger(__name__)

Made = TypeVar("Made")
Key = Mapping[str, Any]
DIGEST_DIGITS = 32


class FoldStore:
    """A folder of finished pieces, each under the digest of its key.

    Parameters
    ----------
    folder
        Created when the first piece is kept.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = Path(folder)

    def model(self, key: Key, fit: Callable[[], Made]) -> Made:
        """Return the model kept under `key`, or fit it and keep it."""
        folder = self._models / digest_json(key)
        with _lock_of(folder):
            if folder.exists():
                try:
                    cached: Made = read_trusted(folder)
                except StoreError as error:
                    logger.warning("%s It is fitted again.", error)
                else:
                    with suppress(OSError):  # the order in which `keep_within` evicts
                        os.utime(folder)
                    return cached
            fitted = fit()
            write_trusted(folder, fitted)
            return fitted

    def file(self, key: Key, build: Callable[[Path], None]) -> Path:
        """Return the file kept under `key`, or have it built at a path and keep it.

        Its digest is checked first: libraries crash the whole process on a damaged file.
        """
        folder = self._binned / digest_json(key)
        with _lock_of(folder):
            cached = checked_content(folder)
            if cached is None:
                if folder.exists():
                    logger.warning("%s: damaged, made again.", folder)
                return build_checked(folder, build)
            with suppress(OSError):
                os.utime(folder)
            return cached

    def touch(self, key: Key) -> None:
        """Mark a model as used now: the least recently used is evicted first."""
        with suppress(OSError):
            os.utime(self._models / digest_json(key))

    def has_file(self, key: Key) -> bool:
        """Whether a file is kept under `key`; it may still turn out to be damaged."""
        return (self._binned / digest_json(key)).exists()

    def work(self, key: Key) -> Path:
        """Folder in which unfinished work under `key` may keep its progress."""
        return self._work / digest_json(key)

    def drop_work(self, key: Key) -> None:
        """Delete the progress of work that is finished now."""
        shutil.rmtree(self.work(key), ignore_errors=True)

    def value(self, key: Key, compute: Callable[[], Any]) -> Any:
        """Return the small JSON value kept under `key`, or compute and keep it."""
        cached = self.find(key)
        if cached is not None:
            return cached
        computed = compute()
        self.remember(key, computed)
        return computed

    def remember(self, key: Key, value: Any) -> None:
        """Keep a small JSON value in place of the previous one."""
        write_kept(self._value_path(key), value)

    def recall(self, key: Key) -> Any | None:
        """Return what was remembered; None if nothing was."""
        return self.find(key)

    def find(self, key: Key) -> Any | None:
        """Return the value kept under `key`; None if there is none, or it is damaged."""
        return find_kept(self._value_path(key))

    def predictions(
        self, key: Key, predict: Callable[[], npt.NDArray[np.float32]]
    ) -> npt.NDArray[np.float32]:
        """Return the predictions kept under `key`, or compute and keep them."""
        cached = self.find_predictions(key)
        if cached is not None:
            return cached
        computed = np.ascontiguousarray(predict(), dtype=np.float32)
        with atomic_write(self._predictions_path(key)) as handle:
            handle.write(digest_bytes(computed.tobytes()).encode())
            handle.write(computed.tobytes())
        return computed

    def find_predictions(self, key: Key) -> npt.NDArray[np.float32] | None:
        """Return the predictions kept under `key`; None if there are none, or they are damaged."""
        path = self._predictions_path(key)
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            return None
        # The file begins with the digest: no truncated or flipped file is taken for finished.
        if content[:DIGEST_DIGITS].decode("ascii", "replace") == digest_bytes(
            memoryview(content)[DIGEST_DIGITS:]
        ):
            return np.frombuffer(content, np.float32, offset=DIGEST_DIGITS)
        logger.warning("%s: damaged, computed again.", path)
        return None

    def has_model(self, key: Key) -> bool:
        """Whether a model is kept under `key`; it may still turn out to be damaged."""
        return (self._models / digest_json(key)).exists()

    def _value_path(self, key: Key) -> Path:
        return self.folder / "values" / f"{digest_json(key)}.json"

    def _predictions_path(self, key: Key) -> Path:
        return self.folder / "predictions" / f"{digest_json(key)}.f32"

    def sizes(self) -> dict[Path, int]:
        """Bytes of every model, binned data set and checkpoint, least recently used first."""
        kinds = (self._models, self._binned, self._work)
        used: dict[Path, tuple[int, int]] = {}
        for folder in (path for kind in kinds for path in kind.glob("*")):
            with suppress(FileNotFoundError):  # another lane of this run finishes or drops it
                used[folder] = (folder.stat().st_mtime_ns, _bytes_in(folder))
        return {folder: size for folder, (_, size) in sorted(used.items(), key=lambda i: i[1][0])}

    def keep_within(self, limit_bytes: float) -> int:
        """Delete models, binned data and checkpoints, least recently used first, to fit the limit.

        Returns the bytes freed. Predictions and values stay: they are small, and all that a
        finished fold needs.
        """
        sizes = self.sizes()
        n_bytes = total = sum(sizes.values())
        for folder, size in sizes.items():
            if n_bytes <= limit_bytes:
                break
            shutil.rmtree(folder, ignore_errors=True)
            n_bytes -= size
        return total - n_bytes

    @property
    def _models(self) -> Path:
        return self.folder / "models"

    @property
    def _binned(self) -> Path:
        return self.folder / "binned"

    @property
    def _work(self) -> Path:
        return self.folder / "work"


# Threads that ask for the same piece at the same time make it once.
_locks: dict[Path, threading.Lock] = {}
_locks_lock = threading.Lock()


def _lock_of(path: Path) -> threading.Lock:
    with _locks_lock:
        return _locks.setdefault(path, threading.Lock())


def _bytes_in(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
