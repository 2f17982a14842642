"""Encoders learn from their own window only, encode an era once, and are compared with PCA."""

import dataclasses

import numpy as np
import pytest
from tests.models.sizes import NETWORKS
from tests.panels import era_rows, small_panel
from tests.training.test_walk_forward import recipe as trees_recipe

from numerai_kedro.cache import FoldStore
from numerai_kedro.data import JoinedPanel, open_panel, write_panel
from numerai_kedro.features.latent_worth import Components, latent_worth, ridge_corr
from numerai_kedro.features.latents import encode
from numerai_kedro.features.sufficient import products_of
from numerai_kedro.files.trusted_pickle import read_trusted, write_trusted
from numerai_kedro.models.registry import family
from numerai_kedro.models.vae_head import VaeHead
from numerai_kedro.models.with_derived import WithDerived
from numerai_kedro.training.fit_runner import FitRunner
from numerai_kedro.training.protocol import no_progress
from numerai_kedro.training.recipe import Recipe

TARGET = "target_ender_60"
WINDOW = (1, 20)


def recipe():
    kind = family("vae")
    values = NETWORKS["vae_head"] | {"reconstruction_weight": 1.0, "head_weight": 0.0, "epochs": 3}
    params = kind.params_type.model_validate(values)
    return Recipe("vae", kind, params, (TARGET,), era_stride=2, n_offsets=1, seed=0, threads=1)


def encoded(panel, folder, newest=26):
    store = FoldStore(folder)
    return encode(panel, WINDOW, newest, recipe(), FitRunner(store))


def written(latents, folder):
    write_panel(folder, latents)
    return open_panel(folder)


@pytest.fixture
def panel(tmp_path):
    return small_panel(tmp_path / "panel", n_eras=28)


def test_latents_are_sixteen_levels_beside_the_rows_that_they_are_of(panel, tmp_path):
    latents, figures = encoded(panel, tmp_path / "store")
    columns = written(latents, tmp_path / "latents")
    assert columns.eras.tolist() == list(range(1, 27))
    assert len(columns.feature_names) == figures["n_latents"] == 8
    values = np.vstack([columns.features(era) for era in columns.eras])
    assert values.min() == 0
    assert values.max() == 15
    JoinedPanel(panel.select(eras=columns.eras), columns)
    assert 0 < figures["told_nats"] < 1.2 * figures["marginal_nats"] < 2.0
    assert 0 <= figures["active"] <= 8


def test_levels_are_equally_frequent_in_the_training_eras(panel, tmp_path):
    latents, _ = encoded(panel, tmp_path / "store")
    columns = written(latents, tmp_path / "latents")
    learned = np.vstack([columns.features(era) for era in range(2, 21, 2)])
    shares = [(learned == level).mean(axis=0) for level in range(16)]
    np.testing.assert_allclose(shares, 1 / 16, atol=0.01)


def test_columns_are_named_by_the_transformation_the_fit_and_their_number(panel, tmp_path):
    latents, figures = encoded(panel, tmp_path / "store")
    rows = next(iter(latents))
    digest = latents.digest[:8]
    names = [f"derived_latents_{number:03d}_{digest}" for number in range(figures["n_latents"])]
    assert rows.features.names == names
    assert (rows.era, rows.data_type) == (1, "latents")


def test_eras_after_the_window_change_no_latent_of_it(panel, tmp_path):
    later = [era_rows(era) for era in range(1, 21)]
    later += [era_rows(era, seed=7) for era in range(21, 29)]
    write_panel(tmp_path / "other", later)
    honest, _ = encoded(panel, tmp_path / "a")
    changed, _ = encoded(open_panel(tmp_path / "other"), tmp_path / "b")
    for mine, theirs in list(zip(honest, changed, strict=True))[:20]:
        np.testing.assert_array_equal(mine.features.matrix, theirs.features.matrix)


def test_a_new_era_is_encoded_alone_and_nothing_is_fitted_again(panel, tmp_path, monkeypatch):
    before, _ = encoded(panel, tmp_path / "store", newest=25)
    monkeypatch.setattr(VaeHead, "fit", lambda *_, **__: pytest.fail("fitted again"))
    seen, real = [], VaeHead.levels
    monkeypatch.setattr(VaeHead, "levels", lambda m, rows: seen.append(len(rows)) or real(m, rows))
    after, _ = encoded(panel, tmp_path / "store", newest=26)
    assert len(seen) == 1
    monkeypatch.setattr(VaeHead, "levels", lambda *_: pytest.fail("encoded again"))
    encoded(panel, tmp_path / "store", newest=26)
    for mine, theirs in zip(before, after, strict=False):
        np.testing.assert_array_equal(mine.features.matrix, theirs.features.matrix)


def test_damaged_latents_are_made_again(panel, tmp_path):
    first, _ = encoded(panel, tmp_path / "store")
    matrices = [rows.features.matrix.copy() for rows in first]
    for path in (tmp_path / "store" / "binned").rglob("content"):
        path.write_bytes(path.read_bytes()[:-5])
    again, _ = encoded(panel, tmp_path / "store")
    for mine, theirs in zip(again, matrices, strict=True):
        np.testing.assert_array_equal(mine.features.matrix, theirs)


