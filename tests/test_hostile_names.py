"""Names that are paths, markup or far too long do no harm: refused before anything is written."""

import warnings

import pytest
from kedro.io import DataCatalog, DatasetError

from numerai_kedro.datasets.records import RecordsDataset
from numerai_kedro.errors import ConfigurationError
from numerai_kedro.runtime.config_loader import ReadOnceLoader
from numerai_kedro.runtime.hooks import check_entry
from numerai_kedro.runtime.parameters import SubmissionParams
from tests.project import QUICK, ROOT, Project
from tests.test_weekly import sentence

NAMES = {
    "upward": "../../evil",
    "absolute": "/tmp/evil",
    "backslashes": r"..\..\evil",
    "newline": "a\nb",
    "nul": "a\0b",
    "long": "x" * 300,
    "markup": '"><script>alert(1)</script>',
    "handler": "<img src=x onerror=alert(1)>",
    "empty": "",
    "dots": "..",
    "hidden": ".evil",
    "space": "a b",
    "letters of others": "模型",
}


@pytest.mark.parametrize("what", sorted(NAMES))
def test_no_such_name_is_a_slot(what):
    values = {"upload": False, "late": "refuse", "unfamiliar_rule": "submit"}
    with pytest.raises(ConfigurationError) as refused:
        SubmissionParams.model_validate(values | {"slots": {NAMES[what]: "ensemble"}})
    text = str(refused.value)
    assert "cannot name a slot" in text
    assert "\n" not in text
    assert len(text) < 200


@pytest.mark.parametrize("what", sorted(NAMES))
def test_no_such_name_becomes_a_file(what, tmp_path):
    kind = {"type": "numerai_kedro.datasets.atomic_file.JSONDataset"}
    folder = tmp_path / "inside" / "records"
    records = RecordsDataset(filepath=str(folder), suffix=".json", dataset=kind)
    with pytest.raises((ConfigurationError, DatasetError), match="cannot name a file"):
        records.save({NAMES[what]: {"round": 1412}})
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


@pytest.mark.slow
@pytest.mark.parametrize("what", ["upward", "markup", "long"])
def test_a_run_refuses_it_before_anything_is_done(what, tmp_path):
    project = Project.make(tmp_path / "project")
    submission = {"submission": {"slots": {NAMES[what]: "ensemble"}}}
    project.local("parameters", QUICK | submission)
    assert "cannot name a slot" in sentence(project.kedro("run", "--pipeline=weekly"))
    assert not (project.data / "01_raw").exists()
    assert list(tmp_path.rglob("*evil*")) == []


@pytest.fixture(scope="module")
def catalog(tmp_path_factory):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        environments = {"base_env": "base", "default_run_env": "base"}
        loader = ReadOnceLoader(str(ROOT / "conf"), **environments)
        return DataCatalog.from_config(loader["catalog"], loader["credentials"])


@pytest.mark.parametrize("what", sorted(NAMES))
@pytest.mark.parametrize("pattern", ["{}", "{}.model", "{}.oof_predictions"])
def test_no_run_reaches_such_an_entry(what, pattern, catalog):
    """Kedro's patterns, such as `{model}.model`, would put the name into a path, dots and all."""
    check_entry("lightgbm.model", catalog)
    with pytest.raises(ConfigurationError, match="the catalog has no entry"):
        check_entry(pattern.format(NAMES[what]), catalog)
