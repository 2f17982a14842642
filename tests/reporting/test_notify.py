"""The user's command gets the outcome on its standard input, and cannot break a run."""

import json
import logging
import os

import pytest

from numerai_kedro.errors import SubmissionError
from numerai_kedro.reporting import notify as module
from numerai_kedro.reporting.notify import NotifyParams, notify


@pytest.fixture
def told(tmp_path):
    """Runs with commands that save their input."""
    receipts = tmp_path / "07_model_output" / "receipts"
    receipts.mkdir(parents=True)
    (tmp_path / "01_raw").mkdir()
    (tmp_path / "01_raw" / "round_info.json").write_text('{"number": 1412}')
    (receipts / "1412-demo.json").write_text('{"status": "accepted"}')
    (receipts / "1411-demo.json").write_text('{"status": "late"}')

    def run(error=None, **commands):
        there = {name: f"cat > {tmp_path}/{name}" for name in ("on_success", "on_failure")}
        notify(NotifyParams(**there | commands), tmp_path, ["weekly"], 12.34, error)
        return {
            name: json.loads((tmp_path / name).read_text())
            for name in there
            if (tmp_path / name).exists()
        }

    return run


def test_a_success_is_told_with_the_receipts_of_its_round(told):
    assert told() == {
        "on_success": {
            "outcome": "success",
            "pipelines": ["weekly"],
            "seconds": 12.3,
            "error": None,
            "round": 1412,
            "receipts": {"1412-demo": {"status": "accepted"}},
        }
    }


def test_a_failure_is_told_with_its_sentence_and_without_a_password(told):
    error = SubmissionError("refused by https://me:hunter2@numer.ai\nagain")
    (name, outcome) = told(error).popitem()
    assert name == "on_failure"
    assert outcome["error"] == "refused by https://***@numer.ai again"


def test_without_commands_nothing_runs(told, monkeypatch):
    monkeypatch.setattr(module.subprocess, "Popen", pytest.fail)
    assert told(on_success=None) == {}
    assert told(SubmissionError("no"), on_failure=None) == {}


def test_a_command_that_fails_or_hangs_is_a_warning(told, caplog, monkeypatch):
    with caplog.at_level(logging.WARNING):
        told(on_success="exit 3")
        monkeypatch.setattr(module, "TIMEOUT_S", 0.05)
        told(on_success="sleep 30 | sleep 30")
    assert "notify.on_success: ended with exit code 3" in caplog.text
    assert "notify.on_success: still running after 0 s, stopped" in caplog.text


def test_a_run_that_asked_for_no_round_tells_of_none(told, tmp_path):
    os.utime(tmp_path / "01_raw" / "round_info.json", (1, 1))
    (outcome,) = told(SubmissionError("no network")).values()
    assert (outcome["round"], outcome["receipts"]) == (None, {})
