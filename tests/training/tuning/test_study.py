"""A study resumes where it stopped: no finished trial lost, none counted twice, the same best."""

import os
import signal
import subprocess
import sys
import time

import optuna
import pytest
from optuna.trial import TrialState
from tests.damage import overwrite

from numerai_kedro.errors import ConfigurationError
from numerai_kedro.training.tuning import study as module
from numerai_kedro.training.tuning.study import n_finished, open_study, run_study, trial_numbers

SPACE = {
    "x": optuna.distributions.FloatDistribution(-3, 3),
    "n": optuna.distributions.IntDistribution(1, 9),
}
FIRST = [{"x": 0.0, "n": 5}, {"x": 1.0, "n": 5}]
N_TRIALS = 14


def value_of(params):
    return -((params["x"] - 1.3) ** 2) - 0.1 * abs(params["n"] - 7)


def evaluate(trial):
    trial.set_user_attr("scores", [value_of(trial.params)] * 3)
    return value_of(trial.params)


def study_in(folder, n_trials=N_TRIALS, evaluate=evaluate):
    study = open_study("s", folder / "s.journal", None)
    run_study(study, n_trials, SPACE, FIRST, evaluate, seed=0)
    return study


def finished(study):
    return [
        (trial.params, trial.state, trial.value)
        for trial in study.get_trials()
        if trial.state in (TrialState.COMPLETE, TrialState.PRUNED)
    ]


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory):
    return finished(study_in(tmp_path_factory.mktemp("unbroken")))


def test_presets_come_first_and_the_last_trial_ends_it(tmp_path, unbroken):
    assert [params for params, _, _ in unbroken[:2]] == FIRST
    assert len(unbroken) == N_TRIALS
    study = study_in(tmp_path)
    run_study(study, N_TRIALS, SPACE, FIRST, pytest.fail, seed=0)
    assert finished(study) == unbroken


@pytest.mark.parametrize("stops", [(1,), (2, 3), (9, 13), (5, 6, 7, 8)])
def test_an_interrupted_study_asks_for_the_same_points(tmp_path, unbroken, stops):
    for stop in stops:
        assert n_finished(study_in(tmp_path, stop)) == stop
    assert finished(study_in(tmp_path)) == unbroken


def test_another_seed_asks_for_other_points(tmp_path, unbroken):
    study = open_study("s", tmp_path / "s.journal", None)
    run_study(study, N_TRIALS, SPACE, FIRST, evaluate, seed=1)
    assert finished(study) != unbroken


def test_trials_are_numbered_and_counted_without_those_that_failed(tmp_path):
    study = open_study("s", tmp_path / "s.journal", None)
    states = [TrialState.COMPLETE, TrialState.FAIL, TrialState.PRUNED, TrialState.FAIL]
    for state in states:
        study.tell(study.ask(SPACE), 0.5 if state is TrialState.COMPLETE else None, state=state)
    study.ask(SPACE)
    assert trial_numbers(study) == {0: 0, 2: 1, 4: 2}
    assert n_finished(study) == 2
    assert n_finished(study, TrialState.RUNNING) == 3


KILLED = """
import os, signal, sys
from pathlib import Path
from tests.training.tuning.test_study import evaluate, study_in
moment = int(sys.argv[2])
def kill(trial):
    if trial.number == moment:
        if len(sys.argv) > 3:
            trial.report(0.5, 0)
        os.kill(os.getpid(), signal.SIGKILL)
    return evaluate(trial)
study_in(Path(sys.argv[1]), evaluate=kill)
"""


@pytest.mark.parametrize("moment", [0, 1, 7, 13])
@pytest.mark.parametrize("also", [[], ["after a fold"]], ids=str)
def test_a_killed_trial_fails_does_not_count_and_runs_again_first(tmp_path, unbroken, moment, also):
    command = [sys.executable, "-c", KILLED, str(tmp_path), str(moment), *also]
    killed = subprocess.run(command, check=False, cwd=os.getcwd())
    assert killed.returncode == -signal.SIGKILL
    seen = []

    def watched(trial):
        seen.append(trial.params)
        return evaluate(trial)

    study = study_in(tmp_path, evaluate=watched)
    states = [trial.state for trial in study.get_trials()]
    assert states[moment] == TrialState.FAIL
    assert seen[0] == unbroken[moment][0]
    assert finished(study) == unbroken
    assert states.count(TrialState.FAIL) == 1


