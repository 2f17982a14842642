"""What arrives takes its place only when it is what it should be."""

import json
import logging
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pandas as pd
import pytest
from kedro.io import DatasetError
from tests.files.test_download import FileServer

from numerai_kedro.datasets.downloaded_file import DownloadedFileDataset
from numerai_kedro.files import RemoteFile
from numerai_kedro.files.verified import write_note


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass


@pytest.fixture
def served(tmp_path):
    """A folder, and a way to name its files."""
    folder = tmp_path / "served"
    folder.mkdir()
    handler = partial(Quiet, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        url = f"http://127.0.0.1:{server.server_port}"
        yield folder, lambda name: RemoteFile(name, lambda: f"{url}/{name}")
        server.shutdown()
        thread.join()


FRAME = pd.DataFrame({"x": range(20)}, index=pd.Index([f"n{k}" for k in range(20)], name="id"))


def test_a_table_is_loaded_as_path_or_frame(served, tmp_path):
    folder, remote = served
    FRAME.to_parquet(folder / "a.parquet")
    path = tmp_path / "kept" / "a.parquet"
    DownloadedFileDataset(filepath=str(path), loads="frame").save(remote("a.parquet"))
    assert DownloadedFileDataset(filepath=str(path), loads="path").load() == path
    loaded = DownloadedFileDataset(filepath=str(path), loads="frame").load()
    pd.testing.assert_frame_equal(loaded, FRAME)


@pytest.mark.parametrize(
    ("loads", "good", "bad", "sentence"),
    [
        ("json", '{"feature_sets": {"all": ["a"]}}', "<html>", "what arrived is no JSON"),
        ("path", None, "<html>maintenance</html>", "no parquet file with rows"),
    ],
)
def test_what_is_not_sound_leaves_the_old_file(served, tmp_path, loads, good, bad, sentence):
    folder, remote = served
    dataset = DownloadedFileDataset(filepath=str(tmp_path / "kept"), loads=loads)
    if good is None:
        FRAME.to_parquet(folder / "file")
    else:
        (folder / "file").write_text(good)
    dataset.save(remote("file"))
    before = (tmp_path / "kept").read_bytes()
    (folder / "file").write_text(bad)
    with pytest.raises(DatasetError, match=f"{sentence}.* untouched"):
        dataset.save(remote("file"))
    assert (tmp_path / "kept").read_bytes() == before


def test_a_table_without_rows_is_not_sound(served, tmp_path):
    folder, remote = served
    FRAME.iloc[:0].to_parquet(folder / "empty")
    dataset = DownloadedFileDataset(filepath=str(tmp_path / "kept"), loads="path")
    with pytest.raises(DatasetError, match="no parquet file with rows"):
        dataset.save(remote("empty"))


def test_a_preview_is_a_corner(served, tmp_path):
    folder, remote = served
    (folder / "f.json").write_text(
        json.dumps({"feature_sets": {"all": ["a", "b"], "small": ["a"]}})
    )
    dataset = DownloadedFileDataset(filepath=str(tmp_path / "f.json"), loads="json")
    with pytest.raises(DatasetError, match="does not exist yet"):
        dataset.load()
    dataset.save(remote("f.json"))
    assert dataset.preview()["data"] == [["all", 2], ["small", 1]]


ROWS = pd.DataFrame(
    {"era": "0001", "feature_a": [1, 2], "feature_b": [3, 4], "target_ender_60": [0.5, 0.25]},
    index=pd.Index(["n1", "n2"], name="id"),
).astype({"feature_a": "int8", "feature_b": "int8", "target_ender_60": "float32"})


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda t: t.drop(columns="feature_b"), 'column "feature_b" is missing'),
        (lambda t: t.drop(columns="era"), 'column "era" is missing'),
        (lambda t: t.astype({"feature_a": "float32"}), 'column "feature_a" is float, not int8'),
        (lambda t: t.astype({"target_ender_60": str}), "not float"),
    ],
)
def test_rows_of_another_shape_never_replace_good_ones(served, tmp_path, change, sentence):
    folder, remote = served
    path = tmp_path / "raw" / "train.parquet"
    path.parent.mkdir()
    sets = {"feature_sets": {"all": ["feature_a", "feature_b"]}}
    path.with_name("features.json").write_text(json.dumps(sets))
    dataset = DownloadedFileDataset(filepath=str(path), loads="path")
    ROWS.to_parquet(folder / "train.parquet")
    dataset.save(remote("train.parquet"))
    before = path.read_bytes()
    change(ROWS).to_parquet(folder / "train.parquet")
    with pytest.raises(DatasetError, match=f"train.parquet: .*{sentence}.* untouched"):
        dataset.save(remote("train.parquet"))
    assert path.read_bytes() == before


