"""Arrays that last."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np

from numerai_kedro.files import read_arrays, write_arrays

ARRAYS = {
    "counts": np.arange(24, dtype=np.int16).reshape(2, 3, 4),
    "turned": np.arange(6, dtype=np.int8).reshape(2, 3).T,
    "known": np.array([True, False]),
    "sums": np.array([0.1, np.nan]),
    "none": np.zeros((0, 4), np.float32),
}


def test_arrays_come_back_with_their_types(tmp_path):
    write_arrays(tmp_path / "a", **ARRAYS)
    arrays = read_arrays(tmp_path / "a")
    assert list(sorted(arrays)) == sorted(ARRAYS)
    for name, array in ARRAYS.items():
        assert arrays[name].dtype == array.dtype
        np.testing.assert_array_equal(arrays[name], array)


def test_threads_read_at_once(tmp_path):
    write_arrays(tmp_path / "a", **ARRAYS)
    with ThreadPoolExecutor(16) as pool:
        sums = pool.map(lambda _: read_arrays(tmp_path / "a")["counts"].sum(), range(2_000))
        assert set(sums) == {276}
