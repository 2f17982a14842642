"""A receipt repeats the tournament's own status, and a created submission keeps its id."""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from numerai_kedro.errors import CredentialsError, TournamentRefused, TournamentUnreachable
from numerai_kedro.numerai.confirmation import (
    FIELDS,
    PAUSES_S,
    STATUS,
    Created,
    ask,
    ask_until_validated,
    confirm,
    moment_of,
    receipt_of,
    that_counts,
)
from numerai_kedro.numerai.validation import Verdict, verdict_of

NOW = datetime(2026, 12, 3, 12, 30, tzinfo=UTC)
DEADLINE = NOW + timedelta(minutes=30)
CREATED = Created("abcdef", "mine.csv", "digest", 1412, "model", 100)
ROUND = {"number": 1412, "closeStakingTime": "2026-12-03T13:00:00Z"}
VALID = {
    "id": "abcdef",
    "filename": "mine.csv",
    "status": "validated",
    "selected": True,
    "insertedAt": "2026-12-03T12:31:00Z",
    "round": ROUND,
}


class Lists:
    """A client whose lists are given, newest last; an error is raised."""

    def __init__(self, *lists, now=NOW):
        self.lists, self.server_time, self.waited = list(lists), now, []
        self.transport = SimpleNamespace(wait=self.wait)

    def submissions(self, model_id):
        assert model_id == "model"
        answer = self.lists.pop(0) if len(self.lists) > 1 else self.lists[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    def model_name(self, model_id):
        return f"name of {model_id}"

    def wait(self, seconds):
        self.waited.append(seconds)
        self.server_time += timedelta(seconds=seconds)


def receipt(*lists, created=CREATED):
    client = Lists(*lists)
    return receipt_of(client, created, ask(client, created))


PENDING = VALID | {"status": "pending", "selected": False}
FAILING = VALID | {"status": "failed", "selected": False, "errorInfo": "Not enough stocks"}
UNKNOWN = VALID | {"status": "vetting", "selected": False}


@pytest.mark.parametrize(
    ("listed", "status", "words"),
    [
        ([VALID], "accepted", 'accepted for model "name of model" (abcd…), 100 live stocks'),
        ([PENDING], "pending", "not validated yet, and the next command asks again"),
        ([FAILING], "failed", "invalid: Not enough stocks"),
        ([UNKNOWN], "unconfirmed", 'calls it "vetting"'),
        ([VALID | {"id": "another"}], "unconfirmed", "does not list it; it is not uploaded again"),
        ([], "unconfirmed", "does not list it"),
        (
            [VALID | {"insertedAt": "2026-12-03T13:00:00Z"}],
            "late",
            "scored, not staked, and queued",
        ),
        ([VALID | {"round": ROUND | {"number": 1413}}], "late", "next round, whose stocks"),
        (TournamentRefused("No scope."), "unconfirmed", "its list is unavailable: No scope."),
        (TournamentUnreachable("No network."), "unconfirmed", "is unavailable: No network."),
        (CredentialsError("401."), "unconfirmed", "is unavailable: 401."),
    ],
)
def test_the_receipt_says_what_the_tournament_says(listed, status, words):
    issued = receipt(listed)
    assert issued["status"] == status
    assert words in issued["detail"]
    assert (issued["submission_id"], issued["round"], issued["digest"]) == (
        "abcdef",
        1412,
        "digest",
    )
    assert set(issued) == FIELDS
    assert issued["error_info"] == ("Not enough stocks" if status == "failed" else "")


@settings(deadline=None)
@given(
    entries=some.lists(
        some.fixed_dictionaries(
            {"id": some.sampled_from(["abcdef", "other"])},
            optional={
                "status": some.none() | some.sampled_from(["validated", "pending", "x", "failed"]),
                "selected": some.none() | some.booleans(),
                "errorInfo": some.none() | some.sampled_from(["", "bad"]),
                "filename": some.none() | some.text(max_size=5),
                "insertedAt": some.none() | some.sampled_from(["", "2026-12-03T13:30:00Z", "x"]),
                "round": some.none() | some.sampled_from([{}, ROUND, {"number": 1413}]),
            },
        ),
        max_size=3,
    )
)
def test_whatever_a_list_says_the_id_is_kept_and_only_what_is_valid_is_accepted(entries):
    issued = receipt(entries)
    assert issued["submission_id"] == "abcdef"
    assert issued["status"] in {*STATUS.values(), "late"}
    if issued["status"] in {"accepted", "late"}:
        ours = next(entry for entry in entries if entry["id"] == "abcdef")
        assert verdict_of(ours) is Verdict.VALIDATED


@pytest.mark.parametrize("unsettled", [[PENDING], [UNKNOWN], []])
def test_what_is_not_settled_is_asked_again_for_a_minute_and_no_longer(unsettled):
    client = Lists(unsettled, unsettled, [VALID])
    assert ask_until_validated(client, CREATED, DEADLINE).verdict is Verdict.VALIDATED
    assert client.waited == list(PAUSES_S[:2])
    client = Lists(unsettled)
    assert ask_until_validated(client, CREATED, DEADLINE).verdict is not Verdict.VALIDATED
    assert client.waited == list(PAUSES_S)
    assert sum(client.waited) == 60


@pytest.mark.parametrize("settled", [[VALID], [FAILING], TournamentRefused("No scope.")])
def test_what_is_settled_is_not_waited_for(settled):
    client = Lists(settled)
    ask_until_validated(client, CREATED, DEADLINE)
    assert client.waited == []


@pytest.mark.parametrize(("left_s", "n_pauses"), [(12, 3), (3, 1), (1, 0), (0, 6), (-9, 6)])
def test_no_pause_crosses_the_rounds_deadline(left_s, n_pauses):
    client = Lists([PENDING], now=DEADLINE - timedelta(seconds=left_s))
    ask_until_validated(client, CREATED, DEADLINE)
    assert len(client.waited) == n_pauses


@pytest.mark.parametrize(
    ("before", "listed", "after"),
    [
        (PENDING, [VALID], "accepted"),
        (PENDING, [FAILING], "failed"),
        (PENDING, [PENDING], "pending"),
        (PENDING, [], "unconfirmed"),
        (PENDING, TournamentRefused("No scope."), "pending"),
        (UNKNOWN, TournamentRefused("No scope."), "unconfirmed"),
        (UNKNOWN, [VALID], "accepted"),
        (VALID, [], "unconfirmed"),
        (VALID, TournamentUnreachable("No network."), "accepted"),
        (VALID, [VALID | {"status": "none", "selected": False}], "accepted"),  # it was replaced
        (VALID, [FAILING], "failed"),
    ],
)
def test_an_earlier_receipt_is_asked_about_again_and_keeps_its_other_fields(before, listed, after):
    earlier = receipt([before]) | {"slot": "mine"}
    again = confirm(Lists(listed), earlier)
    assert (again["status"], again["slot"]) == (after, "mine")
    assert again["submission_id"] == "abcdef"


def test_a_submission_without_a_time_is_late_where_its_round_was_closed():
    late = Created("abcdef", "mine.csv", "digest", 1412, "model", 100, came_late=True)
    assert receipt([VALID | {"insertedAt": None}], created=late)["status"] == "late"
    assert receipt([VALID], created=late)["status"] == "accepted"  # it was in time after all
    assert "next round, whose stocks" in receipt([], created=late)["detail"]


def test_what_counts_in_a_round_is_the_selected_one_or_a_newer_one_that_is_pending():
    first, second = VALID | {"id": "1"}, PENDING | {"id": "2", "insertedAt": "2026-12-03T12:40:00Z"}
    other = VALID | {"id": "3", "round": {"number": 1411}}
    assert that_counts([first, second, other], 1412)["id"] == "2"
    assert that_counts([first, second | {"insertedAt": "2026-12-03T12:20:00Z"}], 1412)["id"] == "1"
    assert that_counts([first, FAILING, UNKNOWN], 1412)["id"] == "1"
    assert that_counts([other, {"id": "4", "round": None}], 1412) is None


def test_a_time_without_a_zone_is_utc_and_no_time_is_none():
    assert moment_of("2026-12-03T13:00:00") == moment_of("2026-12-03T13:00:00Z")
    assert moment_of(None) is moment_of("soon") is None
