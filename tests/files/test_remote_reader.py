"""A footer is read by a few small ranges; a server that cannot is said in a sentence."""

import threading
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

    def do_HEAD(self):
        self.send_response(self.server.status)
        if self.server.says_length:
            self.send_header("Content-Length", str(len(self.server.content)))
        self.end_headers()

    def do_GET(self):
        content, asked = self.server.content, self.headers["Range"]
        first, last = map(int, asked.removeprefix("bytes=").split("-"))
        self.server.sent += last + 1 - first
        self.send_response(206 if self.server.ranges else 200)
        self.end_headers()
        self.wfile.write(content[first : last + 1])


@pytest.fixture
def server(tmp_path):
    table = pa.table({"era": ["0001"] * 50_000, "x": list(range(50_000))})
    pq.write_table(table, tmp_path / "x.parquet", row_group_size=10_000)
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as serving:
        serving.content, serving.sent = (tmp_path / "x.parquet").read_bytes(), 0
        serving.status, serving.says_length, serving.ranges = 200, True, True
        thread = threading.Thread(target=serving.serve_forever)
        thread.start()
        yield serving
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


def test_what_a_server_cannot_do_is_said(server):
    server.ranges = False
    with RemoteReader(remote(server)) as reader, pytest.raises(DownloadError, match="ranges"):
        reader.read(4)
    server.says_length = False
    with pytest.raises(DownloadError, match=r"x\.parquet: the server does not say how large"):
        RemoteReader(remote(server))
    server.status = 503
    with pytest.raises(DownloadError, match="answer 503"):
        RemoteReader(remote(server))


def test_nobody_there_is_a_sentence():
    away = RemoteFile("x.parquet", lambda: "http://127.0.0.1:9/x")
    with pytest.raises(DownloadError, match=r"no answer from the server .*; check the network"):
        RemoteReader(away)
