"""What is drawn of features is what the report says, and what is missing is said."""

import numpy as np
import pandas as pd
from tests.reporting.dashboard.samples import (
    effect_trend_of,
    feature_report,
    importance,
    latent_report,
    linear_effects,
)

from numerai_kedro.reporting.dashboard.feature_figures import (
    effect_and_importance,
    effects_by_era,
    latent_summary,
    volcano,
)
from numerai_kedro.reporting.dashboard.graph_figure import _look


def test_each_verdict_is_a_symbol_of_its_own_with_its_number():
    figure = volcano(feature_report(), 0.1)
    names = [trace.name for trace in figure.data]
    assert names == ["null (1)", "interaction (1)", "unstable (1)", "stable (1)"]
    assert len({trace.marker.symbol for trace in figure.data}) == 4
    stable = figure.data[-1]
    assert stable.x[0] == 0.009
    assert stable.y[0] == 12  # a q of 0 is drawn, not lost
    assert figure.layout.shapes[0].y0 == 1  # -log10 of .1


def test_the_heat_map_has_the_surest_cluster_on_top_and_its_regimes():
    linear = linear_effects()
    figure = effects_by_era(linear, feature_report(), [(1, 30), (40, 60)], newest=100)
    heat = figure.data[0]
    assert heat.y[-1] == "lightgbm · stable"
    np.testing.assert_allclose(heat.z[-1][0], linear["lightgbm"].iloc[:13].mean())
    texts = [annotation.text for annotation in figure.layout.annotations]
    assert texts == ["regime 1", "regime 2"]
    borders = sorted(shape.x0 for shape in figure.layout.shapes if shape.x0 == shape.x1)
    assert borders == [0.5, 30.5, 39.5, 60.5]
    later = [shape for shape in figure.layout.shapes if shape.x0 != shape.x1]
    assert (later[0].x0, later[0].x1) == (100.5, 120)


def test_effects_stand_above_what_models_owe_to_the_same_features():
    figure = effect_and_importance(effect_trend_of(), importance())
    own, lost = figure.data[:2]
    assert own.name == lost.name == "lightgbm"
    assert list(own.x) == [20.5, 60.5, 100.5]
    assert list(lost.y) == [0.001, 0.0]
    assert own.error_y.array is not None
    assert not lost.showlegend


def test_without_importance_the_largest_effects_are_drawn():
    nothing = importance().assign(drop=np.nan)
    figure = effect_and_importance(effect_trend_of(), nothing)
    sizes = effect_trend_of().groupby("feature")["effect"].mean().abs()
    assert figure.data[0].name == sizes.idxmax()


def test_latents_are_shown_beside_what_they_compete_with():
    figure = latent_summary(latent_report())
    assert "1 in use" in figure.layout.annotations[0].text
    by_name = {trace.name: list(trace.y) for trace in figure.data[1:]}
    assert by_name["principal components"] == [0.02, 0.02]
    assert by_name["from the latents"] == [1.2, 1.2]


def test_nothing_yet_is_said():
    unknown = feature_report().assign(p=np.nan, q=np.nan)
    figures = [
        volcano(unknown, 0.1),
        effects_by_era(linear_effects(), unknown, [], 100),
        effect_and_importance(pd.DataFrame(columns=["feature", "effect"]), importance()),
        latent_summary(None),
    ]
    for figure in figures:
        assert not figure.data
        assert figure.layout.annotations


def test_groups_beyond_the_colours_do_not_look_alike():
    looks = {_look(number, f"group {number}") for number in range(14)}
    assert len(looks) == 14
