"""tools/compare_weeks.py sees a changed bit and ignores times, identifiers and renamed words."""

import json

import numpy as np
import pandas as pd
import pytest
from tools.compare_weeks import compare_folders

RECEIPT = {
    "status": "accepted",
    "judged": {"corr": 0.0123},
    "inserted_at": "2026-12-03T12:18:57Z",
    "detail": "accepted at 2026-12-03 12:18:57 after 3.2 s as 5960af2305e6",
}


def write(folder, receipt=None, predictions=(0.1, np.nan, 0.3), column="prediction"):
    output = folder / "07_model_output"
    output.mkdir(parents=True)
    (output / "1412-demo.json").write_text(json.dumps(RECEIPT | (receipt or {})))
    table = pd.DataFrame(
        {"era": [1, 2, 3], column: predictions, "seconds": np.random.default_rng().random(3)}
    )
    table.to_parquet(output / "oof_predictions.parquet")
    (output / "1412-demo.csv").write_text("id,prediction\n")
    return folder


def test_compare_folders_overlooks_times_and_identifiers(tmp_path):
    before = write(tmp_path / "before")
    after = write(
        tmp_path / "after",
        {
            "inserted_at": "2026-12-04T09:00:00Z",
            "detail": "accepted at 2026-12-04 09:00:00 after 2.9 s as aa60af2305e7",
        },
    )
    assert list(compare_folders(before, after, {})) == []


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"receipt": {"status": "blocked"}}, "/status: 'accepted' became 'blocked'"),
        ({"receipt": {"judged": {"corr": 0.0124}}}, "/judged/corr: '0.0123' became '0.0124'"),
        ({"predictions": (0.1, np.nan, np.nextafter(0.3, 1))}, "prediction differs in 1 of 3"),
        ({"predictions": (0.1, 0.2, 0.3)}, "prediction differs in 1 of 3"),
        ({"predictions": np.float32([0.1, np.nan, 0.3])}, "float64 became 3 of float32"),
        ({"column": "other"}, "column other is on one side only"),
    ],
)
def test_compare_folders_names_each_difference(tmp_path, changes, said):
    before, after = write(tmp_path / "before"), write(tmp_path / "after", **changes)
    assert said in "\n".join(compare_folders(before, after, {}))


def test_compare_folders_names_files_of_one_side(tmp_path):
    before, after = write(tmp_path / "before"), write(tmp_path / "after")
    output = after / "07_model_output"
    (output / "1412-demo.csv").rename(output / "new.csv")
    assert list(compare_folders(before, after, {})) == [
        "07_model_output/1412-demo.csv: missing",
        "07_model_output/new.csv: new",
    ]


def test_compare_folders_replaces_renamed_words(tmp_path):
    before = write(tmp_path / "before", column="judged_corr")
    after = write(tmp_path / "after", column="test_corr")
    path = after / "07_model_output" / "1412-demo.json"
    path.write_text(path.read_text().replace("judged", "test"))
    assert list(compare_folders(before, after, {"*": {"judged": "test"}})) == []
    assert list(compare_folders(before, after, {})) != []
