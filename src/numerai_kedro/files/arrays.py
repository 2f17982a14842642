"""Named arrays in one file, as safetensors: no pickle, and threads may read in parallel.

NumPy parses the headers of its own files with `ast.literal_eval`, which in CPython 3.11 keeps state
that threads share: rarely, one of them fails with ``AST constructor recursion depth mismatch``.
"""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors.numpy import load_file, save_file


def write_arrays(path: str | os.PathLike[str], **arrays: npt.NDArray[Any]) -> None:
    """Write arrays under their names; `read_arrays` returns them in C order."""
    save_file({name: np.ascontiguousarray(array) for name, array in arrays.items()}, path)


def read_arrays(path: str | os.PathLike[str]) -> dict[str, npt.NDArray[Any]]:
    """Arrays by name, as they were given to `write_arrays`."""
    return dict(load_file(path))
