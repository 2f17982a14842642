"""A fault comes where and as often as it was ordered, in every process, and leaves no trace."""

import os
import subprocess
import sys

import pytest

from numerai_kedro.compute.fault_injection import VARIABLE, Order, check_place, due
from numerai_kedro.errors import ConfigurationError

N = 10


@pytest.fixture
def count(tmp_path):
    return str(tmp_path / "count")


@pytest.mark.parametrize(
    ("at", "times", "steps"),
    [("first", 1, [0]), ("middle", 3, [5, 6, 7]), ("last", 2, [9]), ("4", 1, [4])],
)
def test_steps(count, at, times, steps):
    with Order("nan", at, times, count).given():
        assert [k for k in range(N) if due("step", k, N)] == steps
        assert due("evaluation") is None
    assert VARIABLE not in os.environ
    assert due("step", 0, N) is None


def test_a_place_is_no_step(count):
    with Order("oom", "loading", 1, count).given():
        assert not any(due("step", k, N) for k in range(N))
        assert [due("loading"), due("loading")] == ["oom", None]


def test_another_process_knows_what_has_happened(count):
    code = "from numerai_kedro.compute.fault_injection import due; print(due('step', 3, 10))"
    with Order("nan", "first", 1, count).given():
        outputs = [
            subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout
            for _ in range(2)
        ]
    assert outputs == ["nan\n", "None\n"]


def test_a_kill_is_one(count):
    code = (
        "from numerai_kedro.compute.fault_injection import due; due('step', 3, 10); print('lives')"
    )
    with Order("kill", "2", 1, count).given():
        first, second = (
            subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
            for _ in range(2)
        )
    assert (first.returncode, second.stdout) == (-9, "lives\n")


@pytest.mark.parametrize("at", ["nowhere", "-3", "1.5", ""])
def test_a_place_that_is_none_is_a_sentence(at):
    with pytest.raises(ConfigurationError, match="first, middle, last, evaluation, loading"):
        check_place("oom", at)


def test_what_cannot_happen_is_refused():
    with pytest.raises(ConfigurationError, match="int8"):
        check_place("nan", "loading")
    check_place("nan", "evaluation")
