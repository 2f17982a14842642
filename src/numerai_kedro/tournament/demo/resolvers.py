"""Root fields of the schema, and the execution of a query by graphql-core."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from importlib import resources
from typing import Any
from urllib.parse import quote

from graphql import (
    DocumentNode,
    ExecutionResult,
    FieldNode,
    GraphQLError,
    GraphQLSchema,
    OperationDefinitionNode,
    VariablesInAllowedPositionRule,
    build_schema,
    execute,
    parse,
    specified_rules,
    validate,
)

from numerai_kedro.tournament.demo.answers import (
    TOURNAMENT,
    Answer,
    performance_answer,
    round_answer,
    score_answers,
    utc,
)
from numerai_kedro.tournament.demo.archive import FILES
from numerai_kedro.tournament.demo.faults import Fault, Faults
from numerai_kedro.tournament.demo.rounds import SCORING_TIME, demo_round
from numerai_kedro.tournament.demo.store import Model, Submission, selected
from numerai_kedro.tournament.demo.tournament import DemoTournament, Refusal

SESSION_INVALID = "Your session is invalid or has expired."
# Parts of a name in graphql-core's messages; Numerai's server quotes them with ".
_QUOTED = re.compile(r"'([^'\s]+)'")
# Arguments that would hide a builtin, a module, or graphql-core's own `source`.
_TAKEN = {"id", "round", "source", "date"}
# numerapi declares variables of arguments that are IDs as String, and the real service takes both.
_STRING_FOR_ID = re.compile(r"of type 'String!?' used in position expecting type 'ID!?'")
SCOPES = ["upload_submission", "download_submission", "read_submission_info", "read_user_info"]


@functools.cache
def schema() -> GraphQLSchema:
    """The typed schema, read once; resolvers get its arguments in Python's spelling."""
    text = resources.files(__package__).joinpath("schema.graphql").read_text(encoding="utf-8")
    made = build_schema(text)
    for root in (made.query_type, made.mutation_type):
        assert root is not None, "schema.graphql has both roots"
        for field in root.fields.values():
            for name, argument in field.args.items():
                argument.out_name = snake_case(name) + ("_" if name in _TAKEN else "")
    return made


def snake_case(name: str) -> str:
    """``modelId`` as ``model_id``."""
    return re.sub("(?<!^)([A-Z])", lambda found: f"_{found[1].lower()}", name)


@dataclass(frozen=True)
class Request:
    """One call: who asks, and under which address the server was reached."""

    tournament: DemoTournament
    faults: Faults
    authorised: bool
    base_url: str
    now: datetime


class VariablesFit(VariablesInAllowedPositionRule):
    """The rule of GraphQL, except that a String may stand where an ID does."""

    def report_error(self, error: GraphQLError) -> None:
        """Keep every other error."""
        if not _STRING_FOR_ID.search(error.message):
            super().report_error(error)


RULES = [
    VariablesFit if rule is VariablesInAllowedPositionRule else rule for rule in specified_rules
]


def root_fields(query: str) -> list[str]:
    """Names of the operations in a query; empty where it is no GraphQL."""
    try:
        document = parse(query)
    except GraphQLError:
        return []
    return [
        selection.name.value
        for definition in document.definitions
        if isinstance(definition, OperationDefinitionNode)
        for selection in definition.selection_set.selections
        if isinstance(selection, FieldNode)
    ]


def answer(request: Request, query: str, variables: dict[str, Any] | None) -> Answer:
    """Execute a query; refusals are in ``errors``, as in a GraphQL answer with status 200."""
    try:
        document: DocumentNode = parse(query)
    except GraphQLError as error:
        return _refused([error])
    errors = validate(schema(), document, RULES)
    if errors:
        return _refused(errors)
    result = execute(schema(), document, _root(request), variable_values=variables or {})
    assert isinstance(result, ExecutionResult), "no resolver is asynchronous"
    for failed in result.errors or []:
        if failed.original_error is not None and not isinstance(failed.original_error, Refusal):
            raise failed.original_error  # a bug of ours, not an answer
    if result.errors:
        return {"data": result.data} | {"errors": [_message(error) for error in result.errors]}
    return {"data": result.data}  # numerapi takes even an empty `errors` for a failure


