"""Waiting for a round: by the tournament's clock, with few requests, and missing no round."""

import json
import os
from datetime import UTC, datetime, timedelta

import pytest

from numerai_kedro.demo.faults import Fault
from numerai_kedro.errors import TournamentRefused, TournamentUnreachable
from numerai_kedro.files import fetch
from numerai_kedro.numerai.client import Client
from numerai_kedro.numerai.opening import (
    earliest_opening_after,
    inputs_changed,
    is_dealt_with,
    is_held,
    live_file_changed,
    wait_for_opening,
)
from numerai_kedro.numerai.round_info import RoundInfo

TUESDAY = datetime(2026, 12, 1, tzinfo=UTC)


def at(day, hour, minute=0):
    return TUESDAY + timedelta(days=day, hours=hour, minutes=minute)


class World:
    """Rounds that open at arbitrary times; waiting moves the clock."""

    def __init__(self, now, openings):
        self.now, self.openings = now, openings
        self.asked, self.lines, self.broken = [], [], set()
        self.error = TournamentUnreachable("No network.")

    def current_round(self):
        self.asked.append(self.now)
        if self.now in self.broken:
            raise self.error
        newest = self.newest_round()
        return newest if newest.is_open else None

    def newest_round(self):
        number, opens = max((n, t) for n, t in self.openings.items() if t <= self.now)
        return RoundInfo(number, opens, opens + timedelta(hours=1), None, {}, self.now)

    def sleep(self, seconds):
        self.now += timedelta(seconds=seconds)

    def wait(self, done=(), held=()):
        return wait_for_opening(
            self, set(done).__contains__, self.lines.append, self.sleep, set(held).__contains__
        )


def test_an_open_round_without_a_submission_is_not_waited_for():
    world = World(at(0, 12, 30), {1410: at(0, 12, 17)})
    assert world.wait().number == 1410
    assert world.lines == []


@pytest.mark.parametrize("minute", [0, 1, 59, 179])
def test_a_round_is_met_within_a_minute_of_its_opening(minute):
    opens = at(1, 12) + timedelta(minutes=minute, seconds=7)
    world = World(at(0, 12, 30), {1410: at(0, 12, 17), 1411: opens})
    reached = world.wait(done=[1410])
    assert reached.number == 1411
    assert reached.server_time - opens <= timedelta(minutes=1)
    early = [moment for moment in world.asked if moment < at(1, 12)]
    assert len(early) <= 26  # once an hour while nothing can open
    assert world.lines[0] == (
        "round 1410 is submitted; the next opens Wed 02 Dec, not before 12:00 UTC; "
        "asking from then on"
    )


def test_a_blocked_round_is_asked_about_every_minute_while_it_is_open():
    """Its inputs change at 12:50: the wait ends then, with ten minutes left."""
    world = World(at(0, 12, 30), {1410: at(0, 12, 0), 1411: at(1, 12)})
    changes = at(0, 12, 50)
    reached = wait_for_opening(
        world, lambda number: world.now < changes, world.lines.append, world.sleep, [1410].count
    )
    assert (reached.number, reached.server_time) == (1410, changes)
    assert world.lines == [
        "round 1410 is blocked in part or whole, and tried again when its inputs change; "
        "the next opens Wed 02 Dec, not before 12:00 UTC; asking from then on"
    ]


def test_a_blocked_round_that_closes_is_over():
    world = World(at(0, 12, 30), {1410: at(0, 12, 0), 1411: at(1, 12)})
    assert world.wait(done=[1410], held=[1410]).number == 1411
    assert len(world.asked) <= 31 + 26  # once an hour again, from the deadline on


def test_no_round_opens_on_sunday_or_monday():
    saturday = {1414: at(4, 12, 5)}
    world = World(at(5, 14, 30), saturday | {1415: at(7, 13, 40)})
    assert world.wait().number == 1415
    assert "the next opens Tue 08 Dec" in world.lines[0]
    assert world.lines[1] == (
        "round 1414 is closed; the next opens any minute now; asking every minute"
    )


@pytest.mark.parametrize(
    "error", [TournamentUnreachable("No network."), TournamentRefused("Internal server error.")]
)
def test_a_tournament_that_does_not_answer_or_says_no_is_asked_again(error):
    world = World(at(1, 12), {1410: at(0, 12), 1411: at(1, 12, 3)})
    world.broken, world.error = {at(1, 12, minute) for minute in range(5)}, error
    assert world.wait().server_time == at(1, 12, 5)
    assert world.lines == [f"{error} Asking again every minute."]


def test_a_day_without_a_round_is_not_polled_through_the_days_on_which_none_opens():
    """No round on Saturday: asked until it is over, then once an hour until Tuesday noon."""
    world = World(at(3, 14), {1413: at(3, 12, 5), 1414: at(7, 12, 30)})
    assert world.wait().number == 1414
    sunday_on = [moment for moment in world.asked if at(5, 1) < moment < at(7, 12)]
    assert len(sunday_on) <= 62


