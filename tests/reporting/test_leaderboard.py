"""Options are compared with the incumbent on the eras that both have."""

import json

import numpy as np
import pandas as pd

from numerai_kedro.metrics.intervals import mean_interval
from numerai_kedro.reporting.leaderboard import option_worth


def row(trial, option, shift=0.0, state="option", eras=range(1, 81)):
    rng = np.random.default_rng(3)
    scores = [float(noise) + shift for noise in rng.normal(size=len(eras))]
    columns = dict.fromkeys(("corr", "bmc", "payoff"), scores)
    fields = {"model": "tabm", "study": "tabm-0088", "trial": trial, "state": state}
    return fields | {"params": json.dumps(option), "eras": list(eras), **columns}


def test_an_option_is_paired_with_the_incumbent():
    history = pd.DataFrame(
        [
            row(0, {"max_depth": 3}, state="complete"),
            row(8, {}),
            row(9, {"features": ["weigh", "latents"]}, shift=0.25),
            row(10, {"features": ["latents"]}, shift=-0.25, eras=range(1, 61)),
        ]
    )
    worth = option_worth(history, overlap_eras=4)
    assert worth["option"].tolist() == ["features weigh + latents", "features latents"]
    gains = (np.full(80, 0.25), np.full(60, -0.25))
    assert worth["payoff"].tolist() == [str(mean_interval(gain, 4)) for gain in gains]


def test_a_way_that_could_not_be_made_is_a_dash():
    worth = option_worth(pd.DataFrame([row(8, {}), row(9, {"features": ["latents"]}, eras=[])]), 4)
    assert worth.iloc[0].tolist() == ["tabm", "features latents", "–", "–", "–"]


def test_without_options_there_is_nothing_to_compare():
    history = pd.DataFrame([row(0, {}, state="complete")])
    assert option_worth(history, 4).empty
    assert list(option_worth(history.iloc[:0], 4).columns) == [
        "model",
        "option",
        "payoff",
        "corr",
        "bmc",
    ]
