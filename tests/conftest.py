"""Shared by all tests: no waits between attempts, no keys from the developer's own environment."""

import os
import random
import shutil

import pytest
from hypothesis import HealthCheck, settings

# On shared machines one example may take ten times as long as the next.
settings.register_profile(
    "shared machines", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("shared machines")

pytest_plugins = ["tests.served_demo"]

# Drawn once, before pytest-xdist starts its workers: all of them must collect the same tests.
for _name in ("FAULT_SEED", "DAMAGE_SEED", "DRILL_SEED"):
    os.environ.setdefault(_name, str(random.SystemRandom().randrange(10**6)))


def pytest_collection_modifyitems(items):
    """Slow files first: then the last one is short, and no worker waits long for it."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)


@pytest.fixture(autouse=True)
def _hermetic(monkeypatch):
    monkeypatch.setattr("numerai_kedro.files.download.WAIT", lambda seconds: None)
    for name in ("NUMERAI_PUBLIC_ID", "NUMERAI_SECRET_KEY", "HTTP_PROXY", "http_proxy"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="session")
def tiny_demo(tmp_path_factory):
    """A prepared demo of size tiny: its data folder; do not write to it."""
    from numerai_kedro.demo.tournament import DemoTournament

    folder = tmp_path_factory.mktemp("tiny_demo")
    DemoTournament(folder, "tiny", 0).prepare()
    return folder


@pytest.fixture
def demo_folder(tiny_demo, tmp_path):
    """A data folder of a tiny demo for one test: only the world is shared."""
    folder = tmp_path / "demo"
    (folder / "tournament").mkdir(parents=True)
    (folder / "tournament" / "world").symlink_to(tiny_demo / "tournament" / "world")
    shutil.copytree(tiny_demo / "tournament" / "published", folder / "tournament" / "published")
    return folder
