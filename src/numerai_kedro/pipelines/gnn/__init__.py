"""Graph networks: the graph of the features, window by window, and the models that learn on it."""

from numerai_kedro.pipelines.gnn.pipeline import create_pipeline

__all__ = ["create_pipeline"]
