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
