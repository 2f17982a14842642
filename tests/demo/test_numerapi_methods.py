"""Every public method of numerapi does what docs/demo-api.md says of it."""

import inspect
import warnings
from contextlib import contextmanager

import numerapi
import pytest
from numerapi import base_api
from tests.demo.numerapi_methods import METHODS, Scene
from tools import api_table

from numerai_kedro.demo.server import DemoServer


@contextmanager
def scene_of(demo, live_frame, folder):
    """A submission of the first round, scored for three days; a later round is open."""
    with DemoServer(demo) as server, pytest.MonkeyPatch.context() as patch:
        patch.setattr(base_api, "API_TOURNAMENT_URL", server.url)
        api = numerapi.NumerAPI(*demo.keys, show_progress_bars=False)
        model_id = api.get_models()["demo"]
        submission_id = api.upload_predictions("p.csv", model_id=model_id, df=live_frame())
        api.submission_ids(model_id)  # it is pending until somebody has asked
        scored = demo.latest(demo.clock.now())
        while scored.days_scored(demo.clock.now()) != 3:
            demo.clock.advance(rounds=1)
        yield Scene(api, model_id, submission_id, live_frame(), folder)


def test_the_table_has_every_public_method():
    public = {
        name
        for name, _ in inspect.getmembers(numerapi.NumerAPI, inspect.isfunction)
        if not name.startswith("_")
    }
    assert {method.name for method in METHODS} == public


def test_the_page_is_written_from_the_table():
    assert api_table.PATH.read_text(encoding="utf-8") == api_table.written()


def test_each_does_what_the_table_says(demo, live_frame, tmp_path):
    """One after another on one scene; those that change something come last."""
    wrong = {}
    with scene_of(demo, live_frame, tmp_path) as scene, warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        for method in sorted(METHODS, key=lambda row: row.changes):
            try:
                result = method.call(scene)
            except Exception as error:  # noqa: BLE001
                result = error
            if result is not True:
                wrong[method.name] = result
    assert wrong == {}
