"""Settings that Kedro reads: session, hooks, and how configuration is merged."""

from typing import Any

from numerai_kedro.runtime.config_loader import ReadOnceLoader
from numerai_kedro.runtime.hooks import (
    CatalogHooks,
    ParameterHooks,
    ReceiptHooks,
    SessionHooks,
    SummaryHooks,
    TrackingHooks,
)
from numerai_kedro.runtime.session import WeeklySession

SESSION_CLASS = WeeklySession
# Called last to first: `ReceiptHooks` may end the run, once it was tracked and summarised.
HOOKS = (
    ReceiptHooks(),
    CatalogHooks(),
    TrackingHooks(),
    SummaryHooks(),
    ParameterHooks(),
    SessionHooks(),
)
CONFIG_LOADER_CLASS = ReadOnceLoader
CONFIG_LOADER_ARGS: dict[str, Any] = {
    "base_env": "base",
    "default_run_env": "local",
    # Otherwise one parameter in conf/local would delete its neighbours of conf/base.
    "merge_strategy": {"parameters": "soft", "globals": "soft"},
}
