"""Slots are the user's own, and what cannot be meant is said before anything is computed."""

import pytest

from numerai_kedro.errors import ConfigurationError
from numerai_kedro.pipelines.parameters import SubmissionParams
from numerai_kedro.pipelines.slots import name_slots


class Demo:
    tournament = "demo"


class Numerai:
    tournament = "numerai"


class Account:
    def models(self):
        return {"first": "1", "second": "2"}


def test_slots_are_the_users_or_the_demos_first_and_never_guessed_on_the_real_one():
    nothing, chosen = (SubmissionParams(slots=s, upload="auto") for s in ({}, {"m": "lightgbm"}))
    assert name_slots(Account(), chosen, Numerai) == {"m": "lightgbm"}
    assert name_slots(Account(), nothing, Demo) == {"first": "ensemble"}
    assert name_slots(Account(), chosen, Demo) == {"first": "ensemble"}  # a slot of the real one
    assert name_slots(Account(), nothing, Numerai) == {"unnamed": "ensemble"}


def test_a_slot_that_the_demo_does_not_have_is_ignored_with_a_warning(caplog):
    chosen = SubmissionParams(slots={"frist": "ensemble", "second": "lightgbm"}, upload="auto")
    assert name_slots(Account(), chosen, Demo) == {"second": "lightgbm"}
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
    chosen = SubmissionParams(slots={"first": entry}, upload="auto")
    with pytest.raises(ConfigurationError) as refused:
        name_slots(Account(), chosen, Demo)
    assert str(refused.value).startswith(f'submission.slots: "{entry}" cannot feed a slot; {hint}')
