"""A submission is looked up and never doubled, whatever is lost on the way."""

from datetime import timedelta

import pytest

from numerai_kedro.demo.faults import Fault
from numerai_kedro.errors import (
    CredentialsError,
    RoundClosed,
    RoundMoved,
    TournamentRefused,
    TournamentUnreachable,
)
from numerai_kedro.numerai.submission import to_csv

NO_SCOPE = '{"data": null, "errors": [{"message": "Missing scope: read_submission_info"}]}'
BROKEN = '{"data": {"create_submission": null}, "errors": [{"message": "Internal error"}]}'


@pytest.fixture
def slot(client):
    return client.models()["demo"]


def closed(demo, late=timedelta(0)):
    demo.store.set_instant(demo.latest(demo.clock.now()).close_staking_time + late)


def no_scope(server, *operations):
    for operation in operations:
        server.faults.add(Fault("post", "status", 200, operation, times=99, body=NO_SCOPE))


def test_a_submission_is_looked_up_and_its_receipt_says_so(client, demo, slot, csv):
    receipt = client.submit(csv, slot, 1412)
    (submission,) = demo.store.submissions()
    assert receipt["status"] == "accepted"
    assert receipt["submission_id"] == submission.id
    assert receipt["filename"] == submission.filename
    assert receipt["detail"] == (
        f'accepted for model "demo" ({submission.id[:4]}…), 100 live stocks'
    )
    assert demo.store.content_of(submission.id) == csv


def test_the_same_predictions_are_not_submitted_twice(client, demo, slot, csv, operations):
    first = client.submit(csv, slot)
    before = operations().count("create_submission")
    second = client.submit(csv, slot)
    assert second == first
    assert operations().count("create_submission") == before == 1


def test_predictions_submitted_elsewhere_are_known_by_their_content(
    client, api, demo, slot, csv, tmp_path
):
    path = tmp_path / "by_hand.csv"
    path.write_bytes(csv)
    submission_id = api.upload_predictions(str(path), model_id=slot)
    assert client.submit(csv, slot)["submission_id"] == submission_id
    assert len(demo.store.submissions()) == 1


def test_what_counts_is_the_selected_submission(client, demo, slot, live_frame):
    """After A and then B, submitting A again must replace B."""
    a, b = to_csv(live_frame(1)), to_csv(live_frame(2))
    for content in (a, b, a):
        client.submit(content, slot)
    newest = demo.store.submissions()[0]
    assert demo.store.content_of(newest.id) == a
    assert len(demo.store.submissions()) == 3


def test_a_new_round_is_a_new_submission(client, demo, slot, live_frame):
    client.submit(to_csv(live_frame()), slot)
    demo.clock.advance(rounds=1)
    receipt = client.submit(to_csv(live_frame()), slot, 1413)
    assert receipt["round"] == 1413
    assert len(demo.store.submissions()) == 2


@pytest.mark.parametrize("point", ["answer", "post"])
def test_a_lost_answer_is_looked_up_and_never_repeated(
    client, server, demo, slot, csv, operations, point
):
    """Lost after the mutation ran: it is found. Lost before: an error, and the next run submits."""
    server.faults.add(Fault(point, "drop", on="create_submission"))
    if point == "answer":
        assert client.submit(csv, slot)["status"] == "accepted"
    else:
        with pytest.raises(TournamentUnreachable, match="looks first"):
            client.submit(csv, slot)
        assert demo.store.submissions() == []
    assert operations().count("create_submission") == 1
    assert client.submit(csv, slot)["status"] == "accepted"
    assert len(demo.store.submissions()) == 1


