"""One MLflow run for each Kedro run: what went in, what came out, which code and data made it."""

from __future__ import annotations

import json
import logging
import subprocess
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import pandas as pd
from pydantic import BaseModel

from numerai_kedro.errors import Failed, without_password
from numerai_kedro.strict import Block

logger = logging.getLogger(__name__)

LIBRARIES = (
    "accelerate",
    "catboost",
    "kedro",
    "lightgbm",
    "numerai-tools",
    "numerapi",
    "numpy",
    "optuna",
    "pandas",
    "peft",
    "pyarrow",
    "tabm",
    "torch",
    "transformers",
)
# One of the two, depending on the installed extra.
EITHER = ("xgboost-cpu", "xgboost")
MAX_PARAM_CHARACTERS = 500
BATCH = 1000  # MLflow's limit of metrics in one call


class TrackingParams(Block):
    """The contents of parameters_tracking.yml."""

    enabled: bool = True
    uri: str
    experiment: str


def track_run(
    params: TrackingParams,
    run_params: dict[str, Any],
    parameters: dict[str, Any],
    pipeline: Any,
    catalog: Any,
    began: float,
    error: Exception | None,
) -> None:
    """Write the run to MLflow; a failure to do so is a warning, and never fails the run."""
    import mlflow
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    logging.getLogger("alembic").setLevel(logging.WARNING)
    logging.getLogger("mlflow").setLevel(logging.ERROR)
    try:
        client = mlflow.MlflowClient(tracking_uri=params.uri)
        _write(client, params, run_params, parameters, pipeline, catalog, began, error)
    except (MlflowException, SQLAlchemyError, OSError, ImportError) as failure:
        text = (str(failure).splitlines() or [type(failure).__name__])[0]
        logger.warning("MLflow did not accept the run: %s", without_password(text))


def flatten(value: Any, prefix: str = "") -> dict[str, str]:
    """Nested parameters as dotted names; typed ones by their fields."""
    if isinstance(value, BaseModel):
        value = value.model_dump(mode="json")
    if not isinstance(value, dict):
        return {prefix: str(value)[:MAX_PARAM_CHARACTERS]}
    flat: dict[str, str] = {}
    for name, item in value.items():
        flat |= flatten(item, f"{prefix}.{name}" if prefix else str(name))
    return flat


def _write(
    client: Any,
    params: TrackingParams,
    run_params: dict[str, Any],
    parameters: dict[str, Any],
    pipeline: Any,
    catalog: Any,
    began: float,
    error: Exception | None,
) -> None:
    from mlflow.entities import Param, RunTag

    experiment = client.get_experiment_by_name(params.experiment)
    experiment_id = (
        experiment.experiment_id if experiment else client.create_experiment(params.experiment)
    )
    name = ",".join(run_params.get("pipeline_names") or []) or "__default__"
    run = client.create_run(experiment_id, start_time=int(began * 1000), run_name=name)
    run_id = run.info.run_id
    # Parameters that this pipeline does not read would make equal runs look different.
    read = {part.removeprefix("params:") for part in pipeline.inputs() if "params:" in part}
    used = {key: value for key, value in parameters.items() if key in read}
    client.log_batch(
        run_id,
        params=[Param(key, text) for key, text in flatten(used).items()],
        tags=[RunTag(key, text) for key, text in _tags(run_params, error).items()],
    )
    if error is None:
        _log_results(client, run_id, pipeline.all_outputs(), catalog)
    client.set_terminated(run_id, status="FAILED" if error else "FINISHED")


def _tags(run_params: dict[str, Any], error: Exception | None) -> dict[str, str]:
    tags = {f"version.{library}": version(library) for library in LIBRARIES}
    for library in EITHER:
        with suppress(PackageNotFoundError):
            tags["version.xgboost"] = version(library)
    tags["version.code"] = _git_revision()
    tags["kedro.run_id"] = str(run_params.get("run_id", ""))
    if error is not None:
        tags["error"] = str(error).splitlines()[0][:MAX_PARAM_CHARACTERS] if str(error) else ""
    return tags


