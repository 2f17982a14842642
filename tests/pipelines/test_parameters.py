"""Borders keep their distance to the era, and every preset that is offered is sound."""

import pytest
import yaml
from tests.project import ROOT

from numerai_kedro.errors import ConfigurationError
from numerai_kedro.models import family
from numerai_kedro.pipelines.models import BOOSTED, GRAPHS, MODELS, TABULAR
from numerai_kedro.pipelines.parameters import IngestionParams, ModelParams

PURGE = 16
TIGHT = {
    "warm_up_end": 20,
    "tuning": [20 + PURGE + 1, 60],
    "tuning_fold_eras": 15,
    "valid_eras": 8,
    "judged_begin": 60 + PURGE + 1,
    "judged_fold_eras": 20,
}


def conf(name, block):
    return yaml.safe_load((ROOT / f"conf/base/parameters_{name}.yml").read_text())[block]


def ingestion(**changed):
    chosen = {"size": "tight", "purge_eras": PURGE}
    return IngestionParams.model_validate(conf("ingestion", "ingestion") | chosen | changed)


def test_stretches_may_be_one_era_further_apart_than_the_purge():
    assert ingestion(stretches={"tight": TIGHT}).stretches["tight"].judged_begin == 77


@pytest.mark.parametrize(
    "moved",
    [
        {"warm_up_end": 21},
        {"tuning": [36, 60]},
        {"tuning": [37, 61]},
        {"tuning": [37, 36]},
        {"judged_begin": 76},
    ],
    ids=str,
)
def test_one_era_closer_is_refused_whichever_border_moved(moved):
    with pytest.raises(ConfigurationError, match=r"stretches\.tight: .* more than 16 eras"):
        ingestion(stretches={"tight": TIGHT | moved})


def test_a_longer_purge_needs_stretches_further_apart():
    with pytest.raises(ConfigurationError, match="more than 17 eras"):
        ingestion(stretches={"tight": TIGHT}, purge_eras=PURGE + 1)


def test_a_preset_that_is_none_is_named_with_those_there_are():
    given = conf("gbm", "lightgbm") | {"preset": "exampel"}
    with pytest.raises(ConfigurationError, match='"exampel" is not among deep, example, standard'):
        ModelParams.model_validate(given)


@pytest.mark.parametrize("model", MODELS)
def test_every_preset_that_is_offered_is_sound_for_its_family(model):
    files = {"gbm": BOOSTED, "deep_learning": TABULAR, "gnn": GRAPHS}
    given = conf(next(name for name, models in files.items() if model in models), model)
    for preset, values in given["presets"].items():
        params = ModelParams.model_validate(given | {"preset": preset})
        chosen = params.chosen(family(model).params_type, model, preset)
        assert chosen.model_dump(mode="json") == values


def test_a_wrong_value_of_the_preset_in_force_is_named_with_its_place():
    given = conf("gbm", "lightgbm")
    given["presets"]["deep"]["num_leaves"] = 1
    ModelParams.model_validate(given).chosen(family("lightgbm").params_type, "lightgbm", "example")
    deep = ModelParams.model_validate(given | {"preset": "deep"})
    with pytest.raises(ConfigurationError, match=r"lightgbm\.presets\.deep\.num_leaves: 1 "):
        deep.chosen(family("lightgbm").params_type, "lightgbm", "deep")
