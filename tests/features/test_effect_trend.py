"""An effect that dies or flips is named, and one that is only noisy is not."""

import numpy as np
import pandas as pd
import pytest

from numerai_kedro.features.effect_trend import COLUMNS, effect_trend, turned_effects
from numerai_kedro.metrics.intervals import mean_interval

NAMES = ["steady", "dies", "flips", "noise"]
N_ERAS, BLOCK, GAP, OVERLAP = 225, 52, 8, 4


def effects(seed=0):
    rng = np.random.default_rng(seed)
    table = rng.normal(scale=0.008, size=(N_ERAS, 4))
    table[:, 0] -= 0.02  # a negative effect is as steady as a positive one
    table[:-BLOCK, 1] += 0.02
    table[:, 2] += np.where(np.arange(N_ERAS) < N_ERAS - BLOCK, 0.02, -0.02)
    return table


def frame(made=None):
    values = effects() if made is None else made
    names = NAMES if values.shape[1] == len(NAMES) else list(range(values.shape[1]))
    return pd.DataFrame(values, index=np.arange(5, 5 + len(values)), columns=names)


def trend(made=None):
    return effect_trend(frame(made), BLOCK, OVERLAP)


def named(made=None, overlap=OVERLAP):
    return turned_effects(frame(made), BLOCK, GAP, overlap, q=0.1)


def overlapping(n_eras, n_series, seed, overlap=12):
    noise = np.random.default_rng(seed).normal(size=(n_eras + overlap - 1, n_series))
    sums = np.cumsum(np.vstack([np.zeros(n_series), noise]), axis=0)
    return (sums[overlap:] - sums[:-overlap]) / np.sqrt(overlap)


def test_blocks_end_with_the_newest_era_and_the_first_takes_what_is_left():
    blocks = trend()
    assert list(blocks.columns) == list(COLUMNS)
    spans = blocks[blocks["feature"] == "steady"][["first_era", "last_era"]].to_numpy().tolist()
    assert spans == [[5, 73], [74, 125], [126, 177], [178, 229]]


def test_means_and_errors_are_those_of_the_block():
    blocks = trend().query("feature == 'dies' and first_era == 5")
    block = effects()[:69, 1]
    assert blocks["effect"].item() == pytest.approx(block.mean())
    interval = mean_interval(block, OVERLAP)
    assert 1.5 < (interval.high - interval.mean) / blocks["error"].item() < 3


def test_what_dies_and_what_flips_is_named():
    assert {effect["feature"]: effect["kind"] for effect in named()} == {
        "dies": "dies",
        "flips": "flips",
    }


@pytest.mark.parametrize("mean", [0.0, 0.0055])
def test_effects_that_never_change_are_hardly_ever_named(mean):
    """With 60-day overlap, at the size that effects have: a world with any false name is rare."""
    worlds = [named(0.017 * overlapping(700, 100, seed) + mean, overlap=12) for seed in range(20)]
    assert np.mean([len(world) > 0 for world in worlds]) <= 0.2
    assert sum(map(len, worlds)) <= 10  # of 2,000


def test_an_effect_that_is_not_known_in_a_block_is_left_out_of_it():
    table = effects()
    table[:80, 3] = np.nan
    noise = trend(table).query("feature == 'noise'")
    assert noise["first_era"].tolist() == [126, 178]


def test_an_era_without_effects_takes_no_block_away():
    table = effects()
    table[-1] = np.nan
    table[100, 3] = np.nan
    assert trend(table)["last_era"].max() == 228
    assert len(trend(table).query("feature == 'noise'")) == 4


def test_few_eras_are_one_block_and_name_nothing():
    table = effects()[:30]
    assert trend(table)["first_era"].unique().tolist() == [5]
    assert named(table) == []
