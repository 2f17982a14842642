"""The loss of a network, on rows of one era.

Shapes: predictions float[n, k, n_targets], where k is the number of members of the network (1, or
TabM's); labels as in `batches.labels_of`.
"""

from __future__ import annotations

from torch import Tensor

EPSILON = 1e-6


def objective(predictions: Tensor, labels: Tensor, corr_weight: float) -> Tensor:
    """Mean squared error to Gaussian ranks, plus how far CORR of the first target is from 1.

    The result is the mean of the members' losses, not the loss of their mean, which would let
    single members stay poor (Gorishniy et al. 2024, TabM).
    """
    predictions = predictions.float()
    loss = squared_error(predictions, labels[:, 1:])
    if corr_weight:
        corr = corr_surrogate(predictions[..., 0], labels[:, 0])
        loss = loss + corr_weight * (1 - corr).mean()
    return loss


def squared_error(predictions: Tensor, labels: Tensor) -> Tensor:
    """Mean over rows, members and targets; missing labels are ignored."""
    labelled = ~labels.isnan()
    differences = predictions - labels.nan_to_num()[:, None, :]
    squares = differences.square().mean(dim=1) * labelled
    return squares.sum() / labelled.sum().clamp(min=1)


def corr_surrogate(predictions: Tensor, tails: Tensor) -> Tensor:
    """Numerai's CORR without the ranking, which has no gradient: float[k].

    Predictions, float[n, k], are standardised in place of ranked: on Gaussian ones the two agree
    within a hundredth. `tails` are the centred target to the power of 1.5, NaN where missing.
    """
    labelled = ~tails.isnan()
    weight = labelled.float() / labelled.sum().clamp(min=1)
    centred = predictions - (weight @ predictions)
    variance = weight @ centred.square()
    scores = centred * (variance + EPSILON).rsqrt()
    powered = scores.sign() * (scores.abs() + EPSILON).pow(1.5)
    powered = powered - weight @ powered
    against = tails.nan_to_num()
    against = (against - weight @ against) * labelled
    product = (weight * against) @ powered
    norms = (weight @ powered.square()) * (weight @ against.square())
    return product * (norms + EPSILON**2).rsqrt()
