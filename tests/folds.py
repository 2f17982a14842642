"""Folds for tests: what a test does not say is small and valid."""

from numerai_kedro.data.folds import Folds

TARGET = "target_ender_60"
DEFAULTS = {
    "size": "tiny",
    "target": TARGET,
    "paid_target": TARGET,
    "features": ["feature_0"],
    "neutral_features": ["feature_0"],
    "groups": [],
    "purge_eras": 16,
    "valid_eras": 4,
    "refit_eras": 5,
    "test_fold_eras": 20,
    "history": (1, 130),
    "periods": {"warm_up": (1, 20), "validation": (37, 60), "test": (81, 117)},
    "resolved_to": {},
    "validation": [],
    "test": [],
    "live_fit": (1, 105),
}


def folds_with(**fields) -> Folds:
    """Folds with these fields; of `periods`, those that are named."""
    periods = DEFAULTS["periods"] | fields.pop("periods", {})
    return Folds.model_validate(DEFAULTS | fields | {"periods": periods})


def changed_folds(folds: Folds, **fields) -> Folds:
    """The same folds with other fields."""
    dumped = folds.model_dump()
    periods = dumped["periods"] | fields.pop("periods", {})
    return Folds.model_validate(dumped | fields | {"periods": periods})
