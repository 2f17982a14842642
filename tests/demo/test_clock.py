from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis.strategies import integers

from numerai_kedro.demo.clock import Clock
from numerai_kedro.demo.rounds import FIRST_ROUND, demo_round, one_minute_into
from numerai_kedro.demo.store import Store
from numerai_kedro.errors import ConfigurationError

START = one_minute_into(demo_round(FIRST_ROUND, 0))


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path, "tiny", 0, START)


class Ticks:
    now = 0.0

    def __call__(self):
        return self.now


def test_the_clock_stands_still_one_minute_into_the_first_round(store):
    ticks = Ticks()
    clock = Clock(store, 0, ticks=ticks)
    ticks.now = 1e6
    assert clock.now() == START


@given(rounds=integers(0, 40), weeks=integers(0, 30))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_advance_ends_one_minute_into_the_round_that_many_later(tmp_path, rounds, weeks):
    store = Store(tmp_path, "tiny", 0, START)
    store.set_instant(START)
    clock = Clock(store, 0)
    if rounds + weeks == 0:
        with pytest.raises(ConfigurationError, match="1 or more"):
            clock.advance(rounds, weeks)
        return
    reached = clock.advance(rounds, weeks)
    assert reached.number == FIRST_ROUND + rounds + 5 * weeks
    assert clock.now() == reached.open_time + timedelta(minutes=1)
    assert reached.status(clock.now()) == "OPEN"


def test_the_clock_does_not_go_back(store):
    with pytest.raises(ConfigurationError, match="does not go back"):
        Clock(store, 0).advance(rounds=-1)


def test_every_process_sees_the_same_time(store, tmp_path):
    Clock(store, 0).advance(rounds=2)
    other = Clock(Store(tmp_path, "tiny", 0, START), 0)
    assert other.now() == one_minute_into(demo_round(FIRST_ROUND + 2, 0))


def test_with_a_speed_it_runs_and_keeps_an_advance_from_elsewhere(store):
    ticks = Ticks()
    running = Clock(store, 0, speed=60.0, ticks=ticks)
    ticks.now = 10.0
    assert running.now() == START + timedelta(minutes=10)
    reached = Clock(store, 0).advance(weeks=1)
    ticks.now = 11.0
    assert running.now() == one_minute_into(reached) + timedelta(minutes=1)
