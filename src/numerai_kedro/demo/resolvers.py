"""Root fields of the schema: what each query and mutation answers."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any
from urllib.parse import quote

from numerai_kedro.demo.answers import (
    ACCOUNT,
    NOTHING_STAKED,
    PAYOUT_SCORES,
    TARGET,
    TOURNAMENT,
    Answer,
    latest_submission_answer,
    performance_answer,
    round_answer,
    round_id,
    score_answers,
    utc,
)
from numerai_kedro.demo.archive import FILES, OLD_VERSIONS
from numerai_kedro.demo.diagnostics import diagnose
from numerai_kedro.demo.execution import Resolver
from numerai_kedro.demo.faults import Fault, Faults
from numerai_kedro.demo.leaderboard import standings
from numerai_kedro.demo.rounds import SCORING_TIME, DemoRound, demo_round
from numerai_kedro.demo.scores import CORR, MMC
from numerai_kedro.demo.store import Diagnosis, Model, Submission, selected
from numerai_kedro.demo.tournament import DemoTournament, Refusal

SESSION_INVALID = "Your session is invalid or has expired."
UNKNOWN_USER = "User not found"
UNKNOWN_ROUND = "Round not found"
SCOPES = ["upload_submission", "download_submission", "read_submission_info", "read_user_info"]
ACCOUNT_ID = "demo-account"
IMAGE = {"id": "demo-image", "name": "Python 3.11", "image": "demo", "tag": "3.11"}


@dataclass(frozen=True)
class Request:
    """One call: who asks, and the address at which the server was reached."""

    tournament: DemoTournament
    faults: Faults
    authorised: bool
    base_url: str
    now: datetime


def root_of(request: Request) -> dict[str, Resolver]:
    """Resolvers by name of the root field; those of `PRIVATE` refuse without the account's key."""
    root: dict[str, Resolver] = {}
    for name, resolver in PUBLIC.items():
        root[name] = functools.partial(resolver, request)
    for name, resolver in PRIVATE.items():
        root[name] = functools.partial(_private, resolver, request)
    return root


def _private(resolver: Resolver, request: Request, info: Any, **arguments: Any) -> Any:
    if not request.authorised:
        raise Refusal(SESSION_INVALID)
    return resolver(request, info, **arguments)


def _rounds(
    request: Request,
    info: Any,
    tournament: int | None = TOURNAMENT,
    number: int | None = None,
    target: str | None = None,
    status: str | None = None,
    limit: int | None = None,
) -> list[Answer]:
    if tournament not in {None, TOURNAMENT} or target not in {None, TARGET}:
        return []
    if number == 0:
        return [round_answer(request.tournament.current_round(request.now), request.now)]
    rounds = [
        demo
        for demo in request.tournament.rounds(request.now)
        if number in {None, demo.number} and status in {None, demo.status(request.now)}
    ]
    return [round_answer(demo, request.now) for demo in rounds[:limit]]


def _tournaments(request: Request, info: Any) -> list[Answer]:
    rounds = [round_answer(demo, request.now) for demo in request.tournament.rounds(request.now)]
    shared = {"id": "demo-tournament", "name": "Numerai", "tournament": TOURNAMENT}
    return [shared | {"active": True, "rounds": rounds}]


def _round_details(
    request: Request, info: Any, round_number: int, tournament: int
) -> Answer | None:
    matching = [
        candidate
        for candidate in request.tournament.rounds(request.now)
        if candidate.number == round_number
    ]
    if tournament != TOURNAMENT or not matching:
        raise Refusal(UNKNOWN_ROUND)
    (demo,) = matching
    of_round = round_answer(demo, request.now)
    same = ("closeStakingTime", "closeTime", "openTime", "payoutFactor", "scoreTime", "isDaily")
    ours = [
        (model, submission)
        for model in request.tournament.store.models()
        for submission in request.tournament.scored_submissions(model.id)
        if submission.round_number == round_number
    ]
    scored = demo.days_scored(request.now)
    return {key: of_round[key] for key in same} | {
        "roundId": of_round["id"],
        "roundNumber": demo.number,
        "roundResolveTime": of_round["resolveTime"],
        "roundResolved": of_round["resolvedGeneral"],
        "roundTarget": TARGET,
        "scoresUpdatedTime": utc(demo.score_time(scored)) if scored else None,
        "status": demo.status(request.now),
        "totalAtStake": 0.0,
        "totalBurned": 0.0,
        "totalEarned": 0.0,
        "totalPayout": 0.0,
        "totalStakes": 0,
        "totalSubmitted": len(ours),
        "tournament": TOURNAMENT,
        "payoutMultipliers": [
            {"displayName": name, "multiplier": multiplier} for _, name, multiplier in PAYOUT_SCORES
        ],
        "models": [_of_details(request, demo, model, submission) for model, submission in ours],
    }


