"""A submission is looked up and never doubled, whatever is lost on the way."""

import pytest

from numerai_kedro.errors import (
    RoundClosed,
    TournamentRefused,
    TournamentUnreachable,
)
from numerai_kedro.tournament.demo.faults import Fault
from numerai_kedro.tournament.submission import to_csv


@pytest.fixture
def slot(client):
    return client.models()["demo"]


def closed(demo):
    demo.store.set_instant(demo.latest(demo.clock.now()).close_staking_time)


def test_a_submission_is_looked_up_and_its_receipt_says_so(client, demo, slot, csv):
    receipt = client.submit(csv, slot, 1412)
    (kept,) = demo.store.submissions()
    assert receipt["status"] == "accepted"
    assert receipt["submission_id"] == kept.id
    assert receipt["filename"] == kept.filename
    assert receipt["detail"] == (f'accepted for model "demo" ({kept.id[:4]}…), 100 live stocks')
    assert demo.store.content_of(kept.id) == csv


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
    """Lost after it was carried out: found. Before: said so, and the next run submits."""
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
    with pytest.raises(RoundClosed, match="for round 1412, but round 1413 is open"):
        client.submit(csv, slot, 1412)
    closed(demo)
    with pytest.raises(RoundClosed, match="No round is open"):
        client.submit(csv, slot)
    assert "submission_upload_auth" not in operations()


def test_stale_ids_are_refused_in_the_servers_words(client, demo, slot, csv):
    demo.clock.advance(rounds=1)
    with pytest.raises(TournamentRefused, match="latest live ids"):
        client.submit(csv, slot)


def test_a_submission_that_came_after_the_deadline_is_said_to_be_late(
    client, server, demo, slot, csv, monkeypatch
):
    """The round closes between our look and the submission."""
    upload, deadline = demo.open_upload, demo.latest(demo.clock.now()).close_staking_time

    def dawdle(*arguments):
        demo.store.set_instant(deadline)
        return upload(*arguments)

    monkeypatch.setattr(demo, "open_upload", dawdle)
    receipt = client.submit(csv, slot)
    assert receipt["status"] == "late"
    assert "not staked" in receipt["detail"]
