"""Every public method of numerapi for the classic tournament, and what the demo does for it.

`python -m tools.api_table` writes docs/demo-api.md from this.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numerapi
import pandas as pd

NO_TIME, HALF_A_DAY = timedelta(0), timedelta(hours=12)
NO_STAKE = "refused: the schema has nothing that moves a stake, or that staking v3 reads"
LOCAL = "works: asks nothing"


@dataclass(frozen=True)
class Scene:
    """The state that a call sees: a model with a submission that has scores of three days.

    Parameters
    ----------
    frame
        Valid predictions of the round that is open.
    """

    api: numerapi.NumerAPI
    model_id: str
    submission_id: str
    frame: pd.DataFrame
    folder: Path


@dataclass(frozen=True)
class Method:
    """One method.

    Parameters
    ----------
    answer
        What a participant gets.
    call
        Calls it; True where it did what `answer` says.
    changes
        Whether another method's answer is another afterwards.
    """

    name: str
    answer: str
    call: Callable[[Scene], bool]
    changes: bool = False


def _refused(call: Callable[[Scene], Any]) -> Callable[[Scene], bool]:
    def refuses(scene: Scene) -> bool:
        try:
            call(scene)
        except ValueError as refusal:
            return "Cannot query field" in str(refusal) or "Unknown type" in str(refusal)
        return False

    return refuses


def _opened_here(scene: Scene) -> timedelta:
    """When the round opened, from now on this machine's clock."""
    return scene.api.list_rounds(status="open")[0]["openTime"] - datetime.now(UTC)


def _closes_here(scene: Scene) -> timedelta:
    return scene.api.list_rounds(status="open")[0]["closeStakingTime"] - datetime.now(UTC)


def _diagnosed(scene: Scene) -> bool:
    example = scene.folder / "example.csv"
    scene.api.download_dataset("v5.3/validation_example_preds.csv", str(example))
    diagnostics_id = scene.api.upload_diagnostics(str(example), model_id=scene.model_id)
    (first,) = scene.api.diagnostics(scene.model_id, diagnostics_id)
    (second,) = scene.api.diagnostics(scene.model_id, diagnostics_id)
    per_era = [era["validationCorr"] for era in second["perEraDiagnostics"]]
    mean = sum(per_era) / len(per_era)
    return (first["status"], second["status"]) == ("pending", "done") and (
        abs(second["validationCorrMean"] - mean) < 1e-12
        and second["erasAcceptedCount"] == len(per_era)
        and second["validationMmcMean"] is not None
    )


def _uploaded(scene: Scene) -> bool:
    path = scene.folder / "model.pkl"
    path.write_bytes(b"never unpickled")
    second = scene.api.get_models()["demo_second"]
    version = scene.api.model_upload_data_versions()["v5.3"]
    upload_id = scene.api.model_upload(str(path), model_id=second, data_version=version)
    try:
        scene.api.upload_predictions("p.csv", model_id=second, df=scene.frame)
    except ValueError as refusal:
        return bool(upload_id) and "pickle" in str(refusal)
    return False


def _profile_after(change: Callable[[Scene], bool], field: str, value: str) -> Callable[..., bool]:
    def kept(scene: Scene) -> bool:
        query = """query($n: String!) { v3UserProfile(modelName: $n) { bio linkText linkUrl }}"""
        changed = change(scene)
        profile = scene.api.raw_query(query, {"n": "demo"})["data"]["v3UserProfile"]
        return changed and profile[field] == value

    return kept


