"""A study on disk: it resumes where it stopped, and runs a killed trial again first.

A journal file, or a database for several machines. Optuna's own reader does not recover from a torn
last record, and waits for ever for the lock of a killed process. So the file is cut back to its
last whole line before it is opened, and the lock of the data folder keeps writers apart.
"""

from __future__ import annotations

import json
import logging
import warnings
from collections.abc import Callable, Generator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from numerai_kedro.errors import ConfigurationError, StoreError, without_password
from numerai_kedro.files import digest_json
from numerai_kedro.files.journal import cut_torn_tail
from numerai_kedro.files.kept_json import digest_of

if TYPE_CHECKING:
    import optuna
    from optuna.distributions import BaseDistribution
    from optuna.trial import TrialState

logger = logging.getLogger(__name__)

N_STARTUP_TRIALS = 8  # sampled at random before the estimator has seen enough
PRUNE_P = 0.1
PRUNE_STARTUP_STEPS = 2
DIGEST = "digest"
SAID = 200  # characters of an error message
HEARTBEAT_S, GRACE_S = 60, 300

# Evaluates a trial and returns its value, or raises `optuna.TrialPruned`.
Evaluate = Callable[["optuna.Trial"], float]


def open_study(name: str, journal: Path, storage_url: str | None) -> optuna.Study:
    """Open the study of this name, or begin it.

    Parameters
    ----------
    journal
        The study's file if `storage_url` is None. If a record is damaged, the file is moved aside
        and the study starts again.
    storage_url
        A database used in place of the file, such as ``postgresql+psycopg://host/optuna``.

    Raises
    ------
    ConfigurationError
        The database cannot be opened.
    """
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    # The pruner, the sampler and the journal's lock are marked experimental; they are pinned here.
    warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
    # `run_study` sends the heartbeats that `Study.optimize` would.
    warnings.filterwarnings("ignore", "Heartbeat of storage is supposed to be used with")
    if storage_url is not None:
        return _created(name, _database(storage_url))
    journal.parent.mkdir(parents=True, exist_ok=True)
    lost = cut_torn_tail(journal)
    if lost:
        logger.warning("%s: an incomplete last record of %d bytes was removed", journal, lost)
    try:
        return _created(name, journal_storage(journal))
    except (StoreError, json.JSONDecodeError) as damaged:
        aside = journal.with_name(f"{journal.name}.damaged")
        logger.warning(
            "%s: damaged (%s); it is kept as %s, and the study starts again: finished trials "
            "come back from the fold store",
            journal,
            " ".join(str(damaged).split())[:SAID],
            aside.name,
        )
        journal.replace(aside)
        return _created(name, journal_storage(journal))


def _created(name: str, storage: Any) -> optuna.Study:
    import optuna

    return optuna.create_study(
        study_name=name,
        storage=storage,
        direction="maximize",
        load_if_exists=True,
        pruner=optuna.pruners.WilcoxonPruner(
            p_threshold=PRUNE_P, n_startup_steps=PRUNE_STARTUP_STEPS
        ),
    )


def _database(url: str) -> Any:
    """Open the database that keeps the studies.

    Raises
    ------
    ConfigurationError
        It cannot be opened; says so without its password.
    """
    from optuna.storages import RDBStorage
    from sqlalchemy.exc import SQLAlchemyError

    try:
        return RDBStorage(url, heartbeat_interval=HEARTBEAT_S, grace_period=GRACE_S)
    except (SQLAlchemyError, ImportError) as closed:
        why = " ".join(str(getattr(closed, "orig", None) or closed).split())[:SAID]
        raise ConfigurationError(
            f"the database of studies, {without_password(url)}, cannot be opened: "
            f"{without_password(why)}; fix its address in credentials.yml, or leave it out: "
            "studies are then kept in files."
        ) from None


