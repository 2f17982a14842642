"""Blends are neutralised to features, to the benchmark, or by a function of the user's own."""

import sys
from types import ModuleType

import numpy as np
import pandas as pd
import pytest
from tests.folds import folds_with
from tests.panels import small_panel

from numerai_kedro.ensemble.neutralisation import features_to, neutralised
from numerai_kedro.errors import BlendError, ConfigurationError
from numerai_kedro.metrics.ranks import gaussian_rank, percentile_rank

PAID = "target_ender_60"
NOTHING = pd.DataFrame()


@pytest.fixture
def own(monkeypatch):
    module = ModuleType("neutral_functions_of_tests")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    return module


@pytest.fixture
def panel(tmp_path):
    return small_panel(tmp_path / "panel", n_eras=3)


def without_the_first_feature(blend, features):
    return blend - 0.1 * (features[:, 0] - 2.0)


def test_an_own_function_gets_each_eras_blend_and_features(own, panel):
    own.neutral = without_the_first_feature
    path = f"{own.__name__}.neutral"
    assert features_to(path, {}, {}, panel) == [path]
    blends = np.random.default_rng(0).normal(size=(panel.n_rows, 2))
    neutral = neutralised(blends, panel, NOTHING, PAID, [path], [0.5])
    for position, era in enumerate(panel.eras):
        rows = slice(panel.era_starts[position], panel.era_starts[position + 1])
        ranks = gaussian_rank(blends[rows])
        moved = ranks - 0.05 * (panel.features(int(era))[:, :1] - 2.0)
        np.testing.assert_allclose(neutral[rows], percentile_rank(moved))


def test_several_shares_of_one_blend_stand_side_by_side(own, panel):
    own.neutral = without_the_first_feature
    path = f"{own.__name__}.neutral"
    blend = np.random.default_rng(1).normal(size=(panel.n_rows, 1))
    shares = neutralised(blend, panel, NOTHING, PAID, [path], [0.0, 0.5, 1.0])
    assert shares.shape == (panel.n_rows, 3)
    for column, share in enumerate((0.0, 0.5, 1.0)):
        alone = neutralised(blend, panel, NOTHING, PAID, [path], [share])
        np.testing.assert_array_equal(shares[:, column], alone[:, 0])


@pytest.mark.parametrize(
    ("function", "problem"),
    [
        (lambda blend, features: features, "it should return 40 finite numbers"),
        (lambda blend, features: blend * np.nan, "it should return 40 finite numbers"),
        (lambda blend, features: 1 / 0, "neutral raised ZeroDivisionError: division by zero"),
    ],
)
def test_what_an_own_function_does_wrong_is_a_sentence(own, panel, function, problem):
    own.neutral = function
    with pytest.raises(BlendError, match=problem):
        neutralised(
            np.ones((panel.n_rows, 1)), panel, NOTHING, PAID, [f"{own.__name__}.neutral"], [1.0]
        )


def test_an_own_function_cannot_change_what_it_is_given(own, panel):
    def spoil(blend, features):
        blend[:] = 0
        features[:] = 0
        return np.arange(len(blend))

    own.neutral = spoil
    blends = np.random.default_rng(2).normal(size=(panel.n_rows, 1))
    before = blends.copy()
    neutralised(blends, panel, NOTHING, PAID, [f"{own.__name__}.neutral"], [1.0])
    np.testing.assert_array_equal(blends, before)
    assert panel.features(1).any()


def test_a_function_that_cannot_be_imported_is_refused_before_any_blend(panel):
    with pytest.raises(
        ConfigurationError, match=r"ensemble.neutralise_to: nowhere.f cannot be imported"
    ):
        features_to("nowhere.f", {}, {}, panel)


@pytest.mark.parametrize("name", ["nothing", "benchmark"])
def test_nothing_and_the_benchmark_name_no_features(panel, name):
    assert features_to(name, {}, {}, panel) == []


def test_a_set_of_the_folds_is_taken_as_it_is(panel):
    folds = folds_with(features=["feature_1"], neutral_features=["feature_2"])
    assert features_to("features", folds, {}, panel) == ["feature_1"]
    assert features_to("neutral_features", folds, {}, panel) == ["feature_2"]


def test_a_set_that_the_panel_lacks_is_refused(panel):
    metadata = {
        "feature_sets": {"small": ["feature_other"], "wisdom": ["feature_3", "feature_other"]},
        "targets": [PAID],
    }
    assert features_to("wisdom", {}, metadata, panel) == ["feature_3"]
    with pytest.raises(ConfigurationError, match='"small": the panel holds none of its features'):
        features_to("small", {}, metadata, panel)


def test_a_benchmark_leaves_what_is_not_linear_in_its_ranks(panel):
    rng = np.random.default_rng(3)
    benchmark = pd.DataFrame({"v53_lgbm_ender60": rng.normal(size=panel.n_rows)}, panel.ids())
    blend = (gaussian_rank(benchmark.to_numpy()) + rng.normal(size=(panel.n_rows, 1)))[:, :1]
    neutral = neutralised(blend, panel, benchmark, PAID, [], [1.0])
    for position in range(3):
        rows = slice(panel.era_starts[position], panel.era_starts[position + 1])
        theirs = gaussian_rank(benchmark.to_numpy()[rows])[:, 0]
        assert abs(np.corrcoef(gaussian_rank(neutral[rows])[:, 0], theirs)[0, 1]) < 0.05
        assert np.corrcoef(gaussian_rank(blend[rows])[:, 0], theirs)[0, 1] > 0.4


def test_a_benchmark_that_lacks_a_fifth_of_an_era_is_refused(panel):
    values = np.arange(panel.n_rows, dtype=float)
    values[40:49] = np.nan  # 9 of the 40 rows of the second era
    benchmark = pd.DataFrame({"v53_lgbm_ender60": values}, panel.ids())
    with pytest.raises(BlendError, match="does not predict 9 of 40 stocks of era 0002"):
        neutralised(np.ones((panel.n_rows, 1)), panel, benchmark, PAID, [], [1.0])