METHODS = (
    Method(
        "check_new_round",
        "works: compares with this machine's clock; `serve --wall-clock` moves the demo onto it",
        lambda s: s.api.check_new_round() == (_opened_here(s) > -HALF_A_DAY),
    ),
    Method(
        "check_round_open",
        "works: compares with this machine's clock; `serve --wall-clock` moves the demo onto it",
        lambda s: s.api.check_round_open() == (_opened_here(s) <= NO_TIME <= _closes_here(s)),
    ),
    Method(
        "daily_model_performances",
        "works: mean scores of each day; ranks and scores that the demo does not have are null",
        lambda s: (
            len(s.api.daily_model_performances("demo")) == 3
            and s.api.daily_model_performances("demo")[0]["mmcRep"] is not None
            and s.api.daily_model_performances("participant_001") == []
        ),
    ),
    Method("diagnostics", "works: pending at first, then CORR, MMC and BMC by era", _diagnosed),
    Method(
        "download_dataset",
        "works: whole files, and eras by filters",
        lambda s: Path(
            s.api.download_dataset("v5.3/features.json", str(s.folder / "f.json"))
        ).exists(),
    ),
    Method(
        "download_submission",
        "works",
        lambda s: Path(
            s.api.download_submission(s.submission_id, dest_path=str(s.folder / "back.csv"))
        ).exists(),
    ),
    Method(
        "get_account",
        "works: one account, no NMR",
        lambda s: s.api.get_account()["username"] == "demo",
    ),
    Method(
        "get_account_leaderboard",
        "works: 100 synthetic participants and the account, by the newest scored round",
        lambda s: (
            "demo" in [row["username"] for row in s.api.get_account_leaderboard(500)]
            and len(s.api.get_account_leaderboard(limit=7, offset=90)) == 7
            and [row["rank"] for row in s.api.get_account_leaderboard(limit=3)] == [1, 2, 3]
        ),
    ),
    Method(
        "get_competitions",
        "works: the rounds of the demo so far, and the next",
        lambda s: [row["number"] for row in s.api.get_competitions()][-1] == 1412,
    ),
    Method(
        "get_current_round",
        "works; between rounds refused as by the real service",
        lambda s: s.api.get_current_round() == s.api.list_rounds(status="open")[0]["number"],
    ),
    Method(
        "get_leaderboard",
        "works: models of 100 synthetic participants and ours, by the newest scored round",
        lambda s: (
            len(s.api.get_leaderboard(200)) == 103
            and "demo" in [row["username"] for row in s.api.get_leaderboard(200)]
        ),
    ),
    Method(
        "get_models",
        "works: three models, one of which holds a pickle",
        lambda s: list(s.api.get_models()) == ["demo", "demo_second", "demo_pickle"],
    ),
    Method(
        "get_submission_filenames",
        "works",
        lambda s: (
            [row["round_num"] for row in s.api.get_submission_filenames(model_id=s.model_id)]
            == [1412]
        ),
    ),
    Method(
        "intra_round_scores",
        "works: the scores of every day",
        lambda s: len(s.api.intra_round_scores(s.model_id)[0]["intraRoundSubmissionScores"]) == 6,
    ),
    Method("list_datasets", "works", lambda s: len(s.api.list_datasets()) >= 12),
    Method(
        "list_rounds",
        "works: filtered by number, target, status and limit",
        lambda s: s.api.list_rounds(number=1412, target="main")[0]["number"] == 1412,
    ),
    Method(
        "model_upload",
        "works: the pickle is kept and never run; its model then takes no predictions",
        _uploaded,
        changes=True,
    ),
    Method(
        "model_upload_data_versions",
        "works: the versions that are listed",
        lambda s: s.api.model_upload_data_versions() == {"v5.3": "v5.3"},
    ),
    Method(
        "model_upload_docker_images",
        "works: one image",
        lambda s: list(s.api.model_upload_docker_images()) == ["Python 3.11"],
    ),
    Method(
        "modelid_to_modelname",
        "works",
        lambda s: s.api.modelid_to_modelname(s.model_id) == "demo",
    ),
    Method(
        "models_of_account",
        "works: for the account, and for each synthetic participant",
        lambda s: (
            s.api.models_of_account("demo")["demo"] == s.model_id
            and list(s.api.models_of_account("participant_007")) == ["participant_007"]
        ),
    ),
    Method(
        "pending_model_payouts",
        "works: nothing is staked, so every round pays 0",
        lambda s: (
            [row["roundNumber"] for row in s.api.pending_model_payouts()["pending"]] == [1412]
        ),
    ),
    Method(
        "pipeline_status",
        "works: scores come on business days",
        lambda s: (
            [s.api.pipeline_status(day)["isScoringDay"] for day in ("2026-12-05", "2026-12-07")]
            == [False, True]
        ),
    ),
    Method(
        "public_user_profile",
        "works: also for synthetic participants",
        lambda s: s.api.public_user_profile("demo")["id"] == s.model_id,
    ),
    Method(
        "raw_query",
        "works: the schema is typed, introspection is on",
        lambda s: s.api.raw_query("{ __typename }")["data"]["__typename"] == "RootQueryType",
    ),
    Method(
        "round_model_performances",
        "works: the latest scores of each round",
        lambda s: s.api.round_model_performances(s.model_id)[0]["roundNumber"] == 1412,
    ),
    Method(
        "round_model_performances_v2",
        "works: the latest scores of each round",
        lambda s: len(s.api.round_model_performances_v2(s.model_id)[0]["submissionScores"]) == 2,
    ),
    Method(
        "set_bio",
        "works: shown by the profile",
        _profile_after(lambda s: s.api.set_bio(s.model_id, "ours"), "bio", "ours"),
    ),
    Method("set_global_data_dir", LOCAL, lambda s: s.api.set_global_data_dir(".") is None),
    Method(
        "set_link",
        "works: shown by the profile",
        _profile_after(
            lambda s: s.api.set_link(s.model_id, "here", "http://localhost"), "linkText", "here"
        ),
    ),
    Method(
        "set_submission_webhook",
        "works: kept, never called",
        lambda s: s.api.set_submission_webhook(s.model_id, "http://localhost") is True,
    ),
    Method("stake_change", NO_STAKE, _refused(lambda s: s.api.stake_change(1, "increase", "m"))),
    Method("stake_decrease", NO_STAKE, _refused(lambda s: s.api.stake_decrease(1, s.model_id))),
    Method("stake_drain", NO_STAKE, _refused(lambda s: s.api.stake_drain(s.model_id))),
    Method("stake_get", "works: nothing is staked", lambda s: s.api.stake_get("demo") is None),
    Method("stake_increase", NO_STAKE, _refused(lambda s: s.api.stake_increase(1, s.model_id))),
    Method("stake_set", NO_STAKE, _refused(lambda s: s.api.stake_set(1, s.model_id))),
    Method(
        "submission_ids",
        "works",
        lambda s: [row["id"] for row in s.api.submission_ids(s.model_id)] == [s.submission_id],
    ),
    Method(
        "submission_scores",
        "works: CORR and MMC of 60 days, one score a business day",
        lambda s: len(s.api.submission_scores(s.model_id)) == 6,
    ),
    Method("upload_diagnostics", "works: see diagnostics", _diagnosed),
    Method(
        "upload_predictions",
        "works: created at once, pending at first, then validated or failed",
        lambda s: bool(s.api.upload_predictions("p.csv", model_id=s.model_id, df=s.frame)),
        changes=True,
    ),
    Method(
        "v3_stake_auth", NO_STAKE, _refused(lambda s: s.api.v3_stake_auth(s.submission_id, "0x", 1))
    ),
    Method(
        "v3_stake_claim", NO_STAKE, _refused(lambda s: s.api.v3_stake_claim(1, s.model_id, "0x"))
    ),
    Method("v3_stake_config", NO_STAKE, _refused(lambda s: s.api.v3_stake_config())),
    Method("v3_stake_round", NO_STAKE, _refused(lambda s: s.api.v3_stake_round(1))),
    Method("wallet_transactions", "works: none", lambda s: s.api.wallet_transactions() == []),
)
