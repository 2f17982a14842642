"""Run the project: ``python -m numerai_kedro --pipeline=weekly``."""

from __future__ import annotations

import sys
from pathlib import Path

from kedro.framework.cli.project import run
from kedro.framework.project import configure_project


def main(*args: str) -> None:
    """Run what the command line says."""
    configure_project(Path(__file__).parent.name)
    run(args or sys.argv[1:])


if __name__ == "__main__":
    main()
