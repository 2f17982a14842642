"""The gate opens for numbers that were computed and passed, and for nothing else."""

from numerai_kedro.reasons import BlockReason
from numerai_kedro.statistics.gate import Check, GateDecision

GOOD = Check(BlockReason.TOO_FEW_ERAS, "eras", 80, "at least", 60)
BAD = Check(BlockReason.CORR_NOT_ABOVE_ZERO, "CORR", -0.01, "above", 0.0)
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
    assert (row["reason"], row["kind"]) == ("corr_below_benchmark", "absolute")
    assert row["why"] == "CORR is far below the benchmark's; improve the models"
    assert GOOD.as_json()["why"] == ""


def test_only_a_comparison_lets_the_champion_stand_in():
    assert GateDecision((GOOD, WORSE)).kept_by_comparison
    assert not GateDecision((GOOD, BAD, WORSE)).kept_by_comparison
    assert not GateDecision((GOOD,)).kept_by_comparison