def test_what_changes_in_the_features_is_counted_and_their_order_is_no_change(
    served, tmp_path, caplog
):
    folder, remote = served
    dataset = DownloadedFileDataset(filepath=str(tmp_path / "features.json"), loads="json")

    def saved(targets=("target_ender_20", "target_ender_60"), **sets):
        content = {"feature_sets": sets, "targets": targets}
        (folder / "features.json").write_text(json.dumps(content))
        caplog.clear()
        with caplog.at_level("INFO"):
            dataset.save(remote("features.json"))
        return [line for line in caplog.messages if "added" in line]

    assert saved(all=["a", "b"], rain=["a"]) == []  # nothing was there before
    first = dataset.contents()
    message = "features.json: {} features added, {} removed, {} moved between sets"
    swapped = ("target_ender_60", "target_ender_20")
    assert saved(swapped, rain=["a"], all=["b", "a"]) == [message.format(0, 0, 0)]
    assert dataset.contents() == first
    assert saved(all=["c", "b"], rain=["b"]) == [message.format(1, 1, 1)]
    assert dataset.contents() != first
    (tmp_path / "features.json").write_text("torn")
    assert dataset.contents() == {"": tmp_path / "features.json"}


def test_a_table_whose_reader_checks_it_may_have_other_columns(served, tmp_path):
    folder, remote = served
    (tmp_path / "features.json").write_text(
        json.dumps({"feature_sets": {"all": ["feature_a", "feature_z"]}, "targets": ["t"]})
    )
    ROWS.assign(target_ender_60=None, feature_b=0.5).to_parquet(folder / "live.parquet")
    path = str(tmp_path / "live.parquet")
    with pytest.raises(DatasetError, match='"feature_z" is missing'):
        DownloadedFileDataset(filepath=path, loads="path").save(remote("live.parquet"))
    dataset = DownloadedFileDataset(filepath=path, loads="path", checks_columns=False)
    dataset.save(remote("live.parquet"))
    assert (tmp_path / "live.parquet").read_bytes() == (folder / "live.parquet").read_bytes()


@pytest.fixture
def history(tmp_path):
    """A file of history that was fetched in an earlier week."""
    with FileServer() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        rng = np.random.default_rng(0)
        table = {f"feature_{k}": rng.integers(5, size=40_000, dtype=np.int8) for k in range(20)}
        pd.DataFrame(table | {"era": "0001"}).to_parquet(tmp_path / "made", row_group_size=10_000)
        server.content = (tmp_path / "made").read_bytes()
        remote = RemoteFile("v5.3/train.parquet", lambda: server.url, recheck_days=7)
        yield server, remote, tmp_path / "train.parquet"
        server.shutdown()
        thread.join()


def dataset(path, **settings):
    return DownloadedFileDataset(filepath=str(path), loads="path", **settings)


@pytest.mark.parametrize("refused", [[503] * 5, [404]])
def test_history_that_cannot_be_had_anew_is_the_verified_file_of_before(history, caplog, refused):
    server, remote, path = history
    dataset(path, before_serves=True).save(remote)
    before = path.read_bytes()
    server.status = list(refused)
    dataset(path, before_serves=True).save(remote)
    (line,) = [
        record
        for record in caplog.records
        if "continuing with the file verified earlier" in record.message
    ]
    assert line.levelno == logging.WARNING
    assert f"the server answered {refused[0]}" in line.message
    assert path.read_bytes() == before
    server.status = list(refused)
    with pytest.raises(DatasetError, match=f"answered {refused[0]}"):
        dataset(path).save(remote)  # a live file


def test_a_damaged_file_of_before_does_not_serve(history):
    server, remote, path = history
    dataset(path, before_serves=True).save(remote)
    content = bytearray(path.read_bytes())
    content[1000] ^= 1
    path.write_bytes(content)
    for _ in range(2):
        server.status = [404]
        with pytest.raises(DatasetError, match="answered 404"):
            dataset(path, before_serves=True).save(remote)
    dataset(path, before_serves=True).save(remote)
    assert path.read_bytes() == server.content


def test_a_file_that_was_continued_is_read_through(history):
    """A torn part of the same version: a power cut leaves zeros where bytes had been counted."""
    server, remote, path = history
    part = path.with_name("train.parquet.partial")
    half = len(server.content) // 2
    part.write_bytes(server.content[: half - 70_000] + bytes(70_000))
    write_note(part, {"version": server.etag})
    dataset(path).save(remote)
    assert server.requests == [f"bytes={half}-", None]
    assert path.read_bytes() == server.content
