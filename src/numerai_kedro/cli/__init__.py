"""The command line: what `kedro` knows beside its own commands."""

from numerai_kedro.cli.commands import cli

__all__ = ["cli"]
