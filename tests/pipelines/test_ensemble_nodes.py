"""Whoever finished is blended; whoever did not is named, and nobody is blended over other rows."""

import numpy as np
import pandas as pd
import pytest

from numerai_kedro.errors import BlendError, Failed
from numerai_kedro.pipelines.ensemble.nodes import blend_predictions, weigh

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
    return {f"{name}__{part}": value for name, value in models.items() for part in ("oof", "live")}


def test_weights_are_equal_among_those_that_finished():
    weights = weigh(**parts(a=predictions(0), b=predictions(1), c=FAILED)).set_index("model")
    assert weights["weight"].to_dict() == {"a": 0.5, "b": 0.5, "c": 0.0}
    assert weights.loc["c", "reason"] == "no memory"


def test_a_model_without_live_predictions_has_no_weight():
    given = parts(a=predictions(0), b=predictions(1)) | {"b__live": FAILED}
    assert weigh(**given).set_index("model")["weight"].to_dict() == {"a": 1.0, "b": 0.0}


def test_nobody_left_is_said_with_every_reason():
    with pytest.raises(BlendError, match=r"no model has both .*a: no memory; b: no memory"):
        weigh(**parts(a=FAILED, b=FAILED))


def test_one_member_alone_keeps_its_order_in_every_era():
    given = parts(a=predictions(0), b=FAILED)
    for blended in blend_predictions(weigh(**given), **given):
        ours = blended.groupby("era")["prediction"].rank()
        assert ours.equals(given["a__oof"].groupby("era")["prediction"].rank())


def test_a_members_scale_does_not_count():
    a, b = predictions(0), predictions(1)
    loud = b.assign(prediction=b["prediction"] * 1000 + 7)
    plain, scaled = (
        blend_predictions(weigh(**parts(a=a, b=other)), **parts(a=a, b=other))[0]
        for other in (b, loud)
    )
    pd.testing.assert_frame_equal(plain, scaled)


def test_members_that_predict_other_rows_are_refused():
    given = parts(a=predictions(0), b=predictions(1).assign(id=lambda t: t["id"] + "x"))
    with pytest.raises(BlendError, match="b and a predict different rows"):
        blend_predictions(weigh(**given), **given)
