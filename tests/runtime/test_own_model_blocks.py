"""Blocks of own models are completed, and their source is seen."""

import pytest

from numerai_kedro.runtime.own_model_blocks import source_of, with_defaults

MODULE = '"""A module."""\n\nclass Ridge:\n    """A class."""\n\n    alpha = 1\n'
BLOCK = {"type": "my_models_of_tests.Ridge", "presets": {"first": {"alpha": 1.0}}}


@pytest.fixture
def project(tmp_path):
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "my_models_of_tests.py").write_text(MODULE)
    return tmp_path


def test_a_block_with_a_type_gets_the_defaults_and_others_stay(project):
    parameters = {"own_model": {"seed": 0, "preset": "first"}, "ridge": BLOCK, "gate": {"a": 1}}
    completed = with_defaults(parameters, project)
    assert completed["gate"] == {"a": 1}
    assert completed["ridge"].items() >= {"seed": 0, "preset": "first", **BLOCK}.items()
    assert len(completed["ridge"]["source"]) == 16


@pytest.mark.parametrize(
    ("old", "new", "counts"),
    [
        ("alpha = 1", "alpha = 2", True),
        ("alpha = 1", "alpha = 1  # of the penalty", False),
        ("A class.", "A regression.", False),
    ],
)
def test_statements_count_and_comments_do_not(project, old, new, counts):
    path = project / "src" / "my_models_of_tests.py"
    before = source_of(BLOCK, project)
    path.write_text(path.read_text().replace(old, new))
    assert (source_of(BLOCK, project) != before) == counts


def test_all_modules_of_a_package_and_of_regressors_count(project):
    package = project / "plugins" / "mine_of_tests"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "helper.py").write_text("A = 1\n")
    block = {"type": "numerai_kedro.models.regressor.Regressor", "presets": {"first": {}}}
    block["presets"]["first"]["regressor"] = "mine_of_tests.Thing"
    before = source_of(block, project)
    (package / "helper.py").write_text("A = 2\n")
    assert source_of(block, project) != before


def test_modules_that_are_imported_count_however_far_away(project):
    module = project / "src" / "my_models_of_tests.py"
    module.write_text("from tools_of_tests.parts import scale\n" + module.read_text())
    tools = project / "plugins" / "tools_of_tests"
    tools.mkdir(parents=True)
    (tools / "parts.py").write_text("import constants_of_tests\nimport my_models_of_tests\n")
    constants = project / "src" / "constants_of_tests.py"
    constants.write_text("A = 1\n")
    unrelated = project / "src" / "unrelated_of_tests.py"
    unrelated.write_text("A = 1\n")
    before = source_of(BLOCK, project)
    unrelated.write_text("A = 2\n")
    assert source_of(BLOCK, project) == before
    constants.write_text("A = 2\n")
    assert source_of(BLOCK, project) != before


def test_of_an_installed_package_the_version_counts(project, monkeypatch):
    block = {"type": "sklearn.linear_model.Ridge"}
    before = source_of(block, project)
    monkeypatch.setattr("numerai_kedro.runtime.own_model_blocks.version", lambda name: "99.0")
    assert source_of(block, project) != before
