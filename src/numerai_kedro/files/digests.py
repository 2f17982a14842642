"""Digests that name content: the same bytes have the same name on every machine.

128-bit xxh3: it detects accidents and changes (bit flips, truncated files, another week's data) at
memory speed. It is not cryptographic, so it does not defend against forged data.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import xxhash

BLOCK_BYTES = 8 << 20


def digest_bytes(content: bytes | memoryview) -> str:
    """128-bit xxh3 of a buffer, as 32 hexadecimal digits."""
    return xxhash.xxh3_128_hexdigest(content)


def digest_file(path: str | os.PathLike[str]) -> str:
    """Digest of a file's bytes, read once in blocks."""
    state = xxhash.xxh3_128()
    with Path(path).open("rb") as handle:
        while block := handle.read(BLOCK_BYTES):
            state.update(block)
    return state.hexdigest()


def digest_json(value: object) -> str:
    """Digest of a JSON value; the order of keys does not count."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return digest_bytes(text.encode())
