"""A wrong file ends in one sentence with file, column, value and fix; nothing is overwritten."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from numerai_kedro.data import convert, open_panel, write_panel
from numerai_kedro.data.convert import ParquetEras
from numerai_kedro.errors import SchemaError
from numerai_kedro.numerai.schema import parse_era

FEATURES = [f"feature_{k}" for k in range(6)]
TARGETS = ["target_ender_20", "target_ender_60"]


def frame(first=1, last=5, n_rows=30):
    rng = np.random.default_rng(first)
    parts = []
    for era in range(first, last + 1):
        ids = pd.Index([f"n{era:04d}{row:011d}" for row in range(n_rows)], name="id")
        part = pd.DataFrame({"era": f"{era:04d}", "data_type": "train"}, index=ids)
        features = rng.integers(0, 5, (n_rows, len(FEATURES))).astype(np.int8)
        part[FEATURES] = pd.DataFrame(features, columns=FEATURES, index=ids)
        for name in TARGETS:
            part[name] = rng.choice([0, 0.25, 0.5, 0.75, 1], n_rows).astype(np.float32)
        parts.append(part)
    return pd.concat(parts)


def eras(*frames, folder, row_group_size=47):
    paths = []
    for number, table in enumerate(frames):
        paths.append(folder / f"part-{number}.parquet")
        table.to_parquet(paths[-1], row_group_size=row_group_size)
    return ParquetEras(paths, FEATURES, TARGETS, parse_era)


@pytest.mark.parametrize("row_group_size", [7, 47, 10_000])
def test_files_become_eras_whatever_their_row_groups(tmp_path, row_group_size):
    train, validation = frame(1, 5), frame(6, 9)
    source = eras(train, validation, folder=tmp_path, row_group_size=row_group_size)
    write_panel(tmp_path / "panel", source)
    panel = open_panel(tmp_path / "panel")
    both = pd.concat([train, validation])
    assert panel.eras.tolist() == list(range(1, 10))
    assert panel.ids().tolist() == both.index.tolist()
    np.testing.assert_array_equal(
        np.vstack([panel.features(int(era)) for era in panel.eras]), both[FEATURES].to_numpy()
    )
    np.testing.assert_array_equal(panel.target(TARGETS[1]), both[TARGETS[1]].to_numpy())


def test_missing_features_become_the_middle_bin(tmp_path):
    table = frame()
    nullable = table[FEATURES[2]].astype("Int8")
    nullable.iloc[:3] = pd.NA
    table[FEATURES[2]] = nullable
    write_panel(tmp_path / "panel", eras(table, folder=tmp_path))
    assert open_panel(tmp_path / "panel").features(1)[:3, 2].tolist() == [2, 2, 2]


def test_missing_features_are_told_in_one_line_with_column_and_era(tmp_path, caplog):
    table = frame()
    for column, rows in ((4, [60, 61, 100]), (1, [62])):
        nullable = table[FEATURES[column]].astype("Int8")
        nullable.iloc[rows] = pd.NA
        table[FEATURES[column]] = nullable
    write_panel(tmp_path / "panel", eras(table, folder=tmp_path))
    (message,) = caplog.messages
    assert message.endswith(
        "part-0.parquet: 4 missing feature values became 2, in 2 columns and 2 eras; the first in "
        'column "feature_1", era "0003"'
    )


@pytest.mark.parametrize("column", ["era", "id", "data_type"])
@pytest.mark.parametrize("batch_rows", [8, 10_000])
def test_text_in_a_dictionary_is_text(tmp_path, monkeypatch, column, batch_rows):
    """As writers encode few different values, such as pandas' categories."""
    monkeypatch.setattr(convert, "BATCH_ROWS", batch_rows)
    table = frame()
    write_panel(tmp_path / "plain", eras(table, folder=tmp_path))
    encoded = table.reset_index().astype({column: "category"}).set_index("id")
    source = eras(encoded, folder=tmp_path)
    assert pa.types.is_dictionary(pq.read_schema(source.paths[0]).field(column).type)
    write_panel(tmp_path / "panel", source)
    plain, panel = open_panel(tmp_path / "plain"), open_panel(tmp_path / "panel")
    assert panel.era_digests() == plain.era_digests()


