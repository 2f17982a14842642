"""The gate opens for numbers that were computed and passed, and for nothing else."""

from numerai_kedro.statistics.gate import Check, GateDecision


def test_a_number_that_could_not_be_computed_passes_nothing():
    for side in ("at least", "at most", "above"):
        assert not Check("x", "x", float("nan"), side, 0.0).passed


def test_no_checks_at_all_let_nothing_through():
    assert not GateDecision(()).passed


def test_a_miss_says_by_how_much():
    check = Check("corr", "CORR", 0.004, "at least", 0.010)
    assert str(check) == "CORR is .0040, wanted at least .0100: missed by .0060"
