"""One era as its rows appear in each published file: ids, label, features, targets."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from numerai_kedro.demo.benchmarks import BENCHMARKS
from numerai_kedro.demo.targets import WEEKS
from numerai_kedro.demo.world import World
from numerai_kedro.numerai.schema import LIVE_ERA, format_era

META_MODEL = "numerai_meta_model"
# A target of n weeks is published in the week after its last one.
ERAS_BEHIND = {days: weeks + 1 for days, weeks in WEEKS.items()}


@dataclass(frozen=True)
class PublishedEra:
    """An era of the world as a file shows it.

    Parameters
    ----------
    label
        "0573", or "X" for live rows.
    data_type
        train, validation, test or live.
    ids : str[n]
    order : int[n]
        Row of the world that each published row is.
    frontier : dict
        Newest era whose target is published, by days of the horizon; era 0 for live rows.
    """

    world: World
    era: int
    label: str
    data_type: str
    ids: npt.NDArray[np.str_]
    order: npt.NDArray[np.intp]
    frontier: dict[int, int]

    def main(self) -> pa.Table:
        """Rows of train.parquet, validation.parquet or live.parquet."""
        world = self.world
        features = np.ascontiguousarray(world.features(self.era)[self.order].T)
        columns = dict(zip(world.feature_names, features, strict=True))
        targets = world.targets(self.era)
        for number, name in enumerate(world.target_names):
            days = 20 if name.endswith("_20") else 60
            if self.era <= self.frontier[days]:
                columns[name] = targets[self.order, number]
            else:
                columns[name] = np.full(len(self.order), np.nan, dtype=np.float32)
        return self._table({"era": self.label, "data_type": self.data_type}, columns)

    def benchmarks(self) -> pa.Table:
        """Rows of the three files of benchmark models."""
        values = self.world.benchmark(self.era)[self.order]
        return self._table({"era": self.label}, dict(zip(BENCHMARKS, values.T, strict=True)))

    def meta_model(self) -> pa.Table:
        """Rows of meta_model.parquet."""
        values = self.world.meta_model(self.era)[self.order]
        labels = {"era": self.label, "data_type": self.data_type}
        return self._table(labels, {META_MODEL: values})

    def example(self) -> pa.Table:
        """The 60-day benchmark as rank / n: one value is exactly 1, as in the real files."""
        ranks = np.argsort(np.argsort(self.world.benchmark(self.era)[self.order, 1]))
        return self._table({}, {"prediction": (ranks + 1) / len(ranks)})

    def _table(
        self, labels: dict[str, str], columns: dict[str, npt.NDArray[np.generic]]
    ) -> pa.Table:
        """Columns as pandas writes them, so that it reads back an index named id."""
        kinds = tuple((name, values.dtype.str) for name, values in columns.items())
        arrays = [pa.repeat(pa.scalar(label), len(self.ids)) for label in labels.values()]
        arrays += [pa.array(values) for values in columns.values()]
        arrays.append(pa.array(self.ids))
        return pa.Table.from_arrays(arrays, schema=_schema(tuple(labels), kinds))


def history(world: World, eras: Sequence[int], history_eras: int) -> list[PublishedEra]:
    """Past eras as they stand when `history_eras` is the newest with features."""
    frontier = {days: history_eras - behind for days, behind in ERAS_BEHIND.items()}
    return [
        PublishedEra(
            world,
            era,
            format_era(era),
            _data_type(world, era, frontier[60]),
            ids := world.ids(era),
            np.arange(len(ids)),
            frontier,
        )
        for era in eras
    ]


def live(world: World, era: int, round_number: int) -> PublishedEra:
    """The live era under ids, and in an order, of this round only."""
    ids = world.ids(era, salt=str(round_number))
    order = np.argsort(ids)
    frontier = dict.fromkeys(ERAS_BEHIND, 0)
    return PublishedEra(world, era, LIVE_ERA, "live", ids[order], order, frontier)


@functools.lru_cache
def _schema(labels: tuple[str, ...], kinds: tuple[tuple[str, str], ...]) -> pa.Schema:
    """As pandas writes them: it takes milliseconds, and all eras of a file have the same."""
    empty = pd.DataFrame(
        {name: pd.Series(dtype=str) for name in labels}
        | {name: pd.Series(dtype=kind) for name, kind in kinds},
        index=pd.Index([], name="id", dtype=str),
    )
    schema = pa.Schema.from_pandas(empty)
    for name in ("id", *labels):
        schema = schema.set(schema.get_field_index(name), pa.field(name, pa.string()))
    return schema


def _data_type(world: World, era: int, resolved: int) -> str:
    if era <= world.size.last_train_era:
        return "train"
    return "validation" if era <= resolved else "test"
