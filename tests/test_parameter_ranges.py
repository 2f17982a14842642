"""Which values parameters may have: a range that grows or shrinks does so on purpose."""

import importlib

import pytest
from annotated_types import Ge, Gt, Le, Lt

# By module and class; inherited parameters stand with the class that has them first.
RANGES = {
    "cache.runner.IncrementalParams": {
        "cache_limit_gb": "> 0",
    },
    "ensemble.weighting.EnsembleParams": {
        "half_life_eras": "> 0",
        "sharpness": ">= 0",
        "doubt": ">= 0",
        "prior_eras": ">= 0",
        "reweigh_eras": "> 0",
        "risk_aversion": ">= 0",
        "adopt_level": "> 0.5 < 1",
        "bags": "> 0",
        "steps": "> 0",
        "seed": ">= 0",
    },
    "gate.checks.GateParams": {
        "min_test_eras": ">= 0",
        "corr_bound_level": "> 0.5 < 1",
        "max_drawdown_of_benchmark": "> 0",
        "max_exposure_of_benchmark": "> 0",
        "max_live_exposure": "> 0 <= 1",
        "min_distinct_share": ">= 0 <= 1",
        "min_live_deviation": "> 0",
        "max_plausible_corr": "> 0",
        "max_corr_of_benchmark": "> 0",
        "best_of_many_level": "> 0 < 1",
        "paid_level": "> 0.5 < 1",
        "newest_eras": "> 0",
        "max_burn_chance": "> 0 <= 1",
        "comparison_level": "> 0.5 < 1",
        "min_champion_correlation": ">= -1 <= 1",
        "min_refit_correlation": ">= -1 <= 1",
        "max_benchmark_deviations": "> 0",
        "max_champion_rounds": "> 0",
        "max_drift": "> 0",
        "drift_eras": ">= 3",
    },
    "models.boosting.BoostingParams": {
        "n_estimators": "> 0",
        "learning_rate": "> 0 <= 1",
        "max_depth": "> 0 <= 16",
        "colsample_bytree": "> 0 <= 1",
        "strength": ">= 0 <= 1",
    },
    "models.catboost.CatBoostParams": {
        "l2_leaf_reg": ">= 0",
        "subsample": "> 0 <= 1",
        "random_strength": ">= 0",
    },
    "models.graph.GATv2Params": {
        "n_heads": "> 0",
    },
    "models.graph.GraphNetworkParams": {
        "d_node": "> 0",
        "n_layers": "> 0",
        "d_beside": "> 0",
    },
    "models.lightgbm.LightGBMParams": {
        "num_leaves": "> 1",
        "min_data_in_leaf": "> 0",
        "lambda_l2": ">= 0",
        "path_smooth": ">= 0",
    },
    "models.tabm.TabMParams": {
        "k": "> 0",
        "n_blocks": "> 0",
        "d_block": "> 0",
    },
    "models.transformer.TransformerParams": {
        "patch": "> 0",
        "d_token": "> 0",
        "n_layers": "> 0",
        "n_heads": "> 0",
        "d_feedforward": "> 0",
        "lora_rank": "> 0",
        "update_epochs": "> 0",
        "update_rate": "> 0",
    },
    "models.vae_head.VaeParams": {
        "d_hidden": "> 0",
        "d_latent": "> 0",
        "beta": ">= 0",
        "beta_warm_up": "> 0 <= 1",
        "free_nats": ">= 0",
        "reconstruction_weight": ">= 0",
        "head_weight": ">= 0 <= 1",
    },
    "models.xgboost.XGBoostParams": {
        "max_leaves": ">= 0",
        "min_child_weight": ">= 0",
        "reg_lambda": ">= 0",
        "subsample": "> 0 <= 1",
    },
    "runtime.parameters.EncoderParams": {
        "seed": ">= 0",
        "era_stride": "> 0",
    },
    "runtime.parameters.FeatureParams": {
        "q": "> 0 < 1",
        "n_regimes": ">= 2",
        "least_regimes": ">= 2",
        "alike": "> 0 <= 1",
        "ridge": "> 0",
        "trend_eras": "> 0",
    },
    "runtime.parameters.GraphParams": {
        "neighbours": "> 0",
        "control_folds": ">= 0",
    },
    "runtime.parameters.IngestionParams": {
        "purge_eras": ">= 0",
        "refit_eras": "> 0",
        "recheck_days": ">= 0",
    },
    "runtime.parameters.ModelParams": {
        "seed": ">= 0",
        "era_stride": "> 0",
        "n_offsets": "> 0",
    },
    "runtime.parameters.ResourceParams": {
        "time_budget_hours": "> 0",
        "isolate_gb": ">= 0",
        "stall_minutes": "> 0",
    },
    "training.network_params.LoopParams": {
        "epochs": "> 0",
        "batch_rows": ">= 16",
        "learning_rate": "> 0",
        "weight_decay": ">= 0",
        "warm_up": ">= 0 < 1",
        "clip_norm": "> 0",
        "average_decay": ">= 0 < 1",
        "corr_weight": ">= 0",
        "patience": "> 0",
    },
    "training.network_params.NetworkParams": {
        "dropout": ">= 0 < 1",
        "feature_dropout": ">= 0 < 1",
        "closing_rate": "> 0 <= 1",
    },
    "training.tuning.context.TuningParams": {
        "low_fidelity_stride": "> 0",
        "low_fidelity_trees": "> 0",
        "risk_aversion": ">= 0",
        "adopt_level": "> 0.5 < 1",
        "max_overfitting": "> 0 <= 1",
        "retune_weeks": "> 0",
        "seed": ">= 0",
    },
}


def ranges_of(block):
    """Of each parameter of the class's own that has a range, the range as it is written above."""
    found = {
        name: " ".join(
            f"{sign} {getattr(bound, attribute)}"
            for bound in field.metadata
            for kind, sign, attribute in (
                (Gt, ">", "gt"),
                (Ge, ">=", "ge"),
                (Lt, "<", "lt"),
                (Le, "<=", "le"),
            )
            if isinstance(bound, kind)
        )
        for name, field in block.model_fields.items()
        if name in block.__annotations__
    }
    return {name: text for name, text in found.items() if text}


@pytest.mark.parametrize("place", RANGES)
def test_parameters_have_their_ranges(place):
    module, name = place.rsplit(".", 1)
    block = getattr(importlib.import_module(f"numerai_kedro.{module}"), name)
    assert ranges_of(block) == RANGES[place]
