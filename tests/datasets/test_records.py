import pytest
from kedro.io import DatasetError
from tests.damage import overwrite

from numerai_kedro.datasets.atomic_file import SealedDataset
from numerai_kedro.datasets.records import RecordsDataset

JSON = {"type": "numerai_kedro.datasets.atomic_file.JSONDataset"}


@pytest.fixture
def records(tmp_path):
    return RecordsDataset(filepath=str(tmp_path / "receipts"), suffix=".json", dataset=JSON)


def test_saving_keeps_earlier_rounds(records):
    records.save({"1412-demo": {"status": "accepted"}})
    records.save({"1413-demo": {"status": "blocked"}})
    records.save({"1412-demo": {"status": "written"}})
    loaded = records.load()
    assert {key: value["status"] for key, value in loaded.items()} == {
        "1412-demo": "written",
        "1413-demo": "blocked",
    }


@pytest.mark.parametrize("key", ["../evil", "/etc/x", "a\nb", "", "x" * 300, "a\0", "..", "-x"])
def test_no_key_leaves_the_folder(records, tmp_path, key):
    with pytest.raises(DatasetError, match="cannot name a file"):
        records.save({key: {}})
    assert not list(tmp_path.rglob("*.json"))


def test_nothing_saved_is_nothing_loaded(records):
    assert records.load() == {}
    assert not records.exists()


def test_a_record_that_holds_what_must_be_kept_is_only_added_to(tmp_path):
    kind = "numerai_kedro.datasets.atomic_file.JSONDataset"
    options = {"suffix": ".json", "dataset": {"type": kind}, "keeps": "submission_id"}
    dataset = RecordsDataset(filepath=str(tmp_path / "kept"), **options)
    dataset.save({"a": {"status": "closed"}})
    dataset.save({"a": {"status": "accepted", "submission_id": "3f2a"}})
    for status in ("closed", "written"):
        dataset.save({"a": {"status": status}})
        assert dataset.load()["a"] == {
            "status": "accepted",
            "submission_id": "3f2a",
            "later": {"status": status},
        }
    dataset.save({"a": {"status": "accepted", "submission_id": "77aa"}})
    assert dataset.load()["a"] == {"status": "accepted", "submission_id": "77aa"}


def test_a_record_that_was_damaged_is_passed_over_and_written_anew(tmp_path, caplog):
    sealed = {"type": "numerai_kedro.datasets.atomic_file.SealedDataset"}
    options = {"suffix": ".json", "dataset": sealed, "keeps": "submission_id"}
    records = RecordsDataset(filepath=str(tmp_path / "kept"), **options)
    receipt = {"status": "accepted", "submission_id": "3f2a", "round": 1412}
    records.save({"a": receipt, "b": {"status": "closed"}})
    overwrite(tmp_path / "kept" / "a.json", b"3f2a", b"3f2b")
    assert records.load() == {"b": {"status": "closed"}}
    assert "a.json: cannot be read (not what was written)" in caplog.text
    records.save({"a": {"status": "closed"}})
    assert records.load()["a"] == {"status": "closed"}


@pytest.mark.parametrize("text", ["", "[]", "7", "{", "[" * 200_000])
def test_a_torn_record_is_passed_over(tmp_path, text):
    sealed = {"type": "numerai_kedro.datasets.atomic_file.SealedDataset"}
    records = RecordsDataset(filepath=str(tmp_path), suffix=".json", dataset=sealed)
    (tmp_path / "a.json").write_text(text)
    assert records.load() == {}


def test_a_receipt_of_before_there_were_seals_is_read(tmp_path):
    sealed = {"type": "numerai_kedro.datasets.atomic_file.SealedDataset"}
    records = RecordsDataset(filepath=str(tmp_path), suffix=".json", dataset=sealed)
    (tmp_path / "a.json").write_text('{"status": "accepted"}')
    assert records.load() == {"a": {"status": "accepted"}}


@pytest.mark.parametrize("name", ["sead", "Seal", "weal", "sea,"])
def test_a_flipped_bit_in_the_name_of_the_seal_is_no_missing_seal(name, tmp_path):
    sealed = SealedDataset(filepath=str(tmp_path / "a.json"))
    sealed.save({"status": "accepted"})
    text = (tmp_path / "a.json").read_text()
    (tmp_path / "a.json").write_text(text.replace('"seal"', f'"{name}"'))
    with pytest.raises(DatasetError, match="not what was written"):
        sealed.load()
