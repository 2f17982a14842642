"""What networks do beyond the contract of every family (tests/models/test_contract.py)."""

import re

import numpy as np
import pytest
import torch
from tests.models.sizes import GRAPHS, NETWORKS, graph_of
from tests.new_process import predicted_in_a_new_process
from tests.panels import small_panel

from numerai_kedro.compute.machine import SIMULATED_GPU
from numerai_kedro.data.feature_graph import FeatureGraph
from numerai_kedro.features.graph_building import n_nodes_of
from numerai_kedro.files.trusted_pickle import read_trusted
from numerai_kedro.metrics.scoring import rank_scores
from numerai_kedro.models.modules.transformer import FeatureTransformer, adapters_of
from numerai_kedro.models.network import NetworkModel
from numerai_kedro.models.registry import family
from numerai_kedro.models.transformer import patch_order
from numerai_kedro.training.protocol import EarlyStoppingSplit, FitContext
from numerai_kedro.training.torch.microbatch import CountedMemory

TARGET = "target_ender_60"
each_network = pytest.mark.parametrize("name", sorted(NETWORKS))


def fitted(name, panel, stop=None, **changed):
    kind = family(name)
    params = kind.params_type.model_validate(NETWORKS[name] | changed)
    return kind(params, seed=0, threads=1).fit(panel, stop, TARGET, context=aids_of(panel))


def aids_of(panel):
    return FitContext(graph=graph_of(panel.feature_names))


def built(name, params, graph):
    """A network with fresh weights, of the features of a graph."""
    model = family(name)(params, seed=0, threads=1)
    if name in GRAPHS:
        model.graph = graph.as_json()
    return model.build(len(graph.features), 2)


def uneven_graph(n_features):
    """One node has twice its share of the features."""
    n_nodes = n_nodes_of(n_features)
    large = 2 * n_features // n_nodes
    rest = (1 + k % (n_nodes - 1) for k in range(n_features - large))
    names = tuple(f"feature_{k}" for k in range(n_features))
    return FeatureGraph(names, (*[0] * large, *rest), (), (), ())


def mean_corr(model, panel):
    predictions = model.predict(panel)[:, None].astype(float)
    target = panel.target(TARGET).astype(float)
    return rank_scores(panel.era_starts, predictions, target)[0].mean()


@pytest.fixture(scope="module")
def panel(tmp_path_factory):
    return small_panel(tmp_path_factory.mktemp("networks") / "panel")


@each_network
def test_it_predicts_rows_as_it_predicts_panels(name, panel):
    model = fitted(name, panel)
    first = panel.select(eras=[1])
    rows = model.predict_rows(panel.features(1))
    np.testing.assert_allclose(rows, model.predict(first), rtol=1e-4, atol=1e-5)


@each_network
def test_eras_held_back_choose_the_epoch_and_are_learned_then(name, panel, monkeypatch):
    seen = []
    real = NetworkModel._train

    def train(self, build, learned, valid, *others):
        seen.append((learned.eras.tolist(), valid and valid.eras.tolist()))
        return real(self, build, learned, valid, *others)

    monkeypatch.setattr(NetworkModel, "_train", train)
    model = fitted(name, panel, EarlyStoppingSplit(4, 3))
    assert 1 <= model.n_iterations <= 4
    n = len(panel.eras)
    whole = list(range(1, n + 1))
    assert seen == [(whole[:-7], whole[-4:]), (whole[-7:], None)]
    assert np.isfinite(model.predict(panel)).all()


def test_progress_goes_forward_to_its_end_through_both_parts_of_a_fit(panel):
    kind = family("tabm")
    params = kind.params_type.model_validate(NETWORKS["tabm"])
    steps = []
    kind(params, seed=0, threads=1).fit(
        panel, EarlyStoppingSplit(4, 2), TARGET, lambda done, total: steps.append(done / total)
    )
    assert steps == sorted(steps)
    assert steps[0] < 0.5
    assert steps[-1] == pytest.approx(1)


def test_too_few_eras_hold_none_back(panel):
    assert EarlyStoppingSplit(4, 3).split(panel.select(eras=range(1, 11))) is None
    learned, valid, rest = EarlyStoppingSplit(4, 3).split(panel.select(eras=range(1, 12)))
    assert (len(learned.eras), len(valid.eras), len(rest.eras)) == (4, 4, 7)


@each_network
def test_counted_sizes_are_those_of_the_network(name, panel):
    kind = family(name)
    params = kind.params_type.model_validate(
        NETWORKS[name] | {"n_blocks": 3} if name == "tabm" else NETWORKS[name]
    )
    network = built(name, params, uneven_graph(400))
    counted = kind.size(params, 400, 2).weights
    real = sum(parameter.numel() for parameter in network.parameters())
    assert counted == pytest.approx(real, rel=0.1)


@each_network
def test_the_backward_pass_may_compute_again_and_learns_the_same(name, panel):
    kind = family(name)
    params = kind.params_type.model_validate(NETWORKS[name] | {"dropout": 0.0})
    gradients = []
    for again in (False, True):
        torch.manual_seed(0)
        network = built(name, params, graph_of(panel.feature_names)).train()
        if again:
            network.checkpoint_activations()
        torch.manual_seed(1)
        output = network(torch.from_numpy(np.array(panel.features(1))))
        predictions, penalty = output if isinstance(output, tuple) else (output, torch.zeros(1))
        (predictions.square().mean() + penalty.mean()).backward()
        gradients.append([p.grad for p in network.parameters()])
    for gradient, other in zip(*gradients, strict=True):
        torch.testing.assert_close(gradient, other)


