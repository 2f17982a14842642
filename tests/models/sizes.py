"""Small, fast parameters of every family."""

from numerai_kedro.data.feature_graph import FeatureGraph

TREES = {
    "n_estimators": 40,
    "learning_rate": 0.1,
    "max_depth": 4,
    "colsample_bytree": 0.5,
    "strength": 0.0,
}
LOOP = {
    "epochs": 4,
    "batch_rows": 40,
    "learning_rate": 3e-3,
    "weight_decay": 0.01,
    "warm_up": 0.1,
    "clip_norm": 1.0,
    "average_decay": 0.95,
    "corr_weight": 0.5,
    "patience": 4,
    "dropout": 0.1,
    "feature_dropout": 0.1,
    "closing_rate": 0.5,
    "more_heads": ("target_ender_20",),
}
NETWORKS = {
    "tabm": LOOP | {"k": 4, "n_blocks": 1, "d_block": 32},
    "transformer": LOOP
    | {
        "patch": 2,
        "d_token": 16,
        "n_layers": 1,
        "n_heads": 2,
        "d_feedforward": 32,
        "lora_rank": 1,
        "update_epochs": 2,
        "update_rate": 3e-3,
    },
    "vae_head": LOOP
    | {
        "d_hidden": 32,
        "d_latent": 8,
        "beta": 0.5,
        "beta_warm_up": 0.3,
        "free_nats": 0.02,
        "reconstruction_weight": 0.2,
        "head_weight": 1.0,
    },
}
GRAPHS = {
    "gatv2": LOOP | {"d_node": 8, "n_layers": 1, "n_heads": 2, "d_beside": 16, "edges": "real"},
    "gin": LOOP | {"d_node": 8, "n_layers": 1, "d_beside": 16, "edges": "real"},
}
NETWORKS |= GRAPHS


def graph_of(names, first=0):
    """A ring of four nodes of two features, numbered from `first`; other features have no node."""
    node = tuple((k // 2 + first) % 4 if k < 8 else -1 for k in range(len(names)))
    edges = ((0, 1), (0, 3), (1, 2), (2, 3))
    return FeatureGraph(tuple(names), node, edges, (0.5, -0.2, 0.3, 0.1), (0.4, -0.1, 0.2, 0.1))


SMALL = {
    "lightgbm": TREES
    | {"num_leaves": 15, "min_data_in_leaf": 10, "lambda_l2": 0.0, "path_smooth": 0.0},
    "catboost": TREES | {"l2_leaf_reg": 3.0, "subsample": 0.8, "random_strength": 1.0},
    "xgboost": TREES
    | {"max_leaves": 0, "min_child_weight": 10, "reg_lambda": 1.0, "subsample": 1.0},
    **NETWORKS,
}