def _of_details(request: Request, demo: DemoRound, model: Model, submission: Submission) -> Answer:
    scores = request.tournament.scores(submission, request.now)
    newest = max((day for day, _ in scores), default=0)
    corr, percentile = scores.get((newest, CORR), (None, None))
    mmc, _ = scores.get((newest, MMC), (None, None))
    return {
        "id": model.id,
        "modelName": model.name,
        "roundId": round_id(demo.number),
        "corr60": corr,
        "corr60Percentile": percentile,
        "mmc60": mmc,
        "selectedStakeValue": NOTHING_STAKED,
        "team": False,
    }


def _list_datasets(request: Request, info: Any, **filters: Any) -> list[str]:
    listed = OLD_VERSIONS | dict.fromkeys(request.tournament.versions, FILES)
    return [f"{version}/{name}" for version, files in listed.items() for name in files]


def _dataset(
    request: Request,
    info: Any,
    filename: str,
    round_: int | None = None,
    tournament: int | None = TOURNAMENT,
) -> str:
    if round_ is not None and request.faults.take("round", filename):
        raise Refusal('Unknown argument "round" on field "dataset"')
    demo, _ = request.tournament.file(filename, round_)
    if request.faults.take("dataset", filename):
        demo, _ = request.tournament.file(filename, demo.number - 1)
    path = f"{demo.number}/{filename}"
    token = request.tournament.signer.sign("GET", path)
    return f"{request.base_url}/files/{token}/{path}"


def _account(request: Request, info: Any) -> Answer:
    tournament = request.tournament
    token = _token_info(request, info)
    return {
        "id": ACCOUNT_ID,
        "username": ACCOUNT,
        "displayName": ACCOUNT,
        "email": "demo@example.com",
        "acceptedTos": True,
        "availableNmr": NOTHING_STAKED,
        "availableStakeCredit": NOTHING_STAKED,
        "onChainWalletBalance": NOTHING_STAKED,
        "maxModelSlots": len(tournament.store.models()),
        "mfaEnabled": False,
        "status": "VERIFIED",
        "insertedAt": _beginning(request),
        "updatedAt": _beginning(request),
        "models": [_model_answer(request, model) for model in tournament.store.models()],
        "apiTokens": [{key: token[key] for key in ("name", "publicId", "scopes")}],
        "walletTxns": [],
    }


def _token_info(request: Request, info: Any) -> Answer:
    public_id, _ = request.tournament.keys
    shared = {"name": ACCOUNT, "publicId": public_id, "scopes": SCOPES}
    return shared | {"accountUsername": ACCOUNT}


def _beginning(request: Request) -> str:
    """When the account and its models were made: with the demo's first round."""
    return utc(request.tournament.rounds(request.now)[-1].open_time)


def _model(request: Request, info: Any, model_id: str | None = None) -> Answer:
    return _model_answer(request, request.tournament.model(model_id))


def _model_answer(request: Request, model: Model) -> Answer:
    submissions = request.tournament.store.submissions(model.id)
    answers = _submission_answers(request, submissions)
    counting = [entry for entry in answers if entry["selected"]]
    pickles = _pickles_of(request, model)
    return {
        "id": model.id,
        "name": model.name,
        "username": model.name,
        "accountId": ACCOUNT_ID,
        "archived": False,
        "hidden": False,
        "insertedAt": _beginning(request),
        "tournament": TOURNAMENT,
        "submissions": answers,
        "latestSubmissions": [latest_submission_answer(entry) for entry in counting],
        "latestSubmissionV2": counting[0] if counting else None,
        "computeEnabled": model.has_pickle,
        "computePickleUpload": pickles[0] if pickles else None,
        "submissionWebhook": request.tournament.store.settings(model.id).get("webhook"),
        "v2Stake": None,
    }


def _submissions(
    request: Request, info: Any, model_id: str | None = None, id_: str | None = None
) -> list[Answer]:
    model = request.tournament.model(model_id)
    submissions = request.tournament.store.submissions(model.id)
    entries = _submission_answers(request, submissions)
    request.tournament.validated(
        {submission.id for submission in submissions}
    )  # at the next request
    fault = request.faults.take("listing", "submissions") if entries else None
    if fault is not None:
        entries[:1] = _faulty_newest(entries[0], fault)
    return [entry for entry in entries if id_ in (None, entry["id"])]


