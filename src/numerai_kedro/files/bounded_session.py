"""HTTP sessions that end: a byte now and then never times out by itself.

A time-out of the socket bounds the wait for the next piece, so that a server which sends a byte a
second holds a call for ever: in its headers, while it takes an upload, and in its answer. Here a
timer shuts the sockets of a session when its time is over, which ends whatever waits on them.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import Any
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from requests.auth import AuthBase
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

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
            self.mount(prefix, _Watched(self._connections))
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
            raise requests.ReadTimeout("the deadline of the call is over")
        return answer

    def without_end(self) -> None:
        """Let what goes on take as long as it likes: who reads looks at its pace."""
        if self._timer is not None:
            self._timer.cancel()

    def close(self) -> None:
        """Close all connections."""
        self.without_end()
        super().close()

    def _expire(self) -> None:
        self.expired = True
        for connection in self._connections:
            if connection.sock is not None:
                # It may be closed by now, or never have been connected.
                with contextlib.suppress(OSError, AttributeError):
                    connection.sock.shutdown(socket.SHUT_RDWR)


class _Watched(HTTPAdapter):
    """Notes the connections that it opens."""

    def __init__(self, connections: list[Any]) -> None:
        self._pools = {
            "http": _noting(HTTPConnectionPool, connections),
            "https": _noting(HTTPSConnectionPool, connections),
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


def _noting(kind: type[Any], connections: list[Any]) -> type[Any]:
    class Connection(kind.ConnectionCls):  # type: ignore[name-defined,misc]
        def connect(self) -> None:
            connections.append(self)
            super().connect()

    return type(kind.__name__, (kind,), {"ConnectionCls": Connection})
