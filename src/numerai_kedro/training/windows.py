"""Training windows of a week: what may be learned of features in each, and which eras test it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from numerai_kedro.data.folds import live_window
from numerai_kedro.training.engineered import window_name
from numerai_kedro.training.tuning.context import Calendar


@dataclass(frozen=True)
class Window:
    """Eras to learn from, and those that its fits are tested on.

    Parameters
    ----------
    train
        First and newest era.
    test
        First and last; None for a window that only predicts live.
    updated_to
        The newest era that an update of its live fit learns; 0 where there is none.
    """

    train: tuple[int, int]
    test: tuple[int, int] | None = None
    updated_to: int = 0

    @property
    def newest(self) -> int:
        """The newest era for which latents are needed."""
        return max(self.train[1], self.updated_to, self.test[1] if self.test else 0)


def windows_of(folds: dict[str, Any]) -> dict[str, Window]:
    """Every window that a fit of this week may learn from, by name, oldest first.

    Those of tuning, of test folds, of a re-tuning, and those that predict live.
    """
    calendar = Calendar(folds)
    cut = [(tuple(fold["train"]), tuple(fold["test"])) for fold in folds["test"]]
    later = calendar.validation_folds(calendar.next_fold_begin())
    cut += [(fold.train, fold.test) for fold in later]
    made: dict[str, Window] = {}
    for train, test in cut:
        name = window_name(train[1])
        if name in made and (before := made[name].test) is not None:
            test = (min(before[0], test[0]), max(before[1], test[1]))
        made[name] = Window(train, test)
    for train, updated_to in live_windows(folds).items():
        one = made.get(window_name(train[1]), Window(train))
        made[window_name(train[1])] = replace(one, updated_to=updated_to)
    return dict(sorted(made.items()))


def live_windows(folds: dict[str, Any]) -> dict[tuple[int, int], int]:
    """What live fits learn from, anew or to be updated, and up to which era they are."""
    begun, updated_to = live_window(folds, folds["refit_eras"])
    return {tuple(folds["live_fit"]): 0, begun: updated_to or 0}