def _faulty_newest(newest: Answer, fault: Fault) -> list[Answer]:
    if fault.kind == "absent":
        return []
    status = "pending" if fault.kind == "pending" else fault.body
    return [newest | {"status": status, "errorInfo": None, "selected": bool(fault.value)}]


def _submission_answers(request: Request, submissions: list[Submission]) -> list[Answer]:
    pending = request.tournament.pending
    decided = [submission for submission in submissions if submission.id not in pending]
    chosen = set(selected(decided).values())
    return [
        {
            "id": submission.id,
            "filename": submission.filename,
            "insertedAt": utc(submission.inserted_at),
            "triggerId": submission.trigger_id,
            "selected": submission.id in chosen,
            "status": _status_of(submission, pending),
            "errorInfo": None if submission.id in pending else submission.error_info,
            "dataDatestamp": submission.data_datestamp,
            "round": round_answer(
                demo_round(submission.round_number, request.tournament.seed), request.now
            ),
        }
        for submission in submissions
    ]


def _status_of(submission: Submission, pending: frozenset[str]) -> str:
    if submission.id in pending:
        return "pending"
    return "validated" if submission.error_info is None else "failed"


def _upload_auth(
    request: Request,
    info: Any,
    filename: str = "model.pkl",
    tournament: int = TOURNAMENT,
    model_id: str | None = None,
    *,
    of_pickles: bool = True,
) -> Answer:
    unique = request.tournament.open_upload(filename, model_id, of_pickles=of_pickles)
    token = request.tournament.signer.sign("PUT", unique)
    return {"filename": unique, "url": f"{request.base_url}/uploads/{token}/{quote(unique)}"}


def _download_auth(request: Request, info: Any, id_: str) -> Answer:
    for submission in request.tournament.store.submissions():
        if submission.id == id_:
            token = request.tournament.signer.sign("GET", submission.id)
            url = f"{request.base_url}/submissions/{token}/{submission.id}"
            return {"filename": submission.filename, "url": url}
    raise Refusal("Submission not found")


def _create_submission(
    request: Request,
    info: Any,
    filename: str,
    tournament: int,
    model_id: str | None = None,
    trigger_id: str | None = None,
    source_: str | None = None,
    data_datestamp: int | None = None,
    version: int | None = None,
) -> Answer:
    fault = request.faults.take("create", "create_submission")
    submission_id = request.tournament.create_submission(
        filename,
        model_id,
        {"trigger_id": trigger_id, "source": source_, "data_datestamp": data_datestamp},
        error_info=None if fault is None else fault.body,
    )
    submissions = request.tournament.store.submissions()
    return next(
        entry for entry in _submission_answers(request, submissions) if entry["id"] == submission_id
    )


def _create_diagnostics(
    request: Request, info: Any, filename: str, tournament: int, model_id: str | None = None
) -> Answer:
    return {"id": request.tournament.create_diagnostics(filename, model_id), "status": "pending"}


def _diagnostics(
    request: Request, info: Any, model_id: str | None = None, id_: str | None = None
) -> list[Answer]:
    """Scores of a model's uploads, or of one; pending at the first request."""
    tournament = request.tournament
    diagnoses = tournament.store.diagnoses(tournament.model(model_id).id)
    matching = [diagnosis for diagnosis in diagnoses if id_ in {None, diagnosis.id}]
    answers = [_diagnosis_answer(request, diagnosis) for diagnosis in matching]
    tournament.validated({diagnosis.id for diagnosis in matching})
    return answers


def _diagnosis_answer(request: Request, diagnosis: Diagnosis) -> Answer:
    tournament = request.tournament
    shared = {
        "id": diagnosis.id,
        "filename": diagnosis.filename,
        "insertedAt": utc(diagnosis.inserted_at),
        "updatedAt": utc(diagnosis.inserted_at),
        "tournament": TOURNAMENT,
    }
    if diagnosis.id in tournament.pending:
        return shared | {"status": "pending"}
    demo = tournament.latest(request.now)
    world, newest = tournament.archive.world(demo), tournament.archive.live_era(demo) - 1
    return shared | diagnose(diagnosis.content, world, newest)


