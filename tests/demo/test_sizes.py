"""Every size of the demo leaves enough eras to learn from and enough to judge."""

import pytest
import yaml
from tests.project import ROOT

from numerai_kedro.demo.published_rows import ERAS_BEHIND
from numerai_kedro.demo.sizes import SIZES
from numerai_kedro.metrics.intervals import MIN_ERAS
from numerai_kedro.runtime.parameters import Borders


def conf(name, block):
    return yaml.safe_load((ROOT / f"conf/base/parameters_{name}.yml").read_text())[block]


@pytest.fixture(params=SIZES.values(), ids=SIZES.keys())
def size(request):
    return request.param


@pytest.fixture
def period(size):
    return Borders.model_validate(conf("ingestion", "ingestion")["periods"][size.name])


def test_the_first_gate_has_enough_test_eras(size, period):
    resolved = size.n_eras - ERAS_BEHIND[60]
    n_judged = resolved - period.test_begin + 1
    assert n_judged >= max(MIN_ERAS, conf("backtest", "gate")["min_test_eras"])


def test_the_warm_up_is_the_file_called_train(size, period):
    assert period.warm_up_end == size.last_train_era


def test_the_benchmark_covers_every_era_that_is_tuned_or_judged_on(size, period):
    assert size.first_benchmark_era <= size.last_train_era < period.validation[0]


def test_the_meta_model_covers_enough_eras_for_an_interval_and_none_without_benchmark(size):
    assert size.meta_model_eras >= MIN_ERAS
    first = size.n_eras - ERAS_BEHIND[60] - size.meta_model_eras + 1
    assert first >= size.first_benchmark_era
