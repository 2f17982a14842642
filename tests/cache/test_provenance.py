"""What a blend is made by has a digest that changes with every part of it."""

import pandas as pd

from numerai_kedro.cache.provenance import (
    ASKED,
    ENSEMBLE,
    MEMBERS,
    configuration_of_blend,
    members_of,
    procedure_of,
    weighed_members,
)

PLAIN = {"features": [], "proportion": 0.5}


def weights(asked="a", models=("x", "y"), **members):
    frame = pd.DataFrame({"model": [*models, *models]})
    frame.attrs |= {ASKED: asked, MEMBERS: {"x": "1", "y": "2"} | members}
    return frame


def test_every_part_of_a_blend_makes_another_configuration():
    shares = [{"first_era": 1, "proportion": 0.25}, {"first_era": 9, "proportion": 0.5}]
    later = [{"first_era": 2, "proportion": 0.25}, {"first_era": 9, "proportion": 0.5}]
    digests = [
        configuration_of_blend(frame, neutralisation)
        for frame, neutralisation in (
            (weights(), PLAIN),
            (weights(), PLAIN | {"proportion": 0.75}),
            (weights(), PLAIN | {"features": ["f"]}),
            (weights(), PLAIN | {"source": "s"}),
            (weights(), PLAIN | {"shares": shares}),
            (weights(), PLAIN | {"shares": later}),
            (weights("b"), PLAIN),
            (weights(x="3"), PLAIN),
            (weights(models=("x",)), PLAIN),
        )
    ]
    assert len(set(digests)) == len(digests)
    same = configuration_of_blend(weights(), PLAIN | {"shares": (), "source": None})
    assert same == digests[0]
    # Shares by era are what is taken out; the one proportion is not.
    other = PLAIN | {"shares": shares, "proportion": 0.1}
    assert configuration_of_blend(weights(), other) == digests[4]


def test_members_are_those_that_have_weights():
    assert weighed_members(weights(models=("y", "z"))) == {"y": "2", "z": ""}
    assert members_of(ENSEMBLE, weights()) == ["x", "y"]
    assert members_of("x", weights()) == ["x"]


def test_a_blend_without_a_member_is_another_procedure():
    procedures = {"x": "p", "y": "q", ENSEMBLE: "e"}
    assert procedure_of("x", procedures, weights()) == "p"
    whole = procedure_of(ENSEMBLE, procedures, weights())
    assert whole == procedure_of(ENSEMBLE, procedures, weights(models=("y", "x")))
    assert whole != procedure_of(ENSEMBLE, procedures, weights(models=("x",)))
