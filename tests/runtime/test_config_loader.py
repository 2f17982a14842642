"""Configuration is read once, and a caller's changes to it stay the caller's."""

import shutil

import pytest
from kedro.config import OmegaConfigLoader
from tests.project import ROOT

from numerai_kedro.runtime.config_loader import ReadOnceLoader


# Kedro's own, as in `numerai_kedro.cli.commands`.
@pytest.mark.filterwarnings(r"ignore:register_new_resolver\(\) is deprecated")
def test_each_kind_is_read_once_and_handed_out_as_a_copy(monkeypatch):
    read, reads = OmegaConfigLoader._read_raw_config, []

    def counted(loader, key):
        reads.append(key)
        return read(loader, key)

    monkeypatch.setattr(OmegaConfigLoader, "_read_raw_config", counted)
    plain = {"base_env": "base", "default_run_env": "base"}
    loader = ReadOnceLoader(str(ROOT / "conf"), **plain)
    first = loader["parameters"]
    first["gate"]["min_corr_bound"] = "spoilt"
    written = OmegaConfigLoader(str(ROOT / "conf"), **plain)["parameters"]
    assert loader["parameters"] == written | {"own_transforms": {}}
    assert reads.count("parameters") == 2  # one of them is the other loader's


@pytest.mark.filterwarnings(r"ignore:register_new_resolver\(\) is deprecated")
def test_keys_are_the_owners_alone(tmp_path):
    conf = tmp_path / "conf"
    shutil.copytree(ROOT / "conf" / "base", conf / "base")
    (conf / "local").mkdir()
    keys, base = conf / "local" / "credentials.yml", conf / "base" / "credentials.yml"
    keys.write_text("numerai: {public_id: A, secret_key: B}")
    keys.chmod(0o644)
    before = base.stat().st_mode
    loader = ReadOnceLoader(str(conf), base_env="base", default_run_env="local")
    assert loader["credentials"]["numerai"]["secret_key"] == "B"
    assert keys.stat().st_mode & 0o777 == 0o600
    assert base.stat().st_mode == before
