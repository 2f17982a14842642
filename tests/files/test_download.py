"""The three silent corruptions of numerapi's downloader, and what else a server can do."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from numerai_kedro.errors import DownloadError
from numerai_kedro.files import RemoteFile, fetch

CONTENT = bytes(range(256)) * 4000


class FileServer(ThreadingHTTPServer):
    """Serves CONTENT, with faults that each apply to a given number of answers."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.content, self.etag = CONTENT, '"one"'
        self.cut_after = None
        self.ignore_range = False
        self.status = []
        self.without_etag = False
        self.requests = []

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}/file"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def do_GET(self):
        server = self.server
        asked = self.headers.get("Range")
        server.requests.append(asked)
        if server.status:
            return self._plain(server.status.pop(0))
        start = 0
        if asked and not server.ignore_range and self.headers.get("If-Range") == server.etag:
            start = int(asked.removeprefix("bytes=").rstrip("-"))
            if start >= len(server.content):
                return self._plain(416)
        body = server.content[start:]
        self.send_response(206 if start else 200)
        if start:
            total = len(server.content)
            self.send_header("Content-Range", f"bytes {start}-{total - 1}/{total}")
        self.send_header("Content-Length", str(len(body)))
        if not server.without_etag:
            self.send_header("ETag", server.etag)
        self.end_headers()
        cut, server.cut_after = server.cut_after, None
        self.wfile.write(body[:cut])
        if cut is not None:
            self.close_connection = True
        return None

    def _plain(self, status):
        body = b"<html>not the file</html>"
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture
def server():
    with FileServer() as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield running
        running.shutdown()
        thread.join()


@pytest.fixture
def remote(server):
    return RemoteFile("v5.3/file", lambda: server.url)


def test_a_broken_transfer_is_continued_from_where_it_broke(server, remote, tmp_path):
    server.cut_after = 300_000
    assert fetch(remote, tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == CONTENT
    first, again = server.requests
    assert first is None
    kept = int(again.removeprefix("bytes=").rstrip("-"))
    assert 300_000 - 65_536 < kept <= 300_000


def test_a_server_that_ignores_ranges_does_not_double_the_file(server, remote, tmp_path):
    server.cut_after, server.ignore_range = 300_000, True
    fetch(remote, tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == CONTENT


def test_an_error_body_is_not_appended(server, remote, tmp_path):
    server.cut_after = 300_000
    target = tmp_path / "file"
    server.status = [500] * 5
    with pytest.raises(DownloadError):
        fetch(remote, target)
    server.status = [416]
    fetch(remote, target)
    assert target.read_bytes() == CONTENT


def test_a_part_of_another_version_is_not_continued(server, remote, tmp_path):
    server.cut_after = 300_000
    urls = iter(range(10))

    def changed_on_the_second_attempt():
        if next(urls) == 1:
            server.content, server.etag = CONTENT[::-1], '"two"'
        return server.url

    fetch(RemoteFile("v5.3/file", changed_on_the_second_attempt), tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == CONTENT[::-1]


def test_the_same_size_is_not_taken_for_the_same_file(server, remote, tmp_path):
    target = tmp_path / "file"
    assert fetch(remote, target)
    assert not fetch(remote, target)
    server.content, server.etag = CONTENT[::-1], '"two"'
    assert fetch(remote, target)
    assert target.read_bytes() == CONTENT[::-1]


def test_without_a_version_the_file_is_always_fetched(server, remote, tmp_path):
    server.without_etag = True
    target = tmp_path / "file"
    assert fetch(remote, target)
    server.content = CONTENT[::-1]
    assert fetch(remote, target)
    assert target.read_bytes() == CONTENT[::-1]


def test_what_is_not_sound_takes_no_place(server, remote, tmp_path):
    target = tmp_path / "file"
    target.write_bytes(b"old")

    def refuse(path):
        raise DownloadError("v5.3/file: no parquet")

    with pytest.raises(DownloadError, match="no parquet"):
        fetch(remote, target, verify=refuse)
    assert target.read_bytes() == b"old"


def test_a_server_that_stays_away_ends_in_one_sentence(server, remote, tmp_path):
    server.status = [503] * 5
    with pytest.raises(DownloadError, match=r"v5\.3/file: the server answered 503, 5 times"):
        fetch(remote, tmp_path / "file")
    assert not (tmp_path / "file").exists()


def test_a_missing_file_is_not_asked_for_again(server, remote, tmp_path):
    server.status = [404]
    with pytest.raises(DownloadError, match="404"):
        fetch(remote, tmp_path / "file")
    assert len(server.requests) == 1


def test_progress_ends_at_the_files_size(server, remote, tmp_path):
    seen = []
    fetch(remote, tmp_path / "file", progress=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (len(CONTENT), len(CONTENT))


def test_netrc_and_proxy_do_not_touch_loopback(server, remote, tmp_path, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    fetch(remote, tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == CONTENT
