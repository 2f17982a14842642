"""A ridge regression on latents or components is what its normal equations say."""

import numpy as np
import pytest
from tests.panels import small_panel, with_holes

from numerai_kedro.data import open_panel, write_panel
from numerai_kedro.features.latent_worth import ridge_corr
from numerai_kedro.metrics.corr import corr_of_era

TARGET = "target_ender_60"


@pytest.fixture
def panel(tmp_path):
    return small_panel(tmp_path / "panel", n_eras=8)


def test_ridge_scores_are_those_of_normal_equations_centred_in_each_era(panel):
    learned, tested = np.array([1, 2, 4]), np.array([6, 8])

    def columns(era):
        return panel.features(era)[:, :3].astype(float)

    xs = [columns(era) - columns(era).mean(axis=0) for era in learned]
    ys = [panel.select(eras=[era]).target(TARGET).astype(float) for era in learned]
    x, y = np.vstack(xs), np.concatenate([label - label.mean() for label in ys])
    gram = x.T @ x
    weights = np.linalg.solve(gram + 0.01 * np.trace(gram) / 3 * np.eye(3), x.T @ y)
    expected = [
        corr_of_era((columns(era) @ weights)[:, None], panel.select(eras=[era]).target(TARGET))[0]
        for era in tested
    ]
    found = ridge_corr(panel, columns, learned, tested, TARGET)
    np.testing.assert_allclose(found, expected, rtol=1e-9)


def test_rows_without_a_target_count_neither_in_the_fit_nor_in_the_score(tmp_path):
    def of(only_known):
        folder = tmp_path / str(only_known)
        write_panel(folder, [with_holes(era, only_known) for era in range(1, 5)])
        panel = open_panel(folder)
        columns = lambda era: panel.features(era)[:, :3].astype(float)  # noqa: E731
        return ridge_corr(panel, columns, np.array([1, 2]), np.array([3, 4]), TARGET)

    np.testing.assert_allclose(of(only_known=True), of(only_known=False), rtol=1e-12)
