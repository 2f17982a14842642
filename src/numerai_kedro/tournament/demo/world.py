"""All eras of one demo tournament, past and future, with the complete truth.

Built once into a folder of its own, an era a file, and read lazily. No pipeline reads it: the
server publishes from it what a participant may see, and scores with the rest.
"""

from __future__ import annotations

import json
import shutil
from collections import deque
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from numerai_kedro.files import atomic_write
from numerai_kedro.tournament.demo.benchmarks import BenchmarkModels, MetaModel
from numerai_kedro.tournament.demo.market import Market, MarketEra
from numerai_kedro.tournament.demo.names import stock_ids, target_names
from numerai_kedro.tournament.demo.sizes import DemoSize
from numerai_kedro.tournament.demo.targets import (
    MAX_WEEKS,
    all_targets,
    neutral_returns,
    target_after,
)
from numerai_kedro.tournament.demo.truth import Truth, draw_truth

VERSION = 1  # raise it when the same seed would give other data
AUXILIARY_GAPS_UNTIL = 0.1  # of the eras of history
# How predictable each size is: fewer stocks say less, and the demo is to pass its own gate.
SIGNAL_SCALE = {"tiny": 3.0, "demo": 1.4, "evidence": 1.0, "full": 1.0}

Progress = Callable[[int, int], None]


class World:
    """Eras 1 to `n_eras` of a tournament.

    Attributes
    ----------
    n_eras : int
        Eras on disk, future ones included.
    feature_names, target_names : list of str
    feature_sets : dict
        As in features.json.
    """

    def __init__(self, folder: Path, size: DemoSize, seed: int, truth: Truth, n_eras: int) -> None:
        self.folder, self.size, self.seed, self.truth = folder, size, seed, truth
        self.n_eras = n_eras
        self.feature_names = truth.names
        self.target_names = target_names()
        self.feature_sets = truth.sets

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

        What was built for another size, seed or version is replaced; a build that was killed goes
        on where files are missing. The bytes of an era do not depend on `last_era`.
        """
        folder = Path(folder)
        wanted = {"version": VERSION, "size": asdict(size), "seed": seed}
        marker = folder / "world.json"
        if marker.exists() and json.loads(marker.read_text()) != wanted:
            shutil.rmtree(folder)
        with atomic_write(marker) as handle:
            handle.write(json.dumps(wanted).encode())
        truth = draw_truth(size, seed)
        world = cls(folder, size, seed, truth, last_era)
        if not all(world._path(era).exists() for era in range(1, last_era + 1)):
            world._build(last_era, progress)
        return world

    def ids(self, era: int, salt: str = "") -> npt.NDArray[np.str_]:
        """Ids of an era's stocks; live rows take their round as salt."""
        return stock_ids(self.seed, era, salt, self._load(era)["identities"])

    def features(self, era: int) -> npt.NDArray[np.int8]:
        """int8[n, n_features], 0..4."""
        return self._load(era)["features"]

    def targets(self, era: int) -> npt.NDArray[np.float32]:
        """float32[n, 41], complete: no label frontier here."""
        weekly = self._load(era)["weekly"]
        gaps_until = int(AUXILIARY_GAPS_UNTIL * self.size.n_eras)
        return all_targets(weekly, era, self.seed, gaps_until)

    def target_after(self, era: int, days: int) -> npt.NDArray[np.float32]:
        """The paid target after `days` business days; 60 is the final one."""
        return target_after(self._load(era)["weekly"], days)

    def meta_model(self, era: int) -> npt.NDArray[np.float32]:
        """float32[n] in (0, 1): what everybody else predicted."""
        return self._load(era)["meta_model"]

    def benchmark(self, era: int) -> npt.NDArray[np.float32]:
        """float32[n, 2] in (0, 1): `v53_lgbm_ender20` and `v53_lgbm_ender60`."""
        return self._load(era)["benchmark"]

    def _path(self, era: int) -> Path:
        return self.folder / "eras" / f"{era:04d}.npz"

    def _load(self, era: int) -> Any:
        return np.load(self._path(era), allow_pickle=False)

    def _build(self, last_era: int, progress: Progress) -> None:
        """Simulate from the first era; a 60-day target is known twelve weeks later."""
        market = Market(self.size, self.seed, self.truth, SIGNAL_SCALE[self.size.name])
        benchmarks = BenchmarkModels(self.size, self.seed)
        meta_model = MetaModel(self.seed)
        waiting: deque[tuple[MarketEra, list[npt.NDArray[np.float32]]]] = deque()
        for week in market.eras():
            waiting.append((week, []))
            for earlier, returns in waiting:
                returns.append(week.returns[earlier.slots])
            if len(waiting[0][1]) == MAX_WEEKS:
                done, returns = waiting.popleft()
                weekly = neutral_returns(np.column_stack(returns), done.styles)
                self._keep(done, weekly, benchmarks, meta_model)
                progress(done.era, last_era)
                if done.era == last_era:
                    break
        with atomic_write(self.folder / "truth.json") as handle:
            handle.write(json.dumps(self.truth.as_json(), indent=1).encode())

    def _keep(
        self,
        week: MarketEra,
        weekly: npt.NDArray[np.float32],
        benchmarks: BenchmarkModels,
        meta_model: MetaModel,
    ) -> None:
        benchmark = benchmarks.predict_and_learn(week, weekly)
        if self._path(week.era).exists():
            return
        with atomic_write(self._path(week.era)) as handle:
            np.savez(
                handle,
                identities=week.identities,
                features=week.features,
                weekly=weekly,
                benchmark=benchmark,
                meta_model=meta_model.predict(week, benchmark),
            )
