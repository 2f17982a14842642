"""The calls of other people's code, which runs unedited against `kedro tournament serve`.

From hello_numerai, target_ensemble and feature_neutralization of numerai/example-scripts (July
2026), and the downloader of numerblox 1.6 with its own default versions.
"""

import json

import pandas as pd
import pytest

VERSION = "v5.3"
# As the notebooks name them.
TARGETS = ["target_ender_20", "target_victor_20", "target_xerxes_20", "target_teager2b_20"]
FAVORITE_MODEL = "v53_lgbm_ender20"
GROUPS = (
    "intelligence",
    "wisdom",
    "charisma",
    "dexterity",
    "strength",
    "constitution",
    "agility",
    "serenity",
)


@pytest.fixture
def downloaded(api, tmp_path, monkeypatch):
    """Downloads as the notebooks do: to the working folder, under the file's own name."""
    monkeypatch.chdir(tmp_path)

    def download(name, **of_round):
        api.download_dataset(name, **of_round)
        return json.loads((tmp_path / name).read_text()) if name.endswith("json") else name

    return download


def test_the_official_notebooks_find_what_they_read(downloaded):
    sets = downloaded(f"{VERSION}/features.json")["feature_sets"]
    assert {"small", "medium", "all", *GROUPS} <= sets.keys()
    small = sets["small"]
    train = pd.read_parquet(
        downloaded(f"{VERSION}/train.parquet"),
        columns=["era", "target", "target_ender_60", *TARGETS, *small],
    )
    # target_ensemble still asserts the 20-day one, which the alias was until August 2026.
    assert train["target"].equals(train["target_ender_60"])
    last_train_era = int(train["era"].unique()[-1])
    validation = pd.read_parquet(
        downloaded(f"{VERSION}/validation.parquet"),
        columns=["era", "data_type", "target", *TARGETS, *small],
    )
    validation = validation[validation["data_type"] == "validation"]
    assert int(validation["era"].iloc[0]) > last_train_era
    crowd = pd.read_parquet(downloaded("v4.3/meta_model.parquet", round_num=842))
    validation["meta_model"] = crowd["numerai_meta_model"]
    assert validation["meta_model"].notna().any()
    benchmarks = pd.read_parquet(
        downloaded(f"{VERSION}/validation_benchmark_models.parquet"), columns=[FAVORITE_MODEL]
    )
    assert set(validation.index) <= set(benchmarks.index)
    live = pd.read_parquet(downloaded(f"{VERSION}/live.parquet"), columns=small)
    assert live.index.name == "id"


def test_numerblox_finds_its_default_versions(api, downloaded):
    versions = {name.split("/")[0] for name in api.list_datasets()}
    assert {"v5.0", "v4.3"} <= versions
    names = ("train", "validation", "live", "live_example_preds", "validation_example_preds")
    for name in (*names, "meta_model"):
        version = "v4.3" if name == "meta_model" else "v5.0"
        assert len(pd.read_parquet(downloaded(f"{version}/{name}.parquet", round_num=None)))
    assert "feature_sets" in downloaded("v5.0/features.json")


def test_no_live_file_of_another_round_is_taken_for_the_one_asked_for(downloaded):
    """History of rounds before the demo is its newest; live stocks are of one round."""
    assert len(pd.read_parquet(downloaded("v5.0/live.parquet", round_num=1412)))
    for name in ("v5.0/live.parquet", "v5.0/live_example_preds.parquet", "v5.3/live.parquet"):
        with pytest.raises(ValueError, match="dataset not found"):
            downloaded(name, round_num=1411)