def test_what_is_created_after_its_answer_was_given_up_is_found(
    client, server, demo, slot, csv, waits, monkeypatch
):
    names, opens = [], demo.open_upload

    def remember(*arguments, **of_pickles):
        names.append(opens(*arguments, **of_pickles))
        return names[-1]

    def create_in_the_second_pause(seconds):
        if len(waits) == 1:
            demo.create_submission(names[0], slot, {})
        waits.append(seconds)

    monkeypatch.setattr(demo, "open_upload", remember)
    monkeypatch.setattr(client.transport, "wait", create_in_the_second_pause)
    server.faults.add(Fault("post", "drop", on="create_submission"))
    assert client.submit(csv, slot)["status"] == "accepted"
    assert len(waits) == 2
    assert len(demo.store.submissions()) == 1


def test_everything_lost_for_a_while_never_doubles_a_submission(client, server, demo, slot, csv):
    """Ten runs against a server that loses every second answer: one submission."""
    accepted = 0
    for turn in range(10):
        if turn % 2 == 0:
            server.faults.add(Fault("answer", "drop", on="create_submission"))
            server.faults.add(Fault("answer", "drop", on="submissions", times=2))
        accepted += client.submit(csv, slot)["status"] == "accepted"
    assert accepted == 10
    assert len(demo.store.submissions()) == 1


@pytest.mark.parametrize("status", [403, 500])
def test_a_failed_upload_is_seen_and_nothing_is_created(
    client, server, demo, slot, csv, operations, status
):
    server.faults.add(Fault("put", "status", status, times=99))
    with pytest.raises(TournamentUnreachable, match=f"{status}, 3 times in a row; nothing was"):
        client.submit(csv, slot)
    assert "create_submission" not in operations()
    assert demo.store.submissions() == []


def test_an_upload_that_fails_once_is_repeated_at_a_new_address(
    client, server, slot, csv, operations
):
    server.faults.add(Fault("put", "drop"))
    assert client.submit(csv, slot)["status"] == "accepted"
    assert operations().count("submission_upload_auth") == 2


def test_a_slot_that_holds_a_pickle_refuses_in_one_sentence(client, demo, csv):
    with pytest.raises(
        TournamentRefused, match='"demo_pickle" holds an uploaded pickle'
    ) as refused:
        client.submit(csv, client.models()["demo_pickle"])
    assert "submission.slots" in str(refused.value)
    assert demo.store.submissions() == []


def test_a_closed_round_and_a_round_that_turned_upload_nothing(client, demo, slot, csv, operations):
    demo.clock.advance(rounds=1)
    with pytest.raises(RoundMoved, match="for round 1412, but round 1413 has opened since"):
        client.submit(csv, slot, 1412)
    closed(demo)
    with pytest.raises(RoundClosed, match="No round is open") as none_open:
        client.submit(csv, slot)
    assert not isinstance(none_open.value, RoundMoved)
    assert "submission_upload_auth" not in operations()


def test_what_the_tournament_finds_invalid_has_failed_in_its_words(
    client, demo, slot, csv, operations
):
    demo.clock.advance(rounds=1)
    receipt = client.submit(csv, slot)
    assert receipt["status"] == "failed"
    assert "latest live ids" in receipt["error_info"]
    assert receipt["error_info"] in receipt["detail"]
    assert receipt["submission_id"] == demo.store.submissions()[0].id
    again = client.submit(csv, slot, receipt["round"], known=receipt)
    assert again["status"] == "failed"
    assert operations().count("create_submission") == 1  # a second try would fail again


def test_what_failed_through_the_services_own_fault_is_uploaded_once_more(
    client, server, demo, slot, csv
):
    server.faults.add(Fault("create", "invalid", body="Internal error, try again"))
    receipt = client.submit(csv, slot, 1412)
    assert receipt["status"] == "accepted"
    again, first = demo.store.submissions()
    assert receipt["submission_id"] == again.id
    assert first.error_info == "Internal error, try again"
    assert "-again-" in again.filename


def test_what_fails_twice_has_failed(client, server, slot, csv, operations):
    server.faults.add(Fault("create", "invalid", body="Timeout", times=2))
    receipt = client.submit(csv, slot)
    assert (receipt["status"], receipt["error_info"]) == ("failed", "Timeout")
    assert operations().count("create_submission") == 2
    assert client.submit(csv, slot, known=receipt)["status"] == "accepted"


