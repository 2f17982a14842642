"""Pipelines meet in files only, and the week is the sum of its parts."""

import importlib

import pytest
import yaml
from tests.project import ROOT

from numerai_kedro.models.registry import BUILT_IN, ENCODER

PARTS = (
    "ingestion",
    "feature_engineering",
    "gbm",
    "deep_learning",
    "gnn",
    "ensemble",
    "backtest",
    "submission",
    "reporting",
)
CATALOG = {
    name: entry
    for path in (ROOT / "conf" / "base").glob("catalog_*.yml")
    for name, entry in yaml.safe_load(path.read_text()).items()
}


pytestmark = pytest.mark.filterwarnings("ignore:One or more dataset names contain")


def pipeline(name):
    return importlib.import_module(f"numerai_kedro.pipelines.{name}").create_pipeline()


def entry_of(name):
    namespace, dot, rest = name.partition(".")
    if name in CATALOG or not dot:
        return CATALOG.get(name)
    patterns = [key for key in CATALOG if key.startswith("{") and key.endswith("." + rest)]
    return (
        CATALOG[patterns[0]] if patterns and namespace in (*BUILT_IN, ENCODER, "ensemble") else None
    )


@pytest.mark.parametrize("name", PARTS)
def test_every_output_is_an_entry_that_lasts(name):
    for output in pipeline(name).all_outputs():
        entry = entry_of(output)
        assert entry is not None, f"{output} is in no catalog file"
        assert entry["type"] != "MemoryDataset"
        assert "filepath" in entry or "filepath" in entry["dataset"]
        assert "layer" in entry["metadata"]["kedro-viz"]


def test_what_a_part_reads_an_earlier_part_has_written_or_the_outside_provides():
    provided = {
        "tournament",
        "machine",
        "era_tables",
        "block_gram",
        "fold_store",
        "study_store",
        "champion_store",
        "procedure_store",
        "version_store",
        "rule_store",
        "live_id_store",
        "receipts_before",
        "learned_versions",
    }
    for name in PARTS:
        part = pipeline(name)
        read = {n for n in part.inputs() if not n.startswith(("params:", "parameters"))}
        assert read <= provided, f"{name} reads {read - provided}"
        provided |= part.all_outputs()


def test_the_week_is_the_sum_of_its_parts_and_the_slots_are_asked_for_once():
    names = [node.name for part in PARTS for node in pipeline(part).nodes]
    assert sorted(node.name for node in pipeline("weekly").nodes) == sorted(set(names))
    assert {name for name in names if names.count(name) > 1} == {"name_slots"}


def test_prepare_and_submit_share_no_node_but_which_round_it_is_and_how_it_pays():
    prepare, submit, weekly = map(pipeline, ("prepare", "submit", "weekly"))
    assert {n.name for n in prepare.nodes} & {n.name for n in submit.nodes} == {
        "find_round",
        "name_weights",
    }
    assert set((prepare + submit).nodes) == set(weekly.nodes)
    live = {
        "raw_live",
        "live_panel",
        "raw_learned_live",
        "lightgbm.live_predictions",
        "submission_receipt",
    }
    assert not live & (prepare.all_outputs() | prepare.inputs())
    slow = {"lightgbm.fit", "lightgbm.walk_forward", "build_history_panel", "download_train"}
    assert not slow & {node.name for node in submit.nodes}


def test_every_parameter_block_is_read_by_a_node_or_a_hook():
    blocks = {
        block
        for path in (ROOT / "conf" / "base").glob("parameters_*.yml")
        for block in yaml.safe_load(path.read_text())
    }
    read = {n.removeprefix("params:") for n in pipeline("weekly").inputs() if "params:" in n}
    assert blocks == read - {"own_transforms"} | {"tracking", "incremental", "notify", "own_model"}


def test_nodes_say_what_they_do():
    for node in pipeline("weekly").nodes:
        assert (node.func.__doc__ or "").strip(), f"{node.name} has no docstring"