def spoilt(change):
    table = frame()
    return change(table)


def out_of_range(table):
    table.iloc[40, table.columns.get_loc(FEATURES[3])] = 7
    return table


def negative(table):
    table.iloc[40, table.columns.get_loc(FEATURES[3])] = -1
    return table


def target_out_of_range(table):
    table.iloc[130, table.columns.get_loc(TARGETS[1])] = 1.25
    return table


def repeated_id(table):
    ids = table.index.tolist()
    ids[61] = ids[60]
    table.index = pd.Index(ids, name="id")
    return table


WRONG = {
    "out of range": (out_of_range, 'column "feature_3" holds 7 in era "0002" (1 rows)'),
    "negative": (negative, 'column "feature_3" holds -1 in era "0002" (1 rows)'),
    "target": (target_out_of_range, 'column "target_ender_60" holds 1.25 in era "0005"'),
    "repeated id": (repeated_id, 'column "id" repeats itself in era "0003" (1 rows)'),
    "order": (lambda t: t.iloc[::-1], 'era "0004" comes after era 0005'),
    "split era": (lambda t: pd.concat([t, t.iloc[:5]]), 'era "0001" comes after era 0005'),
    "no era": (lambda t: t.assign(era="12a"), 'era "12a" is no positive number'),
    "missing feature": (lambda t: t.drop(columns=FEATURES[1]), 'column "feature_1" is missing'),
    "missing target": (
        lambda t: t.rename(columns={TARGETS[1]: "target_ender_61"}),
        'column "target_ender_60" is missing (it has target_ender_61',
    ),
    "wrong type": (
        lambda t: t.astype({FEATURES[0]: np.float32}),
        'column "feature_0" is float, not int8',
    ),
    "target as text": (
        lambda t: t.astype({TARGETS[0]: str}),
        'column "target_ender_20" is large_string, not float',
    ),
}


@pytest.mark.parametrize("what", sorted(WRONG))
def test_a_wrong_file_is_one_sentence_and_overwrites_nothing(tmp_path, what):
    change, sentence = WRONG[what]
    folder = tmp_path / "panel"
    write_panel(folder, eras(frame(), folder=tmp_path))
    before = sorted((path.name, path.read_bytes()) for path in folder.iterdir())
    with pytest.raises(SchemaError) as raised:
        write_panel(folder, eras(spoilt(change), folder=tmp_path))
    text = str(raised.value)
    assert sentence in text
    assert "part-0.parquet" in text
    assert "run kedro run --pipeline=ingestion" in text
    assert "\n" not in text
    assert sorted((path.name, path.read_bytes()) for path in folder.iterdir()) == before


def test_what_is_no_parquet_or_not_there_is_said(tmp_path):
    (tmp_path / "x.parquet").write_text("<html>maintenance</html>")
    with pytest.raises(SchemaError, match="is no parquet file"):
        ParquetEras([tmp_path / "x.parquet"], FEATURES, TARGETS, parse_era)
    with pytest.raises(SchemaError, match="missing; run"):
        ParquetEras([tmp_path / "y.parquet"], FEATURES, TARGETS, parse_era)


def test_a_torn_file_is_said_not_crashed_on(tmp_path):
    source = eras(frame(), folder=tmp_path)
    path = source.paths[0]
    content = bytearray(path.read_bytes())
    content[200:400] = bytes(200)
    path.write_bytes(content)
    with pytest.raises(SchemaError, match=r"part-0\.parquet: cannot be decoded"):
        write_panel(tmp_path / "panel", source)
    assert not (tmp_path / "panel" / "index.json").exists()


def test_live_rows_get_the_number_they_are_given(tmp_path):
    table = frame(1, 1).assign(era="X", data_type="live").astype({"era": str})
    table.to_parquet(tmp_path / "live.parquet")
    source = ParquetEras([tmp_path / "live.parquet"], FEATURES, [], lambda text: 161)
    write_panel(tmp_path / "panel", source)
    panel = open_panel(tmp_path / "panel")
    assert panel.eras.tolist() == [161]
    assert panel.target_names == []
    assert pq.read_schema(tmp_path / "live.parquet").field("era").type == pa.large_string()
