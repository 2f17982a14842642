"""A round is judged against earlier rounds' submissions, however often it is run."""

import pytest
from tests.damage import flip
from tests.models.test_contract import SMALL
from tests.panels import small_panel

from numerai_kedro.errors import StoreError
from numerai_kedro.gate import champion_store
from numerai_kedro.gate.champion_store import (
    Champion,
    ChampionStore,
    ProcedureStore,
    VersionStore,
)
from numerai_kedro.models.live_fit import LiveFit
from numerai_kedro.models.registry import family


def champion(number, procedure="a"):
    record, weights = [{"era": 81, "corr": 0.02, "mmc": 0.01}], {"lightgbm": 1.0}
    return Champion(procedure, "c", "ensemble", number, record, weights, 0.0, [], {})


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    panel = small_panel(tmp_path_factory.mktemp("panel"), n_eras=8)
    kind = family("lightgbm")
    params = kind.params_type.model_validate(SMALL["lightgbm"])
    fitted = kind(params, seed=0, threads=1).fit(panel, None, "target_ender_20")
    return {"lightgbm": LiveFit((fitted,), "c", "v5.3")}


def test_only_rounds_before_count(tmp_path, models):
    store = ChampionStore(tmp_path)
    assert store.find("demo", 1413) is None
    store.promote("demo", champion(1412), models)
    assert store.find("demo", 1412) is None
    assert store.find("demo", 1413) == champion(1412)
    assert store.find("other", 1413) is None


def test_the_same_round_again_replaces_itself_and_two_rounds_are_kept(tmp_path, models):
    store = ChampionStore(tmp_path)
    for number, procedure in ((1412, "a"), (1417, "b"), (1422, "c"), (1422, "d")):
        store.promote("demo", champion(number, procedure), models)
    assert store.find("demo", 1423).procedure == "d"
    assert store.find("demo", 1422).procedure == "b"
    assert store.find("demo", 1417) is None


def test_its_models_come_back_and_predict(tmp_path, models):
    store = ChampionStore(tmp_path)
    store.promote("demo", champion(1412), models)
    back = store.models("demo", store.find("demo", 1413))["lightgbm"]
    assert (back.configuration, back.data_version) == ("c", "v5.3")
    assert [model.n_iterations for model in back] == [
        model.n_iterations for model in models["lightgbm"]
    ]


def test_a_torn_record_is_repaired_and_a_sentence_where_its_copy_is_torn_too(tmp_path, models):
    store = ChampionStore(tmp_path)
    store.promote("demo", champion(1412), models)
    record = tmp_path / "demo" / "1412" / "champion.json"
    record.write_text("{")
    assert store.find("demo", 1413) == champion(1412)
    for path in (record, record.with_name("champion.json.copy")):
        flip(path)
    with pytest.raises(StoreError, match="holds no champion"):
        store.find("demo", 1413)


def test_a_procedure_counts_once(tmp_path):
    store = ProcedureStore(tmp_path)
    assert store.count() == 0
    for name in ("a", "b", "a"):
        store.register(name, {"entry": "ensemble"})
    assert store.count() == 2


def test_a_write_that_was_cut_leaves_the_round_before(tmp_path, models, monkeypatch):
    store = ChampionStore(tmp_path)
    store.promote("demo", champion(1412, "a"), models)
    store.promote("demo", champion(1417, "b"), models)

    def cut(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(champion_store, "write_trusted", cut)
    with pytest.raises(KeyboardInterrupt):
        store.promote("demo", champion(1417, "c"), models)
    assert store.find("demo", 1418).procedure == "a"


def test_versions_stand_in_the_order_in_which_they_came(tmp_path):
    store = VersionStore(tmp_path)
    for code in ("ffff", "0000", "8888", "ffff"):
        store.keep(code, "p", {"seconds": 1.0, "peak_gb": 0.0, "scores": {}})
    assert [version["code"] for version in store.all()] == ["ffff", "0000", "8888"]
