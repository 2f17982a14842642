"""The units parse, and what they start is this checkout's own kedro."""

import configparser
import shutil
import subprocess
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from numerai_kedro.cli.schedule import schedule_text


def parts(text):
    """Units by file name."""
    units = {}
    for part in text.split("# ---- ")[1:]:
        name, _, body = part.partition("\n")
        units[name.strip().rpartition("/")[2]] = body
    return units


@pytest.fixture
def project(tmp_path):
    folder = tmp_path / "with a space, $HOME and 100%"
    folder.mkdir()
    return folder


def test_there_is_a_timer_for_every_opening_and_one_for_the_weekend(project):
    units = parts(schedule_text(project))
    for name, when, pipeline in [
        ("numerai-submit", "Tue..Sat 12:00 UTC", "submit"),
        ("numerai-prepare", "Sun 15:00 UTC", "prepare"),
    ]:
        timer = configparser.ConfigParser(interpolation=None)
        timer.read_string(units[f"{name}.timer"])
        assert timer["Timer"]["OnCalendar"] == when
        service = configparser.ConfigParser(interpolation=None)
        service.read_string(units[f"{name}.service"])
        assert service["Service"]["WorkingDirectory"] == str(project).replace("%", "%%")
        assert f"run --pipeline={pipeline}" in service["Service"]["ExecStart"]
        assert service["Service"]["Restart"] == "on-failure"
        assert int(service["Unit"]["StartLimitBurst"]) > 1  # and restarts end


@pytest.mark.parametrize(
    ("zone", "times"),
    [
        ("UTC", ["0 11 * * 2,3,4,5,6", "0 15 * * 0"]),
        ("America/Los_Angeles", ["0 3 * * 2,3,4,5,6", "0 7 * * 0"]),
        ("Pacific/Kiritimati", ["0 1 * * 3,4,5,6,0", "0 5 * * 1"]),  # the next day already
        ("Asia/Kathmandu", ["45 16 * * 2,3,4,5,6", "45 20 * * 0"]),
    ],
)
def test_cron_lines_are_in_local_time_and_run_in_the_checkout(project, zone, times):
    text = schedule_text(project, ZoneInfo(zone))
    lines = [line for line in text.splitlines() if " cd " in line]
    assert [line.split("  ")[0] for line in lines] == times
    command = lines[1].partition("  ")[2].replace("\\%", "%").rpartition(" && ")[0] + " && pwd"
    assert "\\%" in lines[1]
    ran = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == str(project)
    assert Path(lines[1].partition(" && ")[2].split()[0]).name == "kedro"


def test_crons_submission_is_tried_again_until_it_succeeds_and_not_for_ever(project):
    submit, _ = [line for line in schedule_text(project).splitlines() if " cd " in line]
    loop = submit.partition(" && ")[2].replace("\\%", "%")
    assert loop.count("--pipeline=submit && break") == 1
    kedro = loop.partition("do ")[2].split()[0]
    counting = loop.replace(kedro, "fail").replace("sleep", ":")
    script = f"fail() {{ echo tried; test $n = 3; }}; {counting}"
    ran = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True)
    assert ran.stdout.split() == ["tried"] * 4  # twice `wait`, then `wait` and `submit`
    never = script.replace("test $n = 3", "false")
    ran = subprocess.run(["sh", "-c", never], capture_output=True, text=True, check=True)
    assert ran.stdout.split() == ["tried"] * 12


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd-analyze")
def test_systemd_takes_the_units(project, tmp_path):
    for name, body in parts(schedule_text(project)).items():
        if name.startswith("numerai-"):
            (tmp_path / name).write_text(body)
    units = sorted(tmp_path.glob("numerai-*"))
    ran = subprocess.run(["systemd-analyze", "verify", *units], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
