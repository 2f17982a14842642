"""Rate limits per operation, in a sliding window."""

from __future__ import annotations

import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable, Mapping

WINDOW_S = 60.0
RATE_LIMITS: Mapping[str, int] = {"create_submission": 500}


class RateLimiter:
    """Counts calls of the last minute.

    Parameters
    ----------
    limits
        Calls a minute by operation; what is not listed has no limit.
    ticks
        Monotonic real seconds.
    """

    def __init__(
        self,
        limits: Mapping[str, int] = RATE_LIMITS,
        ticks: Callable[[], float] = time.monotonic,
    ) -> None:
        self._limits, self._ticks = limits, ticks
        self._calls: dict[str, deque[float]] = defaultdict(deque)
        self._lock = threading.Lock()

    def seconds_to_wait(self, operation: str) -> float:
        """Zero if the call may go ahead, which is then counted; else how long until one may."""
        limit = self._limits.get(operation)
        if limit is None:
            return 0.0
        with self._lock:
            calls, now = self._calls[operation], self._ticks()
            while calls and calls[0] <= now - WINDOW_S:
                calls.popleft()
            if len(calls) >= limit:
                return (calls[0] if calls else now) + WINDOW_S - now
            calls.append(now)
            return 0.0
