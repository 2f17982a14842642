"""The search space of a study: ranges of a family's parameters, with the family's types."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pydantic import model_validator

from numerai_kedro.errors import ConfigurationError
from numerai_kedro.strict import Block, Strict

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution


class Range(Strict):
    """From `low` to `high`, both included; `log` samples on a logarithmic scale."""

    low: float
    high: float
    log: bool = False

    @model_validator(mode="after")
    def _ordered(self) -> Range:
        if not self.low <= self.high or (self.log and self.low <= 0):
            raise ValueError("low must not be above high, and must be above 0 where log is true")
        return self


Space = Mapping[str, Range]
REFERENCE_TREES = 2_000


def distributions(space: Space, params: Block, name: str) -> dict[str, BaseDistribution]:
    """Optuna's distributions; integer ones for integer parameters.

    Raises
    ------
    ConfigurationError
        A name is no parameter of the family.
    """
    from optuna.distributions import FloatDistribution, IntDistribution

    values = params.model_dump()
    ranges: dict[str, BaseDistribution] = {}
    for parameter, span in space.items():
        if parameter not in values:
            raise ConfigurationError(
                f"{name}.space: {parameter} is no parameter of {name}, which has "
                f"{', '.join(values)} (conf/base/parameters_*.yml)."
            )
        if isinstance(values[parameter], int):
            ranges[parameter] = IntDistribution(round(span.low), round(span.high), log=span.log)
        else:
            ranges[parameter] = FloatDistribution(span.low, span.high, log=span.log)
    return ranges


def point_of(params: Any, space: Space) -> dict[str, Any]:
    """The parameters as a point of the space, clipped to it.

    Learning rates of the space are for `REFERENCE_TREES` trees: a preset with ten times as many
    trees and a tenth of the rate is the same point.
    """
    values = params.model_dump()
    if "learning_rate" in values and "n_estimators" in values:
        values["learning_rate"] *= values["n_estimators"] / REFERENCE_TREES
    point = {}
    for parameter, span in space.items():
        value = min(max(values[parameter], span.low), span.high)
        point[parameter] = round(value) if isinstance(values[parameter], int) else float(value)
    return point


def params_at(point: Mapping[str, Any], base: Any) -> dict[str, Any]:
    """The parameter values of a point, for `base`'s number of trees."""
    values = dict(point)
    if "learning_rate" in values and hasattr(base, "n_estimators"):
        rate = values["learning_rate"] * REFERENCE_TREES / base.n_estimators
        values["learning_rate"] = min(1.0, rate)
    return values
