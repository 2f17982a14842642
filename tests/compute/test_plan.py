"""Fits that need too much memory are cut, or refused with what they need and what there is."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from numerai_kedro.compute.machine import Machine, read_machine
from numerai_kedro.compute.plan import (
    BASE_MEMORY_GB,
    LARGEST_STRIDE,
    RESERVE_MEMORY_GB,
    Data,
    Sampling,
    Schedule,
    Step,
    check_disk,
    fit_hours,
    fits_at_once,
    lighter_presets,
    preset_for,
    quickened,
    sampling_of,
    schedule_steps,
)
from numerai_kedro.errors import ResourceError

GIB = 2**30
EVERY = Sampling(1, 1)
FIXED_GB = 0.3


def fit_of(gb):
    """Memory of a fit by stride; a part of it does not shrink."""
    return lambda stride: FIXED_GB + (gb - FIXED_GB) / stride


def machine(memory_gb=16.0, free_disk_gb=200.0, used_disk_gb=0.0, free_memory_gb=8.0):
    return Machine(memory_gb, 4, free_memory_gb, free_disk_gb, used_disk_gb)


def steps(models_gb=0.1):
    data = Data(9 * GIB, 9 * GIB, 6_900_000, 780)
    return (*data.steps(), Step("lightgbm fits", disk_gb=models_gb))


def test_what_fits_is_not_cut():
    assert sampling_of("lightgbm", fit_of(4.0), EVERY, machine()) == EVERY


def test_what_does_not_fit_goes_by_offsets_that_share_out_all_eras():
    sampling = sampling_of("lightgbm", fit_of(25.0), EVERY, machine())
    assert (sampling.era_stride, sampling.n_offsets) == (2, 2)
    assert sampling.cut == (
        "lightgbm: 2 fits, averaged, each on every second era: every era needs 26.5 GB, this "
        "machine has 16.0 GB"
    )


def test_one_offset_stays_one_where_that_was_asked():
    sampling = sampling_of("xgboost", fit_of(30.0), Sampling(2, 1), machine())
    assert (sampling.era_stride, sampling.n_offsets) == (3, 1)
    assert sampling.cut.startswith(
        "xgboost: a fit on every third era: every second era needs 16.6 GB"
    )


def test_what_never_fits_is_refused_with_need_and_have():
    with pytest.raises(ResourceError, match=r"fourth era still needs 25\.2 GB, 13\.5 GB of 16"):
        sampling_of("catboost", fit_of(100.0), EVERY, machine())


@given(memory_gb=st.floats(4, 256), fit_gb=st.floats(FIXED_GB, 400), asked=st.integers(1, 4))
def test_the_plan_never_promises_more_than_the_machine_has(memory_gb, fit_gb, asked):
    budget = memory_gb - BASE_MEMORY_GB - RESERVE_MEMORY_GB
    try:
        sampling = sampling_of("model", fit_of(fit_gb), Sampling(asked, 1), machine(memory_gb))
    except ResourceError:
        assert fit_of(fit_gb)(max(asked, LARGEST_STRIDE)) > budget
        return
    assert fit_of(fit_gb)(sampling.era_stride) <= budget
    assert sampling.era_stride >= asked


def test_decisions_hang_on_totals_not_on_what_is_free():
    busy, idle = machine(free_memory_gb=0.5), machine(free_memory_gb=15)
    assert sampling_of("m", fit_of(25.0), EVERY, busy) == sampling_of(
        "m", fit_of(25.0), EVERY, idle
    )


def test_a_disk_too_small_is_refused_with_need_and_have():
    with pytest.raises(ResourceError, match=r"16\.\d GB with the reserve, 10\.0 GB are free"):
        check_disk(steps(), machine(free_disk_gb=10), 20)


def test_what_lies_on_the_disk_already_is_not_asked_for_twice():
    check_disk(steps(), machine(free_disk_gb=2, used_disk_gb=16), 20)


def test_models_to_come_are_counted_up_to_the_limit_of_the_store():
    check_disk(steps(24), machine(free_disk_gb=60), 100)
    with pytest.raises(ResourceError, match=r"24\.0 GB of models need 4\d\.\d GB"):
        check_disk(steps(24), machine(free_disk_gb=30), 100)
    check_disk(steps(24), machine(free_disk_gb=50), 5)  # one node may exceed it by its own output


def test_a_file_that_is_replaced_is_on_the_disk_twice_meanwhile():
    refreshed = Data(9 * GIB, 5 * GIB, 6_900_000, 780, replaced_bytes=4 * GIB)
    used = {"used_disk_gb": 16.0}
    check_disk(refreshed.steps(), machine(free_disk_gb=5.1, **used), 20)
    with pytest.raises(ResourceError, match=r"9\.0 GB of downloads \(4\.0 GB twice meanwhile\)"):
        check_disk(refreshed.steps(), machine(free_disk_gb=4.9, **used), 20)
    fits = (*refreshed.steps(), Step("lightgbm fits", disk_gb=4.0))  # after the old file is gone
    check_disk(fits, machine(free_disk_gb=5.1, **used), 20)


def test_data_are_planned_in_gib_and_seconds():
    """20 MB and 150 million cells a second; a row is 780 features and 200 bytes."""
    data = Data(9 * GIB, 3 * GIB, 6_900_000, 780, replaced_bytes=2 * GIB)
    download, panel = data.steps()
    assert download == Step("download", 0.2, 9.0, 3.0, pytest.approx(161.06, abs=0.01), "", 2.0)
    assert panel == Step("panel", 1.0, pytest.approx(6.2976, abs=1e-4), 0.0, pytest.approx(35.88))


def test_a_refusal_adds_up_what_is_missing_and_the_reserve():
    """7 GB missing of 9 + 3, the larger of 4 GB twice and 2 GB of models, 1 GB of reserve."""
    plan = (
        Step("download", disk_gb=9.0, passing_gb=4.0),
        Step("panel", disk_gb=3.0),
        *(Step(f"{name} fits", disk_gb=1.0) for name in "ab"),
    )
    check_disk(plan, machine(free_disk_gb=12.0, used_disk_gb=5.0), 20)
    with pytest.raises(ResourceError) as refused:
        check_disk(plan, machine(free_disk_gb=11.9, used_disk_gb=5.0), 20)
    assert str(refused.value) == (
        "not enough disk: 9.0 GB of downloads (4.0 GB twice meanwhile), 3.0 GB of panel and 2.0 GB "
        "of models need 12.0 GB with the reserve, 11.9 GB are free; free some (kedro tournament "
        "clean), or choose a smaller feature_set (parameters_ingestion.yml)."
    )


def test_seconds_of_what_runs_are_added_up_and_a_budget_that_is_just_enough_is_enough():
    assert schedule_steps(WORK, 6.0) == Schedule(
        tuple(step.name for step in WORK), (), 6.0, 6 * HOUR
    )
    assert schedule_steps(WORK, 5.99).postponed == ("lightgbm trials",)


def test_a_panel_that_is_there_takes_no_time():
    assert [step.seconds for step in Data(9 * GIB, 0, 6_900_000, 780).steps()] == [0, 0]


@pytest.mark.parametrize(
    ("work", "memory_gb", "n_fits", "at_once"),
    [
        (1e9, 0.5, 7, 1),  # over before its process has begun
        (1e11, 0.5, 7, 4),  # by cores
        (1e11, 0.5, 3, 3),  # by fits
        (1e11, 5.0, 7, 2),  # by memory: 13.5 GB for fits
        (1e11, 50.0, 7, 1),
    ],
)
def test_fits_of_one_core_go_side_by_side_as_far_as_the_machine_goes(
    work, memory_gb, n_fits, at_once
):
    machine = Machine(16.0, 4, 8.0, 100.0, 10.0)
    assert fits_at_once(work, memory_gb, n_fits, machine) == at_once


@pytest.mark.parametrize(("n_fits", "at_once", "times"), [(3, 2, 1.5), (4, 2, 2), (3, 1, 1)])
def test_the_last_round_of_fits_may_leave_cores_idle(n_fits, at_once, times):
    assert quickened(n_fits, at_once) == times


def test_a_card_of_ten_gib_is_large_and_lighter_presets_follow_in_order():
    presets = [preset_for("cuda", gb) for gb in (12.0, 10.0, 9.99, 0.5)]
    assert presets == ["large_gpu", "large_gpu", "small_gpu", "small_gpu"]
    assert preset_for("cpu", 80.0) == "cpu"
    assert lighter_presets("large_gpu") == ("small_gpu", "cpu")
    assert lighter_presets("cpu") == lighter_presets("mine") == ()


HOUR = 3600.0
WORK = [
    Step("lightgbm fits", seconds=2 * HOUR),
    Step("catboost fits", seconds=3 * HOUR),
    Step("xgboost fits", seconds=0.0),
    Step("lightgbm trials", seconds=1 * HOUR),
]


def test_without_a_budget_everything_runs():
    assert schedule_steps(WORK, None).postponed == ()


def test_a_budget_is_for_the_whole_run_not_for_fits_alone():
    before = [Step("download", seconds=0.5 * HOUR), Step("panel", seconds=0.5 * HOUR)]
    assert fit_hours(None, before) is None
    assert fit_hours(3.0, before) == pytest.approx(1.2)
    assert fit_hours(0.5, before) == 0


def test_a_budget_takes_what_fits_in_order_of_worth():
    schedule = schedule_steps(WORK, 3.5)
    assert schedule.runs == ("lightgbm fits", "xgboost fits", "lightgbm trials")
    assert schedule.postponed == ("catboost fits",)


def test_whatever_the_budget_every_run_comes_further():
    """Finished work takes no time; the work postponed last time then comes first."""
    done = [Step("lightgbm fits"), *WORK[1:]]
    assert schedule_steps(done, 0.5).runs == ("lightgbm fits", "catboost fits", "xgboost fits")
    last = [Step(step.name) for step in WORK[:3]] + WORK[3:]
    assert schedule_steps(last, 0.5).postponed == ()


def test_trials_wait_for_a_model_whose_fits_wait():
    trials = Step("catboost trials", seconds=1.0, after="catboost fits")
    schedule = schedule_steps([*WORK[:2], trials], 2.5)
    assert schedule.postponed == ("catboost fits", "catboost trials")


def test_the_first_model_runs_whatever_the_budget():
    schedule = schedule_steps(WORK, 0.1)
    assert schedule.runs == ("lightgbm fits", "xgboost fits")


def test_this_machine_can_be_read(tmp_path):
    measured = read_machine(tmp_path / "not" / "there" / "yet")
    assert measured.cores >= 1
    assert 0 < measured.free_memory_gb <= measured.memory_gb
