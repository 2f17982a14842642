"""When a study is due and on which folds, in eras."""

from types import SimpleNamespace

import pytest
from tests.training.test_walk_forward import recipe

from numerai_kedro.data.folds import Fold
from numerai_kedro.training.tuning.context import (
    Calendar,
    low_fidelity_option,
    low_fidelity_trial,
)

VALIDATION = (Fold("validation-1", (1, 20), (26, 35)), Fold("validation-2", (1, 30), (36, 45)))


def calendar(frontier, live_era=140):
    periods = SimpleNamespace(test=(51, frontier))
    folds = SimpleNamespace(
        periods=periods, test_fold_eras=20, purge_eras=5, validation=VALIDATION, live_era=live_era
    )
    return Calendar(folds)


@pytest.mark.parametrize(("frontier", "begin"), [(50, 51), (51, 71), (70, 71), (71, 91), (90, 91)])
def test_the_next_fold_begins_where_no_resolved_era_is_yet(frontier, begin):
    assert calendar(frontier).next_fold_begin() == begin


def test_test_eras_a_purge_before_are_validation_folds_of_the_same_length():
    for first_era in (51, 56):
        assert calendar(90).validation_folds(first_era) == list(VALIDATION)
    added = calendar(90).validation_folds(73)[2:]
    assert [(fold.train, fold.test) for fold in added] == [
        ((1, 45), (51, 60)), ((1, 55), (61, 67)),
    ]  # fmt: skip
    assert calendar(90).validation_folds(57)[2].test == (51, 51)
    assert calendar(64).validation_folds(91)[-1].test == (61, 64)


@pytest.mark.parametrize(
    ("frontier", "tuned_for", "first_era", "due"),
    [
        (85, 127, 71, True),  # thirteen weeks ago, and eras up to 85 are whole for the fold of 91
        (85, 128, 71, False),
        (84, 127, 71, False),
        (85, 127, 91, False),
    ],
)
def test_a_study_is_due_after_its_weeks_once_its_eras_are_resolved(
    frontier, tuned_for, first_era, due
):
    last = {"tuned_for": tuned_for, "first_era": first_era}
    assert calendar(frontier).is_due(last, 13) is due


def test_trials_are_cheap_in_eras_and_trees_and_options_in_trees_alone():
    tuning = SimpleNamespace(low_fidelity_stride=4, low_fidelity_trees=5)
    plain = recipe(era_stride=2, n_offsets=2)
    trial = low_fidelity_trial(plain, plain.params, tuning)
    assert (trial.era_stride, trial.n_offsets) == (4, 1)
    assert (trial.params.n_estimators, trial.params.min_data_in_leaf) == (5, 5)
    assert trial.params.learning_rate == pytest.approx(0.4)
    wide = low_fidelity_trial(recipe(era_stride=8), plain.params, tuning)
    assert (wide.era_stride, wide.params.min_data_in_leaf) == (8, 10)
    option = low_fidelity_option(plain, tuning)
    assert (option.era_stride, option.n_offsets) == (2, 2)
    assert (option.params.n_estimators, option.params.min_data_in_leaf) == (5, 10)
