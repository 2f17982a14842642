"""The demo's HTTP server: GraphQL by POST, files by GET and HEAD, uploads by PUT.

On the loopback interface only. What a request means is decided in `resolvers` and `tournament`;
this module handles bytes, headers, and the faults that tests switch on.
"""

from __future__ import annotations

import json
import logging
import os
import re
import threading
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from numerai_kedro.demo.execution import (
    INTERNAL_ERROR,
    answer,
    operations_of,
    snake_case,
)
from numerai_kedro.demo.faults import Fault, Faults
from numerai_kedro.demo.limits import RATE_LIMITS, RateLimiter
from numerai_kedro.demo.resolvers import Request, root_of
from numerai_kedro.demo.tournament import DemoTournament, Refusal
from numerai_kedro.files import atomic_write

logger = logging.getLogger(__name__)

LOOPBACK = "127.0.0.1"
PING = "/ping"
MAX_QUERY, MAX_UPLOAD = 1 << 20, 256 << 20
CONNECTIONS = 256  # that may wait to be accepted
BLOCK_BYTES = 1 << 16
POLL_S = 0.05  # how soon `close` is noticed
CHANGED = ("changed", "splice")  # faults that serve another version
IDLE_S = 120  # a connection that says nothing is closed


class DemoServer:
    """Serves a demo tournament from threads of this process.

    Parameters
    ----------
    tournament : DemoTournament
    port
        0 takes any free one.
    rate_limits
        Calls a minute, by operation.
    wall_clock
        Show every time as if the demo's clock were this machine's: numerapi compares the two. Needs
        a demo whose clock runs at real speed.

    Attributes
    ----------
    url : str
        What clients use as the API's address.
    faults : Faults
        For tests.
    """

    def __init__(
        self,
        tournament: DemoTournament,
        port: int = 0,
        rate_limits: Mapping[str, int] = RATE_LIMITS,
        *,
        wall_clock: bool = False,
    ) -> None:
        self.tournament, self.faults = tournament, Faults()
        self._wall_clock = wall_clock
        self.limiter = RateLimiter(rate_limits)
        self._http = _Threads((LOOPBACK, port), _Handler, self)
        self._thread: threading.Thread | None = None
        self.port: int = self._http.server_address[1]
        self.url = f"http://{LOOPBACK}:{self.port}"

    def start(self) -> DemoServer:
        """Serve from a daemon thread, and tell other processes where."""
        self._thread = threading.Thread(
            target=self._http.serve_forever, args=(POLL_S,), daemon=True, name="demo"
        )
        self._thread.start()
        with atomic_write(self.tournament.folder / "server.json") as handle:
            handle.write(json.dumps({"port": self.port, "pid": os.getpid()}).encode())
        return self

    def close(self) -> None:
        """Stop serving; handlers that hang are released."""
        self.faults.released.set()
        if self._thread is not None:
            self._http.shutdown()
            self._thread.join()
            (self.tournament.folder / "server.json").unlink(missing_ok=True)
        self._http.server_close()

    def shift(self, now: datetime) -> timedelta:
        """What is added to the demo's times; whole minutes, so that answers agree."""
        if not self._wall_clock:
            return timedelta(0)
        return timedelta(minutes=round((datetime.now(UTC) - now) / timedelta(minutes=1)))

    def __enter__(self) -> DemoServer:
        return self.start()

    def __exit__(self, *exception: object) -> None:
        self.close()


