"""All eras of one demo tournament, past and future, with the complete truth.

    <folder>/<size>-<seed>-<key>/
      eras/0001.npys         identities, signal, weekly returns, targets, features
      predictions/0105.npys  the benchmarks and the meta model
      benchmarks/0105_60.txt the benchmark models, a chunk of eras each
      checkpoint.npys        the market's state, to go on from
      truth.json             roles and loadings; no pipeline reads it

Built as far as requested, one file per era, and read lazily: only the twelve weeks that a 60-day
target spans are ever in memory. The server publishes from it what a participant may see, and scores
with the rest.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from numerai_kedro.demo.benchmarks import Benchmarks, meta_model
from numerai_kedro.demo.era_file import read_block, write_blocks
from numerai_kedro.demo.market import Market, MarketState, MarketWeek
from numerai_kedro.demo.names import stock_ids, target_names
from numerai_kedro.demo.sizes import DemoSize
from numerai_kedro.demo.targets import (
    MAX_WEEKS,
    all_targets,
    draw_gaps,
    neutral_returns,
    style_basis,
    target_after,
)
from numerai_kedro.demo.truth import draw_truth
from numerai_kedro.files import atomic_write, digest_json, folder_lock

VERSION = 2  # raise it when the same seed would give other data
BLOCKS = ("identities", "signal", "weekly", "targets", "features")
STREAM_GAPS = 9
EARLY_GAPS = 0.1  # auxiliary targets have gaps in the first tenth of the history
CHECKPOINT_ERAS = 13
# How predictable each size is: fewer stocks tell less, and the demo has to pass its own gate. The
# realism checks of tests/demo/test_realism.py hold at 1.
SIGNAL_SCALE = {"tiny": 3.0, "demo": 1.6, "evidence": 1.0, "full": 1.0}

Progress = Callable[[int, int], None]


class World:
    """Eras 1 to `n_eras` of a tournament; open it with `World.open`.

    Attributes
    ----------
    size, seed
        What was asked for.
    n_eras : int
        Eras on disk, future ones included.
    feature_names, target_names : list of str
    feature_sets : dict
        As in features.json.
    folder : Path
        Its own, named by size, seed and the generator's version.
    """

    def __init__(self, folder: Path, size: DemoSize, seed: int) -> None:
        self.size, self.seed = size, seed
        self.signal_scale = SIGNAL_SCALE.get(size.name, 1.0)
        self.truth = draw_truth(size, seed)
        self.feature_names = self.truth.names
        self.feature_sets = self.truth.sets
        self.target_names = target_names()
        identity = {
            "size": asdict(size),
            "seed": seed,
            "signal": self.signal_scale,
            "version": VERSION,
        }
        self.key = f"{size.name}-{seed}-{digest_json(identity)[:8]}"
        self.folder = Path(folder) / self.key
        self._benchmarks = Benchmarks(size, seed, self.folder / "benchmarks")
        self.n_eras = self._count()

    @classmethod
    def open(
        cls,
        folder: Path,
        size: DemoSize,
        seed: int,
        last_era: int,
        progress: Progress = lambda done, total: None,
    ) -> World:
        """Open the world, building what is missing up to `last_era`.

        The bytes of an era depend on size, seed and the generator only, not on `last_era`: a build
        that was killed continues, and a world that reaches further is used unchanged.

        Parameters
        ----------
        folder : path
            May hold several worlds, each in a folder of its own.
        progress : callable
            Gets eras done and `last_era`.

        Raises
        ------
        ConfigurationError
            Another process is building there.
        """
        world = cls(folder, size, seed)
        if world.n_eras < last_era:
            with folder_lock(world.folder):
                world._build(last_era, progress)
                world.n_eras = world._count()
        return world

    def ids(self, era: int, salt: str = "") -> npt.NDArray[np.str_]:
        """Ids of an era's rows, str[n]; live rows take their round as salt."""
        return stock_ids(self.seed, era, salt, self._block(era, "identities"))

    def features(self, era: int) -> npt.NDArray[np.int8]:
        """Features of an era, int8[n, n_features] in 0..4, memory-mapped."""
        return self._block(era, "features")

    def targets(self, era: int) -> npt.NDArray[np.float32]:
        """Targets of an era, float32[n, 41], complete: the label frontier is the publisher's."""
        return self._block(era, "targets")

    def target_after(self, era: int, days: int) -> npt.NDArray[np.float32]:
        """The Ender target after 1 to 60 business days, float32[n]; 60 is the paid one."""
        return target_after(self._block(era, "weekly"), days)

    def signal(self, era: int) -> npt.NDArray[np.float32]:
        """Next week's expected returns, float32[n, 2]: the stable part and the drifting one."""
        return self._block(era, "signal")

    def benchmark(self, era: int) -> npt.NDArray[np.float32]:
        """`v53_lgbm_ender20` and `v53_lgbm_ender60`, float32[n, 2] in (0, 1), no ties."""
        return self._predictions(era)[:, :2]

    def meta_model(self, era: int) -> npt.NDArray[np.float32]:
        """What everybody else predicted, float32[n] in (0, 1), no ties."""
        return self._predictions(era)[:, 2]

    def _block(self, era: int, name: str) -> npt.NDArray[Any]:
        return read_block(self._era_path(era), BLOCKS.index(name))

    def _predictions(self, era: int) -> npt.NDArray[np.float32]:
        if era < self.size.first_benchmark_era:
            raise ValueError(
                f"era {era}: benchmark predictions begin in era {self.size.first_benchmark_era}"
            )
        return read_block(self._predictions_path(era), 0)

    def _era_path(self, era: int) -> Path:
        return self.folder / "eras" / f"{era:04d}.npys"

    def _predictions_path(self, era: int) -> Path:
        return self.folder / "predictions" / f"{era:04d}.npys"

    @property
    def _checkpoint_path(self) -> Path:
        return self.folder / "checkpoint.npys"

    def _count(self) -> int:
        """Eras that are whole: with features and targets, and predictions where there are any."""
        era = 0
        while self._era_path(era + 1).exists() and (
            era + 1 < self.size.first_benchmark_era or self._predictions_path(era + 1).exists()
        ):
            era += 1
        return era

    def _build(self, last_era: int, progress: Progress) -> None:
        if not (self.folder / "truth.json").exists():
            content = {"size": asdict(self.size), "seed": self.seed, **self.truth.as_json()}
            with atomic_write(self.folder / "truth.json") as handle:
                handle.write(json.dumps(content, indent=1).encode())
        if not all(self._era_path(era).exists() for era in range(1, last_era + 1)):
            self._simulate(last_era, progress)
        for era in range(self.size.first_benchmark_era, last_era + 1):
            if not self._predictions_path(era).exists():
                self._predict(era)
            progress(era, last_era)

    def _simulate(self, last_era: int, progress: Progress) -> None:
        """Write each era once its twelve weeks are simulated, starting from a checkpoint."""
        market = Market(self.size, self.seed, self.truth, self.signal_scale)
        state = self._checkpoint() or market.first_state()
        saved: MarketState | None = None
        waiting: deque[MarketWeek] = deque()
        for week in _weeks(market, state):
            if week.era % CHECKPOINT_ERAS == 0:
                saved = MarketState(
                    state.era, state.factors.copy(), state.static.copy(), state.own.copy()
                )
            waiting.append(week)
            if len(waiting) < MAX_WEEKS:
                continue
            self._write_era(list(waiting))
            done = waiting.popleft().era
            if saved is not None and done == saved.era:
                self._save(saved)
            progress(done, last_era)
            if done == last_era:
                return

    def _write_era(self, weeks: list[MarketWeek]) -> None:
        """Write the first of twelve weeks: returns of a week are earned after it."""
        first = weeks[0]
        if self._era_path(first.era).exists():
            return
        returns = np.column_stack([week.returns[first.slots] for week in weeks])
        own = np.stack([week.target_noise[:, first.slots] for week in weeks], axis=2)
        basis = style_basis(first.styles)
        gaps = None
        if first.era <= EARLY_GAPS * self.size.n_eras:
            rng = np.random.default_rng([self.seed, STREAM_GAPS, first.era])
            gaps = draw_gaps(len(first.slots), rng)
        blocks: dict[str, npt.NDArray[Any]] = {
            "identities": first.identities,
            "signal": first.signal,
            "weekly": neutral_returns(returns, basis),
            "targets": all_targets(returns, own, basis, gaps),
            "features": first.features,
        }
        write_blocks(self._era_path(first.era), {name: blocks[name] for name in BLOCKS})

    def _predict(self, era: int) -> None:
        benchmark = self._benchmarks.predict(era, self.features, self.targets)
        crowd = meta_model(era, self.seed, benchmark, self.signal(era))
        write_blocks(
            self._predictions_path(era), {"predictions": np.column_stack([benchmark, crowd])}
        )

    def _save(self, state: MarketState) -> None:
        parts = {"era": np.array([state.era]), "factors": state.factors}
        write_blocks(self._checkpoint_path, {**parts, "static": state.static, "own": state.own})

    def _checkpoint(self) -> MarketState | None:
        """Where to go on: a week up to which every era is on disk."""
        if not self._checkpoint_path.exists():
            return None
        era, *parts = (np.array(read_block(self._checkpoint_path, k)) for k in range(4))
        if not all(self._era_path(earlier).exists() for earlier in range(1, int(era[0]))):
            return None  # an era was lost: it can be made again only from the first one on
        return MarketState(int(era[0]), *parts)


def _weeks(market: Market, state: MarketState) -> Iterator[MarketWeek]:
    """Weeks from the state on, without end; `state` is that of the week yielded last."""
    while True:
        yield market.week(state)
        market.step_(state)
