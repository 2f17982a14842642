"""A wrong parameter is one sentence with its place, its value, and what it should be."""

from typing import Literal

import pytest
from pydantic import Field, model_validator

from numerai_kedro.errors import ConfigurationError
from numerai_kedro.strict import Block, Strict, read_block


class Inner(Strict):
    width: int = Field(gt=0)


class Example(Block):
    upload: Literal["auto"] | bool = "auto"
    inner: dict[str, Inner] = Field(default_factory=dict)
    share: float = Field(default=0.5, le=1)


WRONG = {
    "misspelt": ({"uplod": True}, "uplod: there is no such parameter; did you mean upload?"),
    "union": ({"upload": "maybe"}, "upload: 'maybe' should be 'auto' or a valid boolean"),
    "bound": ({"share": 2}, "share: 2 should be less than or equal to 1"),
    "nested": ({"inner": {"a": {"width": "x"}}}, "inner.a.width: 'x' should be a valid integer"),
    "missing": ({"inner": {"a": {}}}, "inner.a.width: is missing"),
    "two": ({"share": 2, "uplod": 1}, "share: 2 should be less than or equal to 1; uplod: there"),
    "no block": (3, "3 should be a valid dictionary"),
}


@pytest.mark.parametrize("what", sorted(WRONG))
def test_what_is_wrong_is_said_in_one_sentence(what):
    values, sentence = WRONG[what]
    with pytest.raises(ConfigurationError) as raised:
        Example.model_validate(values)
    text = raised.value.message
    assert text.startswith(sentence)
    assert "\n" not in text
    assert "pydantic" not in text


class Paired(Block):
    """A block with a rule about two of its parameters."""

    low: int
    high: int

    @model_validator(mode="after")
    def _in_order(self):
        if self.low > self.high:
            raise ValueError(f"low {self.low} is more than high {self.high}")
        return self


def test_a_rule_about_several_parameters_is_one_sentence_too():
    sentence = r"^parameters: paired\.low 3 is more than high 2 \(conf/base"
    with pytest.raises(ConfigurationError, match=sentence):
        read_block(Paired, "paired", {"low": 3, "high": 2})


def test_a_block_that_kedro_does_not_read_names_itself():
    with pytest.raises(ConfigurationError, match=r"^parameters: example\.share: 2 should"):
        read_block(Example, "example", {"share": 2})
    assert read_block(Example, "example", {}).upload == "auto"
