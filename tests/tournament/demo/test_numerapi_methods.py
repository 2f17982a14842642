"""Every public method of numerapi does what docs/demo-api.md says of it."""

import inspect
import warnings

import numerapi
import pytest
from tests.tournament.demo.numerapi_methods import METHODS, Scene
from tools import api_table


@pytest.fixture
def scene(api, demo, live_frame, tmp_path):
    model_id = api.get_models()["demo"]
    made = api.upload_predictions("p.csv", model_id=model_id, df=live_frame())
    scored = demo.latest(demo.clock.now())
    api.submission_ids(model_id)  # it is pending until somebody has asked
    later = [one for one in (scored.score_time(3),)]
    demo.store.set_instant(later[0])
    demo.clock.advance(rounds=1)
    demo.store.set_instant(max(scored.score_time(3), demo.clock.now()))
    return Scene(api, model_id, made, live_frame(), tmp_path)


def test_the_table_has_every_public_method():
    public = {
        name
        for name, _ in inspect.getmembers(numerapi.NumerAPI, inspect.isfunction)
        if not name.startswith("_")
    }
    assert {one.name for one in METHODS} == public


@pytest.mark.parametrize("method", METHODS, ids=lambda one: one.name)
def test_it_does_what_the_table_says(scene, method):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        assert method.call(scene)


def test_the_table_in_the_docs_is_this_one():
    assert api_table.PATH.read_text(encoding="utf-8") == api_table.written()