def test_a_model_brings_its_encoder_and_predicts_live_rows_by_it(panel, tmp_path):
    """As a fold predicts through the panel of latents, with features in another order."""
    latents, _ = encoded(panel, tmp_path / "store")
    columns = written(latents, tmp_path / "latents")
    joined = JoinedPanel(panel.select(eras=columns.eras), columns)
    trees = trees_recipe()
    params = trees.params
    model = trees.family(params, seed=0, threads=1).fit(joined, None, TARGET)
    encoder = latents.fit.model(latents.store, no_progress)
    write_trusted(tmp_path / "model", [WithDerived(model, [encoder])])
    (whole,) = read_trusted(tmp_path / "model")
    live = panel.select(eras=[26], features=panel.feature_names[::-1])
    np.testing.assert_array_equal(whole.predict(live), model.predict(joined.select(eras=[26])))
    assert whole.n_iterations == model.n_iterations
    assert set(whole.feature_names) == set(panel.feature_names)


def test_another_fit_of_an_encoder_encodes_all_eras_anew(panel, tmp_path, monkeypatch):
    """As on a GPU, where the same fit twice is not the same model."""
    first = next(iter(encoded(panel, tmp_path / "store", newest=25)[0]))
    FoldStore(tmp_path / "store").keep_within(0)
    real = VaeHead.fit

    def unlike(model, *args, **named):
        real(model, *args, **named)
        model.edges = model.edges + 0.1
        return model

    monkeypatch.setattr(VaeHead, "fit", unlike)
    again = next(iter(encoded(panel, tmp_path / "store", newest=26)[0]))
    assert not set(first.features.names) & set(again.features.names)
    assert (first.features.matrix != again.features.matrix).any()


def test_an_encoder_stays_as_long_as_its_latents_are_read(panel, tmp_path):
    latents, _ = encoded(panel, tmp_path / "store")
    folder = latents.store.folder / "models"
    before = [path.stat().st_mtime_ns for path in folder.iterdir()]
    encoded(panel, tmp_path / "store")
    assert [path.stat().st_mtime_ns for path in folder.iterdir()] > before


def test_a_head_without_weight_leaves_the_latents_to_the_features(panel):
    """Whatever the targets are, the encoder is the same; with the head's gradient it is not."""
    other = [
        dataclasses.replace(era_rows(era), targets=era_rows(era, seed=5).targets)
        for era in range(1, 29)
    ]
    write_panel(panel.folder.parent / "other", other)
    changed = open_panel(panel.folder.parent / "other")
    rows = panel.features(3)
    for weight, same in ((0.0, True), (1.0, False)):
        kind = family("vae")
        params = recipe().params.model_copy(update={"head_weight": weight})
        latents = [
            kind(params, seed=0, threads=1).fit(source, None, TARGET).latents(rows)
            for source in (panel, changed)
        ]
        assert np.array_equal(*latents) == same


def test_components_are_those_of_a_singular_value_decomposition(panel, tmp_path):
    (products,) = products_of(panel, [20], FoldStore(tmp_path / "store"))
    rows = np.vstack([panel.features(era) for era in range(1, 21)]).astype(float)
    scaled = (rows - rows.mean(axis=0)) / rows.std(axis=0)
    _, _, axes = np.linalg.svd(scaled, full_matrices=False)
    components = Components.of(products, 3).columns(panel.features(5))
    mine = (panel.features(5) - rows.mean(axis=0)) / rows.std(axis=0) @ axes[:3].T
    for column in range(3):  # ordered by variance, up to the sign
        correlation = abs(np.corrcoef(components[:, 2 - column], mine[:, column])[0, 1])
        assert correlation == pytest.approx(1, abs=1e-6)


def test_a_ridge_on_the_features_finds_the_signal_and_noise_finds_none(panel):
    learned, test_eras = np.arange(1, 21), np.arange(22, 28)
    rng = np.random.default_rng(0)
    noise = {era: rng.normal(size=(40, 4)) for era in range(1, 29)}
    real = ridge_corr(
        panel, lambda era: panel.features(era).astype(float), learned, test_eras, TARGET
    )
    none = ridge_corr(panel, noise.__getitem__, learned, test_eras, TARGET)
    assert real.mean() > 0.3
    assert abs(none.mean()) < 0.2


def test_worth_is_measured_on_test_eras_alone_and_kept(panel, tmp_path):
    store = FoldStore(tmp_path / "store")
    latents, _ = encoded(panel, tmp_path / "store")
    columns = written(latents, tmp_path / "latents")
    (products,) = products_of(panel, [20], store)
    arguments = (panel, columns, products, WINDOW, (22, 26), TARGET, store)
    worth = latent_worth(*arguments)
    assert worth["eras"] == [22, 23, 24, 25, 26]
    assert all(len(worth[name]) == 5 for name in ("latents", "components"))
    assert latent_worth(*arguments) == worth
