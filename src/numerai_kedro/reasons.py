"""One enumeration of all reasons why nothing, or something else, is submitted.

The table in ``docs/gate.md`` is generated from it (``python tools/reasons_table.py``).
"""

from __future__ import annotations

from enum import StrEnum
from typing import Literal, Self

Kind = Literal["rule", "data", "predictions", "record", "comparison", "warning"]
# What follows when a check of a kind fails.
CONSEQUENCES: dict[Kind, str] = {
    "rule": "nothing is uploaded; an override does not help",
    "data": "nothing is submitted: the live data are not what they should be",
    "predictions": "the champion's predictions are submitted instead; without one, nothing",
    "record": "the champion's predictions are submitted instead where its configuration is "
    "another one and its own record passes; nothing otherwise",
    "comparison": "the champion's predictions are submitted instead",
    "warning": "it is shown, and changes nothing",
}


class BlockReason(StrEnum):
    """Each value is the text that the user reads.

    Attributes
    ----------
    kind
        What follows from it; see `CONSEQUENCES`.
    remedy
        What helps.
    """

    kind: Kind
    remedy: str

    def __new__(cls, text: str, kind: Kind, remedy: str) -> Self:
        """Keep kind and remedy beside the text."""
        reason = str.__new__(cls, text)
        reason._value_ = text
        reason.kind = kind
        reason.remedy = remedy
        return reason

    # Rules of the tournament for submissions, and of this project for uploading.
    SWITCHED_OFF = (
        "uploading is switched off (submission.upload)",
        "rule",
        "set submission.upload: true and name your model in submission.slots",
    )
    ROUND_CLOSED = (
        "no round is open for submissions",
        "rule",
        "run it again while a round is open, Tuesday to Saturday",
    )
    UNKNOWN_MODEL = (
        "the account has no such model",
        "rule",
        "name one of the account's models in submission.slots",
    )
    COLUMNS_WRONG = ("the columns are not id, prediction", "rule", "run the ensemble again")
    IDS_MISSING = ("live ids are missing", "rule", "run the models again on this round's data")
    IDS_EXTRA = (
        "ids that are not live in this round",
        "rule",
        "run the models again on this round's data",
    )
    IDS_REPEATED = ("ids are repeated", "rule", "delete live.parquet and run ingestion again")
    NOT_FINITE = ("predictions are not all finite numbers", "rule", "see the models' outcomes")
    OUT_OF_RANGE = (
        "predictions are not strictly between 0 and 1",
        "rule",
        "run the ensemble again",
    )
    CONSTANT = ("predictions are nearly constant", "rule", "see the models' outcomes")
    TIED = ("too many predictions are equal", "rule", "see the models' outcomes")
    REFUSED_BY_RULES = ("numerai-tools refuses it", "rule", "see its words in the receipt")
    NO_KEYS = (
        "there are no keys, or they were refused",
        "rule",
        "set NUMERAI_PUBLIC_ID and NUMERAI_SECRET_KEY",
    )
    REFUSED = ("the tournament refused it", "rule", "see its words in the receipt")
    NOT_CHECKED = (
        "the gate has checked other predictions",
        "rule",
        "run kedro run --pipeline=backtest, then --pipeline=submission",
    )
    UNREACHABLE = ("the tournament did not answer", "rule", "run the same command again")
    GATE = ("the gate blocked it", "rule", "see the gate's table")
    ROUND_MOVED = (
        "another round has opened since",
        "rule",
        "run it again: other stocks are live now",
    )
    NOTHING_TO_SUBMIT = (
        "uploading is switched on, and no slot is named",
        "rule",
        "name your model in submission.slots",
    )
    INVALID = (
        "the tournament found it invalid",
        "rule",
        "see its words in the receipt; run kedro run --pipeline=submit again",
    )
    RULE_UNFAMILIAR = (
        "the round pays by scores that are not weighed here (submission.unfamiliar_rule)",
        "rule",
        "read Numerai's announcement, and update this project",
    )

    # The live data.
    LIVE_STALE = (
        "the live data are those of an earlier round",
        "data",
        "run it again in some minutes: this round's file is not out yet",
    )
    LIVE_FEATURES_CONSTANT = (
        "more live features are constant than in any of the last year's eras",
        "data",
        "wait for corrected live data, or override",
    )
    LIVE_CORRELATION_SHIFT = (
        "correlations between live features differ from the last year's",
        "data",
        "wait for corrected live data, or override",
    )
    LIVE_ADVERSARIAL_AUC = (
        "a classifier separates the live stocks from the last year's (adversarial validation)",
        "data",
        "wait for corrected live data, or override",
    )

    # The live predictions.
    NO_PREDICTIONS = (
        "what feeds the slot made no predictions",
        "predictions",
        "see the models' outcomes",
    )
    PREDICTIONS_UNUSABLE = (
        "live predictions are not finite numbers for this round's stocks",
        "predictions",
        "run kedro run --pipeline=weekly again",
    )
    NO_RECORD = (
        "what feeds the slot has no record in the test period",
        "predictions",
        "see the models' outcomes; run kedro run --pipeline=prepare",
    )
    RECORD_OF_OTHER_MODELS = (
        "the record describes models of another configuration",
        "predictions",
        "run kedro run --pipeline=weekly, which scores what was fitted",
    )
    DATA_VERSION_DIFFERS = (
        "live features are of another data version than what models learned",
        "predictions",
        "run kedro run --pipeline=weekly, which brings that version's history in",
    )
    LIVE_CONSTANT = (
        "live predictions are nearly constant",
        "predictions",
        "see the models' outcomes",
    )
    LIVE_TIES = ("too many live predictions are equal", "predictions", "see the models' outcomes")
    LIVE_EXPOSURE_TOO_HIGH = (
        "live predictions follow a single feature",
        "predictions",
        "look at the members' importance; neutralise, or leave a member out",
    )
    LIVE_UNLIKE_BENCHMARK = (
        "live predictions correlate far less with the benchmark's than out of fold",
        "predictions",
        "look for rows out of order or a flipped sign; override if it is wanted",
    )
    LIVE_UNLIKE_CHAMPION = (
        "live predictions have little to do with the champion's",
        "predictions",
        "look at what changed; override if it is wanted",
    )

    # The record in the test period.
    TOO_FEW_ERAS = ("the test period has too few eras", "record", "wait until more have resolved")
    CORR_NOT_ABOVE_ZERO = (
        "CORR is not significantly above zero",
        "record",
        "improve the models",
    )
    BEST_OF_MANY = (
        "CORR is not significantly above zero for the best of so many configurations",
        "record",
        "keep a configuration, and let new eras judge it",
    )
    PAYOFF_BELOW_ZERO = (
        "the payoff is significantly below zero",
        "record",
        "leave out the members that lose, or stop staking",
    )
    MMC_BELOW_ZERO = (
        "MMC is significantly below zero",
        "record",
        "leave out the members that lose MMC, or neutralise to the benchmark",
    )
    NEWEST_YEAR_BELOW_ZERO = (
        "the newest year's payoff is significantly below zero",
        "record",
        "see which members lost it; refit or leave them out",
    )
    BURN_LIKELY = (
        "the next weeks probably burn",
        "record",
        "see the payoff era by era; stop staking until it turns",
    )
    PURGE_TOO_SHORT = (
        "a fold learned from eras that its test eras overlap",
        "record",
        "leave ingestion.purge_eras and the folds as they are",
    )
    SELECTED_ON_TEST_ERAS = (
        "parameters were chosen on eras that judge them",
        "record",
        "choose on the validation period only",
    )
    UNRESOLVED_SCORED = (
        "eras count whose targets have not resolved",
        "record",
        "delete the targets of those eras; they are not real",
    )
    RECORD_TOO_GOOD = (
        "the record is better than any honest one can be",
        "record",
        "look for a leak: targets among features, purge, choices made on test eras",
    )

    # Comparison with the configuration that was submitted before.
    WORSE_THAN_CHAMPION = (
        "it earned significantly less than the champion",
        "comparison",
        "go back to the champion's parameters, or override",
    )

    # Only shown: what is not paid for, and what the record cannot tell.
    PAYOFF_NOT_POSITIVE = (
        "the mean payoff is below zero, within its interval",
        "warning",
        "see the payoff era by era before you stake",
    )
    MMC_NOT_POSITIVE = (
        "mean MMC is below zero, within its interval",
        "warning",
        "see which members lose MMC",
    )
    NEWEST_YEAR_NOT_POSITIVE = (
        "the newest year's mean payoff is below zero, within its interval",
        "warning",
        "see which members lost it",
    )
    CORR_BELOW_BENCHMARK = (
        "CORR is far below the benchmark's",
        "warning",
        "improve the models",
    )
    SHARPE_BELOW_BENCHMARK = (
        "Sharpe is far below the benchmark's",
        "warning",
        "improve the models, or blend more of them",
    )
    DRAWDOWN_TOO_DEEP = (
        "drawdown is far deeper than the benchmark's",
        "warning",
        "improve the models, or blend more of them",
    )
    EXPOSURE_TOO_HIGH = (
        "feature exposure is far above the benchmark's",
        "warning",
        "neutralise, or blend more models",
    )
    BENCHMARK_TELLS_NOTHING = (
        "the benchmark cannot tell whether live predictions are in order",
        "warning",
        "compare with the predictions of the round before",
    )
    FITS_OF_OTHER_CODE = (
        "models were fitted by other code than is here now, as was asked for",
        "warning",
        "set incremental.keep_fits_of_other_code: false, which fits them again",
    )
    PAYOUT_UNFAMILIAR = (
        "the round pays by scores that are not weighed here",
        "warning",
        "read Numerai's announcement, and update this project",
    )


def reasons_table() -> str:
    """The enumeration as Markdown, by kind."""
    lines = ["| Reason | What it says | What helps |", "|---|---|---|"]
    for kind, consequence in CONSEQUENCES.items():
        lines.append(f"| **{kind}** | *{consequence}* | |")
        lines += [
            f"| `{reason.name.lower()}` | {reason.value} | {reason.remedy} |"
            for reason in BlockReason
            if reason.kind == kind
        ]
    return "\n".join(lines)
