"""The whole Numerai week in one command: ``kedro run --pipeline=weekly``."""

import os

__version__ = "0.1.0"

# OpenMP threads wait for each other by spinning; on a busy machine they spin for a thread that is
# not running. LightGBM with 2 threads on 2 busy cores took 854 ms a tree, 24 ms with a short spin,
# and 7 ms (either way) on idle cores. libgomp reads this when it is loaded.
os.environ.setdefault("GOMP_SPINCOUNT", "2000")

# Switch off the telemetry of packages that we use, however the project is run.
for _name in ("DO_NOT_TRACK", "KEDRO_DISABLE_TELEMETRY", "MLFLOW_DISABLE_TELEMETRY"):
    os.environ.setdefault(_name, "true")