def _create_pickle(
    request: Request,
    info: Any,
    filename: str,
    tournament: int,
    model_id: str | None = None,
    data_version_id: str | None = None,
    docker_image_id: str | None = None,
    source_: str | None = None,
) -> Answer:
    model = request.tournament.model(model_id)
    request.tournament.create_pickle(filename, model, data_version_id)
    return _pickles_of(request, model)[0]


def _pickles(
    request: Request,
    info: Any,
    id_: str | None = None,
    model_id: str | None = None,
    unassigned: bool = False,
) -> list[Answer]:
    models = request.tournament.store.models()
    matching = [model for model in models if model_id in {None, model.id} and not unassigned]
    pickles = [pickle for model in matching for pickle in _pickles_of(request, model)]
    return [pickle for pickle in pickles if id_ in {None, pickle["id"]}]


def _pickles_of(request: Request, model: Model) -> list[Answer]:
    """Uploads of a model, newest first; the demo keeps them and runs none."""
    newest_version = request.tournament.versions[-1]
    return [
        {
            "id": pickle.id,
            "modelId": model.id,
            "assignedModelSlots": [model.id],
            "filename": pickle.filename,
            "insertedAt": utc(pickle.inserted_at),
            "dataVersion": pickle.data_version or newest_version,
            "dataVersionId": pickle.data_version or newest_version,
            "dockerImageId": IMAGE["id"],
            "dockerImageName": IMAGE["name"],
            "validationStatus": "pending",
        }
        for pickle in request.tournament.store.pickles(model.id)
    ]


def _data_versions(request: Request, info: Any, deprecated: bool = False) -> list[Answer]:
    versions = request.tournament.versions
    return [
        {
            "id": version,
            "name": version,
            "version": version,
            "default": version == versions[-1],
            "deprecated": False,
            "experimental": False,
        }
        for version in versions
        if not deprecated
    ]


def _docker_images(request: Request, info: Any, deprecated: bool | None = False) -> list[Answer]:
    image = IMAGE | {"default": True, "deprecated": False, "experimental": False}
    return [] if deprecated else [image | {"insertedAt": _beginning(request)}]


def _set_webhook(
    request: Request,
    info: Any,
    model_id: str | None = None,
    new_submission_webhook: str | None = None,
) -> str:
    _keep(request, model_id, "webhook", new_submission_webhook)
    return "true"


def _set_bio(request: Request, info: Any, value: str, model_id: str | None = None) -> bool:
    return _keep(request, model_id, "bio", value)


def _set_link(
    request: Request,
    info: Any,
    link_url: str,
    link_text: str | None = None,
    model_id: str | None = None,
) -> bool:
    _keep(request, model_id, "link_text", link_text)
    return _keep(request, model_id, "link_url", link_url)


def _keep(request: Request, model_id: str | None, name: str, value: str | None) -> bool:
    request.tournament.store.keep_setting(request.tournament.model(model_id).id, name, value)
    return True


def _score_rows(request: Request, model_id: str) -> list[tuple[Submission, list[Answer]]]:
    """Counting submissions of a model with their scores, newest round first."""
    tournament = request.tournament
    return [
        (
            submission,
            score_answers(
                demo_round(submission.round_number, tournament.seed),
                submission.id,
                tournament.scores(submission, request.now),
            ),
        )
        for submission in tournament.scored_submissions(tournament.model(model_id).id)
    ]


def _submission_scores(
    request: Request,
    info: Any,
    model_id: str,
    display_name: str | None = None,
    version: str | None = None,
    day: int | None = None,
    resolved: bool | None = None,
    tournament: int | None = None,
    last_n_rounds: int | None = None,
    distinct_on_round: bool | None = None,
) -> list[Answer]:
    if tournament not in {None, TOURNAMENT}:
        return []
    filters = {"displayName": display_name, "version": version, "day": day, "resolved": resolved}
    results = []
    for _, rows in _score_rows(request, model_id)[:last_n_rounds]:
        matching = [
            row
            for row in rows
            if all(value is None or row[key] == value for key, value in filters.items())
        ]
        results += matching[:1] if distinct_on_round else matching
    return results


