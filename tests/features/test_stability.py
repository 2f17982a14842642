"""A planted interaction without main effects is found by the features that trees select."""

import dataclasses

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from tests.panels import BINS, era_rows
from tests.runners import runner_at
from tests.training.test_walk_forward import recipe

from numerai_kedro.data import open_panel, write_panel
from numerai_kedro.data.verdict import Verdict
from numerai_kedro.features.stability import StabilityRule, with_interactions
from numerai_kedro.training import importance

RULE = StabilityRule(n_pairs=5, by_chance=1, threshold=0.75, block_eras=4, seed=0)
TARGET = "target_ender_60"


@pytest.fixture
def panel(tmp_path):
    """Targets depend on the product of features 2 and 5 only."""
    blocks = []
    for era in range(1, 41):
        rows = era_rows(era, n_rows=200)
        x = rows.features.matrix.astype(float) - 2
        leaning = x[:, 2] * x[:, 5] + np.random.default_rng(era).normal(size=200)
        ranks = leaning.argsort().argsort() / 200
        target = BINS[np.searchsorted([0.05, 0.25, 0.75, 0.95], ranks, side="right")]
        batch = pa.record_batch([pa.array(target)] * 2, names=rows.targets.schema.names)
        blocks.append(dataclasses.replace(rows, targets=batch))
    write_panel(tmp_path / "panel", blocks)
    return open_panel(tmp_path / "panel")


def report(verdicts):
    return pd.DataFrame(
        {
            "feature": [f"feature_{k}" for k in range(8)],
            "cluster": [0, 1, 2, 3, 4, 5, -1, 6],
            "verdict": verdicts,
        }
    )


steps = []


def found(panel, folder, given=None, **changes):
    steps.clear()
    plain = report(["null"] * 6 + ["untestable", "null"]) if given is None else given
    rule = dataclasses.replace(RULE, **changes)
    arguments = (
        panel,
        (1, 40),
        recipe(max_depth=4, num_leaves=15),
        rule,
        dataclasses.replace(runner_at(folder), progress=lambda *step: steps.append(step)),
    )
    return with_interactions(plain, *arguments)


def test_the_interaction_is_found_and_nothing_else(panel, tmp_path):
    verdicts = found(panel, tmp_path / "store").set_index("feature")
    names = verdicts.index[verdicts["verdict"] == Verdict.INTERACTION].tolist()
    assert names == ["feature_2", "feature_5"]
    assert steps == [(k, 10) for k in range(1, 11)]  # two halves of each pair
    assert verdicts["stability"]["feature_2"] == 1
    assert np.isnan(verdicts["stability"]["feature_6"])
    assert verdicts["verdict"]["feature_6"] == Verdict.UNTESTABLE


def test_a_verdict_of_its_own_effect_stays(panel, tmp_path):
    base = report(["null", "null", "unstable", "null", "null", "stable", "untestable", "null"])
    verdicts = found(panel, tmp_path / "store", base)
    assert verdicts["verdict"].tolist() == base["verdict"].tolist()


def test_what_was_fitted_is_not_fitted_again(panel, tmp_path, monkeypatch):
    first = found(panel, tmp_path / "store")
    monkeypatch.setattr(importance, "_measure_gain", pytest.fail)
    pd.testing.assert_frame_equal(found(panel, tmp_path / "store"), first)
