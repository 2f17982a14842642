"""Every reason for which nothing, or something else, is submitted: one enumeration.

The table in ``docs/gate.md`` is made of it (``python tools/reasons_table.py``).
"""

from __future__ import annotations

from enum import StrEnum
from typing import Literal, Self

Kind = Literal["rule", "hard", "absolute", "comparison"]
# What follows when a reason of a kind is met.
CONSEQUENCES: dict[Kind, str] = {
    "rule": "nothing is uploaded; an override does not help",
    "hard": "nothing is submitted: data or predictions are not what they should be",
    "absolute": "nothing is submitted: the record does not carry it",
    "comparison": "the champion's live predictions are submitted in their place",
}


class BlockReason(StrEnum):
    """Each value is the text that the user reads.

    Attributes
    ----------
    kind
        What follows from it; see `CONSEQUENCES`.
    mend
        What helps.
    """

    kind: Kind
    mend: str

    def __new__(cls, text: str, kind: Kind, mend: str) -> Self:
        """Keep kind and mend beside the text."""
        made = str.__new__(cls, text)
        made._value_ = text
        made.kind = kind
        made.mend = mend
        return made

    # Rules of submission, and of this project about uploading.
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
    CONSTANT = ("predictions hardly differ", "rule", "see the models' outcomes")
    TIED = ("too many predictions are equal", "rule", "see the models' outcomes")
    REFUSED_BY_RULES = ("numerai-tools refuses it", "rule", "see its words in the receipt")
    NO_KEYS = (
        "there are no keys, or they were refused",
        "rule",
        "set NUMERAI_PUBLIC_ID and NUMERAI_SECRET_KEY",
    )
    REFUSED = ("the tournament refused it", "rule", "see its words in the receipt")
    NOT_JUDGED = (
        "the gate has judged other predictions",
        "rule",
        "run --pipeline=backtest, then --pipeline=submission",
    )
    UNREACHABLE = ("the tournament did not answer", "rule", "run the same command again")
    GATE = ("the gate said no", "rule", "see the gate's table")

    # The live data and predictions themselves.
    NO_PREDICTIONS = ("what feeds the slot made no predictions", "hard", "see the models' outcomes")
    NO_RECORD = (
        "what feeds the slot has no record on the judged eras",
        "hard",
        "see the models' outcomes; run --pipeline=prepare",
    )
    DATA_VERSION_DIFFERS = (
        "live features are of another data version than what models learned",
        "hard",
        "run --pipeline=weekly, which brings that version's history in",
    )
    LIVE_CONSTANT = ("live predictions hardly differ", "hard", "see the models' outcomes")
    LIVE_TIES = ("too many live predictions are equal", "hard", "see the models' outcomes")
    LIVE_EXPOSURE_TOO_HIGH = (
        "live predictions follow a single feature",
        "hard",
        "look at the members' importance; neutralise, or leave a member out",
    )
    LIVE_UNLIKE_CHAMPION = (
        "live predictions have little to do with the champion's",
        "hard",
        "look at what changed; override if it is wanted",
    )
    LIVE_FEATURES_CONSTANT = (
        "more live features are constant than in any of the last year's eras",
        "hard",
        "wait for mended live data, or override",
    )
    LIVE_CORRELATIONS_MOVED = (
        "live features hang together otherwise than in the last year",
        "hard",
        "wait for mended live data, or override",
    )
    LIVE_TOLD_APART = (
        "live stocks can be told from the last year's",
        "hard",
        "wait for mended live data, or override",
    )

    # The record on the judged eras.
    TOO_FEW_ERAS = ("too few eras are judged", "absolute", "wait until more have resolved")
    CORR_NOT_ABOVE_ZERO = ("CORR is not surely above zero", "absolute", "improve the models")
    CORR_BELOW_BENCHMARK = ("CORR is far below the benchmark's", "absolute", "improve the models")
    SHARPE_BELOW_BENCHMARK = (
        "Sharpe is far below the benchmark's",
        "absolute",
        "improve the models, or blend more of them",
    )
    DRAWDOWN_TOO_DEEP = (
        "drawdown is far deeper than the benchmark's",
        "absolute",
        "improve the models, or blend more of them",
    )
    EXPOSURE_TOO_HIGH = (
        "feature exposure is far above the benchmark's",
        "absolute",
        "neutralise, or blend more models",
    )
    PURGE_TOO_SHORT = (
        "a fold learned from eras that its test eras overlap",
        "absolute",
        "leave ingestion.purge_eras and the folds as they are",
    )
    SELECTED_ON_JUDGED = (
        "parameters were chosen on eras that judge them",
        "absolute",
        "choose on the tuning stretch only",
    )
    UNRESOLVED_SCORED = (
        "eras count whose targets have not resolved",
        "absolute",
        "delete the targets of those eras; they are not real",
    )
    RECORD_TOO_GOOD = (
        "the record is better than any honest one can be",
        "absolute",
        "look for a leak: targets among features, purge, choices made on judged eras",
    )
    OVERFITTED = (
        "the adopted parameters are probably the best by luck",
        "absolute",
        "n_trials: 0, or a higher tuning.adopt_level",
    )

    # Against the configuration that was submitted before.
    WORSE_THAN_CHAMPION = (
        "it earned surely less than the champion",
        "comparison",
        "go back to the champion's parameters, or override",
    )


def reasons_table() -> str:
    """The enumeration as Markdown, by kind."""
    lines = ["| Reason | What it says | What helps |", "|---|---|---|"]
    for kind, consequence in CONSEQUENCES.items():
        lines.append(f"| **{kind}** | *{consequence}* | |")
        lines += [
            f"| `{reason.name.lower()}` | {reason.value} | {reason.mend} |"
            for reason in BlockReason
            if reason.kind == kind
        ]
    return "\n".join(lines)
