"""The curve stays short, and one line is logged when memory nears the plan."""

import logging
from types import SimpleNamespace

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


def test_what_a_process_alone_holds_and_what_is_left_are_said_in_gib(monkeypatch):
    info = SimpleNamespace(rss=5 * 2**30, shared=2 * 2**30)
    process = SimpleNamespace(memory_info=lambda: info)
    monkeypatch.setattr(memory.psutil, "Process", lambda pid: process)
    assert memory.unshared_gb(1) == 3.0
    machine = SimpleNamespace(available=6 * 2**30)
    monkeypatch.setattr(memory.psutil, "virtual_memory", lambda: machine)
    for in_group, left in ((None, 6.0), (4 * 2**30, 4.0), (8 * 2**30, 6.0)):
        monkeypatch.setattr(memory.cgroups, "memory_left", lambda gb=in_group: gb)
        assert memory.left_gb() == left


def test_a_curve_has_seconds_since_the_beginning_and_gib_held_and_left(readings, monkeypatch):
    seconds = iter([100.0, 102.5])
    monkeypatch.setattr(memory, "time", SimpleNamespace(monotonic=lambda: next(seconds)))
    watch = MemoryWatch("model", 3.14159, _begin=100.0)
    for used, free in ((1.0, 8.0), (0.5, 7.25)):
        readings[0][0], readings[1][0] = used, free
        watch.sample(1)
    assert watch.least_left_gb == 7.25
    assert watch.as_json() == {
        "planned_gb": 3.142,
        "peak_gb": 1.0,
        "curve": [[0.0, 1.0, 8.0], [2.5, 0.5, 7.25]],
    }


def test_nearing_the_plan_is_said_once(readings, caplog):
    watch = MemoryWatch("lightgbm", 2.0)
    for gb in (1.0, 1.7, 1.9, 2.5):
        readings[0][0] = gb
        watch.sample(1)
    assert caplog.messages == [
        "lightgbm: holds 1.9 GB, 2.0 GB were planned; 8.0 GB are left on this machine"
    ]


def test_little_left_is_said_whatever_the_plan(readings, caplog):
    readings[1][0] = 0.6
    MemoryWatch("lightgbm", 2.0).sample(1)
    assert caplog.text == ""
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
