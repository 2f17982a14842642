"""The rules of submission: what is refused before it is uploaded, and every reason for it."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pandas as pd

from numerai_kedro.errors import (
    CredentialsError,
    NumeraiKedroError,
    RoundClosed,
    SubmissionError,
    TournamentRefused,
    TournamentUnreachable,
)
from numerai_kedro.metrics.ranks import percentile_rank
from numerai_kedro.reasons import BlockReason

COLUMNS = ["id", "prediction"]
UNNAMED_SLOT = "unnamed"  # its csv is written and never uploaded
MIN_STD = 1e-3
MAX_TIED_SHARE = 0.10
# 17 digits round-trip to the same float64: the same predictions give the same bytes.
FLOAT_FORMAT = "%.17g"


REASON_OF: dict[type[NumeraiKedroError], BlockReason] = {
    RoundClosed: BlockReason.ROUND_CLOSED,
    CredentialsError: BlockReason.NO_KEYS,
    TournamentRefused: BlockReason.REFUSED,
    TournamentUnreachable: BlockReason.UNREACHABLE,
}


class RuleBroken(SubmissionError):
    """A `SubmissionError` that also carries which rule was broken."""

    def __init__(
        self,
        reason: BlockReason,
        finding: str,
        remedy: str = "run the ensemble pipeline again on this round's live data",
    ) -> None:
        super().__init__(f"submission: {reason.value}: {finding}. Nothing was uploaded; {remedy}.")
        self.reason = reason


def reason_of(error: NumeraiKedroError) -> BlockReason:
    """The reason for an error that took the place of a receipt."""
    if isinstance(error, RuleBroken):
        return error.reason
    kinds = (reason for kind, reason in REASON_OF.items() if isinstance(error, kind))
    return next(kinds, BlockReason.REFUSED)


def validate_submission(live_ids: pd.Series, frame: pd.DataFrame) -> None:
    """Check a submission by Numerai's own rules and by our stricter ones.

    Parameters
    ----------
    live_ids : Series of str
        Ids of this round's live.parquet, in any order.
    frame : DataFrame
        Columns ``id`` and ``prediction``.

    Raises
    ------
    SubmissionError
        As `RuleBroken`: which rule, what was found, and how often.

    References
    ----------
    numerai-tools, `submissions.validate_submission_numerai`. Ours go further: it lets 0, 1 and
    1.000009 pass, ids of another round, and a spread of 1e-6.
    """
    _check_columns(frame)
    _check_ids(live_ids.astype(str), frame["id"])
    _check_values(frame["prediction"])
    _check_by_numerai_tools(live_ids, frame)


def read_csv(text: str) -> pd.DataFrame:
    """The table of a csv, ids as texts.

    Raises
    ------
    SubmissionError
        It is not a csv.
    """
    try:
        return pd.read_csv(io.StringIO(text), dtype={"id": str})
    except ValueError as error:  # every error of pandas about a csv is one
        message = " ".join(str(error).split())
        raise RuleBroken(BlockReason.COLUMNS_WRONG, f"no csv ({message})") from None


def csv_of_ranks(predictions: pd.DataFrame) -> str:
    """Live predictions as they are submitted: ranks in (0, 1), by id."""
    frame = predictions[COLUMNS].copy()
    frame["prediction"] = percentile_rank(frame[["prediction"]].to_numpy(np.float64))[:, 0]
    return to_csv(frame).decode()


def to_csv(frame: pd.DataFrame) -> bytes:
    """The submission as the bytes that are uploaded: sorted by id, every digit, LF.

    The order of rows does not count to Numerai; ours makes equal predictions equal bytes.
    """
    ordered = frame[COLUMNS].sort_values("id", ignore_index=True)
    text: str = ordered.to_csv(index=False, float_format=FLOAT_FORMAT, lineterminator="\n")
    return text.encode()


def _check_columns(frame: pd.DataFrame) -> None:
    if list(frame.columns) != COLUMNS:
        raise RuleBroken(
            BlockReason.COLUMNS_WRONG, f"found {', '.join(map(str, frame.columns)) or 'none'}"
        )


def _check_ids(live: pd.Series, ids: pd.Series) -> None:
    if ids.isna().any():
        raise RuleBroken(BlockReason.IDS_MISSING, f"{ids.isna().sum()} rows have no id")
    ids = ids.astype(str)
    if ids.duplicated().any():
        first = ids[ids.duplicated()].iloc[0]
        raise RuleBroken(
            BlockReason.IDS_REPEATED, f'"{first}" and {ids.duplicated().sum() - 1} more'
        )
    missing, extra = live[~live.isin(ids)], ids[~ids.isin(live)]
    if len(missing):
        raise RuleBroken(
            BlockReason.IDS_MISSING, f'"{missing.iloc[0]}" and {len(missing) - 1} more'
        )
    if len(extra):
        raise RuleBroken(BlockReason.IDS_EXTRA, f'"{extra.iloc[0]}" and {len(extra) - 1} more')


def _check_values(predictions: pd.Series) -> None:
    if not pd.api.types.is_float_dtype(predictions.dtype):
        raise RuleBroken(BlockReason.NOT_FINITE, f"their type is {predictions.dtype}, not float")
    values: np.ndarray[Any, np.dtype[np.float64]] = predictions.to_numpy(np.float64)
    wrong = ~np.isfinite(values)
    if wrong.any():
        raise RuleBroken(
            BlockReason.NOT_FINITE, f"{wrong.sum()} rows, the first is {values[wrong][0]}"
        )
    outside = (values <= 0) | (values >= 1)
    if outside.any():
        raise RuleBroken(
            BlockReason.OUT_OF_RANGE, f"{outside.sum()} rows, the first is {values[outside][0]}"
        )
    if len(values) < 2 or values.std(ddof=1) <= MIN_STD:
        raise RuleBroken(BlockReason.CONSTANT, f"standard deviation at most {MIN_STD}")
    tied = 1 - len(np.unique(values)) / len(values)
    if tied > MAX_TIED_SHARE:
        raise RuleBroken(BlockReason.TIED, f"{tied:.0%}, at most {MAX_TIED_SHARE:.0%} may be")


def _check_by_numerai_tools(live_ids: pd.Series, frame: pd.DataFrame) -> None:
    from numerai_tools.submissions import validate_submission_numerai

    try:
        validate_submission_numerai(live_ids, frame.reset_index(drop=True))
    except AssertionError as refused:
        raise RuleBroken(BlockReason.REFUSED_BY_RULES, str(refused)) from None
