"""From a model family and a panel to predictions: the protocol, walk-forward, the live fit.

It knows models by their protocol only.
"""

from numerai_kedro.training.protocol import Cost, Model
from numerai_kedro.training.walk_forward import fit_live, walk_forward

__all__ = ["Cost", "Model", "fit_live", "walk_forward"]
