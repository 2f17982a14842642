"""A GPU's mixed precision, on the CPU: operations that it autocasts to float32 give float32."""

import pytest
import torch
from tests.models.sizes import NETWORKS, graph_of
from tests.panels import small_panel
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_map_only

from numerai_kedro.models.registry import family
from numerai_kedro.training.protocol import FitContext

TARGET = "target_ender_60"
# https://docs.pytorch.org/docs/stable/amp.html, "CUDA Ops that can autocast to float32": those that
# networks may use. The CPU has a shorter list.
IN_FLOAT32 = {
    "__pow__", "__rpow__", "__rtruediv__", "cosine_similarity", "cross_entropy", "cumsum", "exp",
    "expm1", "group_norm", "kl_div", "l1_loss", "layer_norm", "log", "log1p", "log_softmax",
    "mse_loss", "norm", "normalize", "pow", "prod", "reciprocal", "rsqrt", "smooth_l1_loss",
    "softmax", "softplus", "sum",
}  # fmt: skip


class CardsRules(TorchFunctionMode):
    """The autocast rules that a GPU has and the CPU lacks."""

    def __torch_function__(self, function, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        listed = function.__name__ in IN_FLOAT32 and kwargs.get("dtype") is None
        if listed and torch.is_autocast_enabled("cpu"):
            args = tree_map_only(torch.Tensor, whole, args)
        return function(*args, **kwargs)


def whole(values):
    return values.float() if values.dtype in (torch.bfloat16, torch.float16) else values


@pytest.fixture(scope="module")
def panel(tmp_path_factory):
    return small_panel(tmp_path_factory.mktemp("precision") / "panel")


@pytest.mark.parametrize("precision", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("name", NETWORKS)
def test_every_network_learns_by_a_cards_rules(name, precision, panel):
    kind = family(name)
    params = kind.params_type.model_validate(NETWORKS[name])
    context = FitContext(graph=graph_of(panel.feature_names))
    network = (
        kind(params, seed=0, threads=1).fit(panel, None, TARGET, context=context)._network.train()
    )
    features = torch.from_numpy(panel.features(int(panel.eras[0])))

    def gradients():
        network.zero_grad()
        torch.manual_seed(0)
        output = network(features)
        predictions, *_ = output if isinstance(output, tuple) else (output,)
        predictions.float().square().mean().backward()
        return torch.cat([p.grad.flatten() for p in network.parameters() if p.grad is not None])

    exact = gradients()
    with torch.autocast("cpu", precision), CardsRules():
        gradient = gradients()
    assert torch.nn.functional.cosine_similarity(gradient, exact, 0) > 0.98


def test_the_rules_would_see_what_does_not_hold_on_a_card():
    vector = torch.empty(2, dtype=torch.bfloat16)
    ones, both = torch.ones(2, 3, dtype=torch.bfloat16), torch.tensor([0, 1])
    rules = (torch.autocast("cpu", torch.bfloat16), CardsRules())
    with rules[0], rules[1], pytest.raises(RuntimeError, match="dtypes match"):
        vector[both] = ones.sum(dim=1)
