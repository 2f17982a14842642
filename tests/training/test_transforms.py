"""Lists of feature transformations, as parameters have them."""

import pytest

from numerai_kedro.training.transforms import (
    check_transforms,
    derives_columns,
    own_of,
    verdict_use,
)

ALL_KINDS = ("drop_unstable", "latents", "my_features.Squares")


def test_each_kind_is_found_in_a_list():
    assert verdict_use(ALL_KINDS) == "drop_unstable"
    assert verdict_use(("latents",)) is None
    assert derives_columns(ALL_KINDS) == ["latents", "my_features.Squares"]
    assert own_of(ALL_KINDS) == ["my_features.Squares"]
    assert check_transforms(ALL_KINDS) == ALL_KINDS


@pytest.mark.parametrize(
    ("transforms", "problem"),
    [
        (
            ("dropunstable",),
            '"dropunstable" is none of drop_unstable, keep_confirmed, weigh, latents',
        ),
        (("latents", "latents"), "named twice"),
        (("weigh", "drop_unstable"), "weigh and drop_unstable exclude each other"),
    ],
)
def test_a_list_that_cannot_be_applied_is_refused(transforms, problem):
    with pytest.raises(ValueError, match=problem):
        check_transforms(transforms)
