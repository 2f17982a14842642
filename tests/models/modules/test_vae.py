"""The penalty is the evidence lower bound, written out."""

import numpy as np
import pytest
import torch
from tests.models.sizes import NETWORKS

from numerai_kedro.models.modules.vae import WIDEST, SupervisedVae
from numerai_kedro.models.registry import family

QUIET = {"dropout": 0.0, "feature_dropout": 0.0}


def vae(n_features=6, n_targets=2, n_derived=0, **changed):
    params = family("vae_head").params_type.model_validate(NETWORKS["vae_head"] | QUIET | changed)
    torch.manual_seed(0)
    return SupervisedVae(params, n_features, n_targets, n_derived)


def rows(n=10, n_features=6):
    values = np.random.default_rng(0).integers(0, 5, (n, n_features))
    return torch.from_numpy(values.astype(np.int8))


@pytest.mark.parametrize(("done", "beta"), [(0.0, 0.0), (0.15, 0.25), (0.3, 0.5), (1.0, 0.5)])
@pytest.mark.parametrize("again", [False, True])
def test_the_penalty_is_reconstruction_and_divergence_that_warms_up(done, beta, again):
    network, features = vae(free_nats=0.3).train(), rows()
    network.done = done
    if again:
        network.checkpoint_activations()
    torch.manual_seed(1)
    predictions, penalty = network(features)
    with torch.no_grad():
        mean, log_variance = network.latents(features)
        torch.manual_seed(1)
        drawn = mean + torch.randn_like(mean) * log_variance.exp() ** 0.5
        likelihood = network.decoder(drawn).view(10, 6, 5).log_softmax(dim=2)
        nll = -likelihood.gather(2, features.long()[..., None]).mean(dim=(1, 2))
        nats = (mean**2 + log_variance.exp() - 1 - log_variance) / 2
        noise = torch.where(nats < 0.3, torch.tensor(0.3), nats).sum(dim=1) / 6
        torch.testing.assert_close(penalty, 0.2 * (nll + beta * noise))
        torch.testing.assert_close(predictions, network.head(drawn)[:, None, :])
    assert predictions.shape == (10, 1, 2)


def test_predictions_are_of_the_mean_and_without_a_penalty():
    network, features = vae().eval(), rows()
    with torch.no_grad():
        torch.testing.assert_close(
            network(features)[:, 0], network.head(network.latents(features)[0])
        )


def test_derived_columns_are_read_and_not_reconstructed():
    network = vae(n_features=6, n_derived=2).train()
    drawn, features = torch.randn(10, 8), rows()
    before = network.told(drawn, features)
    features[:, 4:] = 0
    torch.testing.assert_close(network.told(drawn, features), before)
    assert network.decoder[-1].out_features == 20
    assert network.encoder[0].in_features == 6


def test_the_heads_gradient_to_the_encoder_is_scaled_and_none_without_weight():
    gradients = {}
    for weight in (1.0, 0.25, 0.0):
        network = vae(head_weight=weight)
        drawn = torch.ones(2, 8, requires_grad=True)
        torch.testing.assert_close(network._read(drawn), drawn)
        network._read(drawn).sum().backward()
        gradients[weight] = drawn.grad.unique().tolist()
        assert all(p.requires_grad is (weight > 0) for p in network.head.parameters())
    assert gradients == {1.0: [1.0], 0.25: [0.25], 0.0: [0.0]}


def test_variances_are_bounded():
    network = vae()
    with torch.no_grad():
        network.encoder[-1].bias[8:] = 100.0
        assert network.latents(rows())[1].max() == WIDEST == 8.0
        network.encoder[-1].bias[8:] = -100.0
        assert network.latents(rows())[1].min() == -8.0
