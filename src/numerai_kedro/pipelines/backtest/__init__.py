"""Pipeline `backtest`."""

from numerai_kedro.pipelines.backtest.pipeline import create_pipeline

__all__ = ["create_pipeline"]
