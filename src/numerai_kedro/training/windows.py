"""Training windows of a week: the eras that each learns from, and those that test it."""

from __future__ import annotations

from dataclasses import dataclass, replace

from numerai_kedro.data.folds import Folds, live_window
from numerai_kedro.training.engineered import window_name
from numerai_kedro.training.tuning.context import Calendar


@dataclass(frozen=True)
class Window:
    """Training eras, and the eras that its fits are tested on.

    Parameters
    ----------
    train
        First and newest era.
    test
        First and last era; None for a window that only predicts live.
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


def windows_of(folds: Folds) -> dict[str, Window]:
    """All training windows of this week's fits by name, oldest first.

    Windows of the test folds, the validation folds of (re-)tuning, and the live fits.
    """
    calendar = Calendar(folds)
    cut = [(fold.train, fold.test) for fold in folds.test]
    later = calendar.validation_folds(calendar.next_fold_begin())
    cut += [(fold.train, fold.test) for fold in later]
    windows: dict[str, Window] = {}
    for train, test in cut:
        name = window_name(train[1])
        if name in windows and (before := windows[name].test) is not None:
            test = (min(before[0], test[0]), max(before[1], test[1]))
        windows[name] = Window(train, test)
    for train, updated_to in live_windows(folds).items():
        window = windows.get(window_name(train[1]), Window(train))
        windows[window_name(train[1])] = replace(window, updated_to=updated_to)
    return dict(sorted(windows.items()))


def live_windows(folds: Folds) -> dict[tuple[int, int], int]:
    """Training eras of the live fits, and the newest era of each one's update (0 without)."""
    begun, updated_to = live_window(folds, folds.refit_eras)
    return {folds.live_fit: 0, begun: updated_to or 0}