def _log_results(client: Any, run_id: str, outputs: set[str], catalog: Any) -> None:
    """Log what this run made: per-era metrics, the gate's decision, models, trials and reports."""
    for name in ("backtest_report", "submission_receipt"):
        if name in outputs:
            client.log_dict(run_id, catalog.load(name), f"{name}.json")
    logged = {
        "era_scores": _log_era_scores,
        "gate_decision": _log_gate,
        "recovery_ledger": _log_recovery,
        "history_panel": _log_data,
    }
    for name, log in logged.items():
        if name in outputs:
            log(client, run_id, catalog.load(name))
    if "dashboard" in outputs:
        client.log_text(run_id, catalog.load("dashboard"), "dashboard.html")
    for name in sorted(outputs):
        if name.endswith(".model"):
            _log_model(client, run_id, name, catalog)
        elif name.endswith(".trials"):
            _log_trials(client, run_id, name.partition(".")[0], catalog.load(name))


def _log_gate(client: Any, run_id: str, decisions: dict[str, Any]) -> None:
    client.log_dict(run_id, decisions, "gate_decision.json")
    newest = max(decisions, default=None)
    client.set_tag(run_id, "gate", str(newest and decisions[newest]["passed"]))


def _log_data(client: Any, run_id: str, panel: Any) -> None:
    client.set_tag(run_id, "version.data", panel.digest())


def _log_recovery(client: Any, run_id: str, ledger: pd.DataFrame) -> None:
    """Log all lines as a file, and the number and symptoms of each model's lines as a tag."""
    client.log_dict(run_id, json.loads(ledger.to_json(orient="records")), "recovery_ledger.json")
    for model, rows in ledger.groupby("model"):
        symptoms = ", ".join(sorted(rows["symptom"].unique()))
        client.set_tag(run_id, f"recovery.{model}", f"{len(rows)}: {symptoms}")


def _log_model(client: Any, run_id: str, name: str, catalog: Any) -> None:
    """Log the folder as a plain artifact: MLflow's model loader would unpickle it unchecked."""
    folder = Path(str(catalog.get(name)._describe()["filepath"]))
    if folder.exists():
        client.log_artifacts(run_id, str(folder), f"models/{name}")


def _log_trials(client: Any, run_id: str, model: str, trials: Any) -> None:
    """Log each trial's objective as a metric; parameters and per-era scores as a file."""
    from mlflow.entities import Metric

    if isinstance(trials, Failed) or not len(trials):
        return
    client.log_dict(run_id, json.loads(trials.to_json(orient="records")), f"trials/{model}.json")
    whole = trials.dropna(subset=["objective"])
    metrics = [
        Metric(f"{model}.trial.objective", float(row.objective), 0, int(row.trial))
        for row in whole.itertuples()
    ]
    for begin in range(0, len(metrics), BATCH):
        client.log_batch(run_id, metrics=metrics[begin : begin + BATCH])


def _log_era_scores(client: Any, run_id: str, scores: pd.DataFrame) -> None:
    from mlflow.entities import Metric

    metrics = []
    for model, rows in scores.groupby("model"):
        for name in ("corr", "mmc", "bmc", "fnc", "max_exposure"):
            scored = rows[["era", name]].dropna()
            metrics += [
                Metric(f"{model}.{name}", float(value), 0, int(era))
                for era, value in zip(scored["era"], scored[name], strict=True)
            ]
            if len(scored):
                metrics.append(Metric(f"{model}.{name}.mean", float(scored[name].mean()), 0, 0))
    for begin in range(0, len(metrics), BATCH):
        client.log_batch(run_id, metrics=metrics[begin : begin + BATCH])


def _git_revision() -> str:
    """Revision of the checkout, marked if files differ from it; "unknown" without git."""
    try:
        result = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=12"],
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return result.stdout.strip()
