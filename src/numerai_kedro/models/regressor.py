"""Any regressor with fit and predict, such as those of scikit-learn, as a model."""

from __future__ import annotations

import inspect
from importlib import import_module
from importlib.metadata import packages_distributions, version
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from pydantic import field_validator, model_validator

from numerai_kedro.errors import ConfigurationError, PredictionError, StoreError
from numerai_kedro.files import digest_bytes
from numerai_kedro.files.trusted_pickle import check_readable, trust
from numerai_kedro.models.simple import SimpleModel, SimpleParams
from numerai_kedro.strict import Block


class RegressorParams(SimpleParams):
    """The class of the regressor, and what its constructor gets.

    Parameters
    ----------
    regressor
        Dotted path, such as ``sklearn.linear_model.Ridge``.
    made_by
        Version of its package, or digest of its module, filled in: a change refits the model.
    """

    regressor: str
    made_by: str = ""

    @field_validator("regressor")
    @classmethod
    def _can_be_imported(cls, path: str) -> str:
        kind = regressor_class(path)
        if not (hasattr(kind, "fit") and hasattr(kind, "predict")):
            raise ValueError(f"{path} has no fit and predict")
        return path

    @model_validator(mode="after")
    def _of_this_version(self) -> RegressorParams:
        kind = regressor_class(self.regressor)
        parameters = inspect.signature(kind).parameters
        takes_all = any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters.values())
        for name in self.options():
            if name not in parameters and not takes_all:
                raise ConfigurationError(
                    f"{name}: {self.regressor} has no such parameter, but {', '.join(parameters)}"
                )
        object.__setattr__(self, "made_by", made_by(kind))
        return self

    def options(self) -> dict[str, Any]:
        """What the constructor gets."""
        return dict(self.model_extra or {})


class Regressor(SimpleModel):
    """A third-party regressor, fitted on features centred to -2..2."""

    params_type: ClassVar[type[Block]] = RegressorParams

    def fit_rows(self, rows: npt.NDArray[np.float32], label: npt.NDArray[np.float32]) -> None:
        """Fit a new regressor; it gets the seed if it takes a ``random_state``."""
        kind = regressor_class(self.params.regressor)
        options = self.params.options()
        if "random_state" in inspect.signature(kind).parameters:
            options = {"random_state": self.seed} | options
        self.regressor = kind(**options)
        self.regressor.fit(centred(rows), label)
        try:
            check_readable(self.regressor)
        except StoreError as refused:
            raise PredictionError(f"{self.params.regressor} cannot be kept: {refused}") from None

    def predict_rows(self, rows: npt.NDArray[np.int8]) -> npt.NDArray[np.float32]:
        """What the regressor says."""
        predictions = self.regressor.predict(centred(rows.astype(np.float32)))
        return np.asarray(predictions, dtype=np.float32).reshape(len(rows))


def centred(rows: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Features less their middle value, 2, so that a linear model need not learn their means."""
    return rows - np.float32(2)


def regressor_class(path: str) -> Any:
    """Import a class by its dotted path, and trust saved objects of its package.

    Raises
    ------
    ValueError
        It cannot be imported.
    """
    module, _, name = path.rpartition(".")
    try:
        kind = getattr(import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise ValueError(f"{path} cannot be imported ({' '.join(str(error).split())})") from None
    trust(f"{kind.__module__.partition('.')[0]}.")
    return kind


def made_by(kind: type) -> str:
    """Major and minor version of a class's package; for a module without one, its digest."""
    package = kind.__module__.partition(".")[0]
    distributions = packages_distributions().get(package)
    if distributions:
        numbers = version(distributions[0]).split(".")[:2]
        return f"{distributions[0]} {'.'.join(numbers)}"
    return digest_bytes(inspect.getsource(inspect.getmodule(kind) or kind).encode())[:16]
