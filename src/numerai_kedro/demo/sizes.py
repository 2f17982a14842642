"""The four sizes of the demo tournament; fixed, so that figures stay comparable."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class DemoSize:
    """How large a demo tournament is when it opens.

    Parameters
    ----------
    name
        `tiny` for tests, `demo` is the default, `evidence` for claims about skill, `full` is v5.3.
    n_eras
        Eras of history at the start; era `n_eras + 1` is live.
    n_stocks
        Stocks in an era: constant for `tiny`, otherwise within 10 % of it.
    n_features
        Columns of the feature set `all`.
    last_train_era
        The warm-up: train.parquet ends here, validation.parquet begins after it.
    meta_model_eras
        The meta model covers this many of the newest eras with a resolved 60-day target.
    """

    name: str
    n_eras: int
    n_stocks: int
    n_features: int
    last_train_era: int
    meta_model_eras: int = 87

    @property
    def first_benchmark_era(self) -> int:
        """Benchmark predictions start in the last third of the warm-up."""
        return 2 * self.last_train_era // 3 + 1


SIZES = {
    size.name: size
    for size in (
        DemoSize("tiny", 160, 100, 40, 37, meta_model_eras=60),
        DemoSize("demo", 400, 800, 160, 157),
        DemoSize("evidence", 520, 1_500, 240, 215),
        DemoSize("full", 1_232, 5_500, 3_555, 574),
    )
}
