"""A replay moves the clock between weeks only, counts real fits, and ends where a week fails."""

import json
from types import SimpleNamespace

import pytest

from numerai_kedro.cli import replay as module
from numerai_kedro.cli.replay import ReplayError, replay


class Project:
    """Runs that leave a summary, a model for each fit, and now and then a failure."""

    def __init__(self, data_folder, fits, exit_codes=(), blocked=()):
        self.data_folder, self.fits = data_folder, fits
        self.exit_codes = list(exit_codes) or [0] * len(fits)
        self.events, self.blocked = [], blocked

    def run(self, command, cwd, check):
        week = self.events.count("run")
        self.events.append("run")
        models = self.data_folder / "06_models" / "fold_store" / "models"
        for number in range(self.fits[week]):
            (models / f"{week}-{number}").mkdir(parents=True)
        report = self.data_folder / "08_reporting"
        report.mkdir(exist_ok=True)
        passed = {"passed": True, "checks": [{"passed": True, "kind": "record"}], "reasons": []}
        summary = {
            "round": {"number": 1412 + 5 * week},
            "data": {"last_era": 160 + week},
            "scores": {"ensemble": {"corr": {"text": ".0213 [too few eras]"}}},
            "gate": {"a": passed, "b": passed},
            "receipts": {"a": {"status": "accepted"}, "b": {"status": "written"}},
        }
        (report / "run_summary.json").write_text(json.dumps(summary))
        if week in self.blocked:
            receipts = self.data_folder / "07_model_output" / "receipts"
            receipts.mkdir(parents=True, exist_ok=True)
            (receipts / f"{1412 + 5 * week}-demo.json").write_text("{}")
        (self.data_folder / ".incremental").mkdir(exist_ok=True)
        nodes = {"ran": {"fit": "never ran here"}, "current": ["a"] * week}
        (self.data_folder / ".incremental" / "last_run.json").write_text(json.dumps(nodes))
        return SimpleNamespace(returncode=self.exit_codes[week])

    def advance(self, weeks):
        self.events.append(f"advance {weeks}")


@pytest.fixture
def play(tmp_path, monkeypatch):
    def start(n_weeks, **how):
        project = Project(tmp_path, **how)
        demo = SimpleNamespace(clock=project)
        monkeypatch.setattr(module.subprocess, "run", project.run)
        monkeypatch.setattr(module, "open_demo", lambda settings: demo)
        monkeypatch.setattr(module, "prepare_with_bar", lambda demo: project.events.append("build"))
        settings = SimpleNamespace(data_folder=tmp_path)
        return project, lambda: replay(tmp_path, settings, n_weeks)

    return start


def test_the_clock_moves_and_the_world_is_built_between_weeks_only(play):
    project, start = play(3, fits=[2, 0, 0])
    weeks = start()
    assert project.events == ["run", *["advance 1", "build", "run"] * 2]
    assert [(week.round_number, week.last_era) for week in weeks] == [
        (1412, 160),
        (1417, 161),
        (1422, 162),
    ]


def test_fits_are_those_of_the_week_not_of_all_weeks(play):
    _, start = play(3, fits=[5, 0, 2])
    assert [week.fits for week in start()] == [5, 0, 2]


def test_nodes_that_ran_and_that_were_current_are_counted(play):
    _, start = play(2, fits=[1, 0])
    assert [(week.ran, week.current) for week in start()] == [(1, 0), (1, 1)]


def test_every_slot_is_in_the_table(play, capsys):
    _, start = play(1, fits=[1])
    (week,) = start()
    assert week.submission == "accepted; written"
    assert week.gate == "passed, 1 of 1 checks; passed, 1 of 1 checks"
    assert "1412" in capsys.readouterr().out


def test_a_week_that_fails_ends_the_replay_after_the_table_of_those_before(play, capsys):
    project, start = play(4, fits=[1, 0, 0, 0], exit_codes=[0, 3, 0, 0])
    with pytest.raises(ReplayError, match="week 2 of 4: the run ended with exit code 3"):
        start()
    assert project.events.count("run") == 2
    table = capsys.readouterr().out
    assert "1412" in table
    assert "1417" not in table


def test_a_week_that_was_blocked_is_a_week_like_any_other(play):
    """The run ends with exit code 1 and a receipt that says why."""
    _, start = play(3, fits=[1, 0, 0], exit_codes=[0, 1, 0], blocked=[1])
    assert [week.round_number for week in start()] == [1412, 1417, 1422]
