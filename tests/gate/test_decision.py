"""The gate opens for numbers that were computed and passed, and for nothing else."""

from numerai_kedro.gate.decision import Check, GateDecision
from numerai_kedro.reasons import BlockReason

GOOD = Check(BlockReason.TOO_FEW_ERAS, "eras", 80, "at least", 60)
BAD = Check(BlockReason.CORR_NOT_ABOVE_ZERO, "CORR", -0.01, "above", 0.0)
UNPAID = Check(BlockReason.EXPOSURE_TOO_HIGH, "exposure", 0.3, "at most", 0.2)
BROKEN = Check(BlockReason.LIVE_CONSTANT, "deviation", 0.0, "at least", 0.2)
STALE = Check(BlockReason.LIVE_STALE, "share", 1.0, "at most", 0.5)
WORSE = Check(BlockReason.WORSE_THAN_CHAMPION, "payoff", -0.1, "at least", 0.0)


def test_a_number_that_could_not_be_computed_passes_nothing():
    for side in ("at least", "at most", "above"):
        assert not Check(BlockReason.TIED, "x", float("nan"), side, 0.0).passed


def test_no_checks_at_all_let_nothing_through():
    assert not GateDecision(()).passed


def test_a_miss_says_by_how_much_and_what_helps():
    check = Check(BlockReason.CORR_BELOW_BENCHMARK, "CORR", 0.004, "at least", 0.010)
    assert str(check) == "CORR is .0040, wanted at least .0100: missed by .0060"
    row = check.as_json()
    assert (row["reason"], row["kind"]) == ("corr_below_benchmark", "warning")
    assert (row["why"], row["remedy"]) == (
        "CORR is far below the benchmark's",
        "improve the models",
    )
    assert (GOOD.as_json()["why"], GOOD.as_json()["remedy"]) == ("", GOOD.reason.remedy)


def test_a_warning_is_said_and_blocks_nothing():
    decision = GateDecision((GOOD, UNPAID))
    assert decision.passed
    assert decision.as_json()["reasons"] == []
    (warning,) = decision.as_json()["warnings"]
    assert warning.startswith("feature exposure is far above the benchmark's: exposure is .3000")


def test_a_champion_stands_in_for_predictions_but_not_for_data_nor_for_its_own_record():
    for checks, differing, same in (
        ((GOOD,), False, False),
        ((GOOD, UNPAID), False, False),
        ((GOOD, WORSE), True, True),
        ((GOOD, BROKEN), True, True),
        ((GOOD, BAD), True, False),
        ((GOOD, BAD, BROKEN), True, False),
        ((GOOD, WORSE, STALE), False, False),
    ):
        decision = GateDecision(checks)
        assert decision.leaves_champion(same_configuration=False) == differing
        assert decision.leaves_champion(same_configuration=True) == same
