"""An effect that dies or flips is named, and one that is only noisy is not."""

import numpy as np
import pandas as pd
import pytest

from numerai_kedro.statistics.effect_trend import COLUMNS, effect_trend, oriented
from numerai_kedro.statistics.importance import drifting
from numerai_kedro.statistics.intervals import mean_interval

NAMES = ["steady", "dies", "flips", "noise"]
N_ERAS, BLOCK = 225, 52


def effects(seed=0):
    rng = np.random.default_rng(seed)
    made = rng.normal(scale=0.008, size=(N_ERAS, 4))
    made[:, 0] -= 0.02  # a negative effect is as steady as a positive one
    made[:-BLOCK, 1] += 0.02
    made[:, 2] += np.where(np.arange(N_ERAS) < N_ERAS - BLOCK, 0.02, -0.02)
    return made


def trend(made=None):
    eras = np.arange(5, 5 + N_ERAS)
    return effect_trend(NAMES, eras, effects() if made is None else made, BLOCK, overlap_eras=4)


def test_blocks_end_with_the_newest_era_and_the_first_takes_what_is_left():
    made = trend()
    assert list(made.columns) == list(COLUMNS)
    spans = made[made["feature"] == "steady"][["first_era", "last_era"]].to_numpy().tolist()
    assert spans == [[5, 73], [74, 125], [126, 177], [178, 229]]


def test_means_and_errors_are_those_of_the_block():
    made = trend().query("feature == 'dies' and first_era == 5")
    block = effects()[:69, 1]
    assert made["effect"].item() == pytest.approx(block.mean())
    interval = mean_interval(block, overlap_eras=4)
    assert 1.5 < (interval.high - interval.mean) / made["error"].item() < 3


def test_what_dies_and_what_flips_is_named():
    found = {one["feature"]: one["kind"] for one in drifting(oriented(trend()))}
    assert found == {"dies": "dies", "flips": "flips"}


def test_pure_noise_is_hardly_ever_named():
    named = [
        one["feature"]
        for seed in range(40)
        for one in drifting(oriented(trend(np.random.default_rng(seed).normal(size=(N_ERAS, 4)))))
    ]
    assert len(named) <= 8  # of 160


def test_an_effect_that_is_not_known_in_a_block_is_left_out_of_it():
    made = effects()
    made[:80, 3] = np.nan
    known = trend(made).query("feature == 'noise'")
    assert known["first_era"].tolist() == [126, 178]


def test_few_eras_are_one_block():
    made = effect_trend(NAMES, np.arange(1, 31), effects()[:30], BLOCK, overlap_eras=4)
    assert made["first_era"].unique().tolist() == [1]
    assert isinstance(oriented(made), pd.DataFrame)
