"""Slots are the user's own, and impossible ones are refused before anything is computed."""

import pytest

from numerai_kedro.errors import ConfigurationError
from numerai_kedro.pipelines.slots import name_slots
from numerai_kedro.runtime.parameters import SubmissionParams


class Account:
    def __init__(self, name):
        self.name = name

    def models(self):
        return {"first": "1", "second": "2"}


DEMO, NUMERAI = Account("demo"), Account("numerai")


def params_of(slots):
    return SubmissionParams(slots=slots, upload="auto", late="refuse", unfamiliar_rule="submit")


def test_slots_are_the_users_or_the_demos_first_and_never_guessed_on_the_real_one():
    nothing, chosen = params_of({}), params_of({"m": "lightgbm"})
    assert name_slots(NUMERAI, chosen) == {"m": "lightgbm"}
    assert name_slots(DEMO, nothing) == {"first": "ensemble"}
    assert name_slots(DEMO, chosen) == {"first": "ensemble"}  # a slot of the real one
    assert name_slots(NUMERAI, nothing) == {"unnamed": "ensemble"}


def test_a_slot_may_name_its_model_by_id():
    long = params_of({"m": {"feeds": "lightgbm", "model_id": "id-1"}, "n": "ensemble"})
    assert name_slots(NUMERAI, long) == {"m": "lightgbm", "n": "ensemble"}
    assert long.model_ids == {"m": "id-1"}
    with pytest.raises(ConfigurationError, match="slots"):
        params_of({"m": {"feds": "lightgbm"}})


def test_a_slot_that_the_demo_does_not_have_is_ignored_with_a_warning(caplog):
    chosen = params_of({"frist": "ensemble", "second": "lightgbm"})
    assert name_slots(DEMO, chosen) == {"second": "lightgbm"}
    assert '"frist" is ignored, the demo has no such model; it has: first, second' in caplog.text


@pytest.mark.parametrize(
    ("entry", "hint"),
    [
        ("lightgbmm", "did you mean lightgbm?"),
        (
            "xyz",
            "there are: ensemble, lightgbm, catboost, xgboost, tabm, transformer, vae_head, gatv2, "
            "gin.",
        ),
    ],
)
def test_what_cannot_feed_a_slot_is_refused_with_what_can(entry, hint):
    chosen = params_of({"first": entry})
    with pytest.raises(ConfigurationError) as refused:
        name_slots(DEMO, chosen)
    assert str(refused.value).startswith(f'submission.slots: "{entry}" cannot feed a slot; {hint}')
