import sqlite3
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as some

from numerai_kedro.demo.store import Store, Submission, selected
from numerai_kedro.errors import ConfigurationError

START = datetime(2026, 12, 3, 12, 30, tzinfo=UTC)


def test_another_size_or_seed_in_the_same_folder_is_refused_and_nothing_is_lost(tmp_path):
    store = Store(tmp_path, "tiny", 0, START)
    submission_id = store.add_submission("m", 1412, "a.csv", b"x", START, late=False, extras={})
    for size, seed in [("demo", 0), ("tiny", 1)]:
        with pytest.raises(ConfigurationError, match="size tiny and seed 0"):
            Store(tmp_path, size, seed, START)
    assert Store(tmp_path, "tiny", 0, START).content_of(submission_id) == b"x"


def test_opening_again_keeps_clock_and_models(tmp_path):
    first = Store(tmp_path, "tiny", 0, START)
    first.set_instant(START + timedelta(days=9))
    again = Store(tmp_path, "tiny", 0, START)
    assert again.instant() == START + timedelta(days=9)
    assert again.models() == first.models()
    assert [model.has_pickle for model in again.models()] == [False, False, True]


def test_a_demo_from_before_submissions_could_fail_goes_on(tmp_path):
    store = Store(tmp_path, "tiny", 0, START)
    submission_id = store.add_submission("m", 1412, "a.csv", b"x", START, late=False, extras={})
    with sqlite3.connect(tmp_path / "tournament.sqlite") as db:
        db.execute("ALTER TABLE submissions DROP COLUMN error_info")
    db.close()
    (submission,) = Store(tmp_path, "tiny", 0, START).submissions()
    assert (submission.id, submission.error_info) == (submission_id, None)


def test_an_upload_belongs_to_its_model(tmp_path):
    store = Store(tmp_path, "tiny", 0, START)
    store.announce_upload("a.csv", "mine")
    assert store.upload("a.csv", "mine") is None
    store.keep_upload("a.csv", b"content")
    assert store.upload("a.csv", "mine") == b"content"
    assert store.upload("a.csv", "other") is None


ERRORS = some.sampled_from([None, None, "invalid"])


@given(
    some.lists(some.tuples(some.sampled_from("ab"), some.integers(1, 3), some.booleans(), ERRORS))
)
def test_the_latest_valid_one_in_time_is_selected_else_the_latest_late_one(made):
    submissions = [
        Submission(str(n), model, number, "f", START, late, None, n, error)
        for n, (model, number, late, error) in enumerate(made)
    ]
    chosen = selected(submissions)
    submissions = [submission for submission in submissions if submission.error_info is None]
    for (model, number), submission_id in chosen.items():
        rivals = [
            submission
            for submission in submissions
            if (submission.model_id, submission.round_number) == (model, number)
        ]
        in_time = [submission for submission in rivals if not submission.late]
        assert submission_id == (in_time or rivals)[-1].id
    assert chosen.keys() == {
        (submission.model_id, submission.round_number) for submission in submissions
    }


def test_a_damaged_or_unwritable_store_is_one_sentence(tmp_path):
    (tmp_path / "tournament.sqlite").write_bytes(b"no database" * 100)
    with pytest.raises(ConfigurationError, match=r"cannot be used .* begin this demo again"):
        Store(tmp_path, "tiny", 0, START)
    (tmp_path / "file").touch()
    with pytest.raises(ConfigurationError, match="cannot be used"):
        Store(tmp_path / "file" / "folder", "tiny", 0, START)
