"""The demo's clock: it stands still one minute into an open round, until someone moves it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import datetime, timedelta

from numerai_kedro.demo.rounds import (
    DemoRound,
    demo_round,
    latest_round,
    one_minute_into,
)
from numerai_kedro.demo.store import Store
from numerai_kedro.errors import ConfigurationError
from numerai_kedro.numerai.calendar import ROUNDS_A_WEEK


class Clock:
    """Shows what the store holds; with a speed it also runs.

    Parameters
    ----------
    store : Store
        Keeps the instant, so that every process sees the same time.
    seed
        Of the demo.
    speed
        Demo seconds per real second; 0 stands still.
    ticks
        Monotonic real seconds; tests pass their own.
    """

    def __init__(
        self,
        store: Store,
        seed: int,
        speed: float = 0.0,
        ticks: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store, self._seed, self._speed, self._ticks = store, seed, speed, ticks
        self._last_tick = ticks()
        self._lock = threading.Lock()

    def now(self) -> datetime:
        """What the clock shows, UTC."""
        with self._lock:
            shown = self._store.instant()
            if not self._speed:
                return shown
            # Elapsed since the last look, added to the stored instant: an `advance` by another
            # process in between is kept.
            tick = self._ticks()
            shown += timedelta(seconds=(tick - self._last_tick) * self._speed)
            self._last_tick = tick
            self._store.set_instant(shown)
            return shown

    def wait(self, seconds: float) -> None:
        """Let time pass at once: whoever waits for the demo need not wait."""
        with self._lock:
            self._store.set_instant(self._store.instant() + timedelta(seconds=seconds))

    def advance(self, rounds: int = 0, weeks: int = 0) -> DemoRound:
        """Move to one minute into the round that many rounds, or weeks of five, later.

        Raises
        ------
        ConfigurationError
            It would not move forward.
        """
        steps = rounds + weeks * ROUNDS_A_WEEK
        if rounds < 0 or weeks < 0 or steps < 1:
            raise ConfigurationError(
                "kedro tournament advance: give --rounds or --weeks, 1 or more; the demo's clock "
                "does not go back."
            )
        latest = latest_round(self.now(), self._seed)
        reached = demo_round(latest.number + steps, self._seed)
        self._store.set_instant(one_minute_into(reached))
        return reached
