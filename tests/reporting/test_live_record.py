"""Expected and realised scores: by round, slot and score; nothing mixed, nothing guessed."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from numerai_kedro.numerai.payout_rule import version_order
from numerai_kedro.reporting.live_record import (
    OVERLAP_ROUNDS,
    expected_vs_realized,
    independent_rounds,
    live_record,
    newest_versions,
    record_text,
)

PROMISE = {"corr60": {"mean": 0.04, "low": 0.02, "high": 0.06}}


def scores(*rows):
    names = ["roundNumber", "displayName", "day", "value", "resolved"]
    return pd.DataFrame(rows, columns=names)


DECISIONS = {
    "1400-a": {"entry": "ensemble", "promised": PROMISE},
    "1401-a": {
        "entry": "ensemble",
        "promised": {"corr60": {"mean": 0.02, "low": 0.0, "high": 0.1}},
    },
}
FRAME = scores(
    (1400, "corr60", 59, 0.5, False),
    (1400, "corr60", 60, 0.01, True),
    (1400, "corr20", 20, 0.9, True),
    (1401, "corr60", 60, 0.03, True),
    (1402, "corr60", 7, -0.05, False),
    (1402, "corr60", 8, np.nan, False),
)


def test_every_day_is_kept_beside_its_rounds_promise():
    record = live_record({"a": FRAME}, DECISIONS)
    days = record.set_index(["round", "score", "day"])
    assert days["value"].to_dict() == {
        (1400, "corr60", 59): 0.5,
        (1400, "corr60", 60): 0.01,
        (1400, "corr20", 20): 0.9,
        (1401, "corr60", 60): 0.03,
        (1402, "corr60", 7): -0.05,
    }
    assert days["promised"][1400, "corr60", 59] == 0.04
    assert days["promised_high"][1400, "corr60", 60] == 0.06
    assert np.isnan(days["promised"][1400, "corr20", 20])  # another target's was promised


def test_means_go_over_the_same_resolved_rounds():
    lines = {
        (row["entry"], row["score"]): row
        for row in expected_vs_realized(live_record({"a": FRAME}, DECISIONS))
    }
    ours = lines["ensemble", "corr60"]
    assert ours["promised"] == pytest.approx(0.03)
    assert ours["came"] == pytest.approx(0.02)
    assert (ours["n_rounds"], ours["n_resolved"], ours["n_independent"]) == (2, 2, 1)
    assert lines["", "corr60"]["promised"] is None  # submitted by something else
    assert lines["", "corr60"]["came"] is None
    assert ours["gap"] is None  # .02 lies within the promised .01 to .08


def test_a_round_without_a_promise_decides_no_gap():
    frame = scores((1400, "corr60", 60, 0.001, True), (1403, "corr60", 60, 0.09, True))
    decisions = DECISIONS | {"1403-a": {"entry": "ensemble"}}
    (line,) = expected_vs_realized(live_record({"a": frame}, decisions))
    assert line["came"] == pytest.approx(0.0455)
    assert line["gap"] == "below the promised .0200 to .0600"


def test_what_comes_beyond_the_promised_interval_is_said():
    for value, gap in ((0.03, None), (0.001, "below the promised .0200 to .0600")):
        frame = scores((1400, "corr60", 60, value, True))
        (line,) = expected_vs_realized(live_record({"a": frame}, DECISIONS))
        assert line["gap"] == gap
        assert (gap or "independent)") in record_text(line)


VERSIONS = scores(
    (1400, "corr60", 59, 0.1, False),
    (1400, "corr60", 60, 0.2, True),
    (1400, "corr60", 59, 0.3, False),
    (1400, "mmc60", 60, 0.4, True),
    (1401, "corr60", 60, 0.5, True),
    (1401, "corr60", 60, np.nan, True),
).assign(version=["2", "2", "10", "2", "2", "10"])


def test_the_newest_version_of_a_rounds_score_counts_and_no_series_has_two():
    for frame in (VERSIONS, VERSIONS[::-1]):
        record = live_record({"a": frame}, DECISIONS)
        days = record.set_index(["round", "score", "day"])["value"].to_dict()
        assert days == {
            (1400, "corr60", 59): 0.3,
            (1400, "mmc60", 60): 0.4,
            (1401, "corr60", 60): 0.5,
        }
    # Rounds of two versions have no common mean.
    lines = {row["score"]: row["n_rounds"] for row in expected_vs_realized(record)}
    assert lines == {"corr60 (version 10)": 1, "corr60 (version 2)": 1, "mmc60": 1}


def test_a_version_that_is_not_said_is_the_oldest():
    plain = newest_versions(VERSIONS.drop(columns="version"))
    assert plain["version"].unique().tolist() == [""]
    assert len(plain) == 5
    some = newest_versions(VERSIONS.assign(version=[None, np.nan, "1", None, None, "1"]))
    assert some["value"].tolist() == [0.3, 0.4, 0.5]
    nothing = newest_versions(VERSIONS.assign(value=np.nan))
    assert len(nothing) == 0
    assert sorted(["10", "", "2", "v1.10", "v1.9"], key=version_order) == [
        *("", "v1.9", "v1.10", "2", "10")
    ]


def test_before_the_first_score_there_is_a_record_without_rows():
    record = live_record({}, DECISIONS)
    assert len(record) == 0
    assert expected_vs_realized(record) == []
    assert str(record["value"].dtype) == "float64"


@given(st.sets(st.integers(1, 2000), max_size=60))
def test_independent_rounds_share_no_day_and_no_choice_has_more(numbers):
    count = independent_rounds(sorted(numbers))
    assert (count > 0) == (len(numbers) > 0)
    if numbers:
        assert count <= 1 + (max(numbers) - min(numbers)) // OVERLAP_ROUNDS
        assert count >= -(-len(numbers) // OVERLAP_ROUNDS)


@pytest.mark.parametrize(
    ("changed", "text"),
    [
        ({}, "corr60 promised .0495, came -.0312 (12 rounds resolved, 1 independent)"),
        (
            {"n_rounds": 14, "running": 0.01},
            "corr60 promised .0495, came -.0312 (12 rounds resolved, 1 independent); "
            "2 still running at .0100",
        ),
        (
            {"promised": None},
            "corr60 promised nothing, came -.0312 (12 rounds resolved, 1 independent)",
        ),
        ({"n_resolved": 0}, "corr60: no round resolved yet, 12 still running"),
    ],
)
def test_the_line_says_how_much_it_is_worth(changed, text):
    line = {"score": "corr60", "n_rounds": 12, "n_resolved": 12, "n_independent": 1}
    line |= {"promised": 0.0495, "came": -0.0312, "running": None, "gap": None}
    assert record_text(line | changed) == text
