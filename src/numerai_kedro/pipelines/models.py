"""The models of the week: each is a namespace, an instance of the template `base_model`."""

BOOSTED = ("lightgbm", "catboost", "xgboost")
NETWORKS = ("tabm", "transformer", "vae_head")
MODELS = (*BOOSTED, *NETWORKS)
# What makes the latents that models may learn from; no member of the ensemble.
ENCODER = "vae"
