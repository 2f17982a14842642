"""A served tiny demo, our client on it, and unmodified numerapi."""

import numerapi
import numpy as np
import pandas as pd
import pytest
from numerapi import base_api

from numerai_kedro.demo.server import DemoServer
from numerai_kedro.demo.tournament import (
    DEMO_PUBLIC_ID,
    DEMO_SECRET_KEY,
    DemoTournament,
)
from numerai_kedro.numerai.client import Client
from numerai_kedro.numerai.submission import to_csv


@pytest.fixture
def demo(demo_folder):
    return DemoTournament(demo_folder, "tiny", 0)


@pytest.fixture
def server(demo):
    with DemoServer(demo) as serving:
        yield serving


@pytest.fixture
def waits():
    """Seconds that the client wanted to wait; nobody waits."""
    return []


@pytest.fixture
def client(server, waits):
    return Client(
        server.url,
        "v5.3",
        DEMO_PUBLIC_ID,
        DEMO_SECRET_KEY,
        timeout_s=(5.0, 20.0),  # a demo on a busy machine builds files when they are asked for
        deadline_s=20.0,
        wait=waits.append,
    )


@pytest.fixture
def api(server, monkeypatch):
    """numerapi, unmodified, pointed at the demo in the only way: by the module's global."""
    monkeypatch.setattr(base_api, "API_TOURNAMENT_URL", server.url)
    monkeypatch.setattr("numerapi.utils.time.sleep", lambda seconds: None)
    return numerapi.NumerAPI(DEMO_PUBLIC_ID, DEMO_SECRET_KEY, show_progress_bars=False)


@pytest.fixture
def live_frame(demo):
    """Makes a valid submission of the round that is open."""

    def make(seed=0):
        files = demo.archive.files(demo.latest(demo.clock.now()))
        ids = pd.read_parquet(files["live.parquet"], columns=["era"]).index.to_numpy()
        ranks = np.random.default_rng(seed).permutation(len(ids))
        return pd.DataFrame({"id": ids, "prediction": (ranks + 0.5) / len(ids)})

    return make


@pytest.fixture
def csv(live_frame):
    return to_csv(live_frame())


@pytest.fixture
def operations(demo):
    """Names of the operations sent so far."""

    def read():
        log = demo.folder / "operations.log"
        return log.read_text().split() if log.exists() else []

    return read
