"""What is published in each round of the demo: its world, and the files made from it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from numerai_kedro.demo.rounds import DemoRound
from numerai_kedro.demo.sizes import SIZES
from numerai_kedro.files import digest_file

if TYPE_CHECKING:
    from numerai_kedro.demo.world import World

DATA_VERSION = "v5.3"
FILES = (
    "features.json",
    "train.parquet",
    "validation.parquet",
    "live.parquet",
    "train_benchmark_models.parquet",
    "validation_benchmark_models.parquet",
    "live_benchmark_models.parquet",
    "validation_example_preds.parquet",
    "validation_example_preds.csv",
    "live_example_preds.parquet",
    "live_example_preds.csv",
    "meta_model.parquet",
)
# Paths of older versions, which official examples and other clients still request: views of the
# same files. They are listed, because numerblox checks that its default version is.
OLD_VERSIONS = {"v4.3": ("meta_model.parquet",), "v5.0": FILES}
# The world is simulated from its first era each time it grows, so it grows by half a year at once.
WEEKS_AHEAD = 26

Progress = Callable[[int, int], None]


class Archive:
    """Files by round, made when they are first requested.

    Parameters
    ----------
    folder
        Holds ``world`` (the truth) and ``published``.
    size, seed
        Of the demo.
    """

    def __init__(self, folder: Path, size: str, seed: int) -> None:
        self._folder, self._size, self._seed = folder, SIZES[size], seed
        self._world: World | None = None
        self._digests: dict[tuple[Path, int, int], str] = {}
        self._lock = threading.RLock()

    def live_era(self, demo: DemoRound) -> int:
        """Era that is live in a round; history ends with the one before it."""
        return self._size.n_eras + 1 + demo.week

    def world(self, demo: DemoRound, progress: Progress = lambda done, total: None) -> World:
        """The world, reaching the round's live era; built or extended when needed."""
        from numerai_kedro.demo.world import World

        last_era = self._size.n_eras + (demo.week // WEEKS_AHEAD + 1) * WEEKS_AHEAD
        with self._lock:
            if self._world is None or self._world.n_eras < last_era:
                self._world = World.open(
                    self._folder / "world", self._size, self._seed, last_era, progress
                )
            return self._world

    def files(
        self, demo: DemoRound, progress: Progress = lambda done, total: None
    ) -> dict[str, Path]:
        """Paths of a round's files by name, such as ``"live.parquet"``."""
        from numerai_kedro.demo.publish import publish

        with self._lock:
            world = self.world(demo, progress)
            era = self.live_era(demo)
            return publish(world, self._folder / "published", era - 1, era, demo.number)

    def version(self, path: Path) -> str:
        """Digest of a file's content, for its ETag."""
        stat = path.stat()
        key = (path, stat.st_size, stat.st_mtime_ns)
        if key not in self._digests:
            self._digests[key] = digest_file(path)
        return self._digests[key]
