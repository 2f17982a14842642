"""Claim: intervals have their coverage, and overfitting and failures are recognised.

    make evidence NAME=statistics       part by part; docs/evidence/statistics.json
    python benchmarks/evidence_statistics.py --picture statistics.html --live-rounds FOLDER

Simulated scores whose truth is known, 60-day targets (MA(11) over weekly eras):

coverage
    How often an interval at 95 % holds the mean, against a stationary block bootstrap with the best
    of three block lengths, and against treating eras as independent.
overfitting
    The probability of overfitting when one of 20 configurations is really better.
trade
    One of four members turns to noise half-way: how often it is noticed, and how often an honest
    member is suspected, by half-life and sharpness of the weights; on histories that were not used
    to choose parameters.
live_rounds
    With ``--live-rounds``, on published live scores of public models (``corr.csv``, ``mmc.csv``: a
    row a daily round, a column a model): how often the next 30 rounds' mean payoff lies in its
    forecast. The models are alike, and few windows follow a record that is long enough, so that
    this shows, and claims nothing.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import yaml
from plotly.subplots import make_subplots

from evidence_gate_rates import stationary
from evidence_weekly import _code_fingerprint
from numerai_kedro.ensemble.weighting import EnsembleParams, walk_weights
from numerai_kedro.files import atomic_write
from numerai_kedro.metrics.intervals import mean_interval
from numerai_kedro.metrics.overfitting import probability_of_overfitting
from numerai_kedro.metrics.payout import PayoutRule, forecast_burn
from numerai_kedro.reporting.dashboard.figures import COLOURS, DASHES, SYMBOLS
from simulated import OVERLAP, member_history, overlapping

ROOT = Path(__file__).parents[1]
RESULT = ROOT / "docs" / "evidence" / "statistics.json"
LENGTHS = (87, 120, 240, 400)
N_SERIES, N_BOOTSTRAPPED, REPETITIONS = 2_000, 500, 500
BLOCK_LENGTHS = (12, 24, 36)
SHARPES = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6)
N_MATRICES, N_ERAS, N_CONFIGURATIONS = 200, 260, 20
N_HISTORIES, FAILURE, WITHIN, HALF_OF_A_QUARTER = 200, 200, 104, 0.125
HALF_LIVES, SHARPNESS = (26.0, 52.0, 65.0, 104.0), (2.0, 4.0, 7.0, 10.0, 14.0)
DELAY, MULTIPLIERS = 14, (3.0, 15.0)
FIRST_HISTORY = 30_000  # smaller seeds were used to choose the weights' parameters
ROUND_OVERLAP, ROUNDS_AHEAD = 20, 30  # daily rounds, 20-day targets, six weeks


def main() -> None:
    """Compute the parts that the result lacks, print and draw."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--result", type=Path, default=RESULT)
    parser.add_argument("--live-rounds", type=Path, help="a folder with corr.csv and mmc.csv")
    parser.add_argument("--picture", type=Path, help="a page to draw to")
    options = parser.parse_args()
    result = json.loads(options.result.read_text()) if options.result.exists() else {}
    if result.get("code") != _code_fingerprint():
        result = {"code": _code_fingerprint()}
    parts: dict[str, Callable[[], Any]] = {
        "coverage": coverage,
        "overfitting": overfitting,
        "trade": trade,
    }
    if options.live_rounds:
        parts["live_rounds"] = lambda: live_rounds(options.live_rounds)
    for name, compute in parts.items():
        if name in result:
            continue
        result[name] = compute()
        with atomic_write(options.result) as handle:
            handle.write((json.dumps(result, indent=1) + "\n").encode())
        print(f"{name}: {json.dumps(result[name])}", flush=True)
    if options.picture:
        draw(result).write_html(options.picture, config={"displayModeBar": False})


def coverage() -> dict[str, dict[str, float]]:
    """Share of intervals that hold the true mean, by method and number of eras."""
    rates: dict[str, dict[str, float]] = {
        "equal-weighted cosines": {},
        "block bootstrap": {},
        "eras as independent": {},
    }
    for n in LENGTHS:
        series = overlapping(np.random.default_rng(n), n, N_SERIES).T
        ours = [mean_interval(scores, OVERLAP) for scores in series]
        rates["equal-weighted cosines"][str(n)] = float(
            np.mean([(bounds.low or 0) <= 0 <= (bounds.high or 0) for bounds in ours])
        )
        shares = []
        for length in BLOCK_LENGTHS:
            covered = []
            for seed, history in enumerate(series[:N_BOOTSTRAPPED]):
                rng = np.random.default_rng(seed)
                means = [history[stationary(rng, n, length)].mean() for _ in range(REPETITIONS)]
                low, high = np.quantile(means, [0.025, 0.975])
                covered.append(low <= 0 <= high)
            shares.append(float(np.mean(covered)))
        rates["block bootstrap"][str(n)] = max(shares)
        reach = 1.96 * series.std(axis=1, ddof=1) / np.sqrt(n)
        rates["eras as independent"][str(n)] = float((abs(series.mean(axis=1)) <= reach).mean())
    return rates


def overfitting() -> dict[str, dict[str, dict[str, float]]]:
    """Mean probability of overfitting, and the share below .05, by how much one is better."""
    rates: dict[str, dict[str, dict[str, float]]] = {}
    for noise in ("independent eras", "overlapping targets"):
        rates[noise], independent = {}, noise == "independent eras"
        for sharpe in SHARPES:
            rng = np.random.default_rng([int(10 * sharpe), len(noise)])
            values = []
            for _ in range(N_MATRICES):
                shape = (N_ERAS, N_CONFIGURATIONS)
                scores = rng.normal(size=shape) if independent else overlapping(rng, *shape)
                scores[:, 0] += sharpe
                values.append(probability_of_overfitting(scores, 1 if independent else OVERLAP))
            rates[noise][str(sharpe)] = {
                "mean": float(np.mean(np.array(values, dtype=float))),
                "below_.05": float(np.mean(np.array(values, dtype=float) < 0.05)),
            }
    return rates