def test_a_journal_cut_at_every_byte_of_its_last_record_goes_on(tmp_path, unbroken):
    """Optuna's own reader never recovers from such a tail."""
    study_in(tmp_path, 5)
    whole = (tmp_path / "s.journal").read_bytes()
    last = whole.rstrip(b"\n").rfind(b"\n") + 1
    for cut in range(last, len(whole) + 1):
        folder = tmp_path / str(cut)
        folder.mkdir()
        (folder / "s.journal").write_bytes(whole[:cut])
        study = study_in(folder, 6)
        assert finished(study) == unbroken[:6], cut


@pytest.mark.parametrize(
    ("old", "new"), [(b'"values":[', b'"valuez":['), (b"0.", b"1."), (b"{", b"[")]
)
def test_a_damaged_journal_is_put_aside_and_the_study_begins_anew(
    tmp_path, unbroken, caplog, old, new
):
    study_in(tmp_path)
    overwrite(tmp_path / "s.journal", old, new)
    assert finished(study_in(tmp_path)) == unbroken
    assert "damaged" in caplog.text
    assert (tmp_path / "s.journal.damaged").exists()


def test_a_journal_cut_after_every_record_ends_the_same(tmp_path, unbroken):
    """A kill inside `ask` leaves a trial with some of its parameters, or none."""
    study_in(tmp_path, 4)
    records = (tmp_path / "s.journal").read_bytes().splitlines(keepends=True)
    for n in range(1, len(records) + 1):
        folder = tmp_path / str(n)
        folder.mkdir()
        (folder / "s.journal").write_bytes(b"".join(records[:n]))
        assert finished(study_in(folder, 5)) == unbroken[:5], n


def test_a_databases_trial_that_a_dead_machine_left_is_failed_by_its_heartbeat(
    tmp_path, unbroken, monkeypatch
):
    monkeypatch.setattr(module, "HEARTBEAT_S", 1)
    monkeypatch.setattr(module, "GRACE_S", 1)
    url = f"sqlite:///{tmp_path}/studies.db"
    killed = subprocess.run(
        [sys.executable, "-c", KILLED_IN_DATABASE, url], check=False, cwd=os.getcwd()
    )
    assert killed.returncode == -signal.SIGKILL
    study = open_study("s", tmp_path / "unused", url)
    while optuna.storages._heartbeat.is_heartbeat_enabled(study._storage):
        if study._storage._get_stale_trial_ids(study._study_id):
            break
        time.sleep(0.2)
    run_study(study, N_TRIALS, SPACE, FIRST, evaluate, seed=0)
    assert [trial.state for trial in study.get_trials()].count(TrialState.FAIL) == 1
    assert finished(study) == unbroken


KILLED_IN_DATABASE = """
import os, signal, sys, time
from pathlib import Path
from numerai_kedro.errors import ConfigurationError
from numerai_kedro.training.tuning import study as module
module.HEARTBEAT_S, module.GRACE_S = 1, 1
from tests.training.tuning.test_study import FIRST, N_TRIALS, SPACE, evaluate
def kill(trial):
    if trial.number == 5:
        time.sleep(0.5)  # the first heartbeat
        os.kill(os.getpid(), signal.SIGKILL)
    return evaluate(trial)
study = module.open_study("s", Path("unused"), sys.argv[1])
module.run_study(study, N_TRIALS, SPACE, FIRST, kill, seed=0)
"""


def test_what_a_trial_raises_fails_it_and_goes_on_up(tmp_path):
    def broken(trial):
        raise KeyError("ours")

    with pytest.raises(KeyError, match="ours"):
        study_in(tmp_path, evaluate=broken)
    study = open_study("s", tmp_path / "s.journal", None)
    assert study.trials[0].state == TrialState.FAIL


def test_pruned_trials_count(tmp_path):
    def pruned(trial):
        if trial.number:
            raise optuna.TrialPruned
        return 0.0

    assert n_finished(study_in(tmp_path, 4, evaluate=pruned)) == 4


@pytest.mark.parametrize(
    "url",
    [
        "sqlite:////nowhere/at/all.db",
        "postgresql+psycopg://me:secret@127.0.0.1:1/optuna",
        "nosuch://me:secret@host/optuna",
    ],
)
def test_a_database_that_cannot_be_opened_is_a_sentence_without_its_password(tmp_path, url):
    with pytest.raises(
        ConfigurationError, match=r"database of studies, .* cannot be opened"
    ) as raised:
        open_study("s", tmp_path / "s.journal", url)
    assert "secret" not in raised.value.message
