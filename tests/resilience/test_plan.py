from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from numerai_kedro.errors import ResourceError
from numerai_kedro.resilience.machine import Machine, read_machine
from numerai_kedro.resilience.plan import BASE_MEMORY_GB, RESERVE_MEMORY_GB, Work, plan_resources

GIB = 2**30


def machine(memory_gb=16.0, free_disk_gb=200.0, used_disk_gb=0.0, free_memory_gb=8.0):
    return Machine(memory_gb, 4, free_memory_gb, free_disk_gb, used_disk_gb)


def work(fit_memory_gb=4.0, n_features=780):
    return Work(9 * GIB, 9 * GIB, 6_900_000, n_features, 8, 1e12, fit_memory_gb, 0.005)


def test_what_fits_is_not_cut():
    plan = plan_resources(work(), machine(), 1e9)
    assert plan.era_stride == 1
    assert plan.cuts == ()


def test_what_does_not_fit_is_cut_and_said():
    plan = plan_resources(work(fit_memory_gb=25), machine(), 1e9)
    assert plan.era_stride == 2
    assert "every second era" in plan.cuts[0]
    assert "16.0 GB" in plan.cuts[0]


@given(memory_gb=st.floats(4, 256), fit_memory_gb=st.floats(0.1, 400))
def test_the_plan_never_promises_more_than_the_machine_has(memory_gb, fit_memory_gb):
    try:
        plan = plan_resources(work(fit_memory_gb), machine(memory_gb), 1e9)
    except ResourceError:
        assert fit_memory_gb / 4 > memory_gb - BASE_MEMORY_GB - RESERVE_MEMORY_GB
        return
    fits = next(step for step in plan.steps if step.name == "fits")
    assert fits.memory_gb <= memory_gb
    assert fits.memory_gb >= BASE_MEMORY_GB


def test_decisions_hang_on_totals_not_on_what_is_free():
    busy, idle = machine(free_memory_gb=0.5), machine(free_memory_gb=15)
    assert (
        plan_resources(work(), busy, 1e9).decisions()
        == plan_resources(work(), idle, 1e12).decisions()
    )


def test_a_disk_too_small_is_refused_with_need_and_have():
    with pytest.raises(ResourceError, match=r"16\.\d GB with the reserve, 10\.0 GB are free"):
        plan_resources(work(), machine(free_disk_gb=10), 1e9)


def test_what_lies_on_the_disk_already_is_not_asked_for_twice():
    plan_resources(work(), machine(free_disk_gb=2, used_disk_gb=16), 1e9)


def test_this_machine_can_be_read(tmp_path):
    found = read_machine(tmp_path / "not" / "there" / "yet")
    assert found.cores >= 1
    assert 0 < found.free_memory_gb <= found.memory_gb


def test_models_to_come_are_counted_before_they_fill_the_disk():
    large = replace(work(), fit_disk_gb=3.0)
    plan_resources(large, machine(free_disk_gb=60), 1e9)
    with pytest.raises(ResourceError, match=r"24\.0 GB of models need 4\d\.\d GB"):
        plan_resources(large, machine(free_disk_gb=35), 1e9)
    plan_resources(replace(large, n_fits=0), machine(free_disk_gb=35), 1e9)
