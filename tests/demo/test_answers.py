"""Rows and rounds agree at every moment on what is scored, final and paid."""

from datetime import timedelta

import pytest

from numerai_kedro.demo.answers import (
    performance_answer,
    round_answer,
    score_answers,
)
from numerai_kedro.demo.rounds import FIRST_ROUND, SCORE_DAYS, demo_round

ROUND = demo_round(FIRST_ROUND, 0)
SECOND = timedelta(seconds=1)


def rows(*days):
    return score_answers(
        ROUND, "s", {(day, name): (day / 100, 0.5) for day in days for name in ("corr60", "mmc60")}
    )


def test_scores_come_newest_day_first_by_number_not_by_text():
    assert [row["day"] for row in rows(2, 10, 9)] == [10, 10, 9, 9, 2, 2]


def test_only_the_last_day_is_final_and_each_day_has_its_own_date():
    newest, *_, before = rows(SCORE_DAYS - 1, SCORE_DAYS)
    assert (newest["resolved"], before["resolved"]) == (True, False)
    assert newest["date"] == newest["resolveDate"] > before["date"]


@pytest.mark.parametrize(
    ("moment", "resolved"), [(ROUND.resolve_time - SECOND, False), (ROUND.resolve_time, True)]
)
def test_a_round_is_resolved_and_settled_from_its_resolve_time_on(moment, resolved):
    answer = round_answer(ROUND, moment)
    assert answer["resolvedGeneral"] == answer["resolvedStaking"] == resolved
    newest = SCORE_DAYS if resolved else SCORE_DAYS - 1
    performance = performance_answer(ROUND, moment, "s", rows(1, newest))
    assert performance["roundResolved"] == resolved
    day = performance["submissionScores"][0]
    assert (day["payoutSettled"], day["payoutPending"]) == (
        ("0", None) if resolved else (None, "0")
    )
    assert {score["day"] for score in performance["submissionScores"]} == {newest}
    assert {score["day"] for score in performance["intraRoundSubmissionScores"]} == {1, newest}


def test_times_are_whole_seconds_with_the_z_that_clients_insist_on():
    answer = round_answer(ROUND, ROUND.open_time)
    times = [answer[name] for name in ("openTime", "closeStakingTime", "scoreTime", "resolveTime")]
    assert times == sorted(times)
    assert all(len(text) == len("2026-12-03T12:29:00Z") and text[-1] == "Z" for text in times)


def test_multipliers_of_a_performance_are_those_of_its_round():
    configs = round_answer(ROUND, ROUND.open_time)["roundScoreConfigs"]
    paid = performance_answer(ROUND, ROUND.open_time, "s", [])["payoutMultipliers"]
    assert {config["displayName"]: config["multiplier"] for config in paid} == {
        config["displayName"]: config["defaultMultiplier"]
        for config in configs
        if config["isPayout"]
    }
    assert len({config["id"] for config in configs}) == len(configs)
