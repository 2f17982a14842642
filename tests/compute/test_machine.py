"""A container's limits count, not the machine that it runs on."""

from types import SimpleNamespace

import psutil
import pytest

from numerai_kedro.compute import cgroups, machine
from numerai_kedro.compute.machine import GIB, read_machine


@pytest.fixture
def limits(tmp_path, monkeypatch):
    """The files of one control group of version 2."""
    group, own = tmp_path / "cgroup", tmp_path / "own"
    group.mkdir()
    own.write_text("0::/\n")
    monkeypatch.setattr(cgroups, "ROOT", group)
    monkeypatch.setattr(cgroups, "OF_PROCESS", own)
    return group / "memory.max", group / "cpu.max"


def test_without_limits_the_machine_counts(limits, tmp_path):
    measured = read_machine(tmp_path / "not" / "there" / "yet")
    assert measured.memory_gb == pytest.approx(psutil.virtual_memory().total / GIB)
    assert measured.cores >= 1
    assert measured.used_disk_gb == 0


def test_a_memory_limit_caps_total_and_free(limits, tmp_path):
    limits[0].write_text(f"{GIB // 2}\n")
    measured = read_machine(tmp_path)
    assert measured.memory_gb == 0.5
    assert measured.free_memory_gb <= 0.5


def test_free_disk_and_video_memory_are_in_gib(limits, tmp_path, monkeypatch):
    monkeypatch.setattr(machine.shutil, "disk_usage", lambda _: SimpleNamespace(free=3 * GIB))
    assert read_machine(tmp_path).free_disk_gb == 3.0
    said = SimpleNamespace(stdout="12288\n24576\n")
    monkeypatch.setattr(machine.subprocess, "run", lambda *_, **__: said)
    monkeypatch.delenv(machine.SIMULATED_GPU, raising=False)
    assert machine.gpu_memory_gb() == 12.0
    said.stdout = "no devices were found\n"
    assert machine.gpu_memory_gb() == 0.0
    monkeypatch.setenv(machine.SIMULATED_GPU, "2.5")
    assert machine.gpu_memory_gb() == 2.5


def test_max_is_no_limit(limits, tmp_path):
    limits[0].write_text("max\n")
    limits[1].write_text("max 100000\n")
    assert read_machine(tmp_path).memory_gb > 0.5


def test_a_share_of_the_processors_is_rounded_down_but_never_to_none(limits, tmp_path):
    limits[1].write_text("150000 100000\n")
    assert read_machine(tmp_path).cores == 1
    limits[1].write_text("50000 100000\n")
    assert read_machine(tmp_path).cores == 1


def test_what_a_run_will_replace_is_counted(limits, tmp_path):
    for name in ("01_raw", "02_intermediate", "08_reporting"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "x").write_bytes(bytes(1 << 20))
    assert read_machine(tmp_path).used_disk_gb == pytest.approx(2 / 1024)
    assert read_machine(tmp_path).readings()["used_disk_gb"] == 0.0