class _Threads(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = CONNECTIONS
    block_on_close = False

    def __init__(
        self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler], demo: DemoServer
    ) -> None:
        self.demo = demo
        super().__init__(address, handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that disconnect midway are no errors; numerapi does so at each download."""
        logger.debug("a client went away", exc_info=True)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = IDLE_S
    server: _Threads

    def parse_request(self) -> bool:
        """Refuse names of other hosts: a web page could make its own name resolve to here."""
        if not super().parse_request():
            return False
        host = urlsplit(f"//{self.headers.get('Host', '')}").hostname
        if host in {LOOPBACK, "localhost"}:
            return True
        self.close_connection = True
        self._send(421, b'{"errors": [{"message": "not a name of this server"}]}')
        return False

    def do_POST(self) -> None:
        body = self._body(MAX_QUERY)
        if body is None:
            return
        try:
            payload = json.loads(body)
            query, variables = str(payload["query"]), payload.get("variables")
        except (ValueError, KeyError, TypeError, RecursionError):
            self._send(400, b'{"errors": [{"message": "no query"}]}')
            return
        if not isinstance(variables, dict | None):
            self._send(400, b'{"errors": [{"message": "variables are no object"}]}')
            return
        operations = operations_of(query)
        for operation in operations:
            self._demo.tournament.note(operation)
        where = operations[0] if operations else ""
        fault = self._demo.faults.take("post", where)
        if fault is not None and self._strike(fault):
            return
        if self._limited(operations):
            return
        try:
            request = self._request()
            shift = self._demo.shift(request.now)
            operation = payload.get("operationName")
            content = answer(root_of(request), query, variables, operation, shift)
            status = 200
        except Exception:
            # The client gets what a broken server sends; the cause goes to the server's log.
            logger.exception("the demo's server failed at %s", where)
            content, status = {"errors": [{"message": INTERNAL_ERROR}]}, 500
        self._send_answer(status, json.dumps(content).encode(), where)

    def do_GET(self) -> None:
        if self.path == PING:
            identity = {"instance": self._demo.tournament.store.fact("instance")}
            self._send(200, json.dumps(identity).encode())
            return
        kind, _, rest = self.path.lstrip("/").partition("/")
        token, _, path = unquote(rest).partition("/")
        fault = self._demo.faults.take("get", path)
        if fault is not None and fault.kind == "status":
            self._send(fault.value, fault.body.encode(), headers=dict(fault.headers))
        elif not self._demo.tournament.signer.accepts(token, "GET", path):
            self._send(403, b"<Error><Code>AccessDenied</Code></Error>", "application/xml")
        elif kind == "files":
            self._send_file(path, fault)
        else:
            content = self._demo.tournament.store.content_of(path)
            self._send(404 if content is None else 200, content or b"", "text/csv")

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_PUT(self) -> None:
        body = self._body(MAX_UPLOAD)
        if body is None:
            return
        token, _, filename = unquote(self.path).removeprefix("/uploads/").partition("/")
        fault = self._demo.faults.take("put", filename)
        if fault is not None and self._strike(fault):
            return
        if not self._demo.tournament.signer.accepts(token, "PUT", filename):
            self._send(403, b"<Error><Code>AccessDenied</Code></Error>", "application/xml")
            return
        self._demo.tournament.store.keep_upload(filename, body)
        self._send(200, b"")

    @property
    def _demo(self) -> DemoServer:
        return self.server.demo

    def _request(self) -> Request:
        tournament = self._demo.tournament
        token = self.headers.get("Authorization", "")
        return Request(
            tournament=tournament,
            faults=self._demo.faults,
            authorised=token == f"Token {tournament.keys[0]}${tournament.keys[1]}",
            base_url=self._demo.url,
            now=tournament.clock.now(),
        )

    def _limited(self, operations: list[str]) -> bool:
        for operation in operations:
            wait = self._demo.limiter.seconds_to_wait(snake_case(operation))
            if wait:
                message = {"errors": [{"message": f"Rate limit of {operation} exceeded"}]}
                after = {"Retry-After": str(int(wait) + 1)}
                self._send(429, json.dumps(message).encode(), headers=after)
                return True
        return False

    def _strike(self, fault: Fault) -> bool:
        """Do what the fault says instead of answering; True if the request is finished."""
        if fault.kind == "status":
            self._send(fault.value, fault.body.encode(), headers=dict(fault.headers))
        elif fault.kind == "html":
            self._send(200, b"<html><body>Down for maintenance</body></html>", "text/html")
        elif fault.kind == "bad_json":
            self._send(200, b'{"data": {"rounds": [')
        elif fault.kind == "hang":
            self._demo.faults.released.wait()
            self.close_connection = True
        elif fault.kind == "drop":
            self.close_connection = True
        else:
            return False
        return True

    def _send_answer(self, status: int, body: bytes, where: str) -> None:
        fault = self._demo.faults.take("answer", where)
        if fault is not None and self._strike(fault):
            return
        if fault is not None and fault.kind == "trickle":
            self._headers(status, {"Content-Length": str(len(body))}, "application/json")
            for at in range(len(body)):
                self.wfile.write(body[at : at + 1])
                self.wfile.flush()
                if self._demo.faults.released.wait(fault.value / 1000):
                    break
            self.close_connection = True
            return
        self._send(status, body)

    def _send_file(self, path: str, fault: Fault | None) -> None:
        number, _, name = path.partition("/")
        try:
            demo, bare = self._demo.tournament.file(name, int(number))
        except (Refusal, ValueError):
            self._send(404, b"")
            return
        source = self._demo.tournament.archive.files(demo)[bare]
        kind = fault.kind if fault is not None else ""
        changed = "-" if kind in CHANGED else ""
        etag = f'"{self._demo.tournament.archive.version(source)}{changed}"'
        size = source.stat().st_size
        headers = {"Accept-Ranges": "bytes", "ETag": etag}
        span = (
            None if kind == "ignore_range" else self._span(size, None if kind == "splice" else etag)
        )
        if span is not None and span[0] >= size:
            self._send(416, b"", headers={"Content-Range": f"bytes */{size}"})
            return
        start, stop = span or (0, size)
        if kind != "no_length":
            headers["Content-Length"] = str(stop - start)
        else:
            self.close_connection = True  # without a length, closing the connection marks the end
            headers["Connection"] = "close"
        if span is not None:
            headers["Content-Range"] = f"bytes {start}-{stop - 1}/{size}"
        self._headers(206 if span else 200, headers, "application/octet-stream")
        if self.command != "HEAD":
            self._copy(source, start, stop, fault)

    def _span(self, size: int, etag: str | None) -> tuple[int, int] | None:
        """First byte and end of the one range asked for; None for the whole file."""
        if etag is not None and self.headers.get("If-Range", etag) != etag:
            return None
        match = re.fullmatch(r"bytes=(\d*)-(\d*)", self.headers.get("Range", ""))
        if match is None or not any(match.groups()):
            return None
        first, last = match.groups()
        if not first:
            return max(0, size - int(last)), size
        return int(first), min(size, int(last) + 1 if last else size)

    def _copy(self, source: Path, start: int, stop: int, fault: Fault | None) -> None:
        cut = stop
        if fault is not None and fault.kind == "cut":
            cut = min(stop, start + fault.value)
            self.close_connection = True
        flipped = fault.value if fault is not None and fault.kind == "flip" else -1
        with source.open("rb") as handle:
            if flipped < 0 and not (fault is not None and fault.kind in CHANGED):
                handle.seek(start)
                while start < cut and (block := handle.read(min(BLOCK_BYTES, cut - start))):
                    self.wfile.write(block)
                    start += len(block)
                return
            content = bytearray(handle.read())
        if flipped >= 0:
            content[flipped] ^= 1
        else:
            content.reverse()
        self.wfile.write(content[start:cut])

    def _body(self, longest: int) -> bytes | None:
        """The request's body; None if it was refused as too long or of unknown length."""
        header = self.headers.get("Content-Length") or "0"
        if not header.isascii() or not header.isdigit():
            self._refuse(400, "Content-Length is no number")
            return None
        length = int(header)
        if length <= longest:
            return self.rfile.read(length)
        # A client that is still sending does not read: discard what it sends, within bounds.
        remaining = min(length, MAX_UPLOAD)
        while remaining and (block := self.rfile.read1(min(remaining, BLOCK_BYTES))):
            remaining -= len(block)
        self._refuse(413, f"{length:,} bytes are more than the {longest:,} that are taken")
        return None

    def _refuse(self, status: int, text: str) -> None:
        self.close_connection = True
        content = json.dumps({"errors": [{"message": text}]}).encode()
        self._send(status, content, headers={"Connection": "close"})

    def _send(
        self,
        status: int,
        body: bytes,
        content_type: str = "application/json",
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self._headers(status, {"Content-Length": str(len(body)), **(headers or {})}, content_type)
        if self.command != "HEAD":
            self.wfile.write(body)

    def _headers(self, status: int, headers: Mapping[str, str], content_type: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def date_time_string(self, timestamp: float | None = None) -> str:
        """The Date header: the demo's time, as a client trusts the server's clock."""
        now = self._demo.tournament.clock.now()
        return format_datetime(now + self._demo.shift(now), usegmt=True)

    def version_string(self) -> str:
        """The Server header."""
        return "numerai-kedro-demo"

    def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002
        """Log nothing: the operations' log has what was asked."""
