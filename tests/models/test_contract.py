"""What every family must do; a new one is added to FAMILIES and has to pass."""

import pickle

import numpy as np
import pytest
from tests.models.sizes import SMALL, graph_of
from tests.new_process import predicted_in_a_new_process
from tests.panels import era_rows, small_panel, with_holes

from numerai_kedro.cache import FoldStore
from numerai_kedro.data import EraRows, FeatureBlock, JoinedPanel, open_panel, write_panel
from numerai_kedro.files.trusted_pickle import read_trusted, write_trusted
from numerai_kedro.metrics.scoring import rank_scores
from numerai_kedro.models.registry import BOOSTED, FAMILIES, family
from numerai_kedro.training.protocol import FitContext

TARGET = "target_ender_60"
pytestmark = pytest.mark.parametrize("name", sorted(FAMILIES))


def fitted(name, panel, seed=0, bins=None):
    model_class = family(name)
    params = model_class.params_type.model_validate(SMALL[name])
    context = FitContext(bins, graph=graph_of(panel.feature_names))
    return model_class(params, seed=seed, threads=1).fit(panel, None, TARGET, context=context)


@pytest.fixture
def panel(tmp_path):
    return small_panel(tmp_path / "panel")


@pytest.fixture(scope="module")
def new_process(tmp_path_factory):
    """A folder of saved models of all families, and what each predicts in another process."""
    folder = tmp_path_factory.mktemp("saved")
    panel = small_panel(folder / "panel")
    models = {name: fitted(name, panel) for name in FAMILIES}
    return folder, predicted_in_a_new_process(models, panel, folder)


