"""Waiting for a round: the tournament's clock counts, polling is polite, nothing is missed."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from numerai_kedro.errors import TournamentRefused, TournamentUnreachable
from numerai_kedro.tournament.opening import (
    earliest_opening_after,
    is_dealt_with,
    wait_for_opening,
)
from numerai_kedro.tournament.round_info import RoundInfo

TUESDAY = datetime(2026, 12, 1, tzinfo=UTC)


def at(day, hour, minute=0):
    return TUESDAY + timedelta(days=day, hours=hour, minutes=minute)


class World:
    """Rounds that open when they please; waiting moves the clock."""

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

    def wait(self, done=()):
        return wait_for_opening(self, set(done).__contains__, self.lines.append, self.sleep)


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
    for day, wanted in [(0, 1), (3, 4), (4, 7)]:
        newest = RoundInfo(1, at(day, 12, 10), at(day, 13), None, {}, at(day, 13))
        assert earliest_opening_after(newest, newest.server_time) == at(wanted, 12)
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
