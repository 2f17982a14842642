"""Noise drives the strength to its maximum, a strong signal to 0; no later era is read."""

import numpy as np
import pyarrow as pa
import pytest
from tests.panels import BINS
from tests.runners import runner_at
from tests.training.test_walk_forward import PARAMS, TARGET, recipe

from numerai_kedro.data import EraRows, FeatureBlock, open_panel, write_panel
from numerai_kedro.models.boosting import Strength
from numerai_kedro.models.registry import BOOSTED, family
from numerai_kedro.training import adaptive
from numerai_kedro.training.adaptive import AdaptiveParams, Rung, adapted, next_strength

STEERED = AdaptiveParams(
    rungs=5, valid_eras=20, target_gap=0.5, rate=0.6, low_fidelity_stride=1, low_fidelity_trees=60
)
PURGE = 4
N_ERAS = 90


def panel_of(folder, signal, after=N_ERAS):
    """Targets that depend on five features; after era `after` with the opposite sign."""
    blocks = []
    for era in range(1, N_ERAS + 1):
        rng = np.random.default_rng([7, era])
        features = rng.integers(0, 5, size=(200, 20)).astype(np.int8)
        leaning = features[:, :5].sum(axis=1) - 10
        noise = rng.normal(scale=3.2, size=200)
        raw = (signal if era <= after else -signal) * leaning + noise
        ranks = raw.argsort().argsort() / 200
        target = BINS[np.searchsorted([0.05, 0.25, 0.75, 0.95], ranks, side="right")]
        blocks.append(
            EraRows(
                era=era,
                data_type="train",
                ids=pa.array([f"n{era:04d}{row:011d}" for row in range(200)]),
                features=FeatureBlock.of([f"feature_{k}" for k in range(20)], features),
                targets=pa.record_batch([pa.array(target)], names=[TARGET]),
            )
        )
    write_panel(folder, blocks)
    return open_panel(folder)


def climbed(folder, signal, store="store", **changed):
    chosen = recipe(num_leaves=31, max_depth=6, n_estimators=60, **changed)
    panel = panel_of(folder / "panel", signal)
    return adapted(chosen, panel, (1, N_ERAS), PURGE, STEERED, runner_at(folder / store))


def test_pure_noise_drives_it_to_the_maximum_and_the_model_to_nothing(tmp_path):
    steered, rungs = climbed(tmp_path, signal=0.0)
    assert steered.params.strength == 1.0
    assert [rung.strength for rung in rungs] == sorted(rung.strength for rung in rungs)
    assert abs(rungs[-1].valid_corr) < 0.03
    assert rungs[-1].train_corr < rungs[0].train_corr


def test_a_strong_signal_makes_it_let_go(tmp_path):
    steered, rungs = climbed(tmp_path, signal=1.5)
    assert steered.params.strength == 0.0
    assert rungs[-1].valid_corr > 0.5


def test_a_weak_signal_lies_between(tmp_path):
    steered, _ = climbed(tmp_path, signal=0.12)
    assert 0 < steered.params.strength < 1


def test_the_rungs_come_back_from_the_store(tmp_path, monkeypatch):
    first = climbed(tmp_path, signal=0.12)
    monkeypatch.setattr(adaptive, "predict_by_fits", pytest.fail)
    assert climbed(tmp_path, signal=0.12) == first


def test_eras_beyond_the_fold_are_not_read(tmp_path):
    honest = panel_of(tmp_path / "a", 0.12)
    turned = panel_of(tmp_path / "b", 0.12, after=60)
    results = [
        adapted(recipe(), panel, (1, 60), PURGE, STEERED, runner_at(tmp_path / f"store-{k}"))
        for k, panel in enumerate((honest, turned))
    ]
    assert results[0][1] == results[1][1]
    assert results[0][0].params == results[1][0].params


def test_too_few_eras_leave_the_recipe_alone(tmp_path):
    panel = panel_of(tmp_path / "panel", 0.5)
    plain = recipe()
    assert adapted(plain, panel, (1, 30), PURGE, STEERED, runner_at(tmp_path / "s")) == (
        plain,
        [],
    )


@pytest.mark.parametrize(
    ("rung", "wanted"),
    [
        (Rung(0.5, 0.10, 0.00), 0.8),
        (Rung(0.5, 0.10, 0.05), 0.5),
        (Rung(0.5, 0.10, 0.10), 0.2),
        (Rung(0.9, 0.10, -0.50), 1.0),
        (Rung(0.1, 0.10, 0.20), 0.0),
        (Rung(0.5, 0.0, 0.0), 0.8),
    ],
)
def test_steps_follow_the_gap_and_stay_in_bounds(rung, wanted):
    assert next_strength(rung, STEERED) == pytest.approx(wanted)


def test_no_strength_changes_nothing_and_the_most_leaves_stumps():
    none, most = Strength(0.0, 80_000), Strength(1.0, 80_000)
    assert (none.shrinkage(3.0), none.leaf(20), none.depth(5)) == (3.0, 20, 5)
    assert (none.columns(0.1), none.rows(0.8)) == (0.1, 0.8)
    assert (most.shrinkage(3.0), most.leaf(20), most.depth(5)) == (10_003.0, 10_000, 1)
    assert (most.columns(0.1), most.rows(0.8)) == (0.025, 0.4)


@pytest.mark.parametrize("name", BOOSTED)
def test_every_family_learns_less_the_stronger_it_is(tmp_path, name):
    from tests.models.sizes import SMALL

    panel = panel_of(tmp_path / "panel", 0.3)
    spread = []
    for strength in (0.0, 0.5, 1.0):
        params = family(name).params_type.model_validate(SMALL[name] | {"strength": strength})
        model = family(name)(params, seed=0, threads=1).fit(panel, None, TARGET)
        spread.append(float(model.predict(panel).std()))
    assert spread[0] > spread[1] > spread[2]
    assert PARAMS["strength"] == 0.0