def test_a_failure_that_comes_with_the_deadline_stays_one(
    client, server, demo, slot, csv, monkeypatch
):
    create = demo.create_submission

    def close_after(*arguments, **options):
        answer = create(*arguments, **options)
        closed(demo)
        return answer

    monkeypatch.setattr(demo, "create_submission", close_after)
    server.faults.add(Fault("create", "invalid", body="Timeout"))
    receipt = client.submit(csv, slot)
    assert receipt["status"] == "failed"
    assert "once more: No round is open" in receipt["detail"]


def test_a_validation_that_takes_a_while_is_waited_for(client, server, slot, csv, waits):
    assert client.submit(csv, slot)["status"] == "accepted"
    assert waits == [1.0]  # the tournament looks at it after it was created
    waits.clear()
    server.faults.add(Fault("listing", "pending", times=4))
    client.confirm(client.submit(csv, slot))
    assert waits == [1.0, 2.0, 4.0]


def test_what_stays_pending_is_asked_about_by_the_next_command_and_not_uploaded(
    client, server, slot, csv, operations
):
    server.faults.add(Fault("listing", "pending", times=99))
    receipt = client.submit(csv, slot, 1412)
    assert receipt["status"] == "pending"
    assert client.submit(csv, slot, 1412)["status"] == "pending"  # recognised by its file name
    later = receipt | {"later": {"status": "refused"}}  # the run's own additions are ignored
    assert client.submit(csv, slot, 1412, known=later) == receipt
    server.faults.clear()
    confirmed = client.confirm(receipt)
    assert (confirmed["status"], confirmed["submission_id"]) == (
        "accepted",
        receipt["submission_id"],
    )
    assert operations().count("submission_upload_auth") == 1


@pytest.mark.parametrize(
    "fault",
    [
        Fault("listing", "absent"),
        Fault("listing", "word", body="vetting"),
        Fault("post", "status", 200, "submissions", body=NO_SCOPE),
        Fault("post", "status", 401, "submissions"),
        Fault("post", "status", 500, "submissions"),
    ],
    ids=["absent", "unknown", "no scope", "401", "500"],
)
def test_what_nobody_can_confirm_is_said_to_be_and_never_uploaded_again(
    client, server, slot, csv, operations, fault
):
    fault.times = 99
    server.faults.add(fault)
    receipt = client.submit(csv, slot, 1412)
    assert receipt["status"] == "unconfirmed"
    assert "not uploaded again" in receipt["detail"]
    assert client.submit(csv, slot, 1412, known=receipt)["status"] == "unconfirmed"
    server.faults.clear()
    heard = client.submit(csv, slot, 1412, known=receipt)
    assert heard["status"] in {"pending", "accepted"}  # pending if nobody had asked before
    again = client.submit(csv, slot, 1412, known=heard)
    assert (again["status"], again["submission_id"]) == ("accepted", receipt["submission_id"])
    assert operations().count("create_submission") == 1


def test_a_lost_answer_and_a_list_that_lags_lead_to_no_second_upload(
    client, server, demo, slot, live_frame, operations
):
    client.submit(to_csv(live_frame(1)), slot, 1412)  # another one that counts
    csv = to_csv(live_frame(2))
    server.faults.add(Fault("answer", "bad_json", on="create_submission"))
    server.faults.add(Fault("listing", "absent", times=9))
    with pytest.raises(TournamentUnreachable, match="the tournament does not list it"):
        client.submit(csv, slot, 1412)
    server.faults.clear()
    server.faults.add(Fault("listing", "word", body="thinking", times=9))
    assert client.submit(csv, slot, 1412)["status"] == "unconfirmed"
    server.faults.clear()
    assert client.submit(csv, slot, 1412)["status"] in {"pending", "accepted"}
    assert operations().count("create_submission") == 2
    assert len(demo.store.submissions()) == 2


