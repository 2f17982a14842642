"""Healthy training raises no alarm; each kind of trouble raises its own."""

import numpy as np
import pytest

from numerai_kedro.compute import health
from numerai_kedro.compute.health import EpochWatch, LossWatch


def losses(n=300, seed=0, falls=0.1):
    rng = np.random.default_rng(seed)
    return 1.5 - falls * np.linspace(0, 1, n) + 0.05 * rng.normal(size=n)


@pytest.mark.parametrize("seed", range(20))
def test_losses_that_fall_noisily_never_explode(seed):
    watch = LossWatch()
    assert not any(watch.exploded(loss) for loss in losses(seed=seed))


@pytest.mark.parametrize("at", [40, 150, 290])
def test_an_explosion_is_seen_after_three_steps_and_one_outlier_is_none(at):
    watch, values = LossWatch(), losses()
    values[at - 15] = 30.0
    values[at:] *= 3
    seen = [k for k, loss in enumerate(values) if watch.exploded(loss)]
    assert seen[0] == at + 2
    watch = LossWatch()
    assert "usually 1." in next(text for loss in values if (text := watch.exploded(loss)))


def test_a_plateau_is_three_epochs_without_a_lower_loss_and_is_told_once():
    watch = EpochWatch()
    alarms = [watch.plateau(loss) for loss in (1.5, 1.4, 1.45, 1.42, 1.41, 1.45, 1.3, 1.2)]
    assert [text is not None for text in alarms] == 4 * [False] + [True] + 3 * [False]
    assert "1.4500, 1.4200, 1.4100" in alarms[4]


def test_predictions_are_dead_where_most_eras_have_one_value():
    starts = np.array([0, 50, 100, 150])
    alive = np.random.default_rng(0).normal(size=150).astype(np.float32)
    assert health.dead(alive, starts) is None
    one_era, most = alive.copy(), alive.copy()
    one_era[:50] = 0.3
    most[:100] = 0.3
    assert health.dead(one_era, starts) is None
    assert health.dead(most, starts) == "constant in 2 of 3 eras"
    large = (1e6 + alive * 1e-4).astype(np.float32)
    assert health.dead(large, starts) == "constant in 3 of 3 eras"


@pytest.mark.parametrize(
    ("train", "valid", "alarm"),
    [(0.3, 0.05, False), (0.3, 0.02, True), (0.3, -0.01, True), (0.03, 0.0, False)],
)
def test_a_gap_is_an_alarm_where_next_to_nothing_survives(train, valid, alarm):
    assert (health.gap(train, valid) is not None) is alarm


def test_only_what_is_the_benchmark_is_said_to_be_it():
    assert health.collapsed([0.999, 0.998, float("nan"), 0.4]) is not None
    assert health.collapsed([0.9, 0.95, 0.999]) is None
    assert health.collapsed([]) is None


def watched(*values):
    watch = LossWatch()
    for value in values:
        assert watch.exploded(value) is None
    return watch


def test_the_usual_loss_is_a_plain_mean_early_on_and_then_forgets_by_half_in_thirty_steps():
    values = [1.5, 1.2, 1.4, 1.3]
    early = watched(*values)
    assert early.mean == pytest.approx(np.mean(values))
    assert early.variance == pytest.approx(np.var(values))
    watch = LossWatch(mean=1.0, variance=0.04, seen=500)
    assert watch.exploded(1.1) is None
    rate = 1 - 0.5 ** (1 / 30)
    assert watch.mean == pytest.approx(1 + rate * 0.1)
    assert watch.variance == pytest.approx((1 - rate) * (0.04 + rate * 0.01))
    assert (watch.seen, watch.far) == (501, 0)


@pytest.mark.parametrize(("loss", "is_far"), [(1.00 + 8 * 0.201 - 0.001, False), (2.61, True)])
def test_a_loss_is_far_eight_deviations_and_a_thousandth_above(loss, is_far):
    watch = LossWatch(mean=1.0, variance=0.04, seen=20)
    assert watch.exploded(loss) is None
    assert (watch.far, watch.seen) == ((1, 20) if is_far else (0, 21))
    early = LossWatch(mean=1.0, variance=0.04, seen=19)
    assert early.exploded(2.61) is None
    assert early.far == 0


def test_an_explosion_is_told_from_the_third_step_in_a_row_on():
    watch = LossWatch(mean=1.0, variance=0.04, seen=20)
    told = [watch.exploded(9.0) for _ in range(5)]
    assert told == [None, None, *["loss 9, usually 1 ± 0.2"] * 3]
    assert watch.mean == 1.0
    assert watch.exploded(1.0) is None
    assert watch.far == 0


def test_a_plateau_begins_anew_after_it_was_told():
    watch = EpochWatch()
    values = (1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0)
    assert [watch.plateau(value) is not None for value in values] == [
        False, False, False, True, False, False, False, True,
    ]  # fmt: skip


def test_eras_of_one_row_say_nothing_and_half_of_the_eras_is_not_most():
    starts = np.array([0, 1, 2, 3, 6, 9])
    values = np.array([1.0, 2, 3, 5, 5, 5, 1, 2, 3], dtype=np.float32)
    assert health.dead(values, starts) is None
    assert health.dead(values[:3], starts[:4]) is None
    assert health.dead(np.full(9, 2.0, np.float32), starts) == "constant in 2 of 2 eras"
    spread = np.array([0.5, 0.5 + 2e-6, 0.5], dtype=np.float64)
    assert health.dead(spread, np.array([0, 3])) is None
    assert health.dead(spread / 4, np.array([0, 3])) is not None


def test_gaps_and_likeness_are_told_with_their_numbers():
    assert health.gap(0.05, 0.005) == "CORR 0.050 on training eras, 0.005 on later ones"
    assert health.gap(0.05, 0.0051) is None
    assert health.gap(0.0499, 0.0) is None
    told = "correlates 0.9950 with the benchmark in the median era"
    assert health.collapsed([0.995, 0.995, 0.2]) == told
    assert health.collapsed([0.9949, 0.9949, 1.0]) is None
    assert health.collapsed([float("nan")]) is None
