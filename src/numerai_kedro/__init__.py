"""The whole Numerai week in one command: ``kedro run --pipeline=weekly``."""

__version__ = "0.1.0"
