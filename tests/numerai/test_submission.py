import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as some
from numerai_tools.submissions import validate_submission_numerai

from numerai_kedro.errors import (
    CredentialsError,
    RoundClosed,
    RoundMoved,
    SubmissionError,
    TournamentRefused,
    TournamentUnreachable,
)
from numerai_kedro.numerai.submission import (
    RuleBroken,
    csv_of_ranks,
    read_csv,
    reason_of,
    to_csv,
    validate_submission,
)
from numerai_kedro.reasons import BlockReason

N = 50
LIVE = pd.Series([f"n{number:015x}" for number in range(N)])


def valid():
    return pd.DataFrame({"id": LIVE[::-1].to_numpy(), "prediction": (np.arange(N) + 0.5) / N})


def with_value(value, row=3):
    return valid().assign(prediction=lambda f: f["prediction"].where(f.index != row, value))


BROKEN = {
    "index instead of column": (valid().set_index("id"), BlockReason.COLUMNS_WRONG),
    "one column more": (valid().assign(era="X"), BlockReason.COLUMNS_WRONG),
    "other name": (valid().rename(columns={"prediction": "p"}), BlockReason.COLUMNS_WRONG),
    "one id short": (valid().iloc[1:], BlockReason.IDS_MISSING),
    "no rows": (valid().iloc[:0], BlockReason.IDS_MISSING),
    "an id is NaN": (
        valid().assign(id=lambda f: f["id"].where(f.index > 0)),
        BlockReason.IDS_MISSING,
    ),
    "an id twice": (pd.concat([valid(), valid().iloc[:1]]), BlockReason.IDS_REPEATED),
    "an id of last week": (
        pd.concat([valid(), pd.DataFrame({"id": ["nffff"], "prediction": [0.5]})]),
        BlockReason.IDS_EXTRA,
    ),
    "NaN": (with_value(np.nan), BlockReason.NOT_FINITE),
    "infinite": (with_value(np.inf), BlockReason.NOT_FINITE),
    "text": (valid().assign(prediction="0.5"), BlockReason.NOT_FINITE),
    "exactly 0": (with_value(0.0), BlockReason.OUT_OF_RANGE),
    "exactly 1": (with_value(1.0), BlockReason.OUT_OF_RANGE),
    "above 1": (with_value(1.000009), BlockReason.OUT_OF_RANGE),
    "below 0": (with_value(-1e-8), BlockReason.OUT_OF_RANGE),
    "constant": (valid().assign(prediction=0.5), BlockReason.CONSTANT),
    "nearly constant": (
        valid().assign(prediction=lambda f: 0.5 + f["prediction"] * 1e-4),
        BlockReason.CONSTANT,
    ),
    "many ties": (
        valid().assign(prediction=lambda f: (f["prediction"] * 5).round() / 6 + 0.01),
        BlockReason.TIED,
    ),
}


def test_a_valid_submission_passes_both_judges():
    validate_submission(LIVE, valid())
    validate_submission_numerai(LIVE, valid())


@pytest.mark.parametrize("name", BROKEN)
def test_each_rule_is_named_and_nothing_is_uploaded(name):
    frame, reason = BROKEN[name]
    with pytest.raises(RuleBroken) as refused:
        validate_submission(LIVE, frame)
    assert refused.value.reason is reason
    assert reason.value in str(refused.value)
    assert "Nothing was uploaded" in str(refused.value)


FOUND = {
    "no rows": '"n000000000000000" and 49 more',
    "one id short": '"n000000000000031" and 0 more',
    "an id is NaN": "1 rows have no id",
    "an id twice": '"n000000000000031" and 0 more',
    "an id of last week": '"nffff" and 0 more',
    "index instead of column": "found prediction",
    "one column more": "found id, prediction, era",
    "NaN": "1 rows, the first is nan",
    "above 1": "1 rows, the first is 1.000009",
    "constant": "standard deviation at most 0.001",
    "many ties": "88%, at most 10% may be",
}


