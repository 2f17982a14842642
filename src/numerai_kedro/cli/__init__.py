"""The command line: commands in addition to Kedro's own."""

from numerai_kedro.cli.commands import cli

__all__ = ["cli"]
