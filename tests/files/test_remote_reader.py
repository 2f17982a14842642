"""A footer is read by a few small ranges; a server without ranges gives a one-line error."""

import threading
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from numerai_kedro.errors import DownloadError
from numerai_kedro.files import RemoteFile
from numerai_kedro.files.remote_reader import RemoteReader


class Handler(BaseHTTPRequestHandler):
    def log_message(self, *args):
        pass

    def do_GET(self):
        content, byte_range = self.server.content, self.headers["Range"]
        first, last = map(int, byte_range.removeprefix("bytes=").split("-"))
        status = self.server.statuses.pop(0) if self.server.statuses else 206
        self.send_response(status)
        total = len(content) if self.server.says_length else "*"
        self.send_header("Content-Range", f"bytes {first}-{last}/{total}")
        self.send_header("ETag", self.server.etag)
        self.end_headers()
        if status == 200:
            return self._endless()
        self.server.sent += last + 1 - first
        cut, self.server.cut_after = self.server.cut_after, None
        self.wfile.write(content[first : last + 1][:cut])
        return None

    def _endless(self):
        """Sends the whole of a large file: a client that read it all would not return."""
        with suppress(ConnectionError):
            while not self.server.released.is_set():
                self.wfile.write(bytes(1 << 16))


@pytest.fixture
def server(tmp_path):
    table = pa.table({"era": ["0001"] * 50_000, "x": list(range(50_000))})
    pq.write_table(table, tmp_path / "x.parquet", row_group_size=10_000)
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as serving:
        serving.content, serving.sent = (tmp_path / "x.parquet").read_bytes(), 0
        serving.statuses, serving.says_length, serving.etag = [], True, '"one"'
        serving.cut_after = None
        serving.released = threading.Event()
        thread = threading.Thread(target=serving.serve_forever)
        thread.start()
        yield serving
        serving.released.set()
        serving.shutdown()
        thread.join()


def remote(server):
    return RemoteFile("x.parquet", lambda: f"http://127.0.0.1:{server.server_port}/x")


def test_a_footer_costs_a_fraction_of_the_file(server):
    with RemoteReader(remote(server)) as reader:
        metadata = pq.read_metadata(reader)
        assert reader.size == len(server.content)
    assert (metadata.num_rows, metadata.num_row_groups) == (50_000, 5)
    assert server.sent < len(server.content) / 2


def test_any_place_can_be_read(server):
    with RemoteReader(remote(server)) as reader:
        reader.seek(-4, 2)
        assert reader.read(100) == b"PAR1"
        assert reader.read(1) == b""
        reader.seek(0)
        assert reader.read(4) == b"PAR1"


@pytest.mark.parametrize("refused", [[503], [200], [403, 429, 500, 200]])
def test_refused_answers_are_tried_again(server, refused):
    with RemoteReader(remote(server)) as reader:
        server.statuses = list(refused)
        assert pq.read_metadata(reader).num_rows == 50_000
    assert not server.statuses
    server.statuses = list(refused)
    RemoteReader(remote(server))


def test_a_range_that_breaks_off_is_tried_again(server):
    with RemoteReader(remote(server)) as reader:
        server.cut_after = 100
        assert pq.read_metadata(reader).num_rows == 50_000


def test_two_versions_are_never_read_as_one(server):
    with RemoteReader(remote(server)) as reader:
        server.etag = '"two"'
        with pytest.raises(DownloadError, match=r"x\.parquet: the server has another version"):
            reader.read(4)


def test_what_a_server_cannot_do_is_said(server):
    server.statuses = [200] * 5
    with pytest.raises(DownloadError, match=r"does not serve ranges .*, 5 times in a row; check"):
        RemoteReader(remote(server))
    server.says_length = False
    with pytest.raises(DownloadError, match=r"x\.parquet: the server does not say how large"):
        RemoteReader(remote(server))
    server.statuses = [503] * 5
    with pytest.raises(DownloadError, match="answered 503"):
        RemoteReader(remote(server))
    server.statuses = [404]
    with pytest.raises(DownloadError, match="answered 404"):
        RemoteReader(remote(server))


def test_nobody_there_is_a_sentence():
    away = RemoteFile("x.parquet", lambda: "http://127.0.0.1:9/x")
    with pytest.raises(DownloadError, match=r"x\.parquet: the connection broke .*; check the net"):
        RemoteReader(away)
