"""Curves are what their titles say, and models are distinguishable without colour."""

import numpy as np
import pandas as pd

from numerai_kedro.models.registry import BUILT_IN
from numerai_kedro.reporting.dashboard.figures import (
    burn_density,
    cumulative,
    drawdown,
    exposure,
    importance_figure,
    live_scores_figure,
    payout_growth,
    version_trend,
    weights_over_time,
)


def era_scores():
    rows = {
        "benchmark": [0.01, 0.01, 0.01],
        "ensemble": [0.02, -0.03, 0.04],
        "lightgbm": [0.03, np.nan, 0.01],
    }
    return pd.concat(
        pd.DataFrame({"era": [3, 1, 2], "model": name, "corr": values})
        for name, values in rows.items()
    )


def test_curves_run_along_eras_and_leave_missing_scores_out():
    lines = {line.name: line for line in cumulative(era_scores(), "corr", {}).data}
    assert list(lines) == ["ensemble", "lightgbm", "benchmark"]
    assert list(lines["ensemble"].x) == [1, 2, 3]
    np.testing.assert_allclose(lines["ensemble"].y, [-0.03, 0.01, 0.03])
    np.testing.assert_allclose(lines["lightgbm"].y, [0.01, 0.04])


def test_drawdown_hangs_below_zero():
    lines = {line.name: line for line in drawdown(era_scores()).data}
    assert max(lines["ensemble"].y) <= 0
    np.testing.assert_allclose(lines["benchmark"].y, 0, atol=1e-12)


def test_each_model_has_a_dash_of_its_own():
    names = ("benchmark", "ensemble", *BUILT_IN)
    template = era_scores().query("model == 'ensemble'")
    scores = pd.concat(template.assign(model=name) for name in names)
    styles = [line.line for line in cumulative(scores, "corr", {}).data]
    assert len({style.dash for style in styles}) == len(names)
    assert len({style.color for style in styles}) == len(names)


def test_a_model_looks_the_same_in_every_figure():
    members = ("catboost", "gin", "a new one", "xgboost")
    template = era_scores().query("model == 'ensemble'")
    scores = pd.concat(template.assign(model=name) for name in ("benchmark", "ensemble", *members))
    weights = pd.DataFrame({"era": 1, "model": members, "weight": 0.1, "chosen": True})
    figures = [
        cumulative(scores, "corr", {}),
        weights_over_time(weights),
        payout_growth({name: ([1], [1.0]) for name in ("benchmark", *members, "ensemble")}),
        burn_density({name: {"returns": [0], "density": [1]} for name in members[1:]}),
        cumulative(scores[scores["model"] != "catboost"], "corr", {}),
    ]
    looks = [
        {line.name: (line.line.color, line.line.dash) for line in figure.data} for figure in figures
    ]
    for name in members:
        assert len({look[name] for look in looks if name in look}) == 1
    (bars,) = importance_figure({"gin": {"dropout": 1.0}}).data
    assert bars.marker.color == looks[0]["gin"][0]


def test_only_the_newest_day_of_a_round_is_shown_and_hollow_until_it_resolves():
    scores = pd.DataFrame(
        {
            "roundNumber": [1400, 1400, 1401],
            "displayName": "corr60",
            "day": [1, 60, 2],
            "value": [0.5, 0.02, 0.01],
            "resolved": [False, True, False],
        }
    )
    (points,) = live_scores_figure(scores).data
    assert list(points.y) == [0.02, 0.01]
    assert list(points.marker.symbol) == ["circle", "circle-open"]


def test_no_scores_yet_is_said():
    empty = pd.DataFrame(columns=["roundNumber", "displayName", "day", "value", "resolved"])
    figure = live_scores_figure(empty)
    assert figure.layout.annotations[0].text == "no round has been scored yet"


def test_a_cumulative_legend_has_the_interval_and_nothing_known_is_said():
    (line, *_) = cumulative(era_scores(), "corr", {"ensemble": ".02 [.01, .03]"}).data
    assert line.name == "ensemble  .02 [.01, .03]"
    empty = cumulative(era_scores().assign(mmc=np.nan), "mmc", {})
    assert empty.layout.annotations[0].text == "no era has MMC yet"


def test_only_the_chosen_scheme_is_drawn_in_steps():
    weights = pd.DataFrame(
        {"era": [1, 2, 1], "model": "a", "weight": [1.0, 0.5, 0.2], "chosen": [True, True, False]}
    )
    (line,) = weights_over_time(weights).data
    assert list(line.y) == [1.0, 0.5]
    assert line.line.shape == "hv"


def test_other_curves_show_what_they_are_given():
    scores = era_scores().assign(max_exposure=0.2)
    assert set(exposure(scores).data[0].y) == {0.2}
    (grown,) = payout_growth({"ensemble": ([1, 2], [1.0, 1.1])}).data
    assert list(grown.y) == [1.0, 1.1]
    (dense,) = burn_density({"ensemble": {"returns": [-1, 0, 1], "density": [0, 1, 0]}}).data
    assert list(dense.x) == [-1, 0, 1]
    assert burn_density({}).layout.annotations[0].text == "too few eras to forecast"


def test_versions_stand_in_their_order_one_panel_a_figure():
    versions = pd.DataFrame(
        {
            "version": ["b 1", "a 2"],
            "payoff": [0.1, 0.2],
            "corr": 0.02,
            "mmc": 0.01,
            "minutes": [5.0, 1.0],
            "peak_gb": 0.4,
        }
    )
    figure = version_trend(versions)
    assert len(figure.data) == 5
    assert list(figure.data[0].x) == ["b 1", "a 2"]
    assert list(figure.data[3].y) == [5.0, 1.0]
    (note,) = version_trend(versions[:1]).layout.annotations
    assert note.text == "one version so far: a trend needs two"
