"""Before a run every name is known; after it, a submission that was not made is no success."""

from types import SimpleNamespace

import pytest
from kedro.io import DataCatalog

from numerai_kedro.errors import ConfigurationError, RoundMoved, SubmissionError
from numerai_kedro.runtime.hooks import CatalogHooks, ReceiptHooks, TrackingHooks, check_blocks

MEMORY = {"type": "MemoryDataset"}


def pipeline(*names, outputs=()):
    return SimpleNamespace(datasets=lambda: set(names), all_outputs=lambda: set(outputs))


@pytest.fixture
def catalog():
    return DataCatalog.from_config({"history_panel": MEMORY, "{model}.oof_predictions": MEMORY})


def test_known_names_and_parameters_pass(catalog):
    names = ("history_panel", "lightgbm.oof_predictions", "params:x", "parameters")
    CatalogHooks().before_pipeline_run(pipeline(*names), catalog)


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("histroy_panel", "did you mean history_panel"),
        ("lihgtgbm.oof_predictions", "would be lost"),
        ("zzz", "add it to conf/base/catalog"),
    ],
)
def test_a_mistyped_name_is_refused_before_anything_runs(catalog, name, hint):
    with pytest.raises(ConfigurationError, match=rf'no entry "{name}".*{hint}'):
        CatalogHooks().before_pipeline_run(pipeline(name), catalog)


def loads(receipts, slots=None):
    receipts = {f"1412-{slot}": receipt for slot, receipt in receipts.items()}
    slots = dict.fromkeys(slots or [key.removeprefix("1412-") for key in receipts], "ensemble")
    entries = {"round_info": {"number": 1412}, "submission_receipt": receipts, "slots": slots}
    return SimpleNamespace(load=entries.__getitem__)


def receipt(status):
    return {"status": status, "detail": f"the slot was {status}."}


def end(receipts, slots=None):
    pipe = pipeline(outputs=["submission_receipt"])
    ReceiptHooks().after_pipeline_run(pipe, loads(receipts, slots))


def test_refused_and_closed_end_the_run_with_their_sentences_once_each():
    receipts = {"a": receipt("refused"), "b": receipt("refused"), "c": receipt("closed")}
    with pytest.raises(SubmissionError) as ended:
        end(receipts)
    assert ended.value.message == "the slot was refused. the slot was closed."


@pytest.mark.parametrize("status", ["accepted", "late", "pending", "unconfirmed", "written"])
def test_what_was_sent_or_is_kept_here_on_purpose_is_a_success(status):
    end({"a": receipt(status) | {"slot": "a"}})


@pytest.mark.parametrize("status", ["blocked", "refused", "failed", "closed"])
def test_a_round_that_was_not_sent_or_not_by_every_slot_is_no_success(status):
    with pytest.raises(SubmissionError, match=f"the slot was {status}"):
        end({"a": receipt(status)})
    with pytest.raises(SubmissionError, match=f"the slot was {status}"):
        end({"a": receipt("accepted"), "b": receipt(status)})


def test_what_nobody_has_confirmed_is_a_warning(caplog):
    end({"a": receipt("unconfirmed") | {"slot": "a"}})
    assert "submission, a: the slot was unconfirmed." in caplog.text


def test_a_submission_of_an_earlier_round_that_was_found_invalid_is_said():
    end({"a": receipt("accepted"), "old": receipt("failed")}, slots=["a"])
    invalid = receipt("failed") | {"found_invalid": True}
    with pytest.raises(SubmissionError, match="the slot was failed"):
        end({"a": receipt("accepted"), "old": invalid}, slots=["a"])


def test_a_round_that_moved_is_told_from_one_that_is_closed():
    with pytest.raises(RoundMoved):
        end({"a": receipt("closed"), "b": receipt("moved")})


def test_a_slot_that_was_renamed_no_longer_counts():
    end({"demmo": receipt("refused"), "demo": receipt("accepted")}, slots=["demo"])


@pytest.mark.parametrize("status", ["refused", "blocked", "failed"])
def test_a_round_that_closed_after_the_submission_is_a_success_and_a_second_not_sent_is_not(status):
    end({"a": receipt("accepted") | {"later": receipt("closed")}})
    with pytest.raises(SubmissionError, match=f"the slot was {status}"):
        end({"a": receipt("accepted") | {"later": receipt(status)}})


def test_a_run_that_submits_nothing_loads_no_receipt():
    ReceiptHooks().after_pipeline_run(pipeline(outputs=["ensemble_weights"]), None)


def test_wrong_tracking_parameters_are_said_before_the_run():
    context = SimpleNamespace(params={"tracking": {"uri": "x", "experiment": "y", "enabld": True}})
    with pytest.raises(ConfigurationError, match=r"tracking\.enabld: .* did you mean enabled"):
        TrackingHooks().after_context_created(context)


def test_a_mistyped_block_of_parameters_is_refused():
    files = ["lightgbm:\n  seed: 0\n# other:\n"]
    check_blocks({"lightgbm": {}}, files)
    message = "lightgmb: nothing reads it; did you mean lightgbm"
    with pytest.raises(ConfigurationError, match=message):
        check_blocks({"lightgmb": {}}, files)
