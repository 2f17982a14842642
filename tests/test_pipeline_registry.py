"""A folder of `pipelines/` is a pipeline, and one that cannot be imported is not left out."""

from collections import Counter
from pathlib import Path

import pytest

import numerai_kedro
from numerai_kedro.pipeline_registry import register_pipelines

FOLDERS = {
    path.parent.name for path in Path(numerai_kedro.__file__).parent.glob("pipelines/*/pipeline.py")
}


@pytest.fixture
def package(monkeypatch):
    """Say which package Kedro looks into."""
    return lambda name: monkeypatch.setattr("kedro.framework.project.PACKAGE_NAME", name)


def test_every_folder_is_a_pipeline_and_the_default_runs_each_node_once(package):
    package("numerai_kedro")
    pipelines = register_pipelines()
    assert set(pipelines) == FOLDERS | {"__default__"}
    names = Counter(node.name for node in pipelines["__default__"].nodes)
    assert set(names) == {node.name for name in FOLDERS for node in pipelines[name].nodes}
    assert max(names.values()) == 1


def test_a_pipeline_that_cannot_be_imported_ends_the_command(package, tmp_path, monkeypatch):
    folder = tmp_path / "planted_project" / "pipelines" / "broken"
    folder.mkdir(parents=True)
    for path in (folder.parent.parent, folder.parent):
        (path / "__init__.py").touch()
    (folder / "__init__.py").write_text("raise ImportError('no such library')")
    monkeypatch.syspath_prepend(tmp_path)
    package("planted_project")
    with pytest.raises(ImportError, match=r"planted_project\.pipelines\.broken"):
        register_pipelines()