def _performances(
    request: Request,
    info: Any,
    model_id: str,
    tournament: int | None = TOURNAMENT,
    last_n_rounds: int | None = None,
    limit: int | None = None,
    offset: int | None = None,
    round_number_eq: int | None = None,
    round_number_gte: int | None = None,
    round_number_lte: int | None = None,
    round_data_datestamp_gte: int | None = None,
    resolved_only: bool | None = None,
    resolved_within_last_n_days: int | None = None,
    scored_within_last_n_days: int | None = None,
    submitted_only: bool | None = None,
    distinct_on_round: bool | None = None,
) -> list[Answer]:
    if tournament not in {None, TOURNAMENT}:
        return []
    performances = [
        performance_answer(
            demo_round(submission.round_number, request.tournament.seed),
            request.now,
            submission.id,
            rows,
        )
        for submission, rows in _score_rows(request, model_id)
    ][:last_n_rounds]

    def since(days: int | None) -> str:
        return "" if days is None else utc(request.now - timedelta(days=days))

    matching = [
        entry
        for entry in performances
        if round_number_eq in {None, entry["roundNumber"]}
        and (round_number_gte or 0) <= entry["roundNumber"]
        and entry["roundNumber"] <= (round_number_lte or math.inf)
        and (round_data_datestamp_gte or 0) <= entry["roundDataDatestamp"]
        and (entry["roundResolved"] or not (resolved_only or resolved_within_last_n_days))
        and since(resolved_within_last_n_days) <= entry["roundResolveTime"]
        and any(
            scored_within_last_n_days is None or row["date"] >= since(scored_within_last_n_days)
            for row in entry["submissionScores"] or [{"date": ""}]
        )
    ]
    return list(_cut(matching, limit, offset))


def _pipeline_status(
    request: Request,
    info: Any,
    tournament: str | None = "classic",
    date_: str | None = None,
) -> Answer:
    day = _parse_day(date_) if date_ else request.now.date()
    # The real ones come Tuesday to Saturday, when data vendors deliver; here on business days.
    scoring_day = day.weekday() < 5
    scored = datetime.combine(day, SCORING_TIME)
    done = scoring_day and scored <= request.now
    return {
        "tournament": tournament,
        "isScoringDay": scoring_day,
        "dataReadyAt": utc(scored - timedelta(hours=2)) if done else None,
        "startedAt": utc(scored - timedelta(hours=1)) if done else None,
        "scoredAt": utc(scored) if done else None,
        "resolvedAt": utc(scored) if done else None,
    }


def _parse_day(text: str) -> date:
    try:
        return datetime.combine(date.fromisoformat(text), time()).date()
    except ValueError:
        raise Refusal("Invalid date") from None


def _pending_payouts(request: Request, info: Any, tournament: int) -> Answer:
    """Nothing is staked here, so every round pays nothing."""
    payouts: dict[str, list[Answer]] = {"actual": [], "pending": []}
    models = request.tournament.store.models() if tournament == TOURNAMENT else []
    for model in models:
        for submission in request.tournament.scored_submissions(model.id):
            demo = demo_round(submission.round_number, request.tournament.seed)
            resolved = demo.status(request.now) == "RESOLVED"
            payouts["actual" if resolved else "pending"].append(
                {
                    "roundId": round_id(demo.number),
                    "roundNumber": demo.number,
                    "roundResolveTime": utc(demo.resolve_time)[:10],
                    "modelId": model.id,
                    "modelName": model.name,
                    "modelDisplayName": model.name,
                    "payoutNmr": NOTHING_STAKED,
                    "payoutValue": NOTHING_STAKED,
                    "currencySymbol": "$",
                }
            )
    return payouts


def _cut(every: Sequence[Any], limit: int | None, offset: int | None) -> Sequence[Any]:
    begin = offset or 0
    return every[begin : None if limit is None else begin + limit]


def _leaderboard(
    request: Request,
    info: Any,
    limit: int | None = None,
    offset: int | None = None,
    direction: str | None = None,
    filter_by: str | None = None,
    order_by: str | None = None,
) -> list[Answer]:
    return [
        {
            "id": standing.model_id,
            "username": standing.name,
            "rank": standing.rank,
            "storedRank": standing.rank,
            "corr60Rep": standing.corr,
            "mmc60Rep": standing.mmc,
            "nmrStaked": NOTHING_STAKED,
            "isActive": True,
            "team": False,
        }
        for standing in _cut(standings(request.tournament, request.now), limit, offset)
    ]


def _account_leaderboard(
    request: Request,
    info: Any,
    limit: int | None = 500,
    offset: int | None = None,
    tournament: int | None = TOURNAMENT,
    direction: str | None = None,
    filter_by: str | None = None,
    order_by: str | None = None,
) -> list[Answer]:
    """Participants of the field have one model; our account is represented by its first."""
    if tournament not in {None, TOURNAMENT}:
        return []
    accounts = [
        standing for standing in standings(request.tournament, request.now) if standing.is_first
    ]
    ranked = [
        (standing, None if standing.rank is None else place)
        for place, standing in enumerate(accounts, 1)
    ]
    return [
        {
            "id": standing.model_id,
            "username": standing.account,
            "displayName": standing.account,
            "rank": rank,
            "storedRank": rank,
            "corr60": standing.corr,
            "mmc60": standing.mmc,
            "nmrStaked": NOTHING_STAKED,
            "team": False,
        }
        for standing, rank in _cut(ranked, limit, offset)
    ]


