"""A server that always sends something holds no call longer than its deadline."""

import socket
import threading
import time

import pytest
import requests

from numerai_kedro.errors import DownloadError
from numerai_kedro.files import RemoteFile, download, fetch
from numerai_kedro.files.bounded_session import BoundedSession

DEADLINE_S = 0.3
LONG_S = 20.0  # what a call may take on a busy machine; without an end it would take far longer


class Trickle:
    """Takes a request, and sends an answer of a given beginning a byte at a time, for ever."""

    def __init__(self, begins: bytes, reads: bool = True) -> None:
        self._begins, self._reads = begins, reads
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._ends = threading.Event()
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}/file"
        self._thread = threading.Thread(target=self._serve)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *error):
        self._ends.set()
        self._socket.close()
        self._thread.join()

    def _serve(self) -> None:
        threads = []
        while not self._ends.is_set():
            try:
                self._socket.settimeout(0.05)
                connection, _ = self._socket.accept()
            except OSError:
                continue
            threads.append(threading.Thread(target=self._answer, args=(connection,)))
            threads[-1].start()
        for thread in threads:
            thread.join()

    def _answer(self, connection: socket.socket) -> None:
        with connection:
            try:
                if self._reads:
                    connection.recv(65536)
                    connection.sendall(self._begins)
                while not self._ends.wait(0.02):
                    if self._reads:
                        connection.sendall(b"x")
                    else:
                        connection.recv(1)
            except OSError:
                return


BEGINNINGS = {
    "a line of headers": b"HTTP/1.1 200 OK\r\nX-Long: ",
    "the first line": b"HTTP/1.1 200 O",
    "the answer": b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n",
}


@pytest.mark.parametrize("what", BEGINNINGS)
def test_what_comes_byte_by_byte_meets_the_deadline(what):
    with Trickle(BEGINNINGS[what]) as server, BoundedSession(server.url, DEADLINE_S) as session:
        begin = time.monotonic()
        with pytest.raises(requests.RequestException):
            assert session.get(server.url, timeout=LONG_S).content
        assert session.expired
        assert time.monotonic() < begin + LONG_S


def test_an_upload_that_is_taken_byte_by_byte_meets_the_deadline():
    content = bytes(64 << 20)  # more than the buffers of the system
    with Trickle(b"", reads=False) as server, BoundedSession(server.url, DEADLINE_S) as session:
        with pytest.raises(requests.RequestException):
            session.put(server.url, data=content, timeout=LONG_S)
        assert session.expired


def test_without_an_end_nothing_is_cut():
    begins = BEGINNINGS["the answer"]
    with Trickle(begins) as server, BoundedSession(server.url, DEADLINE_S) as session:
        answer = session.get(server.url, timeout=LONG_S, stream=True)
        session.without_end()
        came, begin = 0, time.monotonic()
        while time.monotonic() < begin + 2 * DEADLINE_S:
            came += len(answer.raw.read1(64))
        assert came
        assert not session.expired


def test_a_download_that_trickles_is_an_interrupted_one(tmp_path, monkeypatch):
    monkeypatch.setattr(download, "PACE_S", 0.1)
    monkeypatch.setattr(download, "WAIT", lambda seconds: None)
    begins = b'HTTP/1.1 200 OK\r\nETag: "one"\r\nContent-Length: 1000000\r\n\r\n'
    with Trickle(begins) as server:
        remote = RemoteFile("v5.3/file", lambda: server.url)
        with pytest.raises(DownloadError, match=r"bytes in 0 s, 5 times in a row"):
            fetch(remote, tmp_path / "file")


def test_a_download_whose_headers_never_end_is_an_interrupted_one(tmp_path, monkeypatch):
    monkeypatch.setattr(download, "HEADERS_S", 0.1)
    monkeypatch.setattr(download, "WAIT", lambda seconds: None)
    with Trickle(BEGINNINGS["a line of headers"]) as server:
        remote = RemoteFile("v5.3/file", lambda: server.url)
        with pytest.raises(DownloadError, match=r"the connection broke .* 5 times in a row"):
            fetch(remote, tmp_path / "file")
