"""Curves are what their titles say, and a model is told from another without colour."""

import numpy as np
import pandas as pd

from numerai_kedro.dashboard.figures import cumulative_corr, drawdown, live_scores_figure


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


def test_curves_run_along_eras_and_step_over_missing_scores():
    lines = {line.name: line for line in cumulative_corr(era_scores()).data}
    assert list(lines) == ["ensemble", "lightgbm", "benchmark"]
    assert list(lines["ensemble"].x) == [1, 2, 3]
    np.testing.assert_allclose(lines["ensemble"].y, [-0.03, 0.01, 0.03])
    np.testing.assert_allclose(lines["lightgbm"].y, [0.0, 0.01, 0.04])


def test_drawdown_hangs_below_zero():
    lines = {line.name: line for line in drawdown(era_scores()).data}
    assert max(lines["ensemble"].y) <= 0
    np.testing.assert_allclose(lines["benchmark"].y, 0, atol=1e-12)


def test_each_model_has_a_dash_of_its_own():
    dashes = [line.line.dash for line in cumulative_corr(era_scores()).data]
    assert len(set(dashes)) == len(dashes)


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
