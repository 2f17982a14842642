"""Answers of the API as plain dictionaries, in the published names of fields."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from numerai_kedro.demo.rounds import FIRST_ROUND, SCORE_DAYS, DemoRound
from numerai_kedro.demo.scores import CORR, MMC

TOURNAMENT, ACCOUNT = 8, "demo"
# As numerapi's own tests show of the real service: a round never names the target's column.
TARGET = "main"
# name, display name, multiplier: as Numerai pays since round 1343.
PAYOUT_SCORES = (("correlation_60", CORR, 3.0), ("mmc_60", MMC, 15.0))
# The version of a score that pays, and the one before it, which is listed and pays nothing.
VERSION, OLD_VERSION = "2", "1"
PAYOUT_FACTOR = "1"
NOTHING_STAKED = "0"
ON_TIME, LATE = "on-time", "late"

Answer = dict[str, Any]


def utc(moment: datetime) -> str:
    """Time to the second, with the Z that clients insist on."""
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def round_answer(demo: DemoRound, now: datetime) -> Answer:
    """All fields of a round."""
    resolved = demo.status(now) == "RESOLVED"
    return {
        "id": round_id(demo.number),
        "tournament": TOURNAMENT,
        "number": demo.number,
        "target": TARGET,
        "openTime": utc(demo.open_time),
        "closeStakingTime": utc(demo.close_staking_time),
        "closeTime": utc(demo.close_time),
        "scoreTime": utc(demo.score_time(1)),
        "resolveTime": utc(demo.resolve_time),
        "resolvedGeneral": resolved,
        "resolvedStaking": resolved,
        "payoutFactor": PAYOUT_FACTOR,
        "stakeThreshold": None,
        "isDaily": demo.open_time.weekday() != 5,  # Saturday's round is the weekly one
        "dataDatestamp": int(demo.open_time.strftime("%Y%m%d")),
        "roundScoreConfigs": [
            _score_config(number, version, *score, demo)
            for number, score in enumerate(PAYOUT_SCORES, 1)
            for version in (OLD_VERSION, VERSION)
        ],
    }


def round_id(number: int) -> str:
    """Id of a round."""
    return f"demo-round-{number}"


def _score_config(
    number: int, version: str, name: str, display_name: str, multiplier: float, demo: DemoRound
) -> Answer:
    pays = version == VERSION
    return {
        "id": f"{round_id(demo.number)}-{display_name}-{version}",
        "scoreConfigId": f"demo-score-{number}-{version}",
        "roundNumberStart": FIRST_ROUND,
        "roundNumberEnd": None,
        "name": name,
        "version": version,
        "displayName": display_name,
        "totalScoreDays": SCORE_DAYS,
        "returnsLagDays": 2,
        "dataDelayDays": 2,
        "universe": "v5",
        "isCanonScore": False,
        "isPayout": pays,
        "scoringStart": utc(demo.score_time(1)),
        "scoringEnd": utc(demo.resolve_time),
        "minMultiplier": multiplier if pays else None,
        "maxMultiplier": multiplier if pays else None,
        "defaultMultiplier": multiplier if pays else None,
        "clipThreshold": 1.0,
        "stakeThreshold": None,
        "payoutFactor": PAYOUT_FACTOR,
    }


def score_answers(
    demo: DemoRound,
    submission_id: str,
    scores: dict[tuple[int, str], tuple[float, float]],
) -> list[Answer]:
    """Scores of one submission, newest day first."""
    n_days = max((day for day, _ in scores), default=0)
    settled = n_days == SCORE_DAYS
    return [
        {
            "roundId": round_id(demo.number),
            "submissionId": submission_id,
            "roundNumber": demo.number,
            "roundResolveTime": utc(demo.resolve_time),
            "roundScoreTime": utc(demo.score_time(1)),
            "roundCloseStakingTime": utc(demo.close_staking_time),
            "value": value,
            "percentile": percentile,
            "displayName": name,
            "version": VERSION,
            "date": utc(demo.score_time(day)),
            "day": day,
            "resolveDate": utc(demo.resolve_time),
            "resolved": day == SCORE_DAYS,
            "payoutPending": None if settled else NOTHING_STAKED,
            "payoutSettled": NOTHING_STAKED if settled else None,
        }
        for (day, name), (value, percentile) in sorted(scores.items(), reverse=True)
    ]


def performance_answer(
    demo: DemoRound, now: datetime, submission_id: str, rows: list[Answer]
) -> Answer:
    """One round of v2RoundModelPerformances; nothing is staked here.

    Parameters
    ----------
    rows
        From `score_answers`.
    """
    newest = max((row["day"] for row in rows), default=0)
    of_round = round_answer(demo, now)
    paying = [config for config in of_round["roundScoreConfigs"] if config["isPayout"]]
    return {
        "atRisk": NOTHING_STAKED,
        "payoutMultipliers": [
            {key: config[key] for key in ("id", "scoreConfigId", "name", "version", "displayName")}
            | {"multiplier": config["defaultMultiplier"]}
            for config in paying
        ],
        "roundCloseStakingTime": of_round["closeStakingTime"],
        "roundDataDatestamp": of_round["dataDatestamp"],
        "roundId": of_round["id"],
        "roundNumber": demo.number,
        "roundOpenTime": of_round["openTime"],
        "roundPayoutFactor": PAYOUT_FACTOR,
        "roundResolveTime": of_round["resolveTime"],
        "roundResolved": of_round["resolvedGeneral"],
        "roundScoreTime": of_round["scoreTime"],
        "roundTarget": TARGET,
        "submissionId": submission_id,
        "submissionScores": [row for row in rows if row["day"] == newest],
        "intraRoundSubmissionScores": rows,
        "allSubmissionScores": rows,
    }


def latest_submission_answer(submission: Answer) -> Answer:
    """What ``latestSubmissions`` shows of a submission, given as the API lists it."""
    of_round = submission["round"]
    return {
        "id": submission["id"],
        "roundNumber": of_round["number"],
        "roundOpen": of_round["openTime"][:10],
        "roundCloseStaking": of_round["closeStakingTime"][:10],
        "roundClose": of_round["closeTime"][:10],
        "filename": submission["filename"],
        "status": (LATE if submission["insertedAt"] >= of_round["closeStakingTime"] else ON_TIME),
        "timestamp": submission["insertedAt"],
    }