def _refused(errors: list[GraphQLError]) -> Answer:
    return {"errors": [_message(error) for error in errors]}


def _message(error: GraphQLError) -> Answer:
    formatted: Answer = dict(error.formatted)
    formatted["message"] = _QUOTED.sub(r'"\1"', formatted["message"])
    return formatted


Resolver = Callable[..., Any]


def _private(resolver: Resolver, request: Request, info: Any, **arguments: Any) -> Any:
    if not request.authorised:
        raise Refusal(SESSION_INVALID)
    return resolver(request, info, **arguments)


def _root(request: Request) -> dict[str, Resolver]:
    public: dict[str, Resolver] = {
        "rounds": _rounds,
        "listDatasets": _list_datasets,
        "dataset": _dataset,
        "submissionScores": _submission_scores,
        "v2RoundModelPerformances": _performances,
        "pipelineStatus": _pipeline_status,
    }
    private: dict[str, Resolver] = {
        "account": _account,
        "model": _model,
        "submissions": _submissions,
        "submission_upload_auth": _upload_auth,
        "submissionUploadAuth": _upload_auth,
        "submissionDownloadAuth": _download_auth,
        "create_submission": _create_submission,
        "createSubmission": _create_submission,
    }
    root: dict[str, Resolver] = {}
    for name, resolver in public.items():
        root[name] = functools.partial(resolver, request)
    for name, resolver in private.items():
        root[name] = functools.partial(_private, resolver, request)
    return root


def _rounds(
    request: Request,
    info: Any,
    tournament: int | None = TOURNAMENT,
    number: int | None = None,
    target: str | None = None,
    status: str | None = None,
    limit: int | None = None,
) -> list[Answer]:
    if tournament not in {None, TOURNAMENT}:
        return []
    if number == 0:
        return [round_answer(request.tournament.current_round(request.now), request.now)]
    found = [round_answer(one, request.now) for one in request.tournament.rounds(request.now)]
    wanted = {"number": number, "target": target, "status": status}
    for key, value in wanted.items():
        if value is not None:
            found = [one for one in found if one[key] == value]
    return found[:limit]


def _list_datasets(request: Request, info: Any, **filters: Any) -> list[str]:
    return [f"{version}/{name}" for version in request.tournament.versions for name in FILES]


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
    return {
        "id": "demo-account",
        "username": "demo",
        "email": "demo@example.com",
        "availableNmr": "0",
        "availableUsd": "0",
        "mfaEnabled": False,
        "status": "VERIFIED",
        "insertedAt": utc(tournament.rounds(request.now)[-1].open_time),
        "models": [_model_answer(request, model) for model in tournament.store.models()],
        "apiTokens": [{"name": "demo", "public_id": tournament.keys[0], "scopes": SCOPES}],
    }


def _model(
    request: Request, info: Any, model_id: str | None = None, modelid: str | None = None
) -> Answer:
    return _model_answer(request, request.tournament.model(model_id or modelid))


def _model_answer(request: Request, model: Model) -> Answer:
    submissions = request.tournament.store.submissions(model.id)
    answers = _submission_answers(request, submissions)
    return {
        "id": model.id,
        "name": model.name,
        "username": model.name,
        "tournament": TOURNAMENT,
        "submissions": answers,
        "latestSubmissions": [
            {
                "roundNumber": one["round"]["number"],
                "roundOpen": one["round"]["openTime"],
                "roundCloseStaking": one["round"]["closeStakingTime"],
                "roundClose": one["round"]["closeTime"],
                "filename": one["filename"],
                "status": one["status"],
                "timestamp": one["insertedAt"],
            }
            for one in answers
            if one["selected"]
        ],
        "v2Stake": None,
    }


