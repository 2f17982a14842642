"""The table of faults: what goes wrong, in which command, and what it takes to recover.

Each case is played for real: the command as a user types it, against the demo's server in the place
of the real tournament. `tests/test_fault_table.py` plays them and writes docs/faults.md.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from numerai_kedro.demo.faults import Fault
from numerai_kedro.demo.server import DemoServer
from numerai_kedro.demo.tournament import DemoTournament
from tests.damage import flip
from tests.project import Project

KEYS = ("CANARYPUBLICID0123456789", "CANARYSECRETKEYabcdefghijklmnop")
SUBMIT, INGEST = ("run", "--pipeline=submit"), ("run", "--pipeline=ingestion")
WEEKLY = ("run", "--pipeline=weekly")
FAKETIME, MOUNTS = ("faketime", "-f", "-1d", "true"), ("unshare", "-m", "true")
ALWAYS = 999  # more often than anything is tried
KEDRO = str(Path(sys.executable).parent / "kedro")
REFUSED_KEY = '{"errors": [{"message": "Your session is invalid or has expired."}]}'
NO_SCOPE = '{"data": null, "errors": [{"message": "Missing scope: upload_submission"}]}'
INTERNAL = '{"data": null, "errors": [{"message": "Internal error"}]}'


@dataclass
class Scene:
    """One project, and the service that it knows."""

    project: Project
    demo: DemoTournament
    server: DemoServer
    settings: dict[str, Any]
    parameters: dict[str, Any]
    before: list[str] = field(default_factory=list)  # what stands before the command
    environment: dict[str, str] = field(default_factory=dict)
    kept: Path | None = None  # the data folder as left by a command with its own mount

    @property
    def data(self) -> Path:
        return self.project.data

    def fault(self, *what: object, times: int = ALWAYS, **more: object) -> None:
        """Make the server misbehave until `fix`."""
        self.server.faults.add(Fault(*what, times=times, **more))  # type: ignore[arg-type]

    def run(self, command: tuple[str, ...]) -> subprocess.CompletedProcess[str]:
        if not self.before and not self.environment:
            return self.project.kedro(*command)
        return subprocess.run(
            [*self.before, KEDRO, *command],
            cwd=self.project.folder,
            env=self.project.environment() | self.environment,
            capture_output=True,
            text=True,
            check=False,
        )

    def fix(self) -> None:
        """End all outside faults; damaged files stay damaged."""
        self.server.faults.clear()
        if self.kept is not None:
            shutil.rmtree(self.data)
            self.kept.rename(self.data)
        self.before, self.environment, self.kept = [], {}, None
        self.project.local("globals", self.settings)
        self.project.local("parameters", self.parameters)
        keys = dict(zip(("public_id", "secret_key"), KEYS, strict=True))
        self.project.local("credentials", {"numerai": keys})


@dataclass(frozen=True)
class Case:
    """One fault.

    Parameters
    ----------
    name
        What goes wrong, in the table's first column.
    happens
        Makes it happen before the command is typed.
    ends_well
        Whether the first try succeeds nevertheless.
    says
        Pattern of a part of the message.
    command
        What is typed, and repeated until it succeeds.
    then
        What is typed after the first try, if it is another command.
    end
        The outcome, if the first try rightly ends in it and nothing is to be done.
    n_submitted
        How many valid submissions there are in the end.
    needs
        A system command that the case needs.
    apart
        Whether artifacts differ from an undisturbed run's, because the round is another.
    """

    name: str
    happens: Callable[[Scene], object]
    ends_well: bool
    says: str
    command: tuple[str, ...] = SUBMIT
    then: tuple[str, ...] | None = None
    end: str = ""
    n_submitted: int = 1
    apart: bool = False
    needs: tuple[str, ...] = ()


def _file(point: str, kind: str, value: int = 0, name: str = "live.parquet", **more: object):
    times = more.pop("times", ALWAYS)
    return lambda scene: scene.fault(point, kind, value, name, times=times, **more)


def _call(kind: str, value: int = 0, on: str = "", point: str = "post", **more: object):
    times = more.pop("times", ALWAYS)
    return lambda scene: scene.fault(point, kind, value, on, times=times, **more)


def _several(*happen: Callable[[Scene], object]):
    return lambda scene: [cause(scene) for cause in happen]


def _keys(public_id: str, secret_key: str):
    def change(scene: Scene) -> None:
        keys = {"public_id": public_id, "secret_key": secret_key}
        scene.project.local("credentials", {"numerai": keys})

    return change


def _nobody(scene: Scene) -> None:
    scene.project.local("globals", scene.settings | {"api_url": "http://127.0.0.1:9"})


def _close(scene: Scene) -> None:
    """The round's deadline passes."""
    demo = scene.demo
    demo.store.set_instant(demo.latest(demo.clock.now()).close_staking_time)


