"""The curve stays short, and one line is logged when memory nears the plan."""

import logging

import pytest

from numerai_kedro.compute import memory
from numerai_kedro.compute.memory import CURVE_POINTS, MemoryWatch


@pytest.fixture
def readings(monkeypatch):
    used, free = [0.0], [8.0]
    monkeypatch.setattr(memory, "unshared_gb", lambda pid: used[0])
    monkeypatch.setattr(memory, "left_gb", lambda: free[0])
    return used, free


def test_a_long_fit_keeps_a_curve_of_bounded_length(readings):
    watch = MemoryWatch("model", 100.0)
    for number in range(5_000):
        readings[0][0] = number / 1000
        watch.sample(1)
    assert CURVE_POINTS / 3 < len(watch.curve) <= CURVE_POINTS
    assert watch.as_json()["peak_gb"] == 4.999
    assert watch.curve[0][1] == 0


def test_nearing_the_plan_is_said_once(readings, caplog):
    watch = MemoryWatch("lightgbm", 2.0)
    for gb in (1.0, 1.7, 1.9, 2.5):
        readings[0][0] = gb
        watch.sample(1)
    assert caplog.messages == [
        "lightgbm: holds 1.9 GB, 2.0 GB were planned; 8.0 GB are left on this machine"
    ]


def test_little_left_is_said_whatever_the_plan(readings, caplog):
    readings[1][0] = 0.2
    MemoryWatch("lightgbm", 2.0).sample(1)
    assert "0.2 GB are left" in caplog.text


def test_several_processes_are_counted_together_and_a_gone_one_is_nothing(monkeypatch, caplog):
    import os

    caplog.set_level(logging.ERROR)
    watch = MemoryWatch("model", 100.0)
    watch.sample(os.getpid(), 2**22 + 1)
    assert 0.01 < watch.peak_gb < 10
    assert watch.least_left_gb > 0
