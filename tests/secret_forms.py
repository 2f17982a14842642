"""A secret in every form in which it could leak."""

from __future__ import annotations

import base64
import urllib.parse
from collections.abc import Iterator


def forms(secret: str) -> Iterator[str]:
    """Plain, URL-encoded, in hexadecimal, reversed, and in base64 at each of three offsets."""
    yield secret
    yield urllib.parse.quote(secret)
    yield secret.encode().hex()
    yield "".join(reversed(secret))
    for shift in range(3):
        yield base64.b64encode(b"-" * shift + secret.encode()).decode()[4:-4]
