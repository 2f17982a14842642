"""Functions and classes of the user's own, named in parameters by dotted paths."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from importlib import import_module
from typing import Any

from numerai_kedro.errors import ConfigurationError

# Digests of the code of own feature transformations, by path; child processes inherit it.
SOURCES = "NUMERAI_KEDRO_OWN_TRANSFORMS"
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
    except Exception as error:  # noqa: BLE001 - whatever the user's module raises
        problem = " ".join(f"{type(error).__name__}: {error}".split())
        raise ConfigurationError(
            f"parameters: {place}: {path} cannot be imported ({problem}); it should be in a module "
            "below src/ or plugins/, or of an installed package."
        ) from None


def note_sources(sources: Mapping[str, str]) -> None:
    """Make the digests of the present code of own transformations known."""
    os.environ[SOURCES] = json.dumps(dict(sources))


def source_now(path: str) -> str | None:
    """Digest of the present code of an own transformation; None if nothing names it now."""
    sources: dict[str, str] = json.loads(os.environ.get(SOURCES, "{}"))
    return sources.get(path)
