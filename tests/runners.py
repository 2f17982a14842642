"""Runners of fits for tests."""

from numerai_kedro.cache import FoldStore
from numerai_kedro.training.fit_runner import FitRunner


def runner_at(folder) -> FitRunner:
    """Fits in this process, kept in a folder."""
    return FitRunner(FoldStore(folder))
