"""The tournament's words about a submission: an unknown one is never taken for a success."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from numerai_kedro.numerai.validation import (
    FAILED,
    PENDING,
    VALIDATED,
    Verdict,
    error_of,
    may_pass_again,
    verdict_of,
)

WORDS = some.sampled_from(sorted(VALIDATED | PENDING | FAILED | {"none", "", "late", "vetting"}))
ENTRIES = some.fixed_dictionaries(
    {},
    optional={
        "status": some.none() | WORDS | some.text(max_size=12),
        "errorInfo": some.none() | some.text(max_size=12),
        "selected": some.none() | some.booleans(),
    },
)


@pytest.mark.parametrize(
    ("status", "selected", "verdict"),
    [
        ("validated", False, Verdict.VALIDATED),
        (" Success ", None, Verdict.VALIDATED),
        ("none", True, Verdict.VALIDATED),  # what older entries say
        (None, True, Verdict.VALIDATED),
        ("late", True, Verdict.VALIDATED),
        ("none", False, Verdict.UNKNOWN),
        (None, None, Verdict.UNKNOWN),
        ("vetting", False, Verdict.UNKNOWN),
        ("not valid", False, Verdict.UNKNOWN),
        ("pending", False, Verdict.PENDING),
        ("validation_pending", True, Verdict.PENDING),
        ("IN_PROGRESS", False, Verdict.PENDING),
        ("failed", False, Verdict.FAILED),
        ("validation-failed", True, Verdict.FAILED),
    ],
)
def test_a_status_is_read_by_its_words_and_by_what_is_selected(status, selected, verdict):
    assert verdict_of({"status": status, "selected": selected}) is verdict


@settings(deadline=None)
@given(entry=ENTRIES)
def test_an_error_fails_and_nothing_but_a_named_word_or_the_selection_validates(entry):
    verdict = verdict_of(entry)
    if error_of(entry):
        assert verdict is Verdict.FAILED
    if verdict is Verdict.VALIDATED:
        named = (entry.get("status") or "").strip().lower() in VALIDATED
        assert named or entry["selected"]


@pytest.mark.parametrize("empty", [None, "", "  ", "none", "null", "[]", "{}"])
def test_an_error_field_without_an_error_is_none(empty):
    assert error_of({"errorInfo": empty}) == ""


@pytest.mark.parametrize(
    ("error", "again"),
    [
        ("Internal server error", True),
        ("internal error", True),
        ("The check timed out", True),
        ("Timeout", True),
        ("Temporarily unavailable, try again later", True),
        ("invalid_submission_ids: Not enough stocks submitted", False),
        ("Predictions must not contain NaNs", False),
        ("", False),
    ],
)
def test_only_a_fault_of_the_service_may_pass_again(error, again):
    assert may_pass_again(error) is again
