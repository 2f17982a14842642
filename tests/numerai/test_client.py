"""The client is numerapi with a transport that neither hangs nor accepts broken answers."""

import shutil
from datetime import timedelta

import pandas as pd
import pytest

from numerai_kedro.demo.faults import Fault
from numerai_kedro.errors import (
    DownloadError,
    TournamentRefused,
)
from numerai_kedro.files import fetch
from numerai_kedro.numerai.client import Client


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
    assert info["target"] == "main"
    assert info == client.round_info()  # nothing in it changes while the clock stands still


def test_the_pinned_data_version_must_be_listed(client, server):
    assert "live.parquet" in client.data_files()
    other = Client(server.url, "v9.9")
    with pytest.raises(
        TournamentRefused, match=r"v9\.9 is not listed .* it has: v4\.3, v5\.0, v5\.3"
    ):
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


def test_a_part_is_not_continued_by_another_version(client, server, demo, tmp_path):
    original = demo.archive.files(demo.latest(demo.clock.now()))["validation.parquet"].read_bytes()
    server.faults.add(Fault("get", "cut", 100_000))
    server.faults.add(Fault("get", "splice"))
    fetch(client.remote_file("validation.parquet"), tmp_path / "validation.parquet")
    assert (tmp_path / "validation.parquet").read_bytes() == original


def test_another_file_of_the_same_size_is_fetched(client, demo, tmp_path):
    """numerapi keeps the stale file: it compares only the size."""
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


def test_a_file_of_a_round_is_that_rounds(client, demo):
    address = client.remote_file("live.parquet", 1412).url
    assert "/1412/v5.3/live.parquet" in address()
    demo.clock.advance(rounds=1)
    assert "/1412/v5.3/live.parquet" in address()
    assert "/1413/v5.3/live.parquet" in client.remote_file("live.parquet").url()


def test_where_the_round_is_refused_the_newest_file_is_taken_and_that_is_said(
    client, server, caplog
):
    server.faults.add(Fault("round", "refused", times=99))
    address = client.remote_file("live.parquet", 1412).url()
    assert "/1412/v5.3/live.parquet" in address
    assert "not given by round" in caplog.text
    with pytest.raises(TournamentRefused, match="dataset not found"):
        client.remote_file("nothing.parquet", 1412).url()


def test_a_file_without_an_address_is_a_refusal(client, server):
    server.faults.add(Fault("post", "status", 200, "dataset", body='{"data": {"dataset": null}}'))
    with pytest.raises(TournamentRefused, match=r"offers no v5\.3/live\.parquet"):
        client.remote_file("live.parquet").url()


def test_other_versions_that_are_listed_can_be_asked_for(client, demo):
    assert client.listed_versions() == {"v4.3", "v5.0", "v5.3"}
    demo.versions = ("v5.2", "v5.3")
    assert client.listed_versions() == {"v4.3", "v5.0", "v5.2", "v5.3"}
    address = client.remote_file("live.parquet", version="v5.2").url()
    assert "/1412/v5.2/live.parquet" in address
    assert "live.parquet" in client.data_files()


@pytest.mark.parametrize(
    ("url", "real"),
    [
        ("http://127.0.0.1:1", False),
        ("http://localhost:1", False),
        ("http://[::1]:1", False),
        ("https://api-tournament.numer.ai", True),
        ("http://127.0.0.1@api-tournament.numer.ai", True),
        ("http://127.0.0.1.example.com", True),
    ],
)
def test_every_address_that_is_not_on_this_machine_is_real(url, real):
    assert Client(url, "v5.3", name="demo").is_real is real
    assert Client(url, "v5.3").name == "numerai"


def test_an_account_that_is_not_shown_is_a_refusal_and_names_fall_back_to_ids(
    client, server, operations
):
    nothing = Fault("post", "status", 200, "account", times=2, body='{"data": {"account": null}}')
    server.faults.add(nothing)
    with pytest.raises(TournamentRefused, match="shows no account to this key"):
        client.models()
    assert client.model_name("some-id") == client.model_name("some-id") == "some-id"
    assert operations() == ["account"] * 2  # asked once, not for every receipt


def test_the_end_of_the_late_window_is_what_the_tournament_says(client, demo):
    current = demo.latest(demo.clock.now())
    assert client.close_time(current.number) == current.close_time
    assert client.close_time(5) is None


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
    from numerai_kedro.numerai.transport import ALLOWED_OPERATIONS

    client.round_info()
    for name in client.data_files():
        fetch(client.remote_file(name), tmp_path / name)
    client.submit(csv, slot)
    client.scores(slot)
    assert len(set(operations())) >= 8
    assert set(operations()) <= ALLOWED_OPERATIONS
    shutil.rmtree(tmp_path, ignore_errors=True)
