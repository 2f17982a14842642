import numpy as np
import pytest

from numerai_kedro.demo.benchmarks import (
    CHUNK_ERAS,
    PURGE_ERAS,
    Benchmarks,
    meta_model,
    unit_ranks,
)
from numerai_kedro.demo.names import target_names
from numerai_kedro.demo.sizes import DemoSize

SIZE = DemoSize("small", 160, 60, 12, 60)
FIRST = SIZE.first_benchmark_era
NEXT = FIRST + CHUNK_ERAS


def features(era):
    return np.random.default_rng([1, era]).integers(0, 5, (60, 12)).astype(np.int8)


def targets(era):
    return np.repeat(features(era)[:, :1] / np.float32(4), len(target_names()), axis=1)


def flipped_from(changed):
    """The same targets, reversed from an era on."""
    return lambda era: 1 - targets(era) if era >= changed else targets(era)


def predictions(folder, read_targets, era=NEXT):
    return Benchmarks(SIZE, 0, folder).predict(era, features, read_targets)


def test_a_chunk_learns_nothing_from_eras_within_the_purge(tmp_path):
    honest = predictions(tmp_path / "a", targets)
    later = predictions(tmp_path / "b", flipped_from(NEXT - PURGE_ERAS))
    np.testing.assert_array_equal(honest, later)


def test_a_chunk_learns_from_the_last_era_before_the_purge(tmp_path):
    honest = predictions(tmp_path / "a", targets)
    later = predictions(tmp_path / "b", flipped_from(NEXT - PURGE_ERAS - 1))
    assert not np.array_equal(honest, later)


def test_the_benchmark_finds_what_there_is_to_find(tmp_path):
    predicted = predictions(tmp_path, targets)
    assert np.corrcoef(predicted[:, 1], targets(NEXT)[:, 0])[0, 1] > 0.8


def test_eras_of_a_chunk_share_one_fit_that_is_kept(tmp_path):
    first = predictions(tmp_path, targets)
    files = sorted(path.name for path in tmp_path.iterdir())
    assert files == [f"{NEXT:04d}_v53_lgbm_ender{days}.txt" for days in (20, 60)]
    # Kept models serve from now on: only the era's own features are read.
    again = predictions(tmp_path, lambda era: pytest.fail(f"read era {era}"))
    np.testing.assert_array_equal(first, again)


def test_the_meta_model_shares_its_views_with_the_benchmark_and_the_oracle():
    rng = np.random.default_rng(0)
    benchmark = np.column_stack([unit_ranks(rng.random(4_000)) for _ in range(2)])
    signal = rng.standard_normal((4_000, 2), dtype=np.float32)
    crowd = meta_model(1, 0, benchmark, signal)
    assert np.corrcoef(crowd, benchmark.mean(axis=1))[0, 1] > 0.4
    assert np.corrcoef(crowd, signal.sum(axis=1))[0, 1] > 0.1
    assert not np.array_equal(crowd, meta_model(2, 0, benchmark, signal))


def test_unit_ranks_are_rank_minus_a_half_over_n():
    np.testing.assert_allclose(
        unit_ranks(np.array([0.3, -1, 7, 0.3])), [0.375, 0.125, 0.875, 0.625]
    )
