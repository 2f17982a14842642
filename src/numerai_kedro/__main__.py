"""Run the project: ``python -m numerai_kedro --pipeline=weekly``."""

from __future__ import annotations

import sys
from pathlib import Path

from kedro.framework.cli.utils import find_run_command
from kedro.framework.project import configure_project


def main(*args: str) -> None:
    """Run what the command line says."""
    package = Path(__file__).parent.name
    configure_project(package)
    find_run_command(package)(args or sys.argv[1:])


if __name__ == "__main__":
    main()
