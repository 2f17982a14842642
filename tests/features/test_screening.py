"""Each window's report depends on its own eras only, is kept, and names untestable features."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
from tests.panels import era_rows, small_panel

from numerai_kedro.cache import FoldStore
from numerai_kedro.data import EraPanel, FeatureBlock, open_panel, write_panel
from numerai_kedro.data.verdict import Verdict
from numerai_kedro.features.discovery import DiscoveryRule
from numerai_kedro.features.screening import screen, weighed
from numerai_kedro.features.sufficient import effects_of

TARGET = "target_ender_60"
RULE = DiscoveryRule(q=0.1, n_regimes=3, least=2, gap=2, overlap_eras=2, alike=0.9, ridge=0.03)
WINDOWS = {"0070": (1, 70), "0110": (1, 110)}


def effects(panel, store):
    eras, values = effects_of(panel, TARGET, store)
    return pd.DataFrame(values, index=pd.Index(eras, name="era"), columns=panel.feature_names)


def screened(panel, folder, windows=WINDOWS, rule=RULE):
    store = FoldStore(folder)
    return screen(panel, windows, TARGET, effects(panel, store), rule, store)


@pytest.fixture
def panel(tmp_path):
    return small_panel(tmp_path / "panel", n_eras=120)


def test_the_planted_feature_is_stable_in_every_window(panel, tmp_path):
    for name, report in screened(panel, tmp_path / "store").items():
        verdicts = report.set_index("feature")["verdict"]
        assert verdicts["feature_0"] == Verdict.STABLE, name
        assert (verdicts.drop("feature_0") != Verdict.STABLE).all()


def test_targets_after_a_window_change_nothing_of_its_report(panel, tmp_path):
    """Planted: all targets after era 70 come from another world."""
    other = [*(era_rows(era) for era in range(1, 71))]
    other += [
        dataclasses.replace(era_rows(era), targets=era_rows(era, seed=9).targets)
        for era in range(71, 121)
    ]
    write_panel(tmp_path / "other", other)
    honest = screened(panel, tmp_path / "a")
    changed = screened(open_panel(tmp_path / "other"), tmp_path / "b")
    pd.testing.assert_frame_equal(honest["0070"], changed["0070"])
    with pytest.raises(AssertionError):
        pd.testing.assert_frame_equal(honest["0110"], changed["0110"])


def test_a_report_that_is_kept_reads_no_row(panel, tmp_path, monkeypatch):
    first = screened(panel, tmp_path / "store")
    monkeypatch.setattr(EraPanel, "features", lambda *_: pytest.fail("a row was read"))
    again = screened(panel, tmp_path / "store")
    for name in WINDOWS:
        pd.testing.assert_frame_equal(first[name], again[name])


def test_a_new_window_makes_its_own_report_alone(panel, tmp_path, monkeypatch):
    screened(panel, tmp_path / "store")
    seen, real = [], EraPanel.features
    monkeypatch.setattr(EraPanel, "features", lambda p, era: seen.append(era) or real(p, era))
    reports = screened(panel, tmp_path / "store", WINDOWS | {"0120": (1, 120)})
    assert list(reports) == ["0070", "0110", "0120"]
    features = [era for era in seen if era > 104]
    assert max(features) == 120
    assert min(era for era in seen) >= 105  # the pieces before are whole


def test_windows_that_hold_the_same_eras_take_nothing_from_those_after_them(tmp_path):
    """Era 100 is missing: windows to 99 and to 100 share a report, and the third has its own."""
    write_panel(tmp_path / "p", [era_rows(era) for era in range(1, 121) if era != 100])
    panel = open_panel(tmp_path / "p")
    three = {"0099": (1, 99), "0100": (1, 100), "0118": (1, 118)}
    together = screened(panel, tmp_path / "a", three)
    alone = screened(panel, tmp_path / "b", {"0118": (1, 118)})
    pd.testing.assert_frame_equal(together["0099"], together["0100"])
    pd.testing.assert_frame_equal(together["0118"], alone["0118"])


def test_another_rule_is_another_report(panel, tmp_path):
    first = screened(panel, tmp_path / "store")
    strict = screened(panel, tmp_path / "store", rule=dataclasses.replace(RULE, q=1e-30))
    assert (strict["0110"]["verdict"] == Verdict.NULL).all()
    assert (first["0110"]["verdict"] == Verdict.STABLE).any()


def test_a_damaged_report_is_made_again(panel, tmp_path):
    first = screened(panel, tmp_path / "store")
    for path in (tmp_path / "store").rglob("content"):
        if path.read_bytes()[:4] == b"PAR1":
            path.write_bytes(path.read_bytes()[:100])
    again = screened(panel, tmp_path / "store")
    pd.testing.assert_frame_equal(first["0110"], again["0110"])


def test_what_cannot_be_tested_is_said_and_the_rest_goes_on(tmp_path, caplog):
    """A constant feature, one that is missing for all but a few eras, and an era of one class."""
    blocks = []
    for era in range(1, 121):
        rows = era_rows(era)
        matrix = np.array(rows.features.matrix)
        matrix[:, 3] = 1
        if era < 110:
            matrix[:, 4] = 2
        blocks.append(
            dataclasses.replace(rows, features=FeatureBlock.of(rows.features.names, matrix))
        )
    single = era_rows(50).targets.to_pandas() * 0 + 0.5
    import pyarrow as pa

    blocks[49] = dataclasses.replace(
        blocks[49],
        targets=pa.record_batch(
            [pa.array(single[name], pa.float32()) for name in single], names=list(single)
        ),
    )
    write_panel(tmp_path / "panel", blocks)
    report = screened(open_panel(tmp_path / "panel"), tmp_path / "store")["0110"]
    verdicts = report.set_index("feature")["verdict"]
    assert verdicts[["feature_3", "feature_4"]].tolist() == [Verdict.UNTESTABLE] * 2
    assert verdicts["feature_0"] == Verdict.STABLE
    assert report.set_index("feature")["n_eras"]["feature_0"] == 109


def test_too_few_eras_are_a_sentence(panel, tmp_path, caplog):
    long = dataclasses.replace(RULE, overlap_eras=12, gap=16)
    reports = screened(panel, tmp_path / "store", rule=long)
    assert (reports["0070"]["verdict"] == Verdict.UNTESTABLE).all()
    (warning,) = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert "eras up to 0070, 0110: regimes of targets that span 12 eras need 128 eras" in warning


def test_a_panel_of_constants_is_untestable_and_no_crash(tmp_path):
    blocks = []
    for era in range(1, 71):
        rows = era_rows(era)
        block = FeatureBlock.of(rows.features.names, np.full((40, 8), 2, np.int8))
        blocks.append(dataclasses.replace(rows, features=block))
    write_panel(tmp_path / "panel", blocks)
    reports = screened(open_panel(tmp_path / "panel"), tmp_path / "store", {"0070": (1, 70)})
    assert (reports["0070"]["verdict"] == Verdict.UNTESTABLE).all()


def test_every_verdict_has_its_weight(panel, tmp_path):
    weights = {verdict.value: number / 10 for number, verdict in enumerate(Verdict)}
    report = weighed(screened(panel, tmp_path / "store")["0110"], weights)
    assert (report["weight"] == report["verdict"].map(weights)).all()
