"""Attempts get lighter while memory lacks, and every remedy is told with what came of it."""

import pytest

from numerai_kedro.compute.recovery import Recovery, noted
from numerai_kedro.compute.remedies import AGAIN, failed_fit, symptom_of, until_it_fits
from numerai_kedro.errors import PanelError, ProcessDied, ResourceError

LADDER = ("every second era", "every fourth era")


def attempts(*outcomes):
    """An attempt that raises or returns each in turn, and the steps that it was called with."""
    steps, left = [], list(outcomes)

    def attempt(lighter):
        steps.append(lighter)
        outcome = left.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    return attempt, steps


def told(lines):
    return [(line.place, line.symptom, line.evidence, line.remedy, line.result) for line in lines]


def test_what_fits_at_once_needs_no_remedy():
    attempt, steps = attempts("model")
    made = until_it_fits("fit", "tabm", LADDER, attempt)
    assert (made.value, made.lighter, made.lines(), steps) == ("model", 0, [], [0])


def test_each_lack_of_memory_is_a_step_of_the_ladder():
    attempt, steps = attempts(ResourceError("a"), MemoryError("b"), "model")
    made = until_it_fits("fit", "tabm", LADDER, attempt)
    assert (made.value, made.lighter, steps) == ("model", 2, [0, 1, 2])
    assert told(made.remedies) == [
        ("tabm", "not enough memory", "a", LADDER[0], "it did not help"),
        ("tabm", "not enough memory", "b", LADDER[1], "succeeded"),
    ]
    assert made.lines()[0]["remedy"] == LADDER[0]


def test_a_ladder_may_be_entered_above_its_foot_and_ends():
    attempt, steps = attempts(ResourceError("a"), ResourceError("b"))
    failed = until_it_fits("fit", "tabm", LADDER, attempt, lighter=1)
    assert steps == [1, 2]
    assert (failed.stage, failed.symptom, failed.kind) == ("fit", "b", "resource")
    assert [line["result"] for line in failed.remedies] == ["it did not help"]


def test_an_error_that_no_memory_cures_fails_at_once():
    attempt, steps = attempts(PanelError("torn"))
    failed = until_it_fits("fit", "tabm", LADDER, attempt)
    assert (failed.symptom, failed.remedies, steps) == ("torn", (), [0])
    assert failed.kind != "resource"


def test_a_bug_is_raised():
    attempt, _ = attempts(ZeroDivisionError("a bug"))
    with pytest.raises(ZeroDivisionError):
        until_it_fits("fit", "tabm", LADDER, attempt)


def test_a_killed_process_is_tried_again_once_and_then_fails():
    killed = ProcessDied("tabm", -11, 1.0, 8.0, kernel_killed=False)
    attempt, steps = attempts(killed, "model")
    made = until_it_fits("fit", "tabm", LADDER, attempt)
    assert (made.value, made.lighter, steps) == ("model", 0, [0, 0])
    assert told(made.remedies) == [("tabm", killed.symptom, str(killed), AGAIN, "succeeded")]
    attempt, steps = attempts(killed, killed, "lighter")
    made = until_it_fits("fit", "tabm", LADDER, attempt)
    assert (made.value, steps) == ("lighter", [0, 0, 1])
    assert [line["result"] for line in made.lines()] == ["it did not help", "succeeded"]


def test_a_process_that_stalls_again_fails_without_a_lighter_attempt():
    stalled = ProcessDied("tabm", -9, 1.0, 8.0, kernel_killed=False, stalled_s=60)
    attempt, steps = attempts(stalled, stalled)
    failed = until_it_fits("fit", "tabm", LADDER, attempt)
    assert steps == [0, 0]
    assert [line["remedy"] for line in failed.remedies] == [AGAIN]


def test_a_process_killed_for_memory_goes_lighter_at_once():
    killed = ProcessDied("tabm", -9, 1.0, 0.1, kernel_killed=True)
    attempt, steps = attempts(killed, "lighter")
    made = until_it_fits("fit", "tabm", LADDER, attempt)
    assert (made.value, steps) == ("lighter", [0, 1])
    assert made.remedies[0].remedy == LADDER[0]


@pytest.mark.parametrize("words", ["std::bad_alloc", "CUDA out of memory", "Cannot allocate"])
def test_libraries_own_words_for_no_memory_are_known(words):
    failed = failed_fit("fit", RuntimeError(words))
    assert (failed.kind, failed.symptom) == ("resource", f"no memory left ({words})")


def test_an_error_without_words_is_told_by_its_name():
    assert failed_fit("fit", MemoryError()).symptom == "MemoryError"
    assert symptom_of(MemoryError()) == "not enough memory"


def test_lines_that_an_error_brings_come_after_the_remedies():
    error = ResourceError("a")
    error.lines = ({"remedy": "own"},)
    assert failed_fit("fit", error, ({"remedy": "first"},)).remedies == (
        {"remedy": "first"},
        {"remedy": "own"},
    )


def test_a_fault_is_logged_and_its_line_has_the_time(caplog):
    line = noted("fold 0101", "no memory", "5 GB", "fewer eras")
    assert caplog.messages == ["fold 0101: no memory (5 GB): fewer eras"]
    assert noted("fold 0101", "no memory", "", "fewer eras", "succeeded").result
    assert caplog.messages[1] == "fold 0101: no memory: fewer eras"
    assert line.time.endswith("+00:00")
    assert len(line.time) == len("2026-01-01T00:00:00+00:00")
    assert line.as_json() == {
        "time": line.time,
        "place": "fold 0101",
        "symptom": "no memory",
        "evidence": "5 GB",
        "remedy": "fewer eras",
        "result": "",
    }
    assert Recovery(**line.as_json()) == line