def _account_profile(
    request: Request, info: Any, username: str, tournament: int | None = TOURNAMENT
) -> Answer:
    of_account = [
        standing
        for standing in standings(request.tournament, request.now)
        if standing.account == username
    ]
    if not of_account or tournament not in {None, TOURNAMENT}:
        raise Refusal(UNKNOWN_USER)
    shared = {"startDate": _beginning(request), "tournament": TOURNAMENT}
    return shared | {
        "id": ACCOUNT_ID if username == ACCOUNT else of_account[0].model_id,
        "username": username,
        "displayName": username,
        "isActive": True,
        "team": False,
        "totalStake": NOTHING_STAKED,
        "models": [
            shared
            | {
                "id": standing.model_id,
                "username": standing.name,
                "displayName": standing.name,
                "corr60Rep": standing.corr,
                "mmc60Rep": standing.mmc,
                "stake": NOTHING_STAKED,
            }
            for standing in of_account
        ],
    }


def _user_profile(
    request: Request, info: Any, model_name: str, tournament: int | None = TOURNAMENT
) -> Answer:
    named = [
        standing
        for standing in standings(request.tournament, request.now)
        if standing.name == model_name
    ]
    if not named or tournament not in {None, TOURNAMENT}:
        raise Refusal(UNKNOWN_USER)
    (standing,) = named
    ours = standing.account == ACCOUNT
    settings = request.tournament.store.settings(standing.model_id) if ours else {}
    rows = (
        [row for _, rows in _score_rows(request, standing.model_id) for row in rows] if ours else []
    )
    newest = max((row["date"] for row in rows), default=None)
    return {
        "id": standing.model_id,
        "accountName": standing.account,
        "username": standing.name,
        "startDate": _beginning(request),
        "bio": settings.get("bio"),
        "linkText": settings.get("link_text"),
        "linkUrl": settings.get("link_url"),
        "nmrStaked": None,
        "stakeValue": None,
        "isActive": True,
        "team": False,
        "tournament": TOURNAMENT,
        "latestSubmissionScores": [row for row in rows if row["date"] == newest],
        "dailyModelPerformances": _daily(rows),
    }


def _daily(rows: list[Answer]) -> list[Answer]:
    """Mean score of each day over the rounds that were scored on it, newest day first."""
    days = sorted({row["date"] for row in rows}, reverse=True)

    def mean(day: str, name: str) -> float:
        values = [row["value"] for row in rows if (row["date"], row["displayName"]) == (day, name)]
        return sum(values) / len(values)

    return [{"date": day, "corr60Rep": mean(day, CORR), "mmcRep": mean(day, MMC)} for day in days]


PUBLIC: dict[str, Resolver] = {
    "accountLeaderboard": _account_leaderboard,
    "accountProfile": _account_profile,
    "computePickleDataVersions": _data_versions,
    "computePickleDockerImages": _docker_images,
    "dataset": _dataset,
    "listDatasets": _list_datasets,
    "pipelineStatus": _pipeline_status,
    "roundDetails": _round_details,
    "rounds": _rounds,
    "submissionScores": _submission_scores,
    "tournaments": _tournaments,
    "v2Leaderboard": _leaderboard,
    "v2RoundModelPerformances": _performances,
    "v3UserProfile": _user_profile,
}
PRIVATE: dict[str, Resolver] = {
    "account": _account,
    "apiTokenInfo": _token_info,
    "computePickleUploadAuth": _upload_auth,
    "computePickles": _pickles,
    "createComputePickleUpload": _create_pickle,
    "createDiagnostics": _create_diagnostics,
    "createSubmission": _create_submission,
    "diagnostics": _diagnostics,
    "diagnosticsUploadAuth": _upload_auth,
    "model": _model,
    "pendingModelPayouts": _pending_payouts,
    "setSubmissionWebhook": _set_webhook,
    "setUserBio": _set_bio,
    "setUserLink": _set_link,
    "submissionDownloadAuth": _download_auth,
    "submissionUploadAuth": functools.partial(_upload_auth, of_pickles=False),
    "submissions": _submissions,
}