def _during(operation: str, what: Callable[[Scene], object]):
    """Let something happen when an operation is asked for the first time."""

    def prepare(scene: Scene) -> None:
        note, done = scene.demo.note, []

        def watch(name: str) -> None:
            note(name)
            if name == operation and not done:
                done.append(name)
                what(scene)

        scene.demo.note = watch  # type: ignore[method-assign]

    return prepare


def _damage(pattern: str, how: Callable[[Path], object]):
    def prepare(scene: Scene) -> None:
        # Files that `submit` writes do not exist yet: the files of `prepare` are damaged.
        (path,) = sorted(scene.data.glob(pattern))[:1]
        how(path)

    return prepare


def _half(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _empty(path: Path) -> None:
    path.write_bytes(b"")


def _delete(path: Path) -> None:
    shutil.rmtree(path) if path.is_dir() else path.unlink()


def _before(*words: str, **environment: str):
    def prepare(scene: Scene) -> None:
        scene.before, scene.environment = list(words), environment

    return prepare


def _in_a_mount(script: str):
    """A mount of its own, seen by the command alone."""

    def prepare(scene: Scene) -> None:
        data = scene.data
        keeps = f'code=0; "$@" || code=$?; cp -a {data} {data}.kept; exit $code'
        scene.before = ["unshare", "-m", "sh", "-ec", f"{script.format(data=data)}; {keeps}", "sh"]
        scene.kept = data.with_name(f"{data.name}.kept")

    return prepare


# A disk with half a megabyte free.
FULL = (
    "cp -a {data} {data}.own; size=$(du -sk {data}.own | cut -f1); "
    "mount -t tmpfs -o size=$((size + 512))k tmpfs {data}; "
    "cp -a {data}.own/. {data}; rm -r {data}.own"
)
READ_ONLY = "mount --bind {data} {data}; mount -o remount,ro,bind {data}"


def _edited_gate(scene: Scene) -> None:
    """Let the gate block the round, then edit its decision so that it passes."""
    gate = scene.parameters["gate"] | {"min_corr_bound": 1.0}
    scene.project.local("parameters", scene.parameters | {"gate": gate})
    scene.project.kedro(*SUBMIT)
    (path,) = (scene.data / "08_reporting" / "gate_decisions").glob("*.json")
    blocked = path.read_text()
    path.write_text(blocked.replace('"passed": false', '"passed": true'))
    assert path.read_text() != blocked


def _last_weeks_predictions(scene: Scene) -> None:
    """Replace the csv by one with another round's stocks."""
    scene.project.kedro(*SUBMIT, "--params=submission.upload=false")
    (path,) = (scene.data / "07_model_output" / "submissions").glob("*.csv")
    frame = pd.read_csv(path)
    frame.assign(id=frame["id"].str[::-1]).to_csv(path, index=False)


CASES = (
    # Files of the tournament.
    Case("the live file breaks off at half, once", _file("get", "cut", 9000, times=1), True, ""),
    Case("the live file breaks off at half, always", _file("get", "cut", 9000), False, "live"),
    Case(
        "the live file comes without a length",
        _file("get", "no_length", times=1),
        True,
        "",
    ),
    Case(
        "the live file is replaced between two parts",
        _several(_file("get", "cut", 9000, times=1), _file("get", "changed", times=1)),
        False,
        "no parquet file",
    ),
    Case(
        "a server sends all of the live file where a part was asked for",
        _several(_file("get", "cut", 9000, times=1), _file("get", "ignore_range", times=1)),
        True,
        "",
    ),
    Case(
        "an HTML page in the place of the live file",
        _file("get", "status", 200, body="<html>Down for maintenance</html>"),
        False,
        "no parquet file",
    ),
    Case("a download answers 401", _file("get", "status", 401), False, "401"),
    Case("a download answers 403 twice", _file("get", "status", 403, times=2), True, ""),
    Case("a download answers 404", _file("get", "status", 404), False, "404"),
    Case("a download answers 429 twice", _file("get", "status", 429, times=2), True, ""),
    Case("a download answers 500 twice", _file("get", "status", 500, times=2), True, ""),
    Case(
        "the history cannot be downloaded again",
        _file("get", "status", 404, name="validation.parquet"),
        True,
        "file verified earlier",
        command=INGEST,
    ),
    # Answers of the service.
    Case("every call answers 401", _call("status", 401), False, "does not accept the key"),
    Case("every call answers 403", _call("status", 403), False, "refused"),
    Case("every call answers 404", _call("status", 404), False, "refused"),
    Case("a call answers 429 twice", _call("status", 429, times=2), True, ""),
    Case(
        "a call asks to come back tomorrow",
        _call("status", 429, headers=(("Retry-After", "86400"),)),
        False,
        "too many requests",
    ),
    Case("a call answers 500 twice", _call("status", 500, times=2), True, ""),
    Case("every call answers 500", _call("status", 500), False, "did not answer"),
    Case("every call answers an HTML page", _call("html"), False, "did not answer"),
    Case("every call answers half of its JSON", _call("bad_json"), False, "did not answer"),
    Case(
        "an internal error inside a 200, twice",
        _call("status", 200, body=INTERNAL, times=2),
        True,
        "",
    ),
    Case(
        "data without the field that was asked for",
        _call("status", 200, body='{"data": {}}'),
        False,
        "did not answer",
    ),
    Case(
        "JSON nested 100,000 deep",
        _call("status", 200, body="[" * 100_000),
        False,
        "did not answer",
    ),
    Case("the connection is reset, twice", _call("drop", times=2), True, ""),
    Case("the connection is always reset", _call("drop"), False, "did not answer"),
    Case("nobody listens at the address", _nobody, False, "nothing answers there"),
    # Keys.
    Case("a wrong key", _keys("WRONGPUBLICID", "WRONGSECRETKEY"), False, "key"),
    Case("half a key", _keys("", KEYS[1]), False, "its other half is there"),
    Case("an expired key", _call("status", 200, body=REFUSED_KEY, on="account"), False, "key"),
    Case(
        "a key that may not upload",
        _call("status", 200, body=NO_SCOPE, on="submission_upload_auth"),
        False,
        "Missing scope",
    ),
    # Uploads.
    Case(
        "the upload is accepted and its answer is lost",
        _call("drop", on="create_submission", point="answer", times=1),
        True,
        "",
    ),
    Case(
        "the submission does not arrive",
        _call("drop", on="create_submission", times=1),
        False,
        "looks first",
    ),
    Case("the upload's PUT answers 500 once", _call("status", 500, point="put", times=1), True, ""),
    Case("the upload's PUT always fails", _call("status", 403, point="put"), False, "3 times"),
    Case("the connection breaks in the upload", _call("drop", point="put"), False, "3 times"),
    Case(
        "the submission is found invalid",
        lambda scene: scene.fault("create", "invalid", body="Model not found"),
        False,
        "invalid",
        end="found invalid: other predictions are needed",
        n_submitted=0,
    ),
    Case(
        "the list lacks the submission",
        lambda scene: scene.fault("listing", "absent"),
        True,
        "not confirmed",
    ),
    Case(
        "the submission is not validated yet",
        lambda scene: scene.fault("listing", "pending"),
        True,
        "not validated yet",
    ),
    # Rounds and clocks.
    Case(
        "the round has closed",
        _close,
        False,
        "no round is open",
        end="nothing is submitted",
        n_submitted=0,
    ),
    Case(
        "the round closes while the predictions are uploaded",
        _during("submission_upload_auth", _close),
        True,
        "after the deadline",
        end="submitted late",
    ),
    Case(
        "another round opens while the predictions are made",
        _during("account", lambda scene: scene.demo.clock.advance(rounds=1)),
        True,
        "repeated for it",
        apart=True,
    ),
    Case(
        "this machine's clock is 15 min behind",
        _before("faketime", "-f", "-15m"),
        True,
        "",
        needs=FAKETIME,
    ),
    Case(
        "this machine's clock is 15 min ahead",
        _before("faketime", "-f", "+15m"),
        True,
        "",
        needs=FAKETIME,
    ),
    Case(
        "this machine's clock is a day behind",
        _before("faketime", "-f", "-1d"),
        True,
        "",
        needs=FAKETIME,
    ),
    Case(
        "this machine's clock is a day ahead",
        _before("faketime", "-f", "+1d"),
        True,
        "",
        needs=FAKETIME,
    ),
    Case("another time zone", _before(TZ="Pacific/Kiritimati"), True, ""),
    # The machine.
    Case("a full disk", _in_a_mount(FULL), False, "is full", needs=MOUNTS),
    Case("a read-only folder", _in_a_mount(READ_ONLY), False, "Read-only", needs=MOUNTS),
    # Files on the disk.
    Case(
        "features.json is empty",
        _damage("01_raw/features.json", _empty),
        False,
        "not what was written",
        then=WEEKLY,
    ),
    Case(
        "features.json is half, and the week is run",
        _damage("01_raw/features.json", _half),
        True,
        "not those that were verified",
        command=WEEKLY,
    ),
    Case(
        "a bit of validation.parquet flips",
        _damage("01_raw/validation.parquet", flip),
        True,
        "not those that were verified",
        command=INGEST,
    ),
    Case(
        "the panel's index is empty",
        _damage("02_intermediate/history_panel/index.json", _empty),
        False,
        "no panel, or one that cannot be read",
        then=WEEKLY,
    ),
    Case(
        "a bit of the panel flips, and models are fitted anew",
        _several(
            _damage("02_intermediate/history_panel/features-1.arrow", flip),
            _damage("06_models", _delete),
        ),
        False,
        "not what was written|does not exist yet",
        command=WEEKLY,
    ),
    Case(
        "a bit of folds.json flips",
        _damage("02_intermediate/folds.json", flip),
        False,
        "not what was written",
        then=WEEKLY,
    ),
    Case(
        "the only model's file is half",
        _damage("06_models/lightgbm/model/content.pkl", _half),
        False,
        "lightgbm/model: not what was written",
        then=WEEKLY,
    ),
    Case(
        "the only model is deleted",
        _damage("06_models/lightgbm/model", _delete),
        False,
        "lightgbm: model was never made",
        then=WEEKLY,
    ),
    # Submissions that must not be uploaded.
    Case("a blocked round's decision is edited by hand", _edited_gate, False, "wanted above 1.0"),
    Case("the csv is replaced by last week's", _last_weeks_predictions, True, ""),
)


def plain(text: str, scene: Scene) -> str:
    """A message without what differs from run to run: folders, ports, ids, percentages."""
    text = text.replace(str(scene.project.folder.resolve()), ".").replace(scene.server.url, "URL")
    text = re.sub(r"http://127\.0\.0\.1:\d+", "URL", text)
    text = re.sub(r"\([0-9a-f]{4}…\)", "(id)", text)
    return " ".join(text.split())
