"""Faults that a test switches on in the demo's server; nothing else can.

point     kinds
post      status (value: HTTP status), html, bad_json, hang, drop
answer    status, drop (the operation was carried out, its answer is another or lost), trickle
get       status, cut (value: bytes sent), ignore_range, no_length, flip (value: which byte),
          changed (another content and version), splice (the same, and its range is sent whatever
          version was asked for)
put       status, drop
create    invalid (body: what the validation of the submission that is created will say)
listing   pending, word (body: its status; value: 1 where it is selected), absent: what a list says
          of the newest submission
dataset   older (the file of the round before)
round     refused (a file is asked for by round)
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Literal

Point = Literal["post", "answer", "get", "put", "create", "listing", "dataset", "round"]
Kind = Literal[
    "status",
    "html",
    "bad_json",
    "hang",
    "drop",
    "trickle",
    "cut",
    "ignore_range",
    "no_length",
    "flip",
    "changed",
    "splice",
    "invalid",
    "pending",
    "word",
    "absent",
    "older",
    "refused",
]


@dataclass
class Fault:
    """One kind of fault, for the next `times` requests that it fits.

    Parameters
    ----------
    point, kind
        See the module's table.
    value
        What the kind needs: a status, a number of bytes.
    on
        The operation (or end of the path) that it hits; empty hits all.
    times
        How many requests.
    headers, body
        Of an answer with a status; `body` also where the module's table says so.
    """

    point: Point
    kind: Kind
    value: int = 0
    on: str = ""
    times: int = 1
    headers: tuple[tuple[str, str], ...] = ()
    body: str = ""


class Faults:
    """Faults that are switched on, oldest first."""

    def __init__(self) -> None:
        self._waiting: list[Fault] = []
        self._lock = threading.Lock()
        self.released = threading.Event()  # frees the handlers that hang

    def add(self, fault: Fault) -> None:
        """Switch a fault on."""
        with self._lock:
            self._waiting.append(fault)

    @property
    def waiting(self) -> list[Fault]:
        """Faults that have yet to hit something."""
        with self._lock:
            return list(self._waiting)

    def clear(self) -> None:
        """Switch all faults off."""
        with self._lock:
            self._waiting.clear()

    def take(self, point: Point, where: str) -> Fault | None:
        """Fault that hits this request, if any; it is used up once."""
        with self._lock:
            for fault in self._waiting:
                if fault.point == point and where.endswith(fault.on):
                    fault.times -= 1
                    if fault.times <= 0:
                        self._waiting.remove(fault)
                    return fault
        return None
