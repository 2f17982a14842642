"""Answers of the API as plain dictionaries, in the field names that numerapi selects."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from numerai_kedro.tournament.demo.rounds import FIRST_ROUND, SCORE_DAYS, DemoRound
from numerai_kedro.tournament.demo.scores import CORR, MMC

TOURNAMENT = 8
PAID_TARGET = "target_ender_60"
# name, display name, multiplier: as Numerai pays since round 1343.
PAYOUT_SCORES = (("correlation_60", CORR, 3.0), ("mmc_60", MMC, 15.0))
VERSION = "1"
PAYOUT_FACTOR = "1"

Answer = dict[str, Any]


def utc(moment: datetime) -> str:
    """Second-exact time with the Z that clients insist on."""
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def round_answer(demo: DemoRound, now: datetime) -> Answer:
    """All fields of a round."""
    resolved = demo.status(now) == "RESOLVED"
    return {
        "id": round_id(demo.number),
        "tournament": TOURNAMENT,
        "number": demo.number,
        "target": PAID_TARGET,
        "status": demo.status(now),
        "openTime": utc(demo.open_time),
        "closeStakingTime": utc(demo.close_staking_time),
        "closeTime": utc(demo.close_time),
        "scoreTime": utc(demo.score_time(1)),
        "resolveTime": utc(demo.resolve_time),
        "resolvedGeneral": resolved,
        "resolvedStaking": resolved,
        "payoutFactor": PAYOUT_FACTOR,
        "stakeThreshold": None,
        "dataDatestamp": int(demo.open_time.strftime("%Y%m%d")),
        "roundScoreConfigs": [
            _score_config(number, *score, demo) for number, score in enumerate(PAYOUT_SCORES, 1)
        ],
    }


def round_id(number: int) -> str:
    """Id of a round."""
    return f"demo-round-{number}"


def _score_config(
    number: int, name: str, display_name: str, multiplier: float, demo: DemoRound
) -> Answer:
    return {
        "id": f"{round_id(demo.number)}-{display_name}",
        "scoreConfigId": f"demo-score-{number}",
        "roundNumberStart": FIRST_ROUND,
        "roundNumberEnd": None,
        "name": name,
        "version": VERSION,
        "displayName": display_name,
        "totalScoreDays": SCORE_DAYS,
        "returnsLagDays": 2,
        "dataDelayDays": 2,
        "universe": "v5",
        "isCanonScore": False,
        "isPayout": True,
        "scoringStart": utc(demo.score_time(1)),
        "scoringEnd": utc(demo.resolve_time),
        "minMultiplier": multiplier,
        "maxMultiplier": multiplier,
        "defaultMultiplier": multiplier,
        "clipThreshold": 1.0,
        "stakeThreshold": None,
        "payoutFactor": PAYOUT_FACTOR,
    }


def score_answers(
    demo: DemoRound,
    submission_id: str,
    scores: dict[tuple[int, str], tuple[float, float]],
) -> list[Answer]:
    """Rows of submissionScores for one submission, newest day first."""
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
        }
        for (day, name), (value, percentile) in sorted(scores.items(), reverse=True)
    ]


def performance_answer(demo: DemoRound, now: datetime, rows: list[Answer]) -> Answer:
    """One round of v2RoundModelPerformances; nothing is staked here."""
    resolved = demo.status(now) == "RESOLVED"
    days = [
        {key: row[key] for key in ("date", "day", "displayName", "percentile", "value")}
        | {"payoutPending": None if resolved else "0", "payoutSettled": "0" if resolved else None}
        for row in rows
    ]
    configs = round_answer(demo, now)["roundScoreConfigs"]
    return {
        "atRisk": "0",
        "payoutMultipliers": [
            {key: config[key] for key in ("id", "scoreConfigId", "name", "version", "displayName")}
            | {"multiplier": config["defaultMultiplier"]}
            for config in configs
        ],
        "roundNumber": demo.number,
        "roundOpenTime": utc(demo.open_time),
        "roundPayoutFactor": PAYOUT_FACTOR,
        "roundResolveTime": utc(demo.resolve_time),
        "roundResolved": resolved,
        "roundTarget": PAID_TARGET,
        "submissionScores": days,
        "intraRoundSubmissionScores": [] if resolved else days,
    }