def trade() -> dict[str, dict[str, list[float]]]:
    """How often the failed member is noticed, an honest one suspected, by half-life, sharpness."""
    conf = yaml.safe_load((ROOT / "conf/base/parameters_ensemble.yml").read_text())["ensemble"]
    seeds = range(FIRST_HISTORY, FIRST_HISTORY + N_HISTORIES)
    histories = [member_history(seed, noise_from=FAILURE) for seed in seeds]
    window = np.arange(FAILURE + DELAY, FAILURE + DELAY + WITHIN + 1)
    by_half_life: dict[str, dict[str, list[float]]] = {}
    for half_life in HALF_LIVES:
        by_half_life[str(half_life)] = {}
        for sharpness in SHARPNESS:
            changed = conf | {"half_life_eras": half_life, "sharpness": sharpness}
            params = EnsembleParams.model_validate(changed)
            lowest = np.stack(
                [
                    walk_weights(
                        history,
                        history.eras[window],
                        DELAY,
                        "decayed",
                        MULTIPLIERS,
                        OVERLAP,
                        params,
                    ).min(axis=0)
                    for history in histories
                ]
            )
            below = lowest < HALF_OF_A_QUARTER
            rates = [float(below[:, 0].mean()), float(below[:, 1:].mean())]
            by_half_life[str(half_life)][str(sharpness)] = rates
    return by_half_life


def live_rounds(folder: Path) -> dict[str, float]:
    """How often the mean payoff of the next rounds lay in its forecast, over public models."""
    corr, mmc = (pd.read_csv(folder / f"{name}.csv", index_col=0) for name in ("corr", "mmc"))
    returns = pd.DataFrame(
        PayoutRule(*MULTIPLIERS, clip=np.inf).returns(corr.to_numpy(), mmc.to_numpy())
    ).dropna(axis=1)
    n = len(returns)
    origins = range(n - ROUNDS_AHEAD, ROUNDS_AHEAD - 1, -ROUNDS_AHEAD)
    covered = []
    for model in returns:
        series = returns[model].to_numpy()
        for origin in origins:
            forecast = forecast_burn(series[:origin], ROUND_OVERLAP, ROUNDS_AHEAD)
            if forecast is not None:
                low, high = forecast.interval()
                covered.append(low <= series[origin : origin + ROUNDS_AHEAD].mean() <= high)
    assert covered, "no record is long enough to forecast by"
    lags = [float(np.mean([returns[m].autocorr(lag) for m in returns])) for lag in (1, 5, 20)]
    return {
        "rounds": n,
        "models": returns.shape[1],
        "windows": n / max(ROUNDS_AHEAD, ROUND_OVERLAP),
        "windows_forecast": len(origins),
        "held": float(np.mean(covered)),
        "autocorrelation_1": lags[0],
        "autocorrelation_5": lags[1],
        "autocorrelation_20": lags[2],
    }


def draw(found: dict[str, Any]) -> go.Figure:
    """Three panels, whose lines differ without colour."""
    figure = make_subplots(
        rows=1,
        cols=3,
        subplot_titles=(
            "Intervals at 95 %: share that holds the mean",
            "One of 20 is better: share with PBO below .05",
            "Failed member noticed, honest one suspected",
        ),
    )
    panels: list[list[tuple[str, list[float], list[float]]]] = [
        [
            (name, [float(n) for n in by_length], list(by_length.values()))
            for name, by_length in found["coverage"].items()
        ],
        [
            (name, [float(s) for s in by_sharpe], [v["below_.05"] for v in by_sharpe.values()])
            for name, by_sharpe in found["overfitting"].items()
        ],
        [
            (
                f"half-life {float(name):.0f}",
                [rates[1] for rates in by_power.values()],
                [rates[0] for rates in by_power.values()],
            )
            for name, by_power in found["trade"].items()
        ],
    ]
    for column, lines in enumerate(panels, start=1):
        for k, (name, xs, ys) in enumerate(lines):
            figure.add_scatter(
                row=1,
                col=column,
                x=xs,
                y=ys,
                name=name,
                legend=f"legend{column}",
                mode="lines+markers",
                line={"color": COLOURS[k], "dash": DASHES[k]},
                marker={"symbol": SYMBOLS[k], "size": 8},
            )
        left = (0.0, 0.36, 0.72)[column - 1]
        figure.update_layout({f"legend{column}": {"x": left, "y": -0.18, "yanchor": "top"}})
    figure.add_hline(y=0.95, line_dash="dot", row=1, col=1)
    figure.add_hline(y=0.8, line_dash="dot", row=1, col=3)
    figure.add_vline(x=0.2, line_dash="dot", row=1, col=3)
    for column, title in enumerate(
        ("eras", "Sharpe an era", "an honest member is suspected"), start=1
    ):
        figure.update_xaxes(title_text=title, row=1, col=column)
        figure.update_yaxes(range=[0, 1.03], row=1, col=column)
    figure.update_xaxes(range=[0, 0.5], row=1, col=3)
    figure.update_layout(template="plotly_white", width=1300, height=600, margin={"b": 190})
    return figure


if __name__ == "__main__":
    main()
