"""Tests that need a GPU: its memory, its precision, and results equal to the CPU's."""

import gc

import numpy as np
import pytest
import torch
from tests.panels import small_panel
from tests.training.torch.test_loop import PARAMS, TARGETS, NoDropout, Small, assert_equal
from torch import nn

from numerai_kedro.metrics.scoring import rank_scores
from numerai_kedro.training.torch import loop
from numerai_kedro.training.torch.batches import TrainingEras
from numerai_kedro.training.torch.loop import TrainingRun
from numerai_kedro.training.torch.microbatch import CudaMemory

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no NVIDIA GPU"),
]
GIB = 2**30


@pytest.fixture(scope="module")
def panel(tmp_path_factory):
    return small_panel(tmp_path_factory.mktemp("gpu") / "panel", n_eras=12)


@pytest.fixture
def large(tmp_path):
    return small_panel(tmp_path / "panel", n_eras=3, n_rows=5_000, n_features=400)


def run(panel, build, **given):
    params = given.pop("params", PARAMS)
    eras = TrainingEras(panel, TARGETS, params.batch_rows)
    return TrainingRun(lambda: build(eras.n_features), eras, params, 0, device="cuda", **given)


@pytest.mark.parametrize("precision", ["no", "bf16", "fp16"])
def test_a_card_learns_what_the_cpu_learns(panel, tmp_path, monkeypatch, precision):
    monkeypatch.setattr(loop, "_precision", lambda device: "no" if device == "cpu" else precision)
    later = small_panel(tmp_path / "later", n_eras=20, seed=9)
    eras = TrainingEras(panel, TARGETS, PARAMS.batch_rows)
    columns = []
    for make in (
        lambda: run(panel, NoDropout),
        lambda: TrainingRun(lambda: NoDropout(eras.n_features), eras, PARAMS, 0),
    ):
        training = make()
        training.train()
        columns.append(training.predict(later))
    tolerance = 0.9999 if precision == "no" else 0.99
    assert np.corrcoef(*columns)[0, 1] > tolerance
    target = later.target(TARGETS[0]).astype(float)
    table = np.column_stack(columns).astype(float)
    assert rank_scores(later.era_starts, table, target)[0].mean(axis=0).min() > 0.2


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_full_precision_is_full(panel, monkeypatch, precision):
    columns = []
    for kind in (precision, "no"):
        monkeypatch.setattr(loop, "_precision", lambda device, kind=kind: kind)
        training = run(panel, NoDropout)
        training.at.full_precision = True
        training.train()
        columns.append(training.predict(panel))
    np.testing.assert_allclose(*columns, rtol=1e-3, atol=1e-4)


def test_features_stay_on_the_card_where_it_can_hold_them(panel):
    training = run(panel, Small)
    features, labels = training.eras.load(training.eras.epoch(0, 0)[0], training.accelerator.device)
    assert (features.device.type, labels.device.type) == ("cuda", "cuda")
    assert features.dtype == torch.int8
    assert training.eras._resident


def test_a_run_on_a_card_is_resumed_bit_by_bit(panel, tmp_path):
    torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        whole = run(panel, Small, work=tmp_path / "whole")
        whole.train()

        def kill(done, total):
            if done == total // 2 + 1:
                raise KeyboardInterrupt

        broken = run(panel, Small, work=tmp_path / "broken")
        with pytest.raises(KeyboardInterrupt):
            broken.train(kill)
        again = run(panel, Small, work=tmp_path / "broken")
        again.train()
        assert_equal(again.best, whole.best)
        assert again.at == whole.at
    finally:
        torch.use_deterministic_algorithms(False)


class Hungry(nn.Module):
    """Saves about 3 MiB of activations a row, and has few weights."""

    def __init__(self, n_features):
        super().__init__()
        self.first = nn.Linear(n_features, 65_536)
        self.last = nn.Linear(65_536, 4)

    def forward(self, features):
        wide = self.first(features.float() / 4)
        for _ in range(20):
            wide = torch.sin(wide)
        return self.last(wide).view(len(features), 2, 2)


@pytest.fixture(autouse=True)
def _nothing_left_on_the_card():
    yield
    gc.collect()
    torch.cuda.empty_cache()
    torch.cuda.set_per_process_memory_fraction(1.0)


@pytest.mark.parametrize("gib", [2, 4, 12])
def test_the_size_of_the_parts_follows_from_the_cards_memory(large, gib):
    params = PARAMS.model_copy(update={"batch_rows": 5_000, "epochs": 1, "learning_rate": 1e-5})
    total = torch.cuda.get_device_properties(0).total_memory
    torch.cuda.set_per_process_memory_fraction(gib * GIB / total)
    card = CudaMemory(torch.device("cuda"), gib * GIB)
    training = run(large, Hungry, params=params, memory=lambda net: card)
    torch.cuda.reset_peak_memory_stats()
    training.train()
    peak = torch.cuda.max_memory_allocated() / GIB
    assert not training.at.recoveries
    assert training.fitted_to.peak / GIB == pytest.approx(peak, rel=0.1)
    assert peak < gib


def test_a_real_out_of_memory_is_repaired_and_loses_no_row(large):
    """Another program takes half of the card after the parts were sized."""
    params = PARAMS.model_copy(update={"batch_rows": 5_000, "epochs": 1, "learning_rate": 1e-5})
    total = torch.cuda.get_device_properties(0).total_memory
    torch.cuda.set_per_process_memory_fraction(6 * GIB / total)
    card = CudaMemory(torch.device("cuda"), 6 * GIB)
    training = run(large, Hungry, params=params, memory=lambda net: card)
    other = torch.empty(3 * GIB, dtype=torch.int8, device="cuda")
    training.train()
    assert other.numel()
    assert {note["symptom"] for note in training.at.recoveries} == {"out of memory"}
    assert training.at.step == 3
    assert all(torch.isfinite(value).all() for value in training.best.values())
