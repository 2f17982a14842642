"""A block has the layout of a segment at any size, and its digest identifies its content."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from numerai_kedro.data import FeatureBlock
from numerai_kedro.data.segment import int8_columns, new_segment, read_message


def block(n_rows=13, n_features=5, seed=0):
    matrix = np.random.default_rng(seed).integers(0, 5, (n_rows, n_features)).astype(np.int8)
    return FeatureBlock.of([f"f{k}" for k in range(n_features)], matrix), matrix


@given(n_rows=st.integers(1, 70), n_features=st.integers(1, 6))
def test_layout_is_that_of_an_arrow_message(n_rows, n_features):
    ours, matrix = block(n_rows, n_features)
    message = pa.ipc.read_message(ours.batch().serialize())
    assert bytes(message.body) == ours.columns.tobytes()
    np.testing.assert_array_equal(ours.matrix, matrix)
    assert not ours.columns[:, n_rows:].any()


def test_a_block_shows_its_rows_to_be_read_only():
    ours, _ = block()
    with pytest.raises(ValueError, match="read-only"):
        ours.matrix[0, 0] = 1


def test_the_digest_follows_the_content():
    same, other = block()[0], block(seed=1)[0]
    assert block()[0].digest == same.digest != other.digest


def test_chosen_columns_come_in_the_order_asked_for():
    ours, matrix = block()
    batch = ours.batch([3, 0])
    assert batch.schema.names == ["f3", "f0"]
    np.testing.assert_array_equal(batch.column(0).to_numpy(), matrix[:, 3])


def test_columns_with_nulls_are_not_taken_for_plain_ones():
    column = pa.array([1, None, 3, 4, 0, 1, 2, 3, 4, 0], pa.int8())
    batch = pa.record_batch([column, column], names=["a", "b"])
    assert int8_columns(pa.ipc.read_message(batch.serialize()), 2, 10) is None


def test_every_batch_is_found_at_its_place(tmp_path):
    blocks = [block(n_rows, seed=n_rows)[0] for n_rows in (3, 100, 8)]
    with new_segment(tmp_path / "features-1.arrow", blocks[0].batch().schema) as segment:
        places = [segment.append(part.batch()) for part in blocks]
    for part, place in zip(blocks, places, strict=True):
        columns = int8_columns(read_message(tmp_path, place), 5, part.n_rows)
        np.testing.assert_array_equal(columns, part.columns)
    assert pa.ipc.open_file(str(tmp_path / "features-1.arrow")).num_record_batches == 3


def test_an_error_while_writing_leaves_nothing(tmp_path):
    def fail():
        with new_segment(tmp_path / "features-1.arrow", block()[0].batch().schema) as segment:
            segment.append(block()[0].batch())
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert list(tmp_path.iterdir()) == []
