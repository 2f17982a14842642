"""What the user can fix reaches the terminal as one sentence; a bug keeps its traceback."""

import pytest
import yaml
from kedro.io import DatasetError
from kedro.runner import ParallelRunner, ThreadRunner
from kedro.validation.exceptions import ParameterValidationError

from numerai_kedro.cli import commands as cli
from numerai_kedro.errors import ConfigurationError, PanelError
from numerai_kedro.runtime.hooks import SessionHooks
from numerai_kedro.runtime.sentences import sentence_of
from numerai_kedro.runtime.session import _own_run, check_pipelines, check_runner, check_versions


def test_our_own_error_is_found_under_whatever_wraps_it():
    wrapped = DatasetError("Failed while loading data\nfrom dataset X")
    wrapped.__cause__ = PanelError("the panel is torn; build it again.")
    assert sentence_of(wrapped).message == "the panel is torn; build it again."


def test_a_bug_stays_one():
    assert sentence_of(KeyError("x")) is None
    assert sentence_of(ValueError("setting an array element with a sequence")) is None


def test_a_missing_file_names_the_command_that_makes_it():
    error = DatasetError("Failed while loading.\nData set x. history_panel does not exist yet")
    assert "run the pipeline that makes it first" in sentence_of(error).message


def test_blocks_lose_kedros_preamble():
    text = (
        "Parameter validation failed:\n"
        "- Parameter 'submission': Failed to instantiate SubmissionParams for parameter "
        "'submission': upload: 'maybe' should be 'auto'\n"
        "- Parameter 'gate': value is None but type is not Optional"
    )
    message = sentence_of(ParameterValidationError(text)).message
    assert message.startswith(
        "parameters: submission.upload: 'maybe' should be 'auto'; gate.value is None"
    )
    assert "instantiate" not in message


def test_a_misspelt_node_or_namespace_says_where_the_names_are():
    error = ValueError("Pipeline does not contain nodes named ['nope'].")
    assert sentence_of(error).message == (
        "Pipeline does not contain nodes named ['nope']; kedro registry describe names its nodes."
    )


def test_a_misspelt_pipeline_is_named_with_the_closest():
    check_pipelines(["weekly", "gbm", "__default__"])
    with pytest.raises(ConfigurationError, match='no pipeline "weeky"; did you mean weekly\\?'):
        check_pipelines(["weeky"])
    with pytest.raises(
        ConfigurationError, match="did you mean backtest or deep_learning or ensemble"
    ):
        check_pipelines(["zzz"])


def test_a_file_that_is_no_yaml_is_a_sentence_with_its_place():
    error = yaml.YAMLError("Invalid YAML file conf/local/parameters.yml, unable to read line 2")
    assert sentence_of(error).message.startswith("Invalid YAML file conf/local/parameters.yml")


def test_the_runner_of_processes_is_refused_with_the_ones_that_work():
    check_runner(ThreadRunner())
    with pytest.raises(ConfigurationError, match="leave --runner out, or take ThreadRunner"):
        check_runner(ParallelRunner())


def test_a_run_of_another_session_is_refused():
    with pytest.raises(ConfigurationError, match="neither the lock of the data folder"):
        SessionHooks().before_pipeline_run()
    with _own_run():
        SessionHooks().before_pipeline_run()


def test_versions_of_entries_are_refused():
    check_versions(None)
    with pytest.raises(ConfigurationError, match="no entry of this project is versioned"):
        check_versions({"folds": "2020"})


@pytest.mark.filterwarnings("ignore:register_new_resolver:UserWarning")
def test_commands_obey_the_environment_that_is_chosen(tmp_path, monkeypatch):
    for env in ("base", "local", "other"):
        (tmp_path / "conf" / env).mkdir(parents=True)
        (tmp_path / "conf" / env / "globals.yml").write_text(f"size: {env}\n")
    for chosen, size in ((None, "local"), ("other", "other")):
        monkeypatch.delenv("KEDRO_ENV", raising=False)
        if chosen:
            monkeypatch.setenv("KEDRO_ENV", chosen)
        assert cli._loader(tmp_path)["globals"]["size"] == size
