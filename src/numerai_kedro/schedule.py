"""Ready timers for this checkout: `submit` at every opening, `prepare` on the weekend."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

# Openings are Tuesday to Saturday, not before 12:00 UTC; `wait` finds the minute.
OPENINGS, CRON_OPENINGS = "Tue..Sat 12:00 UTC", "0 12 * * 2-6"
# Saturday's round closes on Sunday 14:00 UTC, and the week's new era is out by then.
WEEKEND, CRON_WEEKEND = "Sun 15:00 UTC", "0 15 * * 0"

# A window lasts an hour: what failed is tried again in it, and `wait` ends that with the round.
AGAIN = "Restart=on-failure\nRestartSec=300\n"


def schedule_text(project: Path) -> str:
    """Units for systemd, then the same for cron; absolute paths of this checkout and its kedro."""
    kedro = shlex.quote(str(Path(sys.executable).parent / "kedro"))
    submit = f"{kedro} tournament wait && {kedro} run --pipeline=submit"
    prepare = f"{kedro} run --pipeline=prepare"
    units = [
        _units("numerai-submit", OPENINGS, submit, project, AGAIN),
        _units("numerai-prepare", WEEKEND, prepare, project, ""),
    ]
    folder = shlex.quote(str(project))
    lines = [
        "# ---- or with cron: crontab -e",
        "CRON_TZ=UTC",
        f"{CRON_OPENINGS}  cd {folder} && {submit}",
        f"{CRON_WEEKEND}  cd {folder} && {prepare}",
    ]
    head = [
        "# With systemd: save each part under the name above it, then",
        "#   systemctl --user daemon-reload",
        "#   systemctl --user enable --now numerai-submit.timer numerai-prepare.timer",
        "#   loginctl enable-linger     # so that they run while you are logged out",
        "# Keys: in conf/local/credentials.yml; a timer does not see your shell's environment.",
    ]
    return "\n".join([*head, "", *units, *lines])


def _units(name: str, when: str, command: str, project: Path, more: str) -> str:
    inner = command.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    folder = str(project).replace("%", "%%")
    return f"""# ---- ~/.config/systemd/user/{name}.service
[Unit]
Description={name}

[Service]
Type=oneshot
WorkingDirectory={folder}
ExecStart=/bin/sh -c "{inner}"
{more}
# ---- ~/.config/systemd/user/{name}.timer
[Unit]
Description={name}

[Timer]
OnCalendar={when}
Persistent=true

[Install]
WantedBy=timers.target
"""
