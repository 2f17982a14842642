"""What a feature was found to be; `features/discovery.py` decides it."""

from __future__ import annotations

from enum import StrEnum


class Verdict(StrEnum):
    """Of a feature."""

    STABLE = "stable"
    UNSTABLE = "unstable"
    INTERACTION = "interaction"
    NULL = "null"
    UNTESTABLE = "untestable"
