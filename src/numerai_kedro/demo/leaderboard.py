"""Standings: the models of the account among the demo's synthetic participants.

A standing is the score in the newest round that has scores; the real service averages over months.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from numerai_kedro.demo.answers import ACCOUNT, PAYOUT_SCORES
from numerai_kedro.demo.rounds import DemoRound
from numerai_kedro.demo.scores import CORR, FIELD, MMC, score_field

if TYPE_CHECKING:
    from numerai_kedro.demo.tournament import DemoTournament

MULTIPLIERS = {name: multiplier for _, name, multiplier in PAYOUT_SCORES}


@dataclass(frozen=True)
class Standing:
    """One model on the leaderboard.

    Parameters
    ----------
    account
        Its owner; participants of the field have one model each, with their own name.
    is_first
        Whether it is the first model of its account.
    rank
        1 is the best by what pays; None without a score.
    corr, mmc
        60-day scores; None if there is none yet.
    """

    model_id: str
    name: str
    account: str
    is_first: bool
    rank: int | None
    corr: float | None
    mmc: float | None


def standings(tournament: DemoTournament, now: datetime) -> list[Standing]:
    """All models, best first, and those without a score at the end."""
    scored = _newest_scored(tournament, now)
    models = tournament.store.models()
    named = [(model.id, model.name, ACCOUNT, model is models[0]) for model in models]
    scores = [_of_ours(tournament, model.id, scored, now) for model in models]
    for number, score in enumerate(_of_field(tournament, scored, now), 1):
        name = f"participant_{number:03d}"
        named.append((_id_of(tournament.seed, name), name, name, True))
        scores.append(score)
    order = sorted(range(len(named)), key=lambda at: _worth(scores[at]), reverse=True)
    return [
        Standing(
            *named[at],
            place if (score := scores[at]) is not None else None,
            *(score if score is not None else (None, None)),
        )
        for place, at in enumerate(order, 1)
    ]


def _newest_scored(tournament: DemoTournament, now: datetime) -> DemoRound | None:
    return next((demo for demo in tournament.rounds(now) if demo.days_scored(now)), None)


def _of_field(
    tournament: DemoTournament, scored: DemoRound | None, now: datetime
) -> list[tuple[float, float] | None]:
    if scored is None:
        return [None] * FIELD
    archive = tournament.archive
    world, era = archive.world(scored), archive.live_era(scored)
    corr, mmc = score_field(world, era, scored.number, scored.days_scored(now))
    return list(zip(corr.tolist(), mmc.tolist(), strict=True))


def _of_ours(
    tournament: DemoTournament, model_id: str, scored: DemoRound | None, now: datetime
) -> tuple[float, float] | None:
    for submission in tournament.scored_submissions(model_id):
        if scored is not None and submission.round_number == scored.number:
            scores, day = tournament.scores(submission, now), scored.days_scored(now)
            return scores[day, CORR][0], scores[day, MMC][0]
    return None


def _worth(scores: tuple[float, float] | None) -> tuple[bool, float]:
    if scores is None:
        return False, 0.0
    return True, MULTIPLIERS[CORR] * scores[0] + MULTIPLIERS[MMC] * scores[1]


def _id_of(seed: int, name: str) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_DNS, f"{seed}.{name}.demo"))
