"""A project folder of its own for tests that type commands: same configuration, own data."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

from numerai_kedro.data import open_panel
from numerai_kedro.datasets.atomic_file import SEAL
from numerai_kedro.files.failpoint import VARIABLE
from numerai_kedro.models.registry import ENCODER, NETWORKS
from tests.warm import parents

ROOT = Path(__file__).parents[1]
SECONDS = 1200  # limit of a command
# The developer's keys, and switches that the package itself must set.
HIDDEN = ("NUMERAI_", "DO_NOT_TRACK", "KEDRO_DISABLE", "MLFLOW_DISABLE")
WITHOUT_NETWORKS = {name: {"enabled": False} for name in (*NETWORKS, ENCODER)}
# A record of sixty eras is mostly noise, so the gate's thresholds on earnings are off.
OPEN_GATE = {"min_corr_bound": -1.0, "max_burn_chance": 1.0, "paid_level": 0.9999}
# A week of seconds: few trees, which earn no pass by themselves, and no MLflow.
QUICK = {
    "lightgbm": {"presets": {"example": {"n_estimators": 60}}, "n_trials": 0},
    "catboost": {"enabled": False},
    "xgboost": {"enabled": False},
    **WITHOUT_NETWORKS,
    "gate": OPEN_GATE,
    "tracking": {"enabled": False},
}
APART = (
    "receipts/",
    "run_summary.json",
    "dashboard.html",
    "readings.json",
    ".source.json",
    "run_schedule.json",
    "values/",
    "study_store/",
    "/latent_panel/",
    "binned/",
    "version_store/",
    "version_history.parquet",
    "version.json",
    ".partial",  # left by a killed writer until the next one
)
PANELS = ("history_panel", "live_panel")
TINY = {"tournament": "demo", "size": "tiny", "seed": 0, "data_folder": "data/demo-tiny-0"}


class Project:
    """Commands run as a user types them, each in a process of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @classmethod
    def make(cls, folder: Path, **globals_: Any) -> Project:
        """The committed configuration, without anything of the developer's own."""
        folder.mkdir(parents=True)
        (folder / "src").mkdir()  # the package itself is installed
        shutil.copy(ROOT / "pyproject.toml", folder)
        (folder / "conf").mkdir()
        shutil.copytree(ROOT / "conf" / "base", folder / "conf" / "base")
        shutil.copy(ROOT / "conf" / "logging.yml", folder / "conf")
        (folder / "conf" / "local").mkdir()
        project = cls(folder)
        project.local("globals", TINY | globals_)
        return project

    def copy(self, folder: Path) -> Project:
        """A copy of the project and its data, to be changed."""
        shutil.copytree(self.folder, folder, symlinks=True)
        return Project(folder)

    def local(self, name: str, content: dict[str, Any]) -> None:
        """Write conf/local/<name>.yml."""
        (self.folder / "conf" / "local" / f"{name}.yml").write_text(yaml.safe_dump(content))

    def kedro(
        self, *arguments: str, group: str | None = None, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        """Type a kedro command, in a control group where one is given, and wait for its end."""
        own_code = (self.folder / "src" / "numerai_kedro").exists()
        if group is None and environment.keys() <= {VARIABLE} and not own_code:
            variables = self.environment() | environment
            return next(parents()).run(list(arguments), self.folder, variables, SECONDS)
        with self.start(*arguments, group=group, **environment) as process:
            try:
                stdout, stderr = process.communicate(timeout=SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                raise
        return subprocess.CompletedProcess(process.args, process.returncode, stdout, stderr)

    def start(
        self, *arguments: str, group: str | None = None, **environment: str
    ) -> subprocess.Popen[str]:
        """Type a kedro command, and go on."""

        def enter() -> None:
            # A shell's background processes ignore Ctrl-C, and so do their children.
            signal.signal(signal.SIGINT, signal.default_int_handler)
            if group is not None:
                Path(f"{group}/cgroup.procs").write_text(str(os.getpid()))

        return subprocess.Popen(
            [str(Path(sys.executable).parent / "kedro"), *arguments],
            cwd=self.folder,
            env=self.environment() | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=enter,
        )

    @staticmethod
    def environment() -> dict[str, str]:
        """A command's environment: the developer's own, without keys and switches."""
        clean = {k: v for k, v in os.environ.items() if not k.startswith(HIDDEN)}
        return clean | {"COLUMNS": "200"}

    def killed_after(self, seconds: float, *arguments: str) -> bool:
        """Type a kedro command, and kill it at a moment; False where it had ended by then."""
        with self.start(*arguments) as run:
            try:
                run.communicate(timeout=seconds)
            except subprocess.TimeoutExpired:
                run.kill()
                run.communicate()
                return True
        return False

    @property
    def data(self) -> Path:
        """Where the runs' files are."""
        chosen = yaml.safe_load((self.folder / "conf" / "local" / "globals.yml").read_text())
        return self.folder / chosen["data_folder"]

    def json(self, path: str) -> Any:
        """A JSON file of the data folder."""
        return json.loads((self.data / path).read_text())

    def receipts(self) -> dict[str, Any]:
        """Receipts by round and slot."""
        folder = self.data / "07_model_output" / "receipts"
        receipts = {
            path.stem: json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))
        }
        return {
            key: {k: v for k, v in receipt.items() if k != SEAL}
            for key, receipt in receipts.items()
        }

    def operations(self) -> list[str]:
        """Operations that the demo's server received."""
        log = self.data / "tournament" / "operations.log"
        return [line.split()[-1] for line in log.read_text().splitlines()]

    def artifacts(self) -> dict[str, Any]:
        """Everything that must be equal bit by bit, whatever happened on the way.

        Without the server's ids and times and without measurements. Panels are compared by digests
        of their content, because their files depend on the order in which eras arrived.
        """
        artifacts: dict[str, Any] = {
            name: content
            for name, content in self.contents().items()
            if not any(part in name for part in (*APART, *PANELS))
        }
        for panel in PANELS:
            artifacts[panel] = open_panel(self.data / "02_intermediate" / panel).era_digests()
        return artifacts

    def contents(self) -> dict[str, bytes]:
        """Every file that pipelines wrote, to check that nothing was overwritten."""
        return {
            str(path.relative_to(self.data)): path.read_bytes()
            for path in sorted(self.data.glob("0*_*/**/*"))
            if path.is_file()
        }
