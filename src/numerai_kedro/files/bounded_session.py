"""HTTP sessions with a deadline: without one, a slow trickle of bytes never times out.

A socket time-out only bounds the wait for the next piece, so a server that sends a byte a second
can hold a call for ever: in its headers, during an upload, or in its answer. Here a timer shuts
down the sockets of a session at its deadline, which ends whatever waits on them.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from requests.auth import AuthBase
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from numerai_kedro.files.local_answer import PREFIX, FileAdapter

OVER = "the deadline of the call is over"
LOOPBACK = {"127.0.0.1", "localhost", "::1"}


class _NoAuth(AuthBase):
    """Keeps requests from reading ``~/.netrc``, which would replace our own header."""

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        return request


class BoundedSession(requests.Session):
    """A session for one address: no netrc, no proxy for loopback, and a deadline.

    Parameters
    ----------
    url
        Its host decides whether a proxy may be used.
    deadline_s
        Seconds from now; None for no deadline.

    Attributes
    ----------
    expired
        Whether the deadline has passed, which then explains any failure.
    """

    def __init__(self, url: str, deadline_s: float | None) -> None:
        super().__init__()
        self.auth = _NoAuth()
        self.trust_env = urlsplit(url).hostname not in LOOPBACK
        self.expired = False
        self._connections: list[Any] = []
        self._timer: threading.Timer | None = None
        for prefix in ("http://", "https://"):
            self.mount(prefix, _Watched(self._note))
        if url.startswith(PREFIX):  # no server can redirect to files of this machine
            self.mount(PREFIX, FileAdapter())
        if deadline_s is not None:
            self._timer = threading.Timer(deadline_s, self._expire)
            self._timer.daemon = True
            self._timer.start()

    def send(self, request: requests.PreparedRequest, **kwargs: Any) -> requests.Response:
        """Send as requests does; an answer that the deadline cut off is an error.

        Raises
        ------
        requests.ReadTimeout
            The deadline has passed.
        """
        answer = super().send(request, **kwargs)
        if self.expired:
            answer.close()
            raise requests.ReadTimeout(OVER)
        return answer

    def without_end(self) -> None:
        """Lift the deadline for the rest of the transfer, whose pace the reader checks.

        Raises
        ------
        requests.ReadTimeout
            The deadline has passed.
        """
        self._cancel()
        if self.expired:
            raise requests.ReadTimeout(OVER)

    def close(self) -> None:
        """Close all connections."""
        self._cancel()
        super().close()

    def _cancel(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _note(self, connection: Any) -> None:
        """Remember a connection before and after it is opened; after the deadline, cut it."""
        self._connections.append(connection)
        if self.expired:
            _cut(connection)

    def _expire(self) -> None:
        self.expired = True
        for connection in list(self._connections):
            _cut(connection)


def _cut(connection: Any) -> None:
    # It may be closed by now, or not be connected yet.
    with contextlib.suppress(OSError, AttributeError):
        connection.sock.shutdown(socket.SHUT_RDWR)


class _Watched(HTTPAdapter):
    """Notes the connections that it opens."""

    def __init__(self, note: Callable[[Any], None]) -> None:
        self._pools = {
            "http": _noting(HTTPConnectionPool, note),
            "https": _noting(HTTPSConnectionPool, note),
        }
        super().__init__()

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """As requests does."""
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = self._pools

    def proxy_manager_for(self, *args: Any, **kwargs: Any) -> Any:
        """As requests does."""
        manager = super().proxy_manager_for(*args, **kwargs)
        manager.pool_classes_by_scheme = self._pools
        return manager


def _noting(kind: type[Any], note: Callable[[Any], None]) -> type[Any]:
    class Connection(kind.ConnectionCls):  # type: ignore[name-defined,misc]
        def connect(self) -> None:
            note(self)  # so that it can be cut during the handshake
            super().connect()
            note(self)

    return type(kind.__name__, (kind,), {"ConnectionCls": Connection})
