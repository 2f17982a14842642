"""Functions and classes of the user's own, named in parameters by dotted paths."""

from __future__ import annotations

import re
from importlib import import_module
from typing import Any

from numerai_kedro.errors import ConfigurationError

DOTTED = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+")


def import_own(path: str, place: str) -> Any:
    """Import what a dotted path names.

    Parameters
    ----------
    place
        Of the parameter, for the error message.

    Raises
    ------
    ConfigurationError
        It cannot be imported.
    """
    module, _, name = path.rpartition(".")
    try:
        return getattr(import_module(module), name)
    except (ImportError, AttributeError, ValueError, SyntaxError) as error:
        problem = " ".join(str(error).split())
        raise ConfigurationError(
            f"parameters: {place}: {path} cannot be imported ({problem}); it should be in a module "
            "below src/ or plugins/, or of an installed package."
        ) from None
