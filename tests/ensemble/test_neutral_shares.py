"""A share serves the choices it was made for, from its own era on."""

from numerai_kedro.ensemble.neutral_shares import (
    NO_SHARE,
    choices_by_era,
    effective_share,
    missing_share,
    share_of,
)


def decision(first_era, study, **params):
    return {"first_era": first_era, "study": study, "params": params}


DECISIONS = {
    "a": [decision(81, "a0"), decision(133, "a1")],
    "b": [decision(81, "b0"), decision(185, "b1")],
    "late": [decision(133, "l0")],
    "never_tuned": [{"first_era": 81, "params": {}}],
}


def share(first_era, proportion, **choices):
    return {"first_era": first_era, "choices": choices, "proportion": proportion, "verdict": "!"}


def proportion_of(kept, era=81, **choices):
    return share_of(kept, era, choices)["proportion"]


def test_every_decision_begins_a_new_set_of_choices():
    choices = choices_by_era(DECISIONS)
    studies = {
        era: {name: choice.split()[0] for name, choice in chosen.items()}
        for era, chosen in choices.items()
    }
    assert studies == {
        81: {"a": "a0", "b": "b0", "late": "l0"},
        133: {"a": "a1", "b": "b0", "late": "l0"},
        185: {"a": "a1", "b": "b1", "late": "l0"},
    }
    assert choices_by_era({"never_tuned": DECISIONS["never_tuned"]}) == {}


def test_a_study_that_comes_to_something_else_is_another_choice():
    ways = [
        decision(81, "a0", depth=5),
        decision(81, "a0", depth=6),
        decision(81, "a0", depth=5) | {"option": {"era_stride": 4}},
    ]
    choices = [choices_by_era({"a": [way]})[81]["a"] for way in ways]
    assert len(set(choices)) == 3


def test_a_share_is_found_by_the_choices_of_then():
    shares = [
        share(81, 0.1, a="a0", b="b0"),
        share(133, 0.2, a="a1", b="b0"),
        share(81, 0.3, b="b0"),
    ]
    assert proportion_of(shares, a="a0", b="b0") == 0.1
    assert proportion_of(shares, 133, a="a1", b="b0") == 0.2
    assert proportion_of(shares, b="b0") == 0.3
    assert proportion_of(shares, a="a0", b="b0", late="l0") == 0.1  # a later member is ignored
    assert proportion_of(shares, a="a0") == 0.1  # one that has left still counts
    assert proportion_of(shares, a="a9", b="b0") == 0.3  # `a` has changed
    assert proportion_of(shares, a="a9") == 0
    assert proportion_of(shares, 185, a="a1", b="b0") == 0  # chosen for other eras
    more = [share(81, 0.5, a="a0", b="b0", c="c0"), share(81, 0.6, b="b0")]
    assert proportion_of(more, a="a9", b="b0", c="c0") == 0.6
    assert proportion_of([share(81, 0.4, b="b0"), *shares], b="b0") == 0.3  # the newest of equals


def test_an_era_is_served_by_the_newest_share_before_it():
    shares = [share(81, 0.1), share(133, 0.2)]
    proportions = [effective_share(shares, era)["proportion"] for era in (80, 81, 132, 133, 999)]
    assert proportions == [0, 0.1, 0.1, 0.2, 0.2]
    assert effective_share([], 81) == NO_SHARE


def test_what_was_chosen_is_not_chosen_again():
    shares, both = [share(81, 0.1, a="a0")], {"a": "a0", "b": "b0"}
    assert missing_share(shares, 81, both, {"a": 1, "b": 1}) == both
    assert missing_share(shares, 81, both, {"a": 1}) == {}
    assert missing_share(shares, 81, {"a": "a0"}, {}) == {}
    assert missing_share(shares, 133, both, {"b": 1}) == {"b": "b0"}
    assert missing_share(shares, 133, both, {}) == {}
