"""Verdicts on features; `features/discovery.py` decides them."""

from __future__ import annotations

from enum import StrEnum


class Verdict(StrEnum):
    """Verdict on a feature."""

    STABLE = "stable"
    UNSTABLE = "unstable"
    INTERACTION = "interaction"
    NULL = "null"
    UNTESTABLE = "untestable"
