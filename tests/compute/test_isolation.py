"""A child's death has a reason, its memory is freed, and it never outlives its parent."""

import ctypes
import logging
import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

from numerai_kedro.compute.isolation import Worker
from numerai_kedro.compute.remedies import AGAIN, until_it_fits
from numerai_kedro.errors import PanelError, ProcessDied


def no_progress(done, total):
    """Ignore progress."""


def pid_and_sum(first, second, progress):
    progress(1, 2)
    logging.getLogger("child").warning("adding")
    return os.getpid(), first + second


def kill_itself(number, progress):
    os.kill(os.getpid(), number)


def abort(progress):
    ctypes.CDLL(None).abort()


def refuse(progress):
    raise PanelError("torn.")


class Stubborn(Exception):
    """Cannot be unpickled: it needs two arguments, and pickle passes one."""

    def __init__(self, first, second):
        super().__init__(first)


def stubborn(progress):
    raise Stubborn("a", "b")


def hold(megabytes, progress):
    block = bytearray(megabytes << 20)
    time.sleep(0.6)  # long enough to be read a few times
    return len(block)


def sleep(progress):
    time.sleep(600)


@pytest.fixture
def worker():
    with Worker("model") as child:
        yield child


def run(worker, task, *arguments, progress=no_progress):
    return worker.run(task, *arguments, progress=progress, planned_gb=1.0)


def test_a_task_runs_elsewhere_and_tells_how_far_it_is(worker, caplog):
    steps = []
    pid, total = run(worker, pid_and_sum, 1, 2, progress=lambda *step: steps.append(step))
    assert total == 3
    assert pid != os.getpid()
    assert steps == [(1, 2)]
    assert ("child", logging.WARNING, "adding") in caplog.record_tuples
    assert run(worker, pid_and_sum, 1, 2)[0] == pid  # one child for all tasks


def test_small_tasks_stay_here():
    with Worker("model", isolate_gb=2.0) as worker:
        assert run(worker, pid_and_sum, 1, 2)[0] == os.getpid()
        assert worker.watches == []


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV, signal.SIGTERM])
def test_death_by_signal_names_it_and_the_next_task_gets_a_new_child(worker, number):
    with pytest.raises(ProcessDied, match=f"model: the process .* ended by {number.name}") as died:
        run(worker, kill_itself, number)
    assert not died.value.out_of_memory
    assert run(worker, pid_and_sum, 1, 2)[1] == 3


def stop_once(marker, progress):
    """Hang the first time."""
    if not os.path.exists(marker):
        open(marker, "w").close()
        os.kill(os.getpid(), signal.SIGSTOP)
    return "went on"


def test_a_child_that_stands_still_is_ended_and_tried_once_more(tmp_path):
    with Worker("model", stall_s=1.0) as worker:
        outcome = until_it_fits(
            "fit", "model", (), lambda steps: run(worker, stop_once, str(tmp_path / "marker"))
        )
        assert (outcome.value, outcome.lighter) == ("went on", 0)
        (line,) = outcome.remedies
        assert line.evidence.endswith("it made no progress for 1 s")
        assert (line.remedy, line.result) == (AGAIN, "succeeded")


def test_what_stands_still_again_is_an_outcome():
    with Worker("model", stall_s=0.6) as worker:
        failed = until_it_fits(
            "fit", "model", ("lighter",), lambda steps: run(worker, kill_itself, signal.SIGSTOP)
        )
    assert "it made no progress" in failed.symptom
    assert len(failed.remedies) == 1


def test_a_library_that_aborts_takes_only_the_child(worker):
    with pytest.raises(ProcessDied, match="SIGABRT"):
        run(worker, abort)


def test_an_error_travels_with_the_childs_traceback(worker):
    with pytest.raises(PanelError, match="torn") as raised:
        run(worker, refuse)
    assert "in refuse" in raised.value.__notes__[0]


def test_an_error_that_cannot_travel_is_told_by_name(worker):
    with pytest.raises(RuntimeError, match="Stubborn: a"):
        run(worker, stubborn)


def test_memory_is_read_while_it_is_held_and_comes_back(worker):
    run(worker, pid_and_sum, 1, 2)
    assert run(worker, hold, 300) == 300 << 20
    peak = worker.watches[-1].peak_gb - worker.watches[0].peak_gb
    assert 0.2 < peak < 0.6
    child = worker._process.pid
    worker.close()
    assert not psutil.pid_exists(child)


