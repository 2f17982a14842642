"""Which eras may be used where: periods, walk-forward folds, and the eras of the live fit.

    1 ────────── warm-up ─┤purge├─ validation ─┤purge├─── test ───► label frontier ··· live
                                            fold 1 │ fold 2 │ fold 3 …
    fold k learns from every era before it, `purge_eras` apart.

Eras are plain ints here; a range of eras is (first, last), both included.
"""

from __future__ import annotations

from dataclasses import dataclass

from numerai_kedro.errors import ConfigurationError, LeakError
from numerai_kedro.strict import Strict

EraRange = tuple[int, int]  # first and last era, both included


@dataclass(frozen=True)
class Fold:
    """One step of a walk-forward: learn from `train`, predict `test`.

    Parameters
    ----------
    name
        Such as ``"test-2"``; stable as history grows, because folds are anchored.
    train, test : (first era, last era)
        Both ends included.
    """

    name: str
    train: tuple[int, int]
    test: tuple[int, int]

    def check_purge(self, purge_eras: int) -> None:
        """Refuse a fold that would learn from targets which overlap its test eras.

        Raises
        ------
        LeakError
            ``train.max() + purge_eras < test.min()`` does not hold.
        """
        if self.train[1] + purge_eras >= self.test[0]:
            raise LeakError(
                f"fold {self.name}: trains on era {self.train[1]:04d}, "
                f"{self.test[0] - self.train[1]} before test era {self.test[0]:04d}; "
                f"the target needs purge_eras: {purge_eras} (parameters_ingestion.yml)."
            )


class Periods(Strict):
    """Parts of history: what is only learned from, what choices are made on, what is judged on."""

    warm_up: EraRange
    validation: EraRange
    test: EraRange


class Folds(Strict):
    """Who may look at which eras of a week's history, as the catalog's `folds` holds it.

    Parameters
    ----------
    size
        Of the data, such as ``"demo"``.
    target, paid_target
        What models learn, and what a round pays by.
    features, neutral_features, groups
        Names that models learn, that FNC neutralises to, and the former by official group.
    purge_eras
        Eras dropped between training and test.
    valid_eras
        Newest training eras by which networks stop early; 0 where none is held back.
    refit_eras, test_fold_eras
        Eras from one live fit to the next, and of one test fold.
    history
        First and newest era with features.
    resolved_to
        The newest resolved era of each target.
    validation, test
        Folds of the two periods, oldest first.
    live_fit
        Training eras of the live fit.
    """

    size: str
    target: str
    paid_target: str
    features: list[str]
    neutral_features: list[str]
    groups: list[list[str]]
    purge_eras: int
    valid_eras: int
    refit_eras: int
    test_fold_eras: int
    history: EraRange
    periods: Periods
    resolved_to: dict[str, int]
    validation: list[Fold]
    test: list[Fold]
    live_fit: EraRange

    @property
    def live_era(self) -> int:
        """The era that predictions are made for."""
        return self.history[1] + 1


def walk_forward_folds(
    period: tuple[int, int], fold_eras: int, purge_eras: int, name: str, first_era: int = 1
) -> list[Fold]:
    """Cut a period into folds that learn from all eras before them.

    Parameters
    ----------
    period : (first era, last era)
        The period to predict; folds start at its first era, so that a later end never moves one.
    fold_eras
        Eras predicted by one fit; the last fold may be shorter.
    purge_eras
        Eras dropped between the last training era and the first test era.
    name
        Prefix of the folds' names.
    first_era
        First era of history.

    Raises
    ------
    ConfigurationError
        The period is empty, or its first fold would have nothing to learn from.
    """
    first, last = period
    if last < first:
        raise ConfigurationError(
            f"the {name} period is empty: it begins at era {first:04d} and the newest era with a "
            f"resolved target is {last:04d}; choose an earlier begin (parameters_ingestion.yml)."
        )
    if first - purge_eras - 1 < first_era:
        raise ConfigurationError(
            f"the {name} period begins at era {first:04d}, too early to learn from "
            f"anything {purge_eras} eras before it (parameters_ingestion.yml)."
        )
    folds = []
    for number, begin in enumerate(range(first, last + 1, fold_eras), start=1):
        end = min(begin + fold_eras - 1, last)
        fold = Fold(f"{name}-{number}", (first_era, begin - purge_eras - 1), (begin, end))
        fold.check_purge(purge_eras)
        folds.append(fold)
    return folds


def live_fit_eras(
    first_test_era: int, live_era: int, refit_eras: int, purge_eras: int, first_era: int = 1
) -> tuple[int, int]:
    """Eras that the model which predicts live learns from.

    It is refitted on a fixed grid of eras, `first_test_era + refit_eras * k`, exactly like a fold
    that begins there: the out-of-fold record then measures the same procedure.
    """
    steps = max(0, (live_era - first_test_era) // refit_eras)
    grid_era = first_test_era + refit_eras * steps
    return (first_era, grid_era - purge_eras - 1)


def live_window(folds: Folds, update_every: int) -> tuple[EraRange, int | None]:
    """Training eras of the newest fold that has begun, and the newest era of its update."""
    purge, live_era = folds.purge_eras, folds.live_era
    test_begin, fold_eras = folds.periods.test[0], folds.test_fold_eras
    begin = test_begin + fold_eras * max(0, (live_era - test_begin) // fold_eras)
    n_updates = (live_era - begin) // update_every
    updated_to = begin + n_updates * update_every - purge - 1
    return (folds.live_fit[0], begin - purge - 1), updated_to if n_updates else None
