"""The 12 files of data v5.3 as they are listed on a given day; streamed era by era.

    <folder>/<world>/fixed/            features.json, train.parquet, train_benchmark_models.parquet
    <folder>/<world>/week-0400/        validation files, meta_model.parquet
    <folder>/<world>/round-1412/       live files

A path never changes its content, so a file that exists is current; files of past weeks and rounds
are deleted, except for the previous one: a download of it may still be under way.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path

import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from numerai_kedro.demo.published_rows import (
    ERAS_BEHIND,
    PublishedEra,
    history,
    live,
)
from numerai_kedro.demo.world import World
from numerai_kedro.files import atomic_path, atomic_write

ROW_GROUP_CELLS = 100_000_000  # int8: this many bytes of features are in memory at a time
ROW_GROUP_ERAS = 8
KEPT_ROUNDS = 5  # a week of them

Write = Callable[[Path], None]
ToTable = Callable[[PublishedEra], pa.Table]


def publish(
    world: World, folder: Path, history_eras: int, live_era: int, round_number: int
) -> dict[str, Path]:
    """Write what a participant sees in a round; existing files are left alone.

    Parameters
    ----------
    world : World
        Must reach `live_era`.
    folder : path
        May hold the files of several worlds.
    history_eras
        The newest era with features: 20-day targets are resolved 5 eras before it, 60-day ones 13.
    live_era, round_number
        Live rows are this era's stocks, under ids and in an order of this round only.

    Returns
    -------
    dict
        Name without the data version, such as ``"train.parquet"``, to path. The same arguments
        give the same bytes.

    Raises
    ------
    ValueError
        The world ends before `live_era`, or history before the first resolved meta-model era.
    """
    if not history_eras < live_era <= world.n_eras:
        raise ValueError(
            f"history to era {history_eras} and live era {live_era} need a world of "
            f"{live_era} eras; it has {world.n_eras}"
        )
    root = Path(folder) / world.key
    fixed, week = root / "fixed", root / f"week-{history_eras:04d}"
    of_round = root / f"round-{round_number:05d}"
    paths: dict[str, Path] = {}
    for place, writers in (
        (fixed, _fixed_files(world)),
        (week, _weekly_files(world, history_eras)),
        (of_round, _round_files(live(world, live_era, round_number))),
    ):
        for name, write in writers.items():
            paths[name] = place / name
            if not paths[name].exists():
                with atomic_path(paths[name]) as partial:
                    write(partial)
    _forget(root.glob("week-*"), week, n_kept=2)
    _forget(root.glob("round-*"), of_round, n_kept=KEPT_ROUNDS)
    return paths


def _fixed_files(world: World) -> dict[str, Write]:
    # Train is listed only when all of it is resolved.
    last = world.size.last_train_era
    eras = range(1, last + 1)
    predicted = range(world.size.first_benchmark_era, last + 1)
    return {
        "features.json": lambda path: _write_features(path, world),
        "train.parquet": lambda path: _write(
            path, history(world, eras, last + ERAS_BEHIND[60]), PublishedEra.main
        ),
        "train_benchmark_models.parquet": lambda path: _write(
            path, history(world, predicted, last + ERAS_BEHIND[60]), PublishedEra.benchmarks
        ),
    }


def _weekly_files(world: World, history_eras: int) -> dict[str, Write]:
    validation = history(
        world, range(world.size.last_train_era + 1, history_eras + 1), history_eras
    )
    resolved = history_eras - ERAS_BEHIND[60]
    first_meta = max(resolved - world.size.meta_model_eras + 1, world.size.first_benchmark_era)
    crowd = history(world, range(first_meta, resolved + 1), history_eras)
    return {
        "validation.parquet": lambda path: _write(path, validation, PublishedEra.main),
        "validation_benchmark_models.parquet": lambda path: _write(
            path, validation, PublishedEra.benchmarks
        ),
        "validation_example_preds.parquet": lambda path: _write(
            path, validation, PublishedEra.example
        ),
        "validation_example_preds.csv": lambda path: _write_csv(path, validation),
        "meta_model.parquet": lambda path: _write(path, crowd, PublishedEra.meta_model),
    }


def _round_files(rows: PublishedEra) -> dict[str, Write]:
    return {
        "live.parquet": lambda path: _write(path, [rows], PublishedEra.main),
        "live_benchmark_models.parquet": lambda path: _write(path, [rows], PublishedEra.benchmarks),
        "live_example_preds.parquet": lambda path: _write(path, [rows], PublishedEra.example),
        "live_example_preds.csv": lambda path: _write_csv(path, [rows]),
    }


def _write_features(path: Path, world: World) -> None:
    content = {"feature_sets": world.feature_sets, "targets": world.target_names}
    with atomic_write(path) as handle:
        handle.write(json.dumps(content, indent=1).encode())


def _write(path: Path, eras: Iterable[PublishedEra], to_table: ToTable) -> None:
    """Write row groups of a few eras; no more than one is ever in memory."""
    writer: pq.ParquetWriter | None = None
    pending: list[pa.Table] = []
    try:
        for era in eras:
            pending.append(to_table(era))
            writer = writer or pq.ParquetWriter(path, pending[0].schema, compression="zstd")
            cells = sum(table.num_rows * table.num_columns for table in pending)
            if len(pending) == ROW_GROUP_ERAS or cells >= ROW_GROUP_CELLS:
                _write_group(writer, pending)
                pending = []
        if writer is not None and pending:
            _write_group(writer, pending)
    finally:
        if writer is not None:
            writer.close()


def _write_group(writer: pq.ParquetWriter, tables: list[pa.Table]) -> None:
    group = pa.concat_tables(tables).combine_chunks()
    writer.write_table(group, row_group_size=group.num_rows)


def _write_csv(path: Path, eras: Iterable[PublishedEra]) -> None:
    options = pa_csv.WriteOptions(include_header=False, quoting_style="none")
    with path.open("wb") as handle:
        handle.write(b"id,prediction\n")
        for era in eras:
            pa_csv.write_csv(era.example().select(["id", "prediction"]), handle, options)


def _forget(folders: Iterable[Path], current: Path, n_kept: int) -> None:
    """Delete folders before the current one, except for the newest `n_kept` of all up to it."""
    past = sorted(folder for folder in folders if folder <= current)
    for folder in past[:-n_kept]:
        shutil.rmtree(folder, ignore_errors=True)