def tell_and_answer(answer, progress):
    progress(1, 2)
    return answer


def test_progress_that_raises_leaves_its_answer_to_no_other_task(worker):
    def no_console(done, total):
        raise OSError("no console")

    with pytest.raises(OSError, match="no console"):
        run(worker, tell_and_answer, "a", progress=no_console)
    assert run(worker, tell_and_answer, "b") == "b"


ORPHAN = """
import os, signal, sys, threading, time
from numerai_kedro.compute.isolation import Worker
from tests.compute.test_isolation import sleep
worker = Worker("model")
worker._started()
print(worker._process.pid, flush=True)
threading.Timer(1.0, os.kill, (os.getpid(), signal.SIGKILL)).start()
worker.run(sleep, progress=lambda *_: None, planned_gb=1.0)
"""


def test_a_child_ends_with_a_parent_that_is_killed():
    killed = subprocess.run(
        [sys.executable, "-c", ORPHAN], capture_output=True, text=True, timeout=60, check=False
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    child = int(killed.stdout)
    for _ in range(100):
        if not psutil.pid_exists(child):
            return
        time.sleep(0.1)
    pytest.fail(f"process {child} lives on")


CGROUP = "/sys/fs/cgroup/memory"
IN_A_GROUP = """
import os, sys
open(sys.argv[1] + "/cgroup.procs", "w").write(str(os.getpid()))
from numerai_kedro.errors import ProcessDied
from numerai_kedro.compute.isolation import Worker
from tests.compute.test_isolation import hold
held = bytearray(int(sys.argv[2]) << 20)
with Worker("model") as worker:
    try:
        worker.run(hold, 600, progress=lambda *_: None, planned_gb=1.0)
    except ProcessDied as died:
        print(died.out_of_memory, died)
    print(worker.run(hold, 20, progress=lambda *_: None, planned_gb=1.0))
"""


@pytest.fixture
def group():
    """A control group with 300 MB, of version 1; made and taken away by root only."""
    folder = f"{CGROUP}/numerai-kedro-test-{os.getpid()}"
    try:
        os.mkdir(folder)
        with open(f"{folder}/memory.limit_in_bytes", "w") as limit:
            limit.write(str(300 << 20))
    except OSError as error:
        pytest.skip(f"no control group can be made here: {error}")
    yield folder
    for _ in range(50):  # the kernel takes a moment to notice that the last process has ended
        try:
            os.rmdir(folder)
        except OSError:
            time.sleep(0.1)
        else:
            return


RETRIED = """
import os, sys
open(sys.argv[1] + "/cgroup.procs", "w").write(str(os.getpid()))
from numerai_kedro.compute.isolation import Worker
from numerai_kedro.compute.remedies import until_it_fits
from tests.compute.test_isolation import hold
with Worker("model") as worker:
    def attempt(steps):
        return worker.run(hold, int(sys.argv[2]) // 2**steps, progress=print, planned_gb=1.0)
    ladder = ["on every second era", "on every fourth era"]
    print(until_it_fits("fit", "model", ladder, attempt))
"""


@pytest.mark.parametrize(
    ("megabytes", "words"),
    [
        (400, ["Made(value=209715200, lighter=1", "on every second era", "succeeded"]),
        (2000, ["Failed(stage='fit'", "kind='resource'", "on every fourth era"]),
    ],
)
def test_what_the_kernel_killed_is_retried_with_less_and_then_an_outcome(group, megabytes, words):
    ended = subprocess.run(
        [sys.executable, "-c", RETRIED, group, str(megabytes)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert all(word in ended.stdout for word in words), ended.stdout
    assert "out of memory, ended by the kernel" in ended.stdout


@pytest.mark.parametrize("megabytes", [0, 160])  # the parent's own: less and more than a fit's
def test_the_kernels_memory_killer_is_diagnosed_and_the_parent_lives(group, megabytes):
    ended = subprocess.run(
        [sys.executable, "-c", IN_A_GROUP, group, str(megabytes)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    first, second = ended.stdout.splitlines()
    assert first.startswith("True model: the process of the fit was ended by SIGKILL")
    assert first.endswith("out of memory, ended by the kernel")
    assert int(second) == 20 << 20
