"""Presets with ten times as many trees at a tenth of the rate are the same point."""

import pytest
import yaml
from tests.project import ROOT

from numerai_kedro.errors import ConfigurationError
from numerai_kedro.models.registry import BOOSTED, FAMILIES, family
from numerai_kedro.runtime.parameters import ModelParams
from numerai_kedro.training.tuning.space import Range, distributions, params_at, point_of

CONF = {
    name: block
    for file in ("gbm", "deep_learning", "gnn")
    for name, block in yaml.safe_load(
        (ROOT / f"conf/base/parameters_{file}.yml").read_text()
    ).items()
}


def preset_of(name):
    return ModelParams.model_validate(CONF[name]).chosen(family(name).params_type, name, "example")


@pytest.mark.parametrize("name", sorted(FAMILIES))
def test_every_preset_lies_in_the_space_that_is_shipped(name):
    params = ModelParams.model_validate(CONF[name])
    kind = family(name).params_type
    presets = params.all_presets(kind, name, next(iter(params.presets)))
    ranges = distributions(params.space, next(iter(presets.values())), name)
    for preset in presets.values():
        point = point_of(preset, params.space)
        assert point.keys() == ranges.keys()
        assert all(ranges[key]._contains(value) for key, value in point.items())
        within = {key: params_at(point, preset)[key] for key in point}
        values = preset.model_dump()
        exact = {k: v for k, v in values.items() if k in within and v >= params.space[k].low}
        assert exact == pytest.approx({key: within[key] for key in exact})  # nothing is clipped
    if name in BOOSTED:
        standard = point_of(presets["standard"], params.space)
        assert standard["learning_rate"] == pytest.approx(0.01)


def test_whole_numbers_stay_whole():
    space = {"num_leaves": Range(low=7, high=255, log=True)}
    ranges = distributions(space, preset_of("lightgbm"), "lightgbm")
    assert type(ranges["num_leaves"]).__name__ == "IntDistribution"


def test_a_name_that_the_family_does_not_have_is_a_sentence():
    with pytest.raises(ConfigurationError, match=r"catboost\.space: num_leaves is no parameter"):
        distributions({"num_leaves": Range(low=7, high=255)}, preset_of("catboost"), "catboost")


@pytest.mark.parametrize("wrong", [{"low": 2, "high": 1}, {"low": 0, "high": 1, "log": True}])
def test_a_range_that_is_none_is_refused(wrong):
    with pytest.raises(ValueError, match="low must"):
        Range(**wrong)