@pytest.mark.parametrize("name", FOUND)
def test_a_refusal_says_what_was_found_and_how_often(name):
    frame, reason = BROKEN[name]
    with pytest.raises(RuleBroken) as refused:
        validate_submission(LIVE, frame)
    assert str(refused.value) == (
        f"submission: {reason.value}: {FOUND[name]}. Nothing was uploaded; run the ensemble "
        "pipeline again on this round's live data."
    )


def test_one_tie_in_ten_is_let_pass_and_a_spread_above_a_thousandth():
    tied = valid()
    tied.loc[:5, "prediction"] = 0.3  # 45 values of 50
    validate_submission(LIVE, tied)
    tied.loc[6, "prediction"] = 0.3
    with pytest.raises(RuleBroken, match="12%, at most 10% may be"):
        validate_submission(LIVE, tied)
    narrow = valid()["prediction"] - 0.5
    narrow /= narrow.std()
    validate_submission(LIVE, valid().assign(prediction=0.5 + 0.00101 * narrow))
    with pytest.raises(RuleBroken, match="standard deviation"):
        validate_submission(LIVE, valid().assign(prediction=0.5 + 0.00099 * narrow))


def test_an_error_has_the_reason_of_its_kind():
    reasons = {
        RuleBroken(BlockReason.TIED, "x"): BlockReason.TIED,
        RoundClosed("x"): BlockReason.ROUND_CLOSED,
        RoundMoved("x"): BlockReason.ROUND_CLOSED,
        CredentialsError("x"): BlockReason.NO_KEYS,
        TournamentRefused("x"): BlockReason.REFUSED,
        TournamentUnreachable("x"): BlockReason.UNREACHABLE,
        SubmissionError("x"): BlockReason.REFUSED,
    }
    assert [reason_of(error) for error in reasons] == list(reasons.values())


def test_ranks_are_written_by_id_and_read_as_texts():
    live = pd.DataFrame({"id": ["b", "a", "c"], "prediction": [3.0, 7.0, -1.0], "era": 1})
    text = csv_of_ranks(live)
    assert text == "id,prediction\na,0.83333333333333337\nb,0.5\nc,0.16666666666666666\n"
    assert read_csv("id,prediction\n007,0.5\n")["id"].tolist() == ["007"]
    with pytest.raises(RuleBroken, match="no csv") as refused:
        read_csv("")
    assert refused.value.reason is BlockReason.COLUMNS_WRONG


def test_ours_are_stricter_than_numerai_tools():
    """Submissions that numerai-tools accepts and we refuse."""
    let_pass = 0
    for frame, _ in BROKEN.values():
        try:
            validate_submission_numerai(LIVE, frame)
        except (AssertionError, TypeError):
            continue
        let_pass += 1
    assert let_pass >= 5


@given(some.data())
def test_no_mutation_of_one_cell_slips_through(data):
    """A changed id, or a prediction that is no rank, is refused."""
    row = data.draw(some.integers(0, N - 1))
    frame = valid()
    if data.draw(some.booleans()):
        other = data.draw(
            some.text('abn0123456789 é,"\n', max_size=20).filter(
                lambda text: text != frame.at[row, "id"]
            )
        )
        frame.loc[row, "id"] = other
    else:
        outside = some.floats(max_value=0.0) | some.floats(min_value=1.0) | some.just(np.nan)
        frame.loc[row, "prediction"] = data.draw(outside)
    with pytest.raises(SubmissionError):
        validate_submission(LIVE, frame)


def test_equal_predictions_are_equal_bytes_whatever_the_order():
    shuffled = valid().sample(frac=1, random_state=1)
    assert to_csv(shuffled) == to_csv(valid())


def test_the_csv_holds_every_digit():
    frame = valid().assign(prediction=np.random.default_rng(0).uniform(0.01, 0.99, N))
    head, *rows = to_csv(frame).decode().splitlines()
    assert head == "id,prediction"
    back = {name: float(value) for name, value in (row.split(",") for row in rows)}
    assert back == dict(zip(frame["id"], frame["prediction"], strict=True))
    assert list(back) == sorted(back)


def test_every_reason_has_a_text_of_its_own():
    texts = [reason.value for reason in BlockReason]
    assert len(set(texts)) == len(texts) == len(BlockReason.__members__)
    assert all(texts)
