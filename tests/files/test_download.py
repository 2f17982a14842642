"""The three silent corruptions of numerapi's downloader, and what else a server can do."""

import errno
import json
import os
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from numerai_kedro.errors import DiskFull, DownloadError, SystemRefused
from numerai_kedro.files import RemoteFile, digest_file, download, fetch, verified
from numerai_kedro.files.verified import is_as_verified

CONTENT = bytes(range(256)) * 4000


class FileServer(ThreadingHTTPServer):
    """Serves CONTENT, with faults that each apply to a given number of answers."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.content, self.etag = CONTENT, '"one"'
        self.cut_after, self.cut_always = None, None
        self.ignore_range = False
        self.status = []
        self.without_etag = False
        self.ignore_if_range = False
        self.claims = None  # a false length of the file
        self.requests = []

    def handle_error(self, request, client_address):
        """Clients may go away in the middle."""

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}/file"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def do_GET(self):
        server = self.server
        byte_range = self.headers.get("Range")
        server.requests.append(byte_range)
        if server.status:
            return self._plain(server.status.pop(0))
        start = 0
        same = server.ignore_if_range or self.headers.get("If-Range") == server.etag
        if byte_range and not server.ignore_range and same:
            start = int(byte_range.removeprefix("bytes=").rstrip("-"))
            if start >= len(server.content):
                return self._plain(416)
        body = server.content[start:]
        self.send_response(206 if start else 200)
        if start:
            total = len(server.content)
            self.send_header("Content-Range", f"bytes {start}-{total - 1}/{total}")
        self.send_header("Content-Length", str(server.claims or len(body)))
        if not server.without_etag:
            self.send_header("ETag", server.etag)
        self.end_headers()
        cut, server.cut_after = server.cut_after, None
        cut = server.cut_always if cut is None else cut
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
    start = int(again.removeprefix("bytes=").rstrip("-"))
    assert 300_000 - 65_536 < start <= 300_000


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


def test_waits_between_attempts_double_and_there_are_five(monkeypatch):
    waits = []
    monkeypatch.setattr(download, "WAIT", waits.append)

    def once():
        raise download.Interrupted("cut")

    with pytest.raises(DownloadError, match=r"^x: cut, 5 times in a row; type it again$"):
        download.in_attempts("x", once, "type it again")
    assert waits == [1.0, 2.0, 4.0, 8.0]


def test_progress_of_a_block_begins_the_count_of_attempts_anew(monkeypatch):
    waits, received = [], iter([0, 10, 10 + download.BLOCK_BYTES, *[10 + download.BLOCK_BYTES] * 5])
    monkeypatch.setattr(download, "WAIT", waits.append)

    def once():
        raise download.Interrupted("cut")

    with pytest.raises(DownloadError):
        download.in_attempts("x", once, "type it again", lambda: next(received))
    assert waits == [1.0, 1.0, 1.0, 2.0, 4.0, 8.0]


def test_no_file_left_to_connect_by_is_not_the_servers_fault(remote, tmp_path, monkeypatch):
    def refuse(*given):
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    monkeypatch.setattr("urllib3.util.connection.socket.socket", refuse)
    with pytest.raises(SystemRefused, match="Too many open files; raise the limit"):
        fetch(remote, tmp_path / "file")


def changing(server, **faults):
    """A file that changes after the first attempt, on a server with these faults."""
    attempts = iter(range(10))

    def address():
        if next(attempts) == 1:
            server.content, server.etag = CONTENT[::-1], '"two"'
            vars(server).update(faults)
        return server.url

    return RemoteFile("v5.3/file", address)


@pytest.mark.parametrize(
    "faults", [{}, {"ignore_if_range": True}, {"ignore_if_range": True, "without_etag": True}]
)
def test_a_part_of_another_version_is_not_continued(server, tmp_path, faults):
    """Whatever range was requested: a cache in between may ignore If-Range."""
    server.cut_after = 300_000
    fetch(changing(server, **faults), tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == CONTENT[::-1]


def killed(*_):
    raise KeyboardInterrupt


def test_a_part_is_emptied_before_it_is_noted_as_another_version(
    server, remote, tmp_path, monkeypatch
):
    """After a kill between the two, the old bytes would be continued as the new version."""
    with pytest.raises(KeyboardInterrupt):
        fetch(remote, tmp_path / "file", progress=killed)
    server.content, server.etag = CONTENT[::-1], '"two"'
    with monkeypatch.context() as patch:
        patch.setattr(download, "_append", killed)
        with pytest.raises(KeyboardInterrupt):
            fetch(remote, tmp_path / "file")
    fetch(remote, tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == CONTENT[::-1]


def test_what_was_joined_is_read_through_and_begun_anew_where_it_is_not_sound(
    server, remote, tmp_path
):
    seen = []

    def refuse(path):
        seen.append(path.stat().st_size)
        raise DownloadError("a page is torn")

    server.cut_after = 300_000
    fetch(remote, tmp_path / "file", verify_joined=refuse)
    assert seen == [len(CONTENT)]
    assert server.requests[2:] == [None]  # the third answer is the whole file: nothing to join
    assert (tmp_path / "file").read_bytes() == CONTENT


def test_the_same_size_is_not_taken_for_the_same_file(server, remote, tmp_path):
    target = tmp_path / "file"
    assert fetch(remote, target)
    assert not fetch(remote, target)
    server.content, server.etag = CONTENT[::-1], '"two"'
    assert fetch(remote, target)
    assert target.read_bytes() == CONTENT[::-1]


def flip(path, keeps_time):
    """Change one byte on the disk, as a disk fault would."""
    stat, content = path.stat(), bytearray(path.read_bytes())
    content[1000] ^= 1
    path.write_bytes(content)
    if keeps_time:
        os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))


def compared_days_ago(path, days):
    note = path.with_name("file.source.json")
    record = json.loads(note.read_text())
    note.write_text(json.dumps(record | {"compared": record["compared"] - days * 86_400}))


@pytest.mark.parametrize(
    ("keeps_time", "days_ago", "recheck_days"), [(False, 0, 7), (True, 8, 7), (True, 0, 0)]
)
def test_a_flipped_byte_is_not_taken_for_the_file(
    server, tmp_path, caplog, keeps_time, days_ago, recheck_days
):
    remote = RemoteFile("v5.3/file", lambda: server.url, recheck_days)
    target = tmp_path / "file"
    fetch(remote, target)
    flip(target, keeps_time)
    compared_days_ago(target, days_ago)
    assert fetch(remote, target)
    assert target.read_bytes() == CONTENT
    assert caplog.text.count(f"{target}: its bytes are not those that were verified") == 1
    assert not fetch(remote, target)


def test_bytes_are_compared_once_in_so_many_days(server, tmp_path, monkeypatch):
    remote = RemoteFile("v5.3/file", lambda: server.url, recheck_days=7)
    target, read = tmp_path / "file", []
    monkeypatch.setattr(verified, "SMALL_BYTES", 0)
    fetch(remote, target)
    monkeypatch.setattr(verified, "digest_file", lambda p: read.append(p) or digest_file(p))
    fetch(remote, target)
    assert not read
    compared_days_ago(target, 8)
    fetch(remote, target)
    fetch(remote, target)
    assert len(read) == 1
    os.utime(target)  # touched, and the same
    assert not fetch(remote, target)
    assert not fetch(remote, target)
    assert len(read) == 2


def test_a_small_file_is_compared_each_time(server, remote, tmp_path):
    target = tmp_path / "file"
    fetch(remote, target)
    flip(target, keeps_time=True)
    assert fetch(remote, target)
    assert target.read_bytes() == CONTENT


def test_what_is_damaged_serves_no_longer_though_it_cannot_be_had_anew(server, remote, tmp_path):
    target = tmp_path / "file"
    fetch(remote, target)
    assert is_as_verified(target, remote.name, 0)
    flip(target, keeps_time=False)
    assert not is_as_verified(target, remote.name, 7)
    assert not is_as_verified(target, remote.name, 7)


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


def test_attempts_are_counted_anew_while_bytes_come(server, remote, tmp_path):
    server.cut_always = 70_000
    fetch(remote, tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == CONTENT
    assert len(server.requests) > 2 * download.ATTEMPTS


def test_a_server_that_begins_anew_each_time_brings_nothing(server, remote, tmp_path):
    server.cut_always, server.ignore_range = 70_000, True
    with pytest.raises(DownloadError, match=r"bytes arrived|connection broke.*5 times in a row"):
        fetch(remote, tmp_path / "file")
    assert len(server.requests) == download.ATTEMPTS + 1


def test_a_disk_without_room_is_said_before_a_byte_is_written(server, remote, tmp_path):
    (tmp_path / "file").write_bytes(b"old")
    server.claims = 1 << 60
    with pytest.raises(DiskFull, match=r"file\.partial: .* 1,152,921,504,606,846,976 bytes"):
        fetch(remote, tmp_path / "file")
    assert (tmp_path / "file.partial").read_bytes() == b""
    assert (tmp_path / "file").read_bytes() == b"old"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a disk that is full, of Linux")
def test_a_disk_that_fills_up_is_a_sentence(server, remote, tmp_path):
    (tmp_path / "file.partial").symlink_to("/dev/full")
    with pytest.raises(DiskFull, match=r"file\.partial: the disk is full: 1,024,000 bytes"):
        fetch(remote, tmp_path / "file")
    assert len(server.requests) == 1


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
