"""The evidence of discovery finds planted features, on a small world with a strong signal."""

import importlib

import numpy as np
import pytest

from numerai_kedro.demo.sizes import DemoSize
from tests.project import ROOT

pytestmark = pytest.mark.slow
SIZE = DemoSize("discovery", 208, 300, 60, last_train_era=80)
LOUD, FEWER = 0.05, 2


@pytest.fixture
def discovery(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    return importlib.import_module("evidence_discovery")


def test_what_is_planted_is_found_and_what_drifts_is_not(discovery, tmp_path, monkeypatch):
    monkeypatch.setattr(discovery, "PERMUTATIONS", FEWER)
    results = discovery.one_seed(tmp_path, 0, SIZE, LOUD)
    assert sum(results["features"].values()) == SIZE.n_features
    for days in ("20", "60"):
        calls = results[days]
        assert 0.6 * LOUD <= calls["planted_corr"] <= 2 * LOUD  # the scale is that of 240 features
        assert calls["mean_test"]["causal"] >= 0.8
        assert calls["stable"]["causal"] > calls["stable"]["drifting"] == 0
        assert [len(calls["permuted"][test]) for test in discovery.TESTS] == [FEWER] * 3
        assert not any(calls["permuted"]["stable"])
    concluded = discovery.summary({"0": results, "1": results})
    assert concluded.keys() == {"20 days", "60 days"}
    parts = {"fdp", "power", "drifting", "permuted"}
    assert concluded["20 days"]["holds"]["mean_test"].keys() == parts


def test_the_roles_are_the_recipes(discovery):
    size = DemoSize("discovery", 260, 300, 240, last_train_era=80)
    drawn = discovery.draw_truth(size, 3)
    truth = discovery.roles_as_in_recipe(drawn, 3)
    counts = {role: len(truth.with_role(role)) for role in ("causal", "drifting", "interaction")}
    assert counts == {"causal": 24, "drifting": 36, "interaction": 16}
    assert sorted(truth.pairs.ravel()) == truth.with_role("interaction").tolist()
    assert set(np.flatnonzero(truth.effect)) == {
        *truth.with_role("causal"),
        *truth.with_role("collapsed"),
    }


def test_no_block_of_eras_keeps_its_targets(discovery):
    rng = np.random.default_rng(0)
    for n_eras in (104, 260, 275):
        moved = discovery.moved_blocks(n_eras, rng)
        blocks = np.arange(n_eras) // 52
        assert (np.abs(moved - np.arange(n_eras)) >= 52).all()
        assert (moved >= 0).all()
        assert (moved < n_eras).all()
        whole = moved[: n_eras // 52 * 52]
        assert sorted(whole) == list(range(len(whole)))
        assert (np.diff(moved)[np.diff(blocks) == 0] == 1).all()