def test_the_earliest_opening_is_the_next_of_the_five_days():
    for day, expected in [(0, 1), (3, 4), (4, 7)]:
        newest = RoundInfo(1, at(day, 12, 10), at(day, 13), None, {}, at(day, 13))
        assert earliest_opening_after(newest, newest.server_time) == at(expected, 12)
        assert earliest_opening_after(newest, at(5, 3)) == at(7, 12)


@pytest.mark.parametrize(
    ("receipts", "done"),
    [
        ({}, False),
        ({"a": {"status": "accepted"}}, False),  # slot b has none
        ({"a": {"status": "accepted"}, "b": {"status": "late"}}, True),
        ({"a": {"status": "blocked"}, "b": {"status": "late"}}, True),
        ({"a": {"status": "accepted"}, "b": {"status": "refused"}}, False),
        ({"a": {"status": "accepted"}, "b": {"status": "written"}}, False),
        ({"a": {"status": "pending"}, "b": {"status": "unconfirmed"}}, True),
        ({"a": {"status": "failed"}, "b": {"status": "closed"}}, True),
        (
            {
                "a": {"status": "late"},
                "b": {"status": "accepted", "later": {"status": "refused"}},
            },
            False,
        ),
    ],
)
def test_a_round_is_done_when_no_slot_wants_another_try(tmp_path, receipts, done):
    (tmp_path / "receipts").mkdir()
    (tmp_path / "slots.json").write_text('{"a": "ensemble", "b": "lightgbm"}')
    for slot, receipt in receipts.items():
        (tmp_path / "receipts" / f"1412-{slot}.json").write_text(json.dumps(receipt))
    (tmp_path / "receipts" / "1411-a.json").write_text(json.dumps({"status": "accepted"}))
    assert is_dealt_with(tmp_path, 1412) is done


def test_before_the_first_run_no_round_is_done(tmp_path):
    assert is_dealt_with(tmp_path, 1412) is False
    assert is_held(tmp_path, 1412) is False


@pytest.mark.parametrize("status", ["blocked", "failed", "closed", "accepted", "pending"])
def test_what_was_held_back_is_tried_again_when_its_inputs_are_newer_than_its_receipt(
    tmp_path, status
):
    outputs = tmp_path / "07_model_output"
    (outputs / "receipts").mkdir(parents=True)
    (outputs / "slots.json").write_text('{"a": "ensemble"}')
    receipt = outputs / "receipts" / "1412-a.json"
    receipt.write_text(json.dumps({"status": status}))
    os.utime(receipt, (1000, 1000))
    held_back = status in {"blocked", "failed", "closed"}
    assert is_held(outputs, 1412) is held_back
    assert is_dealt_with(outputs, 1412, lambda moment: moment > 1000)
    assert is_dealt_with(outputs, 1412, lambda moment: moment == 1000) is not held_back


@pytest.mark.parametrize(
    ("name", "counts"),
    [
        ("data/01_raw/live.parquet", True),
        ("data/01_raw/live.parquet.source.json", True),
        ("data/06_models/lightgbm/model", True),
        ("data/06_models/tabm/model/part/weights.safetensors", True),
        ("data/07_model_output/lightgbm/oof_predictions.parquet", True),
        ("data/07_model_output/ensemble/weights.parquet", True),
        ("data/08_reporting/era_scores.parquet", True),
        ("conf/local/parameters.yml", True),
        ("conf/base/parameters_backtest.yml", True),
        ("data/07_model_output/lightgbm/live_predictions.parquet", False),
        ("data/07_model_output/receipts/1412-a.json", False),
        ("data/08_reporting/page.html", False),
    ],
)
def test_a_file_that_a_verdict_hangs_on_counts_when_it_is_newer(tmp_path, name, counts):
    changed = inputs_changed(tmp_path / "data", tmp_path / "conf")
    assert not changed(0.0)
    path = tmp_path / name
    path.parent.mkdir(parents=True)
    path.touch()
    os.utime(path, (1000, 1000))
    for folder in path.parents[: len(path.parents) - len(tmp_path.parents)]:
        os.utime(folder, (10, 10))
    assert changed(999.0) is counts
    assert not changed(1000.0)


def test_another_live_file_is_seen_at_the_tournament(server, demo, tmp_path):
    client = Client(server.url, "v5.3")  # with time for a file that is built on request

    def changed(number=1412, **options):
        return live_file_changed(client, tmp_path, number, **options)

    assert not changed()  # nothing was downloaded: nothing to compare with
    fetch(client.remote_file("live.parquet", 1412), tmp_path / "01_raw" / "live.parquet")
    assert not changed()
    path = demo.archive.files(demo.latest(demo.clock.now()))["live.parquet"]
    path.write_bytes(path.read_bytes()[::-1])  # of the same size
    assert changed()
    assert not changed(version="v9.9")  # is refused, so that no change is known
    server.faults.add(Fault("get", "status", 503))
    assert not changed()
    demo.clock.advance(rounds=1)
    assert changed(1413)
