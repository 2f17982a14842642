"""Tell the user how a run ended, by a command of the user's own: mail, chat, pager."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from numerai_kedro.errors import without_password
from numerai_kedro.strict import Block

logger = logging.getLogger(__name__)

TIMEOUT_S = 60.0
CLOCK_TICK_S = 1.0


class NotifyParams(Block):
    """Commands for the shell; see parameters_notify.yml."""

    on_success: str | None = None
    on_failure: str | None = None


def notify(
    commands: NotifyParams,
    data_folder: Path,
    pipelines: Sequence[str],
    seconds: float,
    error: BaseException | None,
) -> None:
    """Run the command for this outcome, with the outcome as JSON on its standard input.

    A command that fails is only a warning: it does not change how the run ended.

    Parameters
    ----------
    error
        What ended the run; None if it succeeded.
    """
    command = commands.on_success if error is None else commands.on_failure
    if not command:
        return
    outcome = json.dumps(_outcome(data_folder, pipelines, seconds, error), indent=1)
    name = "on_success" if error is None else "on_failure"
    with subprocess.Popen(
        command,
        shell=True,  # it is the user's own, from the user's own configuration
        stdin=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            process.communicate(outcome, timeout=TIMEOUT_S)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)  # the shell, and what it started
            logger.warning("notify.%s: still running after %.0f s, stopped", name, TIMEOUT_S)
            return
    if process.returncode:
        logger.warning("notify.%s: ended with exit code %d", name, process.returncode)


def _outcome(
    data_folder: Path, pipelines: Sequence[str], seconds: float, error: BaseException | None
) -> dict[str, Any]:
    path = data_folder / "01_raw" / "round_info.json"
    # A run that failed before it asked for the round would report an earlier run's receipts.
    is_new = path.exists() and path.stat().st_mtime >= time.time() - seconds - CLOCK_TICK_S
    current = _json(path) if is_new else {}
    folder = data_folder / "07_model_output" / "receipts"
    receipts = folder.glob(f"{current.get('number')}-*.json")
    return {
        "outcome": "success" if error is None else "failure",
        "pipelines": list(pipelines),
        "seconds": round(seconds, 1),
        "error": None if error is None else without_password(" ".join(str(error).split())),
        "round": current.get("number"),
        "receipts": {path.stem: _json(path) for path in sorted(receipts)},
    }


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
