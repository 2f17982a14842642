"""Signed addresses that expire, as a storage service hands them out."""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import Callable

TOKEN_SECONDS = 3600


class Signer:
    """Signs (method, path) until some time; whoever has the address may use it, no one else.

    Parameters
    ----------
    key
        Secret of the demo, kept in its store, so that addresses outlive a restart.
    seconds
        How long an address is good.
    clock
        Real seconds, not the demo's: the demo's clock stands still.
    """

    def __init__(
        self, key: str, seconds: float = TOKEN_SECONDS, clock: Callable[[], float] = time.time
    ) -> None:
        self._key, self._seconds, self._clock = key.encode(), seconds, clock

    def sign(self, method: str, path: str) -> str:
        """Make a token for the path."""
        expires = f"{self._clock() + self._seconds:.0f}"
        return f"{expires}-{self._seal(method, path, expires)}"

    def accepts(self, token: str, method: str, path: str) -> bool:
        """Whether the token is ours, for this use, and not expired."""
        expires, _, seal = token.partition("-")
        if not hmac.compare_digest(seal, self._seal(method, path, expires)):
            return False
        return self._clock() < float(expires)

    def _seal(self, method: str, path: str, expires: str) -> str:
        message = f"{method} {path} {expires}".encode()
        return hmac.new(self._key, message, hashlib.sha256).hexdigest()[:40]
