from datetime import UTC, datetime, timedelta

import pytest

from numerai_kedro.numerai.round_info import clock_skew, minutes, read_round, too_late_for

NOW = datetime(2026, 12, 3, 12, 16, 43, tzinfo=UTC)
RAW = {
    "number": 1412,
    "openTime": "2026-12-03T12:15:43Z",
    "closeStakingTime": "2026-12-03T13:00:00Z",
    "closeTime": "2026-12-04T13:00:00Z",
    "target": "target_ender_60",
    "roundScoreConfigs": [
        {"displayName": "corr60", "defaultMultiplier": 3.0},
        {"displayName": None, "name": "mmc_60", "defaultMultiplier": 15},
        {"displayName": "bmc", "defaultMultiplier": 0},
        {"displayName": "fnc_v3"},
    ],
}


def test_multipliers_are_those_that_pay():
    info = read_round(RAW, NOW)
    assert info.multipliers == {"corr60": 3.0, "mmc_60": 15.0}
    assert (info.clip, info.payout_factor) == (1.0, 1.0)


def test_a_clip_is_of_what_pays_and_a_factor_is_read_or_missing():
    configs = [
        {"displayName": "v2_corr20", "defaultMultiplier": "0.75", "clipThreshold": 0.05},
        {"displayName": "bmc", "defaultMultiplier": 0, "clipThreshold": 0.01},
        {"displayName": "tc", "defaultMultiplier": 1, "isPayout": False, "clipThreshold": 0.02},
        None,
    ]
    info = read_round(RAW | {"roundScoreConfigs": configs, "payoutFactor": "0.087"}, NOW)
    assert info.multipliers == {"v2_corr20": 0.75}
    assert (info.clip, info.payout_factor) == (0.05, 0.087)
    assert read_round(RAW | {"payoutFactor": "soon"}, NOW).payout_factor is None


def test_what_is_kept_of_a_round_shows_every_score_in_one_order():
    turned = RAW | {"roundScoreConfigs": [None, *reversed(RAW["roundScoreConfigs"])]}
    stored = read_round(RAW, NOW).as_json()
    assert stored == read_round(turned, NOW).as_json()
    names = {config["displayName"] or config["name"] for config in stored["score_configs"]}
    assert names == {"bmc", "corr60", "fnc_v3", "mmc_60"}


@pytest.mark.parametrize("missing", ["target", "roundScoreConfigs", "closeStakingTime"])
def test_what_an_older_or_newer_server_lacks_is_tolerated(missing):
    for raw in (RAW | {missing: None}, {k: v for k, v in RAW.items() if k != missing}):
        assert read_round(raw, NOW).number == 1412


@pytest.mark.parametrize("missing", ["number", "openTime"])
def test_without_number_or_opening_it_is_no_round(missing):
    assert read_round(RAW | {missing: None}, NOW) is None


def test_the_servers_clock_decides_to_the_second():
    info = read_round(RAW, NOW)
    for moment, is_open in [
        (info.open_time - timedelta(seconds=1), False),
        (info.open_time, True),
        (info.close_staking_time - timedelta(seconds=1), True),
        (info.close_staking_time, False),
    ]:
        assert read_round(RAW, moment).is_open is is_open


@pytest.mark.parametrize(
    ("moment", "text"),
    [
        (NOW, "round 1412, open for another 43 min"),
        (NOW - timedelta(minutes=30), "round 1412, opens Thu 03 Dec 12:15 UTC"),
        (NOW + timedelta(hours=3), "round 1412, closed since Thu 03 Dec 13:00 UTC"),
    ],
)
def test_the_state_in_words(moment, text):
    assert read_round(RAW, moment).describe() == text


def test_hours_are_said_too():
    saturday = RAW | {"closeStakingTime": "2026-12-04T14:00:00Z"}
    assert read_round(saturday, NOW).describe().endswith("open for another 25 h 43 min")


def test_times_without_zone_are_utc():
    naive = RAW | {"openTime": "2026-12-03T12:15:43"}
    assert read_round(naive, NOW).open_time == read_round(RAW, NOW).open_time


@pytest.mark.parametrize(
    ("minutes", "said"),
    [
        (0, None),
        (4, None),
        (-4, None),
        (15, "15 min ahead"),
        (-15, "15 min behind"),
        (1440, "1,440 min ahead"),
    ],
)
def test_a_clock_that_is_off_is_reported(minutes, said):
    sentence = clock_skew(NOW, NOW + timedelta(minutes=minutes))
    assert (sentence is None) if said is None else (said in sentence)


def test_what_is_kept_of_an_open_round_does_not_move_with_the_clock():
    earlier, later = read_round(RAW, NOW), read_round(RAW, NOW + timedelta(minutes=20))
    assert earlier.as_json() == later.as_json()
    assert earlier.as_json()["text"] == "round 1412, open until Thu 03 Dec 13:00 UTC"


@pytest.mark.parametrize(
    ("needed_s", "moment", "said"),
    [
        (600, NOW, False),
        (2310, NOW, True),  # five minutes are kept for the submission itself
        (10_000, NOW, True),
        (50, NOW + timedelta(minutes=40), False),  # nearly done
        (float("nan"), NOW, False),
        (10_000, NOW + timedelta(hours=1), False),  # closed: another sentence says so
    ],
)
def test_training_that_would_end_after_the_deadline_is_said(needed_s, moment, said):
    sentence = too_late_for(read_round(RAW, moment), needed_s)
    assert (sentence is not None) == said
    if said:
        assert "closes in 43 min" in sentence
        assert "kedro run --pipeline=submit" in sentence


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (41, "41 s"),
        (150, "2 min"),
        (11_520, "3.2 h"),
        (float("nan"), "an unknown time"),
    ],
)
def test_spans_are_said_in_the_unit_that_fits(seconds, text):
    assert minutes(seconds) == text
