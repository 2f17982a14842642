"""The 12 files of data v5.3 as they would be listed on a given day; streamed era by era."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from numerai_kedro.files import atomic_path, atomic_write
from numerai_kedro.tournament.demo.benchmarks import BENCHMARKS
from numerai_kedro.tournament.demo.world import World

ERAS_BEHIND = {20: 5, 60: 13}
ROW_GROUP_ERAS = 8
LIVE_ERA = "X"
META_MODEL = "numerai_meta_model"


def publish(
    world: World, folder: Path, history_eras: int, live_era: int, round_number: int
) -> dict[str, Path]:
    """Write what a participant sees in a round.

    Parameters
    ----------
    world : World
        Must reach `live_era`.
    folder : path
        One subfolder a week for history and one a round for live files: what exists is current.
    history_eras
        The newest era with features; 60-day targets are resolved 13 eras before it.
    live_era, round_number
        Live rows are the era's stocks under ids, and in an order, of this round only.

    Returns
    -------
    dict
        Name without the data version, such as ``"train.parquet"``, to path. The same arguments
        give the same bytes.
    """
    folder = Path(folder)
    fixed = folder / "fixed"
    week = folder / f"week-{history_eras:04d}"
    live = folder / f"round-{round_number}"
    train, validation = (
        range(1, world.size.last_train_era + 1),
        range(world.size.last_train_era + 1, history_eras + 1),
    )
    first_benchmark = world.size.first_benchmark_era
    meta_eras = range(history_eras - 12 - world.size.meta_model_eras, history_eras - 12)
    writers: dict[Path, Callable[[Path], None]] = {
        fixed / "features.json": lambda path: _features_json(world, path),
        fixed / "train.parquet": lambda path: _main(world, path, train, history_eras),
        fixed / "train_benchmark_models.parquet": lambda path: _benchmarks(
            world, path, train[first_benchmark - 1 :]
        ),
        week / "validation.parquet": lambda path: _main(world, path, validation, history_eras),
        week / "validation_benchmark_models.parquet": lambda path: _benchmarks(
            world, path, validation
        ),
        week / "validation_example_preds.parquet": lambda path: _examples(world, path, validation),
        week / "validation_example_preds.csv": lambda path: _examples(world, path, validation),
        week / "meta_model.parquet": lambda path: _meta_model(world, path, meta_eras, history_eras),
        live / "live.parquet": lambda path: _live(world, path, live_era, round_number),
        live / "live_benchmark_models.parquet": lambda path: _live_benchmarks(
            world, path, live_era, round_number
        ),
        live / "live_example_preds.parquet": lambda path: _live_examples(
            world, path, live_era, round_number
        ),
        live / "live_example_preds.csv": lambda path: _live_examples(
            world, path, live_era, round_number
        ),
    }
    for target, write in writers.items():
        if not target.exists():
            with atomic_path(target) as partial:
                write(partial)
    return {target.name: target for target in writers}


def live_order(world: World, live_era: int, round_number: int) -> npt.NDArray[np.intp]:
    """Order of the live rows in a round: which stock of the era each row is."""
    n = len(world.features(live_era))
    return np.random.default_rng([world.seed, 7, round_number]).permutation(n)


def live_ids(world: World, live_era: int, round_number: int) -> npt.NDArray[np.str_]:
    """Ids of the live rows, in the order of live.parquet."""
    return world.ids(live_era, salt=str(round_number))[live_order(world, live_era, round_number)]


def _features_json(world: World, path: Path) -> None:
    content = {"feature_sets": world.feature_sets, "targets": world.target_names}
    path.write_text(json.dumps(content, indent=1))


def _main(world: World, path: Path, eras: Sequence[int], history_eras: int) -> None:
    frames = (
        _main_frame(
            world,
            era,
            world.ids(era),
            f"{era:04d}",
            _data_type(world, era, history_eras),
            _published_targets(world, era, history_eras),
        )
        for era in eras
    )
    _write_parquet(path, frames)


def _live(world: World, path: Path, era: int, round_number: int) -> None:
    order = live_order(world, era, round_number)
    targets = np.full((len(order), len(world.target_names)), np.nan, dtype=np.float32)
    ids = world.ids(era, salt=str(round_number))
    frame = _main_frame(world, era, ids, LIVE_ERA, "live", targets).iloc[order]
    _write_parquet(path, iter([frame]))


def _main_frame(
    world: World,
    era: int,
    ids: npt.NDArray[np.str_],
    label: str,
    data_type: str,
    targets: npt.NDArray[np.float32],
) -> pd.DataFrame:
    index = pd.Index(ids, name="id")
    left = pd.DataFrame({"era": label, "data_type": data_type}, index=index)
    features = pd.DataFrame(world.features(era), columns=world.feature_names, index=index)
    right = pd.DataFrame(targets, columns=world.target_names, index=index)
    return pd.concat([left, features, right], axis=1)


def _published_targets(world: World, era: int, history_eras: int) -> npt.NDArray[np.float32]:
    """Whole columns are NaN until their horizon is behind them."""
    targets = world.targets(era).copy()
    for column, name in enumerate(world.target_names):
        days = 20 if name.endswith("_20") else 60
        if era > history_eras - ERAS_BEHIND[days]:
            targets[:, column] = np.nan
    return targets


def _data_type(world: World, era: int, history_eras: int) -> str:
    if era <= world.size.last_train_era:
        return "train"
    return "test" if era > history_eras - ERAS_BEHIND[60] else "validation"


def _benchmarks(world: World, path: Path, eras: Sequence[int]) -> None:
    frames = (_benchmark_frame(world, era, world.ids(era), f"{era:04d}") for era in eras)
    _write_parquet(path, frames)


def _live_benchmarks(world: World, path: Path, era: int, round_number: int) -> None:
    ids = world.ids(era, salt=str(round_number))
    frame = _benchmark_frame(world, era, ids, LIVE_ERA)
    _write_parquet(path, iter([frame.iloc[live_order(world, era, round_number)]]))


def _benchmark_frame(world: World, era: int, ids: npt.NDArray[np.str_], label: str) -> pd.DataFrame:
    frame = pd.DataFrame(
        world.benchmark(era), columns=list(BENCHMARKS), index=pd.Index(ids, name="id")
    )
    frame.insert(0, "era", label)
    return frame


def _meta_model(world: World, path: Path, eras: Sequence[int], history_eras: int) -> None:
    frames = (
        pd.DataFrame(
            {
                "era": f"{era:04d}",
                "data_type": _data_type(world, era, history_eras),
                META_MODEL: world.meta_model(era),
            },
            index=pd.Index(world.ids(era), name="id"),
        )
        for era in eras
    )
    _write_parquet(path, frames)


def _examples(world: World, path: Path, eras: Sequence[int]) -> None:
    frames = (_example_frame(world, era, world.ids(era)) for era in eras)
    if ".csv" in path.name:
        _write_csv(path, frames)
    else:
        _write_parquet(path, frames)


def _live_examples(world: World, path: Path, era: int, round_number: int) -> None:
    ids = world.ids(era, salt=str(round_number))
    frame = _example_frame(world, era, ids).iloc[live_order(world, era, round_number)]
    if ".csv" in path.name:
        _write_csv(path, iter([frame]))
    else:
        _write_parquet(path, iter([frame]))


def _example_frame(world: World, era: int, ids: npt.NDArray[np.str_]) -> pd.DataFrame:
    """The 60-day benchmark's ranks as rank / n: one value is exactly 1, as in the real file."""
    prediction = world.benchmark(era)[:, 1].astype(np.float64) + 0.5 / len(ids)
    return pd.DataFrame({"prediction": prediction}, index=pd.Index(ids, name="id"))


def _write_parquet(path: Path, frames: Iterator[pd.DataFrame]) -> None:
    """Row groups of a few eras; only those are ever in memory."""
    writer: pq.ParquetWriter | None = None
    try:
        for group in _groups(frames):
            table = pa.Table.from_pandas(group)
            if writer is None:
                writer = pq.ParquetWriter(path, table.schema, compression="zstd")
            writer.write_table(table, row_group_size=len(group))
    finally:
        if writer is not None:
            writer.close()


def _write_csv(path: Path, frames: Iterator[pd.DataFrame]) -> None:
    with atomic_write(path) as handle:
        for number, frame in enumerate(frames):
            handle.write(frame.to_csv(header=number == 0).encode())


def _groups(frames: Iterator[pd.DataFrame]) -> Iterator[pd.DataFrame]:
    pending: list[pd.DataFrame] = []
    for frame in frames:
        pending.append(frame)
        if len(pending) == ROW_GROUP_ERAS:
            yield pd.concat(pending)
            pending = []
    if pending:
        yield pd.concat(pending)
