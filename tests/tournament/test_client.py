"""The client is numerapi with a transport that neither hangs nor believes what is broken."""

import shutil
from datetime import timedelta

import pandas as pd
import pytest

from numerai_kedro.errors import (
    DownloadError,
    TournamentRefused,
)
from numerai_kedro.files import fetch
from numerai_kedro.tournament.client import Client
from numerai_kedro.tournament.demo.faults import Fault


@pytest.fixture
def slot(client):
    return client.models()["demo"]


def closed(demo):
    demo.store.set_instant(demo.latest(demo.clock.now()).close_staking_time)


def test_the_current_round_is_open_by_the_servers_clock(client, demo):
    current = client.current_round()
    assert (current.number, current.is_open) == (1412, True)
    assert current.server_time == demo.clock.now().replace(microsecond=0)
    assert current.multipliers == {"corr60": 3.0, "mmc60": 15.0}
    assert current.close_staking_time == demo.latest(demo.clock.now()).close_staking_time


def test_between_rounds_there_is_none_and_the_newest_is_still_known(client, demo):
    demo.clock.advance(rounds=2)
    closed(demo)
    assert client.current_round() is None
    info = client.round_info()
    assert (info["number"], info["is_open"]) == (1414, False)
    assert "closed since" in info["text"]
    # Tuesday before the opening: the calendar names a round that has not opened yet.
    tuesday = demo.rounds(demo.clock.now())[0].open_time - timedelta(seconds=1)
    demo.store.set_instant(tuesday)
    assert client.newest_round().number == 1414


def test_round_info_is_json_with_what_the_run_needs(client):
    info = client.round_info()
    assert info["data_version"] == "v5.3"
    assert info["target"] == "target_ender_60"
    assert info == client.round_info()  # nothing in it ticks while the clock stands still


def test_the_pinned_data_version_must_be_listed(client, server):
    assert "live.parquet" in client.data_files()
    other = Client(server.url, "v9.9")
    with pytest.raises(TournamentRefused, match=r"v9\.9 is not listed .* it has: v5\.3"):
        other.data_files()


@pytest.mark.parametrize(
    "faults",
    [
        [Fault("get", "cut", 1000)],
        [Fault("get", "cut", 1000), Fault("get", "ignore_range")],
        [Fault("get", "cut", 1000), Fault("get", "status", 416)],
        [Fault("get", "cut", 1000), Fault("get", "changed")],
        [Fault("get", "status", 403)],
        [Fault("get", "status", 503), Fault("get", "cut", 7), Fault("get", "cut", 7)],
        [Fault("get", "no_length")],
    ],
    ids=lambda faults: "-".join(fault.kind for fault in faults),
)
def test_a_file_arrives_whole_whatever_happens_on_the_way(client, server, demo, tmp_path, faults):
    original = demo.archive.files(demo.latest(demo.clock.now()))["live.parquet"].read_bytes()
    for fault in faults:
        server.faults.add(fault)
    assert fetch(client.remote_file("live.parquet"), tmp_path / "live.parquet")
    arrived = (tmp_path / "live.parquet").read_bytes()
    changed = any(fault.kind == "changed" for fault in faults)
    assert arrived == (original[::-1] if changed else original)


def test_another_file_of_the_same_size_is_fetched(client, demo, tmp_path):
    """numerapi keeps the stale one: size is all it looks at."""
    target = tmp_path / "live.parquet"
    fetch(client.remote_file("live.parquet"), target)
    assert not fetch(client.remote_file("live.parquet"), target)
    path = demo.archive.files(demo.latest(demo.clock.now()))["live.parquet"]
    path.write_bytes(path.read_bytes()[::-1])
    assert fetch(client.remote_file("live.parquet"), target)
    assert target.read_bytes() == path.read_bytes()


def test_a_file_that_is_not_offered_is_refused(client, tmp_path):
    with pytest.raises(TournamentRefused, match="dataset not found"):
        fetch(client.remote_file("nothing.parquet"), tmp_path / "x")


def test_a_download_that_never_succeeds_says_what_to_do(client, server, tmp_path):
    server.faults.add(Fault("get", "status", 503, times=99))
    with pytest.raises(DownloadError, match=r"503, 5 times .* run the same command again"):
        fetch(client.remote_file("live.parquet"), tmp_path / "x")


def test_scores_are_rows_by_round_score_and_day(client, demo, slot, csv):
    assert client.scores(slot).empty
    assert "displayName" in client.scores(slot).columns
    client.submit(csv, slot)
    demo.store.set_instant(demo.latest(demo.clock.now()).score_time(3))
    scores = client.scores(slot)
    assert len(scores) == 6
    assert set(scores["displayName"]) == {"corr60", "mmc60"}
    assert scores["value"].abs().max() < 1
    pd.testing.assert_frame_equal(scores, client.scores(slot))


def test_a_whole_week_sends_allow_listed_operations_only(
    client, demo, slot, csv, operations, tmp_path
):
    from numerai_kedro.tournament.transport import ALLOWED_OPERATIONS

    client.round_info()
    for name in client.data_files():
        fetch(client.remote_file(name), tmp_path / name)
    client.submit(csv, slot)
    client.scores(slot)
    assert len(set(operations())) >= 8
    assert set(operations()) <= ALLOWED_OPERATIONS
    shutil.rmtree(tmp_path, ignore_errors=True)
