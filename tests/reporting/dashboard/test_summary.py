"""The last lines of a run give its result, and where to look."""

from pathlib import Path
from types import SimpleNamespace

from tests.reporting.dashboard.samples import summary

from numerai_kedro.reporting.dashboard.summary import (
    gate_text,
    headline,
    print_summary,
    summary_lines,
)


def test_summary_lines_say_what_the_run_came_to():
    lines = dict(summary_lines(summary()))
    assert (
        lines["data"]
        == "v5.3, eras 0001-0400, target_ender_60 resolved to 0387; paid 3 x CORR + 15 x MMC"
    )
    assert lines["lightgbm"].startswith("CORR .0213 [.0031, .0395]   MMC ")
    assert lines["ensemble"].endswith("Sharpe 1.31")
    assert "round 1412" in headline(summary())


def test_a_model_that_failed_says_why_in_its_line():
    failed = summary()
    failed["outcomes"]["lightgbm"] = {"status": "failed", "stage": "fit", "symptom": "no memory"}
    assert dict(summary_lines(failed))["lightgbm"] == "fit: no memory"


def test_a_cut_and_a_blocked_gate_are_lines_of_their_own():
    cut = summary(status="blocked", detail="Not submitted: CORR missed by .0040.")
    cut["cuts"] = ["every 2nd era"]
    decision = cut["gate"]["1412-demo"]
    decision |= {"passed": False, "reasons": ["CORR is .0060, wanted at least .0100"]}
    lines = dict(summary_lines(cut))
    assert lines["cut"] == "every 2nd era"
    assert lines["gate"] == "blocked, 0 of 1 checks passed: CORR is .0060, wanted at least .0100"
    assert lines["submission"] == "Not submitted: CORR missed by .0040."
    assert gate_text(decision) == lines["gate"]
    decision |= {"passed": True, "checks": [], "warnings": ["mean MMC is below zero"]}
    assert gate_text(decision) == "passed, 0 of 0 checks; warning: mean MMC is below zero"


def test_a_later_run_does_not_hide_what_was_accepted():
    again = summary(detail="accepted for model demo")
    again["receipts"]["1412-demo"]["later"] = {"detail": "no round is open"}
    again["scores"]["ensemble"]["sharpe"] = None
    lines = dict(summary_lines(again))
    assert lines["submission"] == "no round is open"
    assert lines[""] == "from before it stays: accepted for model demo"
    assert lines["ensemble"].endswith("Sharpe –")


def test_piped_lines_are_plain_and_say_how_long_it_took(capsys):
    page = SimpleNamespace(_describe=lambda: {"filepath": str(Path.cwd() / "data" / "x.html")})
    now = SimpleNamespace(number=1412, describe=lambda: "round 1412, open for another 46 min")
    tournament = SimpleNamespace(newest_round=lambda: now)
    catalog = SimpleNamespace(get=lambda name: page, load=lambda name: tournament)
    print_summary(summary(), catalog, seconds=161, tracking_uri="postgresql://me:hunter2@db/x")
    text = capsys.readouterr().out
    assert "\x1b" not in text
    begin = "numerai_kedro · demo tournament · round 1412, open for another "
    assert text.splitlines()[0] == f"{begin}46 min"
    tournament.newest_round = lambda: SimpleNamespace(number=1413)
    print_summary(summary(), catalog, seconds=161, tracking_uri=None)
    assert capsys.readouterr().out.splitlines()[0] == f"{begin}47 min"
    assert "look        data/x.html · kedro viz run · mlflow ui --backend" in text
    assert "hunter2" not in text
    assert text.splitlines()[-1].split() == ["took", "2", "min", "41", "s"]
