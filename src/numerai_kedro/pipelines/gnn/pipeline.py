"""The graph of the features, the networks on it, and whether it earned anything.

history_panel, folds, products of features ─► build_graphs ─► feature_graph, graph_changes
feature_graph ─► gatv2, gin (the model template once for each)
gatv2, gin ─► judge_graph ─► graph_report
"""

from __future__ import annotations

from kedro.pipeline import Node, Pipeline

from numerai_kedro.models.registry import GRAPHS
from numerai_kedro.pipelines.base_model import create_model_pipeline
from numerai_kedro.pipelines.gnn import nodes


def create_pipeline() -> Pipeline:
    """Wire it; a window's graph is learned from the window's eras alone."""
    graph = Pipeline(
        [
            Node(
                nodes.build_graphs,
                ["history_panel", "folds", "block_gram", "resource_plan", "params:feature_graph"],
                ["feature_graph", "graph_changes"],
                name="build_graphs",
            ),
            Node(
                nodes.judge_graph,
                {
                    "history": "history_panel",
                    "folds": "folds",
                    "plan": "resource_plan",
                    "schedule": "run_schedule",
                    "store": "fold_store",
                    "graph_params": "params:feature_graph",
                    "resources": "params:resources",
                    "report": "feature_report",
                    "latents": "latent_panel",
                    "own_features": "own_feature_panel",
                    "graphs": "feature_graph",
                }
                | {name: f"params:{name}" for name in GRAPHS}
                | {f"{name}__best": f"{name}.best_params" for name in GRAPHS}
                | {f"{name}__oof": f"{name}.oof_predictions" for name in GRAPHS}
                | {f"{name}__recovery": f"{name}.recovery" for name in GRAPHS},
                "graph_report",
                name="judge_graph",
            ),
        ]
    )
    return graph + sum((create_model_pipeline(name) for name in GRAPHS), Pipeline([]))
