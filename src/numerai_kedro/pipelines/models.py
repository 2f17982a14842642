"""The models of the week: each is a namespace, an instance of the template `base_model`."""

BOOSTED = ("lightgbm", "catboost", "xgboost")
TABULAR = ("tabm", "transformer", "vae_head")
GRAPHS = ("gatv2", "gin")
NETWORKS = (*TABULAR, *GRAPHS)
MODELS = (*BOOSTED, *NETWORKS)
# What makes the latents that models may learn from; no member of the ensemble.
ENCODER = "vae"