def test_a_gpu_that_is_not_there_is_said(panel):
    kind = family("tabm")
    params = kind.params_type.model_validate(NETWORKS["tabm"])
    if torch.cuda.is_available():
        pytest.skip("there is one")
    with pytest.raises(RuntimeError, match="no CUDA device"):
        kind(params, seed=0, threads=1, device="cuda").fit(panel, None, TARGET)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a real card")
@each_network
def test_a_card_too_small_for_a_batch_trains_it_in_parts(name, panel, monkeypatch, caplog):
    kind = family(name)
    params = kind.params_type.model_validate(
        NETWORKS[name] | {"dropout": 0.0, "feature_dropout": 0.0}
    )
    on_cpu = kind(params, seed=0, threads=1).fit(panel, None, TARGET, context=aids_of(panel))
    network = on_cpu._restored(on_cpu._tensors()).train()
    memory = CountedMemory(network, 1e12)
    with memory.watch() as peak:
        output = network(torch.from_numpy(np.array(panel.features(1))))
        predictions, penalty = output if isinstance(output, tuple) else (output, torch.zeros(1))
        (predictions.square().mean() + penalty.mean()).backward()
        whole = peak()
    budget = memory.fixed + 0.8 * (whole - memory.fixed)
    monkeypatch.setenv(SIMULATED_GPU, repr(budget / 0.9 / 2**30))
    with caplog.at_level("INFO"):
        on_card = kind(params, seed=0, threads=1, device="cuda").fit(
            panel, None, TARGET, context=aids_of(panel)
        )
    (rows,) = re.findall(r"micro-batch: (\d+) rows", caplog.text)
    assert 16 <= int(rows) < 40
    if name != "vae_head":  # its parts draw different latents
        np.testing.assert_allclose(on_card.predict(panel), on_cpu.predict(panel), atol=2e-3)
    assert mean_corr(on_card, panel) > 0.2


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a real card")
@pytest.mark.parametrize("gb", [2, 4, 12])
@each_network
def test_a_simulated_card_trains_what_the_cpu_trains(name, panel, monkeypatch, gb):
    kind = family(name)
    params = kind.params_type.model_validate(NETWORKS[name])
    on_cpu = kind(params, seed=0, threads=1).fit(panel, None, TARGET, context=aids_of(panel))
    monkeypatch.setenv(SIMULATED_GPU, str(gb))
    on_card = kind(params, seed=0, threads=1, device="cuda").fit(
        panel, None, TARGET, context=aids_of(panel)
    )
    np.testing.assert_array_equal(on_card.predict(panel), on_cpu.predict(panel))
    assert on_card.recoveries == []


def test_features_of_a_group_come_together_and_each_once(panel):
    names = panel.feature_names
    groups = (tuple(names[1::2]), tuple(names[0::2]))
    order = patch_order(panel, groups, seed=0)
    assert sorted(order) == list(range(len(names)))
    assert {names[k] for k in order[: len(groups[0])]} == set(groups[0])


def test_features_that_move_together_are_neighbours(tmp_path):
    from tests.panels import era_rows

    from numerai_kedro.data import EraRows, FeatureBlock, open_panel, write_panel

    def twins(era):
        rows = era_rows(era)
        values = np.array(rows.features.matrix)
        values[:, 5] = values[:, 0]
        features = FeatureBlock.of(rows.features.names, values)
        return EraRows(rows.era, rows.data_type, rows.ids, features, rows.targets)

    write_panel(tmp_path / "panel", [twins(era) for era in range(1, 9)])
    order = patch_order(open_panel(tmp_path / "panel"), (), seed=0)
    assert abs(order.index(0) - order.index(5)) == 1


def test_a_transformer_saves_and_loads_the_ordinary_way(panel, tmp_path):
    network = fitted("transformer", panel)._fitted()
    network.save_pretrained(tmp_path / "saved")
    again = FeatureTransformer.from_pretrained(tmp_path / "saved").eval()
    rows = torch.from_numpy(np.array(panel.features(1)))
    with torch.no_grad():
        torch.testing.assert_close(again(rows), network.eval()(rows))


@pytest.fixture(scope="module")
def pair(panel, tmp_path_factory):
    """A base, and its update on eras in which another feature matters."""
    newest = small_panel(tmp_path_factory.mktemp("newest") / "panel", n_eras=8, seed=5)
    base = fitted("transformer", panel, d_token=48, d_feedforward=192, n_layers=2)
    return base, base.updated(newest, TARGET), newest


def test_few_weights_learn_and_all_others_stay(pair):
    base, updated, _ = pair
    network = updated._fitted()
    every = sum(p.numel() for p in network.parameters())
    trained = sum(p.numel() for p in network.parameters() if p.requires_grad)
    assert 0 < trained < 0.05 * every
    before, after = base._tensors(), updated._tensors()
    assert set(after) == {"network", "adapters"}
    assert after["network"] == before["network"]


def test_it_predicts_something_else_and_not_worse(pair, tmp_path):
    base, updated, newest = pair
    later = small_panel(tmp_path / "later", n_eras=20, seed=9)
    assert (updated.predict(newest) != base.predict(newest)).any()
    assert mean_corr(updated, later) > 0.2


def test_base_and_adapters_predict_the_same_in_a_new_process(pair, tmp_path):
    _, updated, newest = pair
    there = predicted_in_a_new_process({"updated": updated}, newest, tmp_path)["updated"]
    # With a GPU the new process predicts on it; this one predicts on the CPU, where it was fitted.
    tolerance = 1e-5 if torch.cuda.is_available() else 0
    np.testing.assert_allclose(there, updated.predict(newest), rtol=0, atol=tolerance)
    assert adapters_of(read_trusted(tmp_path / "updated")._fitted())
