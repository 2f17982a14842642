"""Several fits run in parallel, do not affect each other, and end with the run."""

import os
import signal
import time

import pytest
from tests.compute.test_isolation import no_progress, pid_and_sum, run

from numerai_kedro.compute.worker_pool import ALONE, WorkerPool
from numerai_kedro.errors import PanelError


def together(folder, mine, other, progress):
    """Goes on once the other has begun, too."""
    (folder / mine).touch()
    for _ in range(600):
        if (folder / other).exists():
            progress(1, 1)
            (folder / f"{mine} done").touch()
            return
        time.sleep(0.1)
    raise AssertionError("the other never began")


def fail_or_note(folder, name, progress):
    if name == "fails":
        raise PanelError("torn.")
    if name == "dies":
        os.kill(os.getpid(), signal.SIGKILL)
    (folder / f"{name} {os.getpid()}").touch()


def test_a_crew_does_tasks_at_the_same_time(tmp_path):
    steps = []
    with WorkerPool(2, "model") as pool:
        tasks = [(tmp_path, "a", "b"), (tmp_path, "b", "a")]
        pool.try_all(together, tasks, lambda *step: steps.append(step), planned_gb=1.0)
        assert {path.name for path in tmp_path.iterdir()} == {"a", "b", "a done", "b done"}
        assert steps == [(1, 2), (2, 2)]
        (reading,) = pool.readings()
        assert reading["planned_gb"] == 2.0
        assert reading["peak_gb"] > 0


def test_what_fails_or_dies_beside_others_costs_them_nothing_and_a_death_is_a_line(tmp_path):
    names = ["fails", "a", "dies", "b", "c"]
    with WorkerPool(2, "model") as pool:
        pool.try_all(fail_or_note, [(tmp_path, name) for name in names], no_progress, 1.0)
        by_task = dict(path.name.split() for path in tmp_path.iterdir())
        assert {*by_task} == {"a", "b", "c"}
        assert str(os.getpid()) not in by_task.values()
        (line,) = pool.taken_lines()
        assert (line["symptom"], line["remedy"]) == ("the process was killed", ALONE)
        assert pool.taken_lines() == []
        assert run(pool, pid_and_sum, 1, 2)[1] == 3


def tell_and_sleep(number, progress):
    progress(1, 2)
    time.sleep(600)


@pytest.fixture
def _hears_ctrl_c():
    """Processes that a shell starts in the background ignore it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("_hears_ctrl_c")
def test_a_crew_ends_in_the_middle_of_its_tasks_when_the_run_is_stopped():
    steps = []

    def stop(done, of):
        if not steps:
            os.kill(os.getpid(), signal.SIGINT)
        steps.append(done)

    with WorkerPool(2, "model") as pool:
        with pytest.raises(KeyboardInterrupt):
            pool.try_all(tell_and_sleep, [(0,), (1,), (2,)], stop, planned_gb=1.0)
        assert not any(worker._process and worker._process.is_alive() for worker in pool._workers)
    assert len(steps) <= 2
