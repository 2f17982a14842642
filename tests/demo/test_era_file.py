"""Arrays are read one at a time, bytes depend on the arrays alone, and a torn file is reported."""

import numpy as np
import pytest

from numerai_kedro.demo.era_file import read_block, write_blocks
from numerai_kedro.errors import StoreError

BLOCKS = {
    "features": np.arange(12, dtype=np.int8).reshape(3, 4),
    "targets": np.array([[0.25, np.nan]], dtype=np.float32),
    "ids": np.array(["n1", "n22"]),
}


def test_each_block_comes_back_by_its_number(tmp_path):
    write_blocks(tmp_path / "era", BLOCKS)
    for number, block in enumerate(BLOCKS.values()):
        stored = read_block(tmp_path / "era", number)
        np.testing.assert_array_equal(stored, block)
        assert not stored.flags.writeable


def test_the_bytes_are_the_arrays_whatever_their_order_in_memory(tmp_path):
    turned = {name: np.asfortranarray(block) for name, block in BLOCKS.items()}
    write_blocks(tmp_path / "a", BLOCKS)
    write_blocks(tmp_path / "b", turned)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_a_torn_or_foreign_file_is_one_sentence(tmp_path):
    write_blocks(tmp_path / "era", BLOCKS)
    whole = (tmp_path / "era").read_bytes()
    for content in (whole[: len(whole) // 2], b"<html>", b""):
        (tmp_path / "era").write_bytes(content)
        with pytest.raises(StoreError, match=r"is damaged .*; delete the folder"):
            read_block(tmp_path / "era", 2)
