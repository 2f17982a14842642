"""HTTP sessions that end: a byte now and then never times out by itself.

A time-out of the socket bounds the wait for the next piece, so that a server which sends a byte a
second holds a call for ever: in its headers, while it takes an upload, and in its answer. Here a
timer shuts the sockets of a session when its time is over, which ends whatever waits on them.
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

OVER = "the deadline of the call is over"
LOOPBACK = {"127.0.0.1", "localhost", "::1"}


class _NoAuth(AuthBase):
    """Keeps requests from reading ``~/.netrc``, which would replace our own header."""

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        return request


class BoundedSession(requests.Session):
    """A session for one address: no netrc anywhere, no proxy for loopback, and an end.

    Parameters
    ----------
    url
        Whose host says whether a proxy may be used.
    deadline_s
        From now on; None for no end.

    Attributes
    ----------
    expired
        Whether the end has come; what then goes wrong went wrong for that.
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
        if deadline_s is not None:
            self._timer = threading.Timer(deadline_s, self._expire)
            self._timer.daemon = True
            self._timer.start()

    def send(self, request: requests.PreparedRequest, **kwargs: Any) -> requests.Response:
        """Send as requests does; headers that were cut at the end are none.

        Raises
        ------
        requests.ReadTimeout
            The end has come.
        """
        answer = super().send(request, **kwargs)
        if self.expired:
            answer.close()
            raise requests.ReadTimeout(OVER)
        return answer

    def without_end(self) -> None:
        """Let what goes on take as long as it likes: who reads looks at its pace.

        Raises
        ------
        requests.ReadTimeout
            The end has come.
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
        """Know a connection that begins, or is made: one that came too late is cut at once."""
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
            note(self)  # so that it can be cut while it shakes hands
            super().connect()
            note(self)

    return type(kind.__name__, (kind,), {"ConnectionCls": Connection})
