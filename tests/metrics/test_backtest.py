"""Scores of the test period: right rows, right eras, and honest gaps."""

import numpy as np
import pandas as pd
import pytest
from numerai_tools.scoring import numerai_corr
from tests.panels import era_rows, small_panel

from numerai_kedro.data import open_panel, write_panel
from numerai_kedro.errors import PredictionError
from numerai_kedro.metrics.backtest import score_columns, summarise

TARGET = "target_ender_60"


@pytest.fixture
def panel(tmp_path):
    return small_panel(tmp_path / "panel", n_eras=12)


def predictions(panel, seed=0):
    rng = np.random.default_rng(seed)
    columns = {"ours": rng.normal(size=panel.n_rows), "benchmark": rng.normal(size=panel.n_rows)}
    return pd.DataFrame(columns, index=panel.ids())


def scored(panel, frame, meta=None):
    other = predictions(panel, seed=9)["ours"]
    meta = other if meta is None else meta
    return score_columns(panel, frame, meta, frame["benchmark"], TARGET, panel.feature_names)


def test_each_era_is_scored_as_numerai_tools_does(panel):
    frame = predictions(panel)
    scores = scored(panel, frame).set_index(["era", "model"])["corr"]
    target = pd.Series(panel.target(TARGET).astype(float), index=frame.index, name=TARGET)
    for era, begin, end in zip(
        panel.eras, panel.era_starts[:-1], panel.era_starts[1:], strict=True
    ):
        expected = numerai_corr(frame.iloc[begin:end], target.iloc[begin:end])
        for model in frame:
            assert scores[era, model] == pytest.approx(expected[model], abs=1e-9)


def test_eras_without_a_meta_model_have_no_mmc_and_keep_their_corr(panel):
    frame = predictions(panel)
    meta = predictions(panel, seed=9)["ours"].iloc[panel.era_starts[8] :]
    rows = scored(panel, frame, meta).query("model == 'ours'").set_index("era")
    assert rows["mmc"].notna().tolist() == [False] * 8 + [True] * 4
    assert rows["corr"].notna().all()
    report = summarise(scored(panel, frame, meta), overlap_eras=2)["ours"]
    assert (report["mmc"]["n_eras"], report["corr"]["n_eras"]) == (4, 12)


def test_unresolved_eras_are_gaps_not_zeros(tmp_path):
    write_panel(tmp_path / "p", [era_rows(e, resolved=e <= 8) for e in range(1, 13)])
    panel = open_panel(tmp_path / "p")
    rows = scored(panel, predictions(panel)).query("model == 'ours'")
    for name in ("corr", "mmc", "bmc", "fnc"):
        assert rows[name].notna().sum() == 8
    assert rows["max_exposure"].notna().all()


def test_the_benchmark_contributes_nothing_to_itself(panel):
    rows = scored(panel, predictions(panel)).query("model == 'benchmark'")
    np.testing.assert_allclose(rows["bmc"], 0, atol=1e-12)


def test_rows_in_another_order_are_refused_not_reordered(panel):
    with pytest.raises(PredictionError, match="different rows in the test eras"):
        scored(panel, predictions(panel).iloc[::-1])


def test_fnc_that_would_be_rounding_is_nan_and_the_reason_is_said(tmp_path, caplog):
    rows = [era_rows(era, n_rows=9 if era in (3, 5) else 40) for era in range(1, 7)]
    write_panel(tmp_path / "p", rows)
    panel = open_panel(tmp_path / "p")
    table = scored(panel, predictions(panel))
    ours = table.query("model == 'ours'").set_index("era")
    assert ours.index[ours["fnc"].isna()].tolist() == [3, 5]
    assert ours[["corr", "max_exposure"]].notna().all(axis=None)
    (message,) = caplog.messages
    assert message.startswith(
        "FNC is NaN in 2 of 6 eras: era 0003 has 9 rows, and neutralising to 8 features leaves "
        "nothing but rounding"
    )
    none = summarise(table[table["era"] == 3], overlap_eras=2)["ours"]["fnc"]
    assert (none["n_eras"], none["text"]) == (0, "none [no era has it]")