def journal_storage(journal: Path) -> Any:
    """A study's journal, each record with its digest."""
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    class Digested(JournalFileBackend):
        def append_logs(self, logs: list[dict[str, Any]]) -> None:
            plain = json.loads(json.dumps(logs))  # as they will be read
            super().append_logs([{**log, DIGEST: digest_of(log)} for log in plain])

        def read_logs(self, log_number_from: int) -> Generator[dict[str, Any], None, None]:
            for log in super().read_logs(log_number_from):
                whole = isinstance(log, dict)
                plain = {k: v for k, v in log.items() if k != DIGEST} if whole else {}
                if not whole or log.get(DIGEST) != digest_of(plain):
                    raise StoreError("a record is not what was written")
                yield plain

    lock: Any = _FolderIsLocked()
    return JournalStorage(Digested(str(journal), lock_obj=lock))


class _FolderIsLocked:
    """No lock of Optuna's own: it would outlive a killed process."""

    def acquire(self) -> bool:
        return True

    def release(self) -> None:
        return None


def run_study(
    study: optuna.Study,
    n_trials: int,
    space: Mapping[str, BaseDistribution],
    first: Sequence[Mapping[str, Any]],
    evaluate: Evaluate,
    seed: int,
) -> None:
    """Bring a study to `n_trials` finished trials; pruned ones count, failed ones do not.

    Parameters
    ----------
    space
        Distributions by parameter.
    first
        Points that are tried before any is sampled.
    seed
        Of the sampler, together with the number of finished trials: a study that was interrupted
        asks for the same points as one that was not.
    """
    import optuna
    from optuna.storages._heartbeat import get_heartbeat_thread
    from optuna.trial import TrialState

    again = _fail_dead_trials(study, set(space))
    while n_finished(study) < n_trials:
        # Other machines may be running trials of the same database.
        begun = n_finished(study, TrialState.RUNNING)
        # One at a time, so that a killed trial is run before those that were never begun.
        waiting = study.get_trials(deepcopy=False, states=(TrialState.WAITING,))
        if not waiting and (again or begun < len(first)):
            study.enqueue_trial(dict(again.pop(0) if again else first[begun]))
        study.sampler = optuna.samplers.TPESampler(
            seed=int(digest_json([seed, begun])[:8], 16),
            multivariate=True,
            n_startup_trials=N_STARTUP_TRIALS,
        )
        trial = study.ask(dict(space))
        try:
            with get_heartbeat_thread(trial._trial_id, study._storage):
                value = evaluate(trial)
        except optuna.TrialPruned:
            study.tell(trial, state=TrialState.PRUNED)
        except BaseException:
            study.tell(trial, state=TrialState.FAIL)
            raise
        else:
            study.tell(trial, value)


def n_finished(study: optuna.Study, *others: TrialState) -> int:
    """Number of trials that are complete or pruned, or in one of the other states named."""
    from optuna.trial import TrialState

    done = (TrialState.COMPLETE, TrialState.PRUNED, *others)
    return len(study.get_trials(deepcopy=False, states=done))


def trial_numbers(study: optuna.Study) -> dict[int, int]:
    """The place of each trial among those that did not fail, by Optuna's number.

    Optuna counts failed trials. A killed trial is run again first, so it gets its old place.
    """
    from optuna.trial import TrialState

    trials = study.get_trials(deepcopy=False)
    whole = [trial.number for trial in trials if trial.state != TrialState.FAIL]
    return {number: place for place, number in enumerate(whole)}


def _fail_dead_trials(study: optuna.Study, names: set[str]) -> list[dict[str, Any]]:
    """Fail trials that a killed process left running; return their parameters, to rerun first.

    Presets have fixed parameters. Other trials that were killed before they had all parameters are
    not returned: the sampler draws the same again.
    """
    import optuna
    from optuna.trial import TrialState

    if isinstance(study._storage, optuna.storages.JournalStorage):
        dead = study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
        for trial in dead:
            study.tell(trial.number, state=TrialState.FAIL)
    else:  # others may be at work on the same study
        before = {t.number for t in study.get_trials(deepcopy=False, states=(TrialState.FAIL,))}
        optuna.storages.fail_stale_trials(study)
        failed = study.get_trials(deepcopy=False, states=(TrialState.FAIL,))
        dead = [trial for trial in failed if trial.number not in before]
    points = [trial.system_attrs.get("fixed_params", trial.params) for trial in dead]
    return [point for point in points if point.keys() == names]