def test_same_seed_same_predictions(name, panel):
    first, second = (fitted(name, panel).predict(panel) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    assert (fitted(name, panel, seed=1).predict(panel) != first).any()


def test_same_seed_same_model_byte_for_byte(name, panel):
    assert pickle.dumps(fitted(name, panel)) == pickle.dumps(fitted(name, panel))


def test_predictions_are_one_float32_for_each_row(name, panel):
    predictions = fitted(name, panel).predict(panel)
    assert predictions.dtype == np.float32
    assert predictions.shape == (panel.n_rows,)


def test_it_learns_what_is_there(name, panel, tmp_path):
    later = small_panel(tmp_path / "later", n_eras=20, seed=9)
    predictions = fitted(name, panel).predict(later)[:, None].astype(float)
    target = later.target(TARGET).astype(float)
    scores = rank_scores(later.era_starts, predictions, target)[0]
    assert scores.mean() > 0.2


def test_a_saved_model_predicts_the_same_in_a_new_process(name, new_process, panel):
    saved, there = new_process
    model = fitted(name, panel)
    np.testing.assert_array_equal(there[name], model.predict(panel))
    again = read_trusted(saved / name)
    assert again.n_iterations == model.n_iterations > 0
    assert again.params == model.params
    assert (again.seed, again.threads) == (0, 1)
    assert again.feature_names == panel.feature_names


def test_it_finds_its_features_by_name_not_by_place(name, panel):
    model = fitted(name, panel)
    turned = panel.select(features=panel.feature_names[::-1])
    np.testing.assert_array_equal(model.predict(turned), model.predict(panel))


def test_features_that_it_has_not_learned_are_left_alone(name, panel):
    """A panel of a later version has more features, and another order."""
    some = panel.select(features=panel.feature_names[5:1:-1])
    model = fitted(name, some)
    np.testing.assert_array_equal(model.predict(panel), model.predict(some))


# Stops early, reads groups, reads the graph, uses one core; and how much faster a GPU is.
TRAITS = {
    "lightgbm": (False, False, False, False, 1.0),
    "catboost": (False, False, False, False, 1.0),
    "xgboost": (False, False, False, False, 1.0),
    "tabm": (True, False, False, False, 30.0),
    "transformer": (True, True, False, False, 30.0),
    "vae_head": (True, False, False, False, 30.0),
    "gatv2": (True, False, True, True, 10.0),
    "gin": (True, False, True, True, 10.0),
}


def test_the_plan_reads_its_traits_from_the_class(name):
    kind = family(name)
    traits = (kind.stops_early, kind.reads_groups, kind.reads_graph, kind.one_core, kind.gpu_speed)
    assert traits == TRAITS[name]
    assert kind(None, seed=0, threads=1).device == "cpu"


def test_progress_is_told_by_twenty_trees_or_every_step(name, panel):
    kind, steps = family(name), []
    changed = {"n_estimators": 45} if name in BOOSTED else {}
    model = kind(kind.params_type.model_validate(SMALL[name] | changed), seed=0, threads=1)
    context = FitContext(graph=graph_of(panel.feature_names))
    model.fit(panel, None, TARGET, lambda *step: steps.append(step), context)
    if name in BOOSTED:
        assert [step for step in steps if step[0]] == [(20, 45), (40, 45)]
    else:
        assert steps == [(k, 120) for k in range(1, 121)]  # 30 eras in 4 epochs


def test_rows_without_a_target_teach_nothing(name, panel, tmp_path):
    # Besides: LightGBM counts all rows for min_data_in_leaf, and the transformer orders features by
    # some of all rows, but not within pairs.
    pairs = zip(panel.feature_names[::2], panel.feature_names[1::2], strict=True)
    changed = {"min_data_in_leaf": 1} if name == "lightgbm" else {}
    params = family(name).params_type.model_validate(SMALL[name] | changed)
    context = FitContext(graph=graph_of(panel.feature_names), groups=tuple(pairs))
    predictions = []
    for only_known in (False, True):
        folder = tmp_path / f"only known {only_known}"
        write_panel(folder, [with_holes(era, only_known) for era in range(1, 21)])
        model = family(name)(params, seed=0, threads=1)
        model.fit(open_panel(folder), None, TARGET, context=context)
        predictions.append(model.predict(panel))
    np.testing.assert_array_equal(*predictions)
    assert predictions[0].std() > 0.05


def test_the_cost_grows_with_rows_and_features(name, panel):
    model_class = family(name)
    params = model_class.params_type.model_validate(SMALL[name])
    small, large = model_class.cost(params, 10_000, 100), model_class.cost(params, 10**6, 1_000)
    assert large.memory_gb > small.memory_gb > 0
    assert large.work > small.work > 0
    assert small.disk_gb > 0


def test_the_model_pickles(name, panel):
    assert pickle.dumps(fitted(name, panel))


def test_binned_data_are_built_once_and_give_the_same_model(name, panel, tmp_path):
    store, plain = FoldStore(tmp_path / "store"), fitted(name, panel).predict(panel)
    for _ in range(2):
        np.testing.assert_array_equal(fitted(name, panel, bins=store).predict(panel), plain)
    built = list((tmp_path / "store" / "binned").glob("*"))
    assert len(built) == (1 if name in ("lightgbm", "catboost") else 0)


def test_low_fidelity_is_cheaper(name):
    kind = family(name)
    params = kind.params_type.model_validate(SMALL[name])
    cheap = params.low_fidelity(5, 0.25)
    assert kind.cost(cheap, 10_000, 100).work < 0.6 * kind.cost(params, 10_000, 100).work


def test_low_fidelity_goes_as_far_with_fewer_trees(name):
    if name not in BOOSTED:
        pytest.skip("has no trees")
    params = family(name).params_type.model_validate(SMALL[name] | {"n_estimators": 2000})
    cheap = params.low_fidelity(200, 0.25)
    assert cheap.n_estimators == 200
    assert cheap.learning_rate == 1.0  # 2,000 x .1 / 200
    gentle = params.model_copy(update={"learning_rate": 0.01}).low_fidelity(200, 0.25)
    assert gentle.learning_rate == pytest.approx(0.1)


def test_importance_finds_the_feature_that_matters(name, panel):
    model = fitted(name, panel)
    gains = model.gain_importance()
    assert gains.shape == (len(panel.feature_names),)
    assert model.feature_names[int(gains.argmax())] == "feature_0"


def test_a_feature_without_weight_is_not_learned(name, panel):
    """The signal's feature has no weight: only noise is left."""
    model_class = family(name)
    params = model_class.params_type.model_validate(SMALL[name])
    names = panel.feature_names

    def leaned_on(weights):
        model = model_class(params, seed=0, threads=1)
        model.fit(panel, None, TARGET, context=FitContext(weights=weights))
        rows = np.full((5, len(names)), 2, np.int8)
        rows[:, 0] = np.arange(5)
        return float(np.ptp(model.predict_rows(rows)))

    alike = leaned_on((1.0,) * len(names))
    # XGBoost draws columns by their weights, and there are few to draw from.
    assert leaned_on((1e-6, *[1.0] * (len(names) - 1))) < 0.5 * alike


def test_latents_are_learned_beside_features(name, panel, tmp_path):
    """Sixteen levels are distinguished: the signal lies in the finest differences."""
    blocks = []
    for era in panel.eras:
        rows = era_rows(int(era))
        alone = panel.select(eras=[era])
        bins = np.round(4 * alone.target(TARGET)).astype(np.int8)
        noise = np.random.default_rng(int(era)).integers(0, 16, size=(len(bins), 2))
        levels = noise.astype(np.int8)
        levels[:, 1] = 5 + 2 * bins  # between 5 and 13: with five bins few would differ
        names = ["derived_latents_000_a", "derived_latents_001_a"]
        nothing = rows.targets.select([])
        blocks.append(
            EraRows(int(era), "latent", rows.ids, FeatureBlock.of(names, levels), nothing)
        )
    write_panel(tmp_path / "latents", blocks)
    joined = JoinedPanel(panel, open_panel(tmp_path / "latents"))
    model_class = family(name)
    params = model_class.params_type.model_validate(SMALL[name])
    model = model_class(params, seed=0, threads=1).fit(joined, None, TARGET)
    predictions = model.predict(joined)[:, None].astype(float)
    scores = rank_scores(joined.era_starts, predictions, joined.target(TARGET).astype(float))[0]
    plain = fitted(name, panel).predict(panel)[:, None].astype(float)
    without = rank_scores(panel.era_starts, plain, panel.target(TARGET).astype(float))[0]
    assert scores.mean() > without.mean() + 0.1
    write_trusted(tmp_path / "model", model)
    again = read_trusted(tmp_path / "model").predict(joined)
    np.testing.assert_array_equal(again, model.predict(joined))
