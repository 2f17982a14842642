"""Whoever finished is blended; whoever did not is named, and nobody is blended over other rows."""

import numpy as np
import pandas as pd
import pytest

from numerai_kedro.errors import BlendError, Failed
from numerai_kedro.pipelines.ensemble.nodes import blend_live, blend_out_of_fold, weigh

FAILED = Failed("fit", "no memory")


def predictions(seed, n=30):
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "id": [f"n{k}" for k in range(n)],
            "era": np.repeat([1, 2, 3], n // 3),
            "prediction": rng.normal(size=n),
        }
    )


def parts(**models):
    return {f"{name}__{part}": value for name, value in models.items() for part in ("oof", "model")}


def test_weights_are_equal_among_those_that_finished():
    weights = weigh(**parts(a=predictions(0), b=predictions(1), c=FAILED)).set_index("model")
    assert weights["weight"].to_dict() == {"a": 0.5, "b": 0.5, "c": 0.0}
    assert weights.loc["c", "reason"] == "no memory"


def test_a_model_without_a_live_fit_has_no_weight():
    given = parts(a=predictions(0), b=predictions(1)) | {"b__model": FAILED}
    assert weigh(**given).set_index("model")["weight"].to_dict() == {"a": 1.0, "b": 0.0}


def test_nobody_left_is_said_with_every_reason():
    with pytest.raises(BlendError, match=r"no model has both .*a: no memory; b: no memory"):
        weigh(**parts(a=FAILED, b=FAILED))


def weights_of(**models):
    return weigh(**parts(**models))


def test_one_member_alone_keeps_its_order_in_every_era():
    weights, a = weights_of(a=predictions(0), b=FAILED), predictions(0)
    for blended in (blend_out_of_fold(weights, a=a, b=FAILED), blend_live(weights, a=a, b=FAILED)):
        ours = blended.groupby("era")["prediction"].rank()
        assert ours.equals(a.groupby("era")["prediction"].rank())


def test_a_members_scale_does_not_count():
    a, b = predictions(0), predictions(1)
    loud = b.assign(prediction=b["prediction"] * 1000 + 7)
    plain, scaled = (
        blend_out_of_fold(weights_of(a=a, b=other), a=a, b=other) for other in (b, loud)
    )
    pd.testing.assert_frame_equal(plain, scaled)


def test_members_that_predict_other_rows_are_refused():
    a, b = predictions(0), predictions(1).assign(id=lambda t: t["id"] + "x")
    with pytest.raises(BlendError, match="b and a predict different rows"):
        blend_out_of_fold(weights_of(a=a, b=b), a=a, b=b)


def test_a_member_that_cannot_predict_live_misses_the_round_alone(caplog):
    a, b = predictions(0), predictions(1)
    weights = weights_of(a=a, b=b)
    assert blend_live(weights, a=a, b=FAILED).equals(blend_live(weights_of(a=a), a=a))
    assert "b is left out of this round: no memory" in caplog.text
    nobody = blend_live(weights, a=FAILED, b=FAILED)
    assert isinstance(nobody, Failed)
    assert "a: no memory; b: no memory" in nobody.symptom
