"""The demo's rules, without HTTP: what it refuses, and that a score once given stays."""

from datetime import timedelta

import pytest

from numerai_kedro.demo import tournament as module
from numerai_kedro.demo.store import selected
from numerai_kedro.demo.tournament import DemoTournament, Refusal
from numerai_kedro.numerai.submission import to_csv

NO_EXTRAS = {"trigger_id": None, "source": None, "data_datestamp": None}


@pytest.fixture
def submit(demo):
    def put(content):
        model_id = demo.store.models()[0].id
        name = demo.open_upload("p.csv", model_id)
        demo.store.keep_upload(name, content)
        return demo.create_submission(name, model_id, NO_EXTRAS)

    return put


@pytest.mark.parametrize(
    "content",
    [b"", b"\x00", b"\xff\xfe", b"<html>", b"id,prediction\n", b'id,prediction\n"a,0.5\n'],
    ids=str,
)
def test_whatever_is_uploaded_is_created_and_found_invalid_and_never_a_crash(demo, submit, content):
    submit(content)
    (submission,) = demo.store.submissions(demo.store.models()[0].id)
    assert submission.error_info
    assert selected([submission]) == {}


@pytest.mark.parametrize(
    ("name", "round_number"),
    [
        ("live.parquet", None),
        ("v5.3/", None),
        ("v5.3/live.parquet/", None),
        ("v5.2/live.parquet", None),
        ("v5.3/live.parquet", 1411),
        ("v5.3/live.parquet", 1413),
        ("v5.3/live.parquet", -1),
    ],
)
def test_files_that_are_not_listed_and_rounds_not_yet_open_are_refused(demo, name, round_number):
    with pytest.raises(Refusal, match="dataset not found"):
        demo.file(name, round_number)


def test_uploads_of_one_name_are_told_apart_and_belong_to_their_model(demo, csv):
    first, second, _ = demo.store.models()
    names = {demo.open_upload("p.csv", first.id) for _ in range(20)}
    assert len(names) == 20
    name = names.pop()
    demo.store.keep_upload(name, csv)
    with pytest.raises(Refusal, match="file not uploaded"):
        demo.create_submission(name, second.id, NO_EXTRAS)


def test_the_rounds_of_the_past_and_the_next_one_are_listed_newest_first(demo):
    demo.clock.advance(rounds=2)
    listed = demo.rounds(demo.clock.now())
    assert [round_.number for round_ in listed] == [1415, 1414, 1413, 1412]


def test_saturdays_round_takes_late_submissions_until_it_closes(demo, submit, live_frame):
    demo.clock.advance(rounds=2)
    saturday, second = demo.latest(demo.clock.now()), timedelta(seconds=1)
    content = to_csv(live_frame())
    deadline, close = saturday.close_staking_time, saturday.close_time
    for moment in (deadline - second, deadline, close - second):
        demo.store.set_instant(moment)
        submit(content)
    late = {submission.inserted_at: submission.late for submission in demo.store.submissions()}
    assert late == {deadline - second: False, deadline: True, close - second: True}
    demo.store.set_instant(close)
    with pytest.raises(Refusal, match="not open"):
        submit(content)


def test_a_score_is_computed_once_and_not_shown_before_its_day(demo, submit, csv, monkeypatch):
    computed = []
    plain = module.score_submission

    def count(content, world, era, number, days):
        computed.append(list(days))
        return plain(content, world, era, number, days)

    monkeypatch.setattr(module, "score_submission", count)
    opened = demo.latest(demo.clock.now())
    submit(csv)
    (submission,) = demo.store.submissions()
    assert demo.scores(submission, opened.score_time(1) - timedelta(seconds=1)) == {}
    third = demo.scores(submission, opened.score_time(3))
    again = DemoTournament(demo.folder.parent, "tiny", 0).scores(submission, opened.score_time(4))
    assert computed == [[1, 2, 3], [4]]
    assert third.items() < again.items()
    assert demo.scores(submission, opened.score_time(3)) == third
