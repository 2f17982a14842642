"""Without a checkout: the wheel, configuration in an archive, and ``python -m``."""

import os
import shutil
import subprocess
import sys

import pytest
import yaml

from tests.project import ROOT, TINY

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def packaged(tmp_path_factory):
    """The output of `kedro package` for a copy of the project: the unpacked wheel, and conf."""
    copy = tmp_path_factory.mktemp("packaged") / "project"
    shutil.copytree(
        ROOT / "src", copy / "src", ignore=shutil.ignore_patterns("*.egg-info", "*.pyc")
    )
    shutil.copytree(ROOT / "conf", copy / "conf", ignore=shutil.ignore_patterns("local"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, copy)
    (copy / "conf" / "local").mkdir()
    kedro = [sys.executable, "-m", "kedro", "package"]
    packaging = subprocess.run(kedro, cwd=copy, capture_output=True, text=True, timeout=600)
    assert packaging.returncode == 0, packaging.stderr[-2000:]
    (wheel,) = (copy / "dist").glob("*.whl")
    shutil.unpack_archive(wheel, copy / "unpacked", "zip")
    (conf,) = (copy / "dist").glob("conf-*.tar.gz")
    return copy / "unpacked", conf


def test_the_wheel_runs_with_configuration_from_an_archive(packaged, tmp_path):
    package, conf = packaged
    shutil.unpack_archive(conf, tmp_path)
    (tmp_path / "conf" / "local").mkdir(exist_ok=True)
    (tmp_path / "conf" / "local" / "globals.yml").write_text(yaml.safe_dump(TINY))
    archive = shutil.make_archive(str(tmp_path / "mine"), "gztar", tmp_path, "conf")
    empty = tmp_path / "empty"
    empty.mkdir()
    run = subprocess.run(
        [sys.executable, "-m", "numerai_kedro", "--pipeline=ingestion", f"--conf-source={archive}"],
        cwd=empty,
        env=os.environ | {"PYTHONPATH": str(package)},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert run.returncode == 0, run.stderr[-2000:]
    assert (empty / TINY["data_folder"] / "02_intermediate" / "folds.json").exists()
