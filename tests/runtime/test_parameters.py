"""Borders of periods are more than a purge apart, and every preset is valid."""

import pytest
import yaml
from tests.project import ROOT

from numerai_kedro.errors import ConfigurationError
from numerai_kedro.gate.checks import GateParams
from numerai_kedro.models.registry import BOOSTED, BUILT_IN, GRAPHS, TABULAR, family
from numerai_kedro.runtime.parameters import IngestionParams, ModelParams
from numerai_kedro.training.tuning.context import TuningParams

PURGE = 16
TIGHT = {
    "warm_up_end": 20,
    "validation": [20 + PURGE + 1, 60],
    "validation_fold_eras": 15,
    "valid_eras": 8,
    "test_begin": 60 + PURGE + 1,
    "test_fold_eras": 20,
}


def conf(name, block):
    return yaml.safe_load((ROOT / f"conf/base/parameters_{name}.yml").read_text())[block]


def ingestion(**changed):
    chosen = {"size": "tight", "purge_eras": PURGE}
    return IngestionParams.model_validate(conf("ingestion", "ingestion") | chosen | changed)


def test_periods_may_be_one_era_further_apart_than_the_purge():
    assert ingestion(periods={"tight": TIGHT}).periods["tight"].test_begin == 77


@pytest.mark.parametrize(
    "moved",
    [
        {"warm_up_end": 21},
        {"validation": [36, 60]},
        {"validation": [37, 61]},
        {"validation": [37, 36]},
        {"test_begin": 76},
    ],
    ids=str,
)
def test_one_era_closer_is_refused_whichever_border_moved(moved):
    with pytest.raises(ConfigurationError, match=r"periods\.tight: .* more than 16 eras"):
        ingestion(periods={"tight": TIGHT | moved})


def test_a_longer_purge_needs_periods_further_apart():
    with pytest.raises(ConfigurationError, match="more than 17 eras"):
        ingestion(periods={"tight": TIGHT}, purge_eras=PURGE + 1)


def test_a_preset_that_is_none_is_named_with_those_there_are():
    settings = conf("gbm", "lightgbm") | {"preset": "exampel"}
    with pytest.raises(ConfigurationError, match='"exampel" is not among deep, example, standard'):
        ModelParams.model_validate(settings)


@pytest.mark.parametrize("model", BUILT_IN)
def test_every_preset_that_is_offered_is_sound_for_its_family(model):
    files = {"gbm": BOOSTED, "deep_learning": TABULAR, "gnn": GRAPHS}
    settings = conf(next(name for name, models in files.items() if model in models), model)
    for preset, values in settings["presets"].items():
        params = ModelParams.model_validate(settings | {"preset": preset})
        chosen = params.chosen(family(model).params_type, model, preset)
        assert chosen.model_dump(mode="json") == values


def test_a_wrong_value_of_the_active_preset_is_named_with_its_place():
    settings = conf("gbm", "lightgbm")
    settings["presets"]["deep"]["num_leaves"] = 1
    ModelParams.model_validate(settings).chosen(
        family("lightgbm").params_type, "lightgbm", "example"
    )
    deep = ModelParams.model_validate(settings | {"preset": "deep"})
    with pytest.raises(ConfigurationError, match=r"lightgbm\.presets\.deep\.num_leaves: 1 "):
        deep.chosen(family("lightgbm").params_type, "lightgbm", "deep")


@pytest.mark.parametrize(
    ("block", "old", "new"),
    [
        ("ingestion", ["stretches"], "periods"),
        *[
            ("ingestion", ["periods", "tiny", old], new)
            for old, new in {
                "tuning": "validation",
                "tuning_fold_eras": "validation_fold_eras",
                "judged_begin": "test_begin",
                "judged_fold_eras": "test_fold_eras",
            }.items()
        ],
        ("tuning", ["scout_stride"], "low_fidelity_stride"),
        ("tuning", ["adaptive", "scout_trees"], "low_fidelity_trees"),
        ("gate", ["min_judged_eras"], "min_test_eras"),
    ],
)
def test_a_renamed_parameter_is_refused_with_its_new_name(block, old, new):
    kind = {"ingestion": IngestionParams, "tuning": TuningParams, "gate": GateParams}[block]
    values = conf("backtest" if block == "gate" else block, block)
    kind.model_validate(values)
    *path, name = old
    part = values
    for key in path:
        part = part[key]
    assert new in part  # the new name is one that is read
    part[name] = 1
    with pytest.raises(ConfigurationError) as raised:
        kind.model_validate(values)
    assert raised.value.message == f"{'.'.join(old)}: has been renamed {new}"