def _submissions(
    request: Request, info: Any, model_id: str | None = None, id_: str | None = None
) -> list[Answer]:
    model = request.tournament.model(model_id)
    found = _submission_answers(request, request.tournament.store.submissions(model.id))
    fault = request.faults.take("listing", "submissions") if found else None
    if fault is not None:
        found[:1] = _said_of_newest(found[0], fault)
    return [one for one in found if id_ in (None, one["id"])]


def _said_of_newest(newest: Answer, fault: Fault) -> list[Answer]:
    if fault.kind == "absent":
        return []
    status = "pending" if fault.kind == "pending" else fault.body
    return [newest | {"status": status, "errorInfo": None, "selected": bool(fault.value)}]


def _submission_answers(request: Request, submissions: list[Submission]) -> list[Answer]:
    chosen = set(selected(submissions).values())
    return [
        {
            "id": one.id,
            "filename": one.filename,
            "insertedAt": utc(one.inserted_at),
            "triggerId": one.trigger_id,
            "selected": one.id in chosen,
            "status": "validated" if one.error_info is None else "failed",
            "errorInfo": one.error_info,
            "dataDatestamp": one.data_datestamp,
            "round": round_answer(
                demo_round(one.round_number, request.tournament.seed), request.now
            ),
        }
        for one in submissions
    ]


def _upload_auth(
    request: Request, info: Any, filename: str, tournament: int, model_id: str | None = None
) -> Answer:
    unique = request.tournament.open_upload(filename, model_id)
    token = request.tournament.signer.sign("PUT", unique)
    return {"filename": unique, "url": f"{request.base_url}/uploads/{token}/{quote(unique)}"}


def _download_auth(request: Request, info: Any, id_: str | None = None) -> Answer:
    for one in request.tournament.store.submissions():
        if one.id == id_:
            token = request.tournament.signer.sign("GET", one.id)
            url = f"{request.base_url}/submissions/{token}/{one.id}"
            return {"filename": one.filename, "url": url}
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
) -> Answer:
    fault = request.faults.take("create", "create_submission")
    made = request.tournament.create_submission(
        filename,
        model_id,
        {"trigger_id": trigger_id, "source": source_, "data_datestamp": data_datestamp},
        error_info=None if fault is None else fault.body,
    )
    every = request.tournament.store.submissions()
    return next(one for one in _submission_answers(request, every) if one["id"] == made)


def _score_rows(request: Request, model_id: str) -> list[list[Answer]]:
    tournament = request.tournament
    return [
        score_answers(
            demo_round(one.round_number, tournament.seed),
            one.id,
            tournament.scores(one, request.now),
        )
        for one in tournament.scored_submissions(tournament.model(model_id).id)
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
    wanted = {"displayName": display_name, "version": version, "day": day, "resolved": resolved}
    found = []
    for rows in _score_rows(request, model_id)[:last_n_rounds]:
        kept = [
            row
            for row in rows
            if all(value is None or row[key] == value for key, value in wanted.items())
        ]
        found += kept[:1] if distinct_on_round else kept
    return found


def _performances(request: Request, info: Any, model_id: str, tournament: int) -> list[Answer]:
    if tournament != TOURNAMENT:
        return []
    made = request.tournament.scored_submissions(request.tournament.model(model_id).id)
    return [
        performance_answer(demo_round(one.round_number, request.tournament.seed), request.now, rows)
        for one, rows in zip(made, _score_rows(request, model_id), strict=True)
    ]


def _pipeline_status(
    request: Request,
    info: Any,
    tournament: str,
    date_: str | None = None,
) -> Answer:
    day = _parse_day(date_) if date_ else request.now.date()
    # Scores come Tuesday to Saturday on real data vendors' days; here on business days.
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
