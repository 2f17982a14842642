"""A secret in every form in which it could slip out."""

from __future__ import annotations

import base64
import urllib.parse
from collections.abc import Iterator


def forms(secret: str) -> Iterator[str]:
    """As it is, for an address, in hexadecimal and in base64 at each of its three places."""
    yield secret
    yield urllib.parse.quote(secret)
    yield secret.encode().hex()
    yield "".join(reversed(secret))
    for shift in range(3):
        yield base64.b64encode(b"-" * shift + secret.encode()).decode()[4:-4]
