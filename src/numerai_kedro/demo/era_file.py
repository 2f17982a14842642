"""One era's arrays in one file, read one at a time: .npy blocks in a fixed order.

A plain concatenation, so that the bytes depend on the arrays only (a zip file carries times), a
block can be memory-mapped in place, and an era exists completely or not at all.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from numpy.lib import format as npy

from numerai_kedro.errors import StoreError
from numerai_kedro.files import atomic_write


def write_blocks(path: Path, blocks: Mapping[str, npt.NDArray[Any]]) -> None:
    """Write arrays one after another; the reader names them in the same order."""
    with atomic_write(path) as handle:
        for array in blocks.values():
            npy.write_array(handle, np.ascontiguousarray(array), version=(1, 0), allow_pickle=False)


def read_block(path: Path, number: int) -> npt.NDArray[Any]:
    """Memory-map one array, read-only.

    Raises
    ------
    StoreError
        The file is damaged or not ours.
    """
    try:
        with path.open("rb") as handle:
            for _ in range(number + 1):
                npy.read_magic(handle)
                shape, _, dtype = npy.read_array_header_1_0(handle)
                offset = handle.tell()
                handle.seek(offset + dtype.itemsize * int(np.prod(shape)))
        return np.memmap(path, dtype=dtype, mode="r", offset=offset, shape=shape)
    except (OSError, ValueError) as error:
        raise StoreError(
            f"{path}: the demo tournament's data is damaged ({error}); delete the folder "
            f"{path.parent.parent} and run the command again."
        ) from None
