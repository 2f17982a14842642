"""What every network does around its training: two parts of a fit, importance, saving."""

import pickle

import numpy as np
import pytest
import torch
from tests.models.sizes import NETWORKS
from tests.panels import small_panel
from torch import nn

from numerai_kedro.errors import NumeraiKedroError
from numerai_kedro.models import network as module
from numerai_kedro.models.network import NetworkModel, spread_of
from numerai_kedro.models.registry import family
from numerai_kedro.training.protocol import EarlyStoppingSplit, FitContext

TARGET = "target_ender_60"


class Linear(nn.Module):
    """Two members, two targets, known weights."""

    def __init__(self, weights):
        super().__init__()
        self.weights = torch.tensor(weights)  # [n_features, members, targets]

    def forward(self, features):
        return torch.einsum("nf,fkt->nkt", features.float(), self.weights)


@pytest.fixture(scope="module")
def panel(tmp_path_factory):
    return small_panel(tmp_path_factory.mktemp("network") / "panel")


def tabm(**changed):
    kind = family("tabm")
    params = kind.params_type.model_validate(NETWORKS["tabm"] | changed)
    return kind(params, seed=0, threads=1)


@pytest.fixture
def parts(monkeypatch):
    """The parts of a fit: eras, parameters and folder; each tells of its half and its end."""
    seen = []

    def train(self, build, learned, valid, params, progress, context):
        eras = [each and (int(each.eras[0]), int(each.eras[-1])) for each in (learned, valid)]
        seen.append((*eras, params, context.work))
        self._network, self.n_iterations = build(), 3
        self.recoveries = [{"part": len(seen)}]
        progress(5, 10)
        progress(10, 10)

    monkeypatch.setattr(NetworkModel, "_train", train)
    return seen


def test_what_is_held_back_is_learned_at_the_closing_rate_for_as_many_epochs(
    panel, parts, tmp_path
):
    model, steps = tabm(closing_rate=0.25), []
    context = FitContext(work=tmp_path / "work")
    stop = EarlyStoppingSplit(4, 2)
    model.fit(panel, stop, TARGET, lambda *step: steps.append(step), context)
    first, rest = parts
    assert first == ((1, 24), (27, 30), model.params, tmp_path / "work")
    closing = model.params.model_copy(update={"epochs": 3, "learning_rate": 0.25 * 3e-3})
    assert rest == ((25, 30), None, closing, tmp_path / "work" / "rest")
    # 24 of 30 eras are four fifths of the way.
    assert [done / total for done, total in steps] == pytest.approx([0.4, 0.8, 0.9, 1.0])
    assert model.n_iterations == 3
    assert model.recoveries == [{"part": 1}, {"part": 2}]


def test_without_enough_eras_all_are_learned_at_once(panel, parts):
    model = tabm().fit(panel.select(eras=range(1, 9)), EarlyStoppingSplit(4, 2), TARGET)
    assert [(part[0], part[1]) for part in parts] == [((1, 8), None)]
    assert model.targets == [TARGET, "target_ender_20"]
    alone = tabm(more_heads=(TARGET,)).fit(panel, None, TARGET)
    assert alone.targets == [TARGET]


def test_lines_of_the_first_part_are_on_the_error_of_the_second(panel, parts, monkeypatch):
    train = NetworkModel._train

    def fails(self, *given):
        train(self, *given)
        if len(parts) == 2:
            error = NumeraiKedroError("no")
            error.lines = ({"part": 2},)
            raise error

    monkeypatch.setattr(NetworkModel, "_train", fails)
    with pytest.raises(NumeraiKedroError) as failed:
        tabm().fit(panel, EarlyStoppingSplit(4, 2), TARGET)
    assert failed.value.lines == ({"part": 1}, {"part": 2})


def test_importance_is_the_gradient_times_the_features_spread():
    model = tabm()
    model.feature_names = ["a", "b", "derived_own_000_c"]
    # Of the first target; the mean of two members.
    weights = [[[0.3, 9.0], [0.1, 9.0]], [[-1.0, 9.0], [0.0, 9.0]], [[0.2, 9.0], [0.2, 9.0]]]
    model._network = Linear(weights)
    expected = np.array([0.2, 0.5, 0.2]) * [2**0.5, 2**0.5, (255 / 12) ** 0.5]
    np.testing.assert_allclose(model.gain_importance(), expected, rtol=1e-6)


def test_spreads_are_those_of_equally_frequent_values():
    assert spread_of(5) == pytest.approx(np.arange(5).std())
    assert spread_of(16) == pytest.approx(np.arange(16).std())


def test_a_saved_network_is_the_same_but_for_its_device_and_its_repairs(panel):
    model = tabm(epochs=1).fit(panel, None, TARGET)
    model.recoveries = [{"part": 1}]
    again = pickle.loads(pickle.dumps(model))
    assert (again.device, again.recoveries) == ("auto", [])
    assert (again.params, again.targets, again.seed) == (model.params, model.targets, 0)
    for name, value in model._network.state_dict().items():
        assert torch.equal(again._network.state_dict()[name], value)
    assert not again._network.training


def test_tensors_come_back_whatever_their_layout():
    tensors = {"turned": torch.arange(6.0).view(2, 3).T, "plain": torch.ones(2)}
    again = module.tensors_of(module.bytes_of(tensors))
    assert again.keys() == tensors.keys()
    assert all(torch.equal(again[name], value) for name, value in tensors.items())


def test_predictions_use_the_threads_of_the_fit(panel):
    before = torch.get_num_threads()
    try:
        model = tabm(epochs=1).fit(panel, None, TARGET)
        torch.set_num_threads(2)
        model.predict(panel)
        assert torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(before)