def test_a_receipt_of_other_predictions_or_another_round_keeps_nothing_back(
    client, demo, slot, live_frame
):
    a, b = to_csv(live_frame(1)), to_csv(live_frame(2))
    receipt = client.submit(a, slot, 1412)
    assert client.submit(b, slot, 1412, known=receipt)["digest"] != receipt["digest"]
    demo.clock.advance(rounds=1)
    assert client.submit(to_csv(live_frame(1)), slot, 1413, known=receipt)["round"] == 1413
    assert len(demo.store.submissions()) == 3


def test_an_error_after_the_creation_is_looked_up_and_is_no_refusal(
    client, server, demo, slot, csv
):
    server.faults.add(Fault("answer", "status", 200, "create_submission", body=BROKEN))
    receipt = client.submit(csv, slot)
    assert receipt["status"] == "accepted"
    assert receipt["submission_id"] == demo.store.submissions()[0].id


def test_a_key_that_may_only_upload_uploads(client, server, demo, csv, waits):
    no_scope(server, "submissions", "account")
    model_id = demo.store.models()[0].id
    receipt = client.submit(csv, model_id, 1412)
    assert receipt["status"] == "unconfirmed"
    assert receipt["model"] == model_id
    assert "Missing scope" in receipt["detail"]
    assert [submission.id for submission in demo.store.submissions()] == [receipt["submission_id"]]
    assert waits == []


def test_a_key_that_may_not_even_upload_is_refused(client, server, demo, slot, csv):
    server.faults.add(Fault("post", "status", 401, "submission_upload_auth"))
    with pytest.raises(CredentialsError):
        client.submit(csv, slot)
    assert demo.store.submissions() == []


@pytest.mark.parametrize("late", [timedelta(0), timedelta(hours=23)])
def test_after_the_deadline_nothing_is_uploaded_unless_it_is_to_be_queued(
    client, demo, slot, csv, late
):
    closed(demo, late)
    with pytest.raises(RoundClosed, match="nothing was uploaded"):
        client.submit(csv, slot, 1412)
    receipt = client.submit(csv, slot, 1412, late="queue")
    assert (receipt["status"], receipt["round"], receipt["came_late"]) == ("late", 1412, True)
    assert "queued by the tournament for the next round, whose stocks" in receipt["detail"]
    assert client.submit(csv, slot, 1412, late="queue") == receipt
    assert len(demo.store.submissions()) == 1


def test_what_was_in_time_is_not_late_when_it_is_looked_up_late(client, demo, slot, csv):
    first = client.submit(csv, slot, 1412)
    closed(demo)
    assert client.submit(csv, slot, 1412, late="queue") == first


def test_a_round_that_takes_nothing_any_more_is_closed_for_late_ones_too(
    client, demo, slot, csv, monkeypatch, operations
):
    demo.clock.advance(rounds=2)
    saturday = demo.latest(demo.clock.now())
    closed(demo)
    with pytest.raises(RoundMoved):
        client.submit(csv, slot, 1413, late="queue")
    demo.store.set_instant(saturday.close_time)
    with pytest.raises(RoundClosed):
        client.submit(csv, slot, 1414, late="queue")
    assert "submission_upload_auth" not in operations()
    monkeypatch.setattr(client, "close_time", lambda number: None)  # then the service decides
    with pytest.raises(RoundClosed, match="closed before the predictions arrived"):
        client.submit(csv, slot, 1414, late="queue")


def test_a_submission_that_came_after_the_deadline_is_said_to_be_late(
    client, server, demo, slot, csv, monkeypatch
):
    """The round closes between our look and the submission."""
    upload, deadline = demo.open_upload, demo.latest(demo.clock.now()).close_staking_time

    def dawdle(*arguments, **of_pickles):
        demo.store.set_instant(deadline)
        return upload(*arguments, **of_pickles)

    monkeypatch.setattr(demo, "open_upload", dawdle)
    receipt = client.submit(csv, slot)
    assert receipt["status"] == "late"
    assert "not staked" in receipt["detail"]
