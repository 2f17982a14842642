"""Ready timers for this checkout: `submit` at every opening, `prepare` on the weekend."""

from __future__ import annotations

import shlex
import sys
from datetime import UTC, datetime, tzinfo
from pathlib import Path

# Openings are Tuesday to Saturday, not before 12:00 UTC; `wait` finds the minute.
OPENINGS, WEEKEND = "Tue..Sat 12:00 UTC", "Sun 15:00 UTC"
# Cron knows local time only (on Debian, no time zones). An hour early, so that `wait` is running
# before the opening in summer and in winter.
CRON_OPENINGS = [datetime(2026, 12, day, 11, tzinfo=UTC) for day in range(1, 6)]
# Saturday's round closes on Sunday 14:00 UTC, and the week's new era is out by then.
CRON_WEEKEND = [datetime(2026, 12, 6, 15, tzinfo=UTC)]
# A window lasts an hour: what failed is tried again in it, by a `wait` that returns at once where a
# slot was not sent, and for a blocked one when the inputs of its verdict have changed; so a blocked
# round costs one start a change. What goes on failing is given up in the end.
SUBMIT_AGAIN = (300, "6h", 12)
PREPARE_AGAIN = (7200, "1d", 6)


def schedule_text(project: Path, zone: tzinfo | None = None) -> str:
    """Units for systemd, then the same for cron; absolute paths of this checkout and its kedro.

    Parameters
    ----------
    zone
        Time zone in which cron reads its lines; this machine's own by default.
    """
    kedro = shlex.quote(str(Path(sys.executable).parent / "kedro"))
    submit = f"{kedro} tournament wait && {kedro} run --pipeline=submit"
    prepare = f"{kedro} run --pipeline=prepare"
    folder = shlex.quote(str(project))
    return "\n".join(
        [
            "# With systemd: save each part under the name above it, then",
            "#   systemctl --user daemon-reload",
            "#   systemctl --user enable --now numerai-submit.timer numerai-prepare.timer",
            "#   loginctl enable-linger     # so that they run while you are logged out",
            "# Keys: in conf/local/credentials.yml; a timer does not see your shell's environment.",
            "",
            _units("numerai-submit", OPENINGS, submit, project, SUBMIT_AGAIN),
            _units("numerai-prepare", WEEKEND, prepare, project, PREPARE_AGAIN),
            "# ---- or with cron: crontab -e (times are local: print them again if you move)",
            "# The first line tries again what failed or was blocked, as the timer above does.",
            _cron(CRON_OPENINGS, f"cd {folder} && {_again(submit, SUBMIT_AGAIN)}", zone),
            _cron(CRON_WEEKEND, f"cd {folder} && {prepare}", zone),
        ]
    )


def _again(command: str, again: tuple[int, str, int]) -> str:
    """The command in a shell loop, as cron has no retries: until it succeeds, but not for ever."""
    pause_s, _, times = again
    return f"for n in $(seq {times}); do {command} && break; sleep {pause_s}; done"


def _units(name: str, when: str, command: str, project: Path, again: tuple[int, str, int]) -> str:
    # systemd reads backslashes and quotes as the shell does, and expands % and $ itself.
    inner = command.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    folder = str(project).replace("%", "%%")
    pause_s, span, times = again
    return f"""# ---- ~/.config/systemd/user/{name}.service
[Unit]
Description={name}
StartLimitIntervalSec={span}
StartLimitBurst={times}

[Service]
Type=oneshot
WorkingDirectory={folder}
ExecStart=/bin/sh -c "{inner}"
Restart=on-failure
RestartSec={pause_s}

# ---- ~/.config/systemd/user/{name}.timer
[Unit]
Description={name}

[Timer]
OnCalendar={when}
Persistent=true

[Install]
WantedBy=timers.target
"""


def _cron(moments: list[datetime], command: str, zone: tzinfo | None) -> str:
    """One line for the same time on several days; cron counts days from Sunday."""
    local = [moment.astimezone(zone) for moment in moments]
    days = ",".join(str(day.isoweekday() % 7) for day in local)
    escaped = command.replace("%", "\\%")  # cron ends the command at a plain %
    return f"{local[0].minute} {local[0].hour} * * {days}  {escaped}"
