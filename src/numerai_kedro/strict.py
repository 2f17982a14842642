"""Typed blocks of parameters, whose validation errors become one sentence."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from fnmatch import fnmatch
from typing import Any, Self, TypeVar

from pydantic import (
    BaseModel,
    ConfigDict,
    ModelWrapValidatorHandler,
    ValidationError,
    model_validator,
)

from numerai_kedro.errors import ConfigurationError

WHERE = "(conf/base/parameters_*.yml, conf/local, --params)."
# How pydantic marks the branches of a union in the location of an error.
BRANCHES = ("bool", "int", "float", "str", "literal[")

# Parameters of earlier versions, by the end of their path, and their names now.
RENAMED = {
    "stretches": "periods",
    "periods.*.tuning": "validation",
    "judged_begin": "test_begin",
    "judged_fold_eras": "test_fold_eras",
    "tuning_fold_eras": "validation_fold_eras",
    "min_judged_eras": "min_test_eras",
    "scout_stride": "low_fidelity_stride",
    "scout_trees": "low_fidelity_trees",
    "verdicts": "features, a list, such as features: [drop_unstable, latents]",
    "latents": "features, a list, such as features: [drop_unstable, latents]",
}

BlockType = TypeVar("BlockType", bound="Block")


class Strict(BaseModel):
    """A part of a block; unknown names are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Block(Strict):
    """A whole block, such as everything under ``submission``."""

    @model_validator(mode="wrap")
    @classmethod
    def _in_one_sentence(cls, value: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        try:
            return handler(value)
        except ValidationError as error:
            raise ConfigurationError(describe(error, cls.model_fields)) from None


def read_block(kind: type[BlockType], place: str, values: Any) -> BlockType:
    """Validate the block at a place such as ``tracking``, where Kedro does not.

    Raises
    ------
    ConfigurationError
        Names the place, what is wrong there, and what it should be.
    """
    try:
        return kind.model_validate(values)
    except ConfigurationError as error:
        problem = error.message
    except ValidationError as error:  # from a block's own rule about several of its parameters
        problem = describe(error, kind.model_fields)
    raise ConfigurationError(f"parameters: {place}.{problem} {WHERE}")


def describe(error: ValidationError, known: Iterable[str]) -> str:
    """Say what is wrong, by place: ``upload: 'maybe' should be 'auto' or a valid boolean``."""
    problems: dict[str, list[str]] = {}
    for detail in error.errors():
        place = [str(part) for part in detail["loc"]]
        if len(place) > 1 and place[-1].startswith(BRANCHES):
            place.pop()
        problems.setdefault(".".join(place), []).append(_problem(detail, known))
    return "; ".join(
        ": ".join(filter(None, [place, " or ".join([first, *(_shorter(more) for more in rest)])]))
        for place, (first, *rest) in problems.items()
    )


def _problem(detail: Any, field_names: Iterable[str]) -> str:
    if detail["type"] == "extra_forbidden":
        place = "".join(f".{part}" for part in detail["loc"])
        for old, new in RENAMED.items():
            if fnmatch(place, f"*.{old}"):
                return f"has been renamed {new}"
        close = difflib.get_close_matches(str(detail["loc"][-1]), list(field_names), n=1)
        return "there is no such parameter" + (f"; did you mean {close[0]}?" if close else "")
    if detail["type"] == "missing":
        return "is missing"
    if detail["type"] == "value_error":
        return str(detail["msg"]).removeprefix("Value error, ")
    message = detail["msg"].removeprefix("Input ").partition(", unable")[0]
    return f"{detail['input']!r} {message}"


def _shorter(problem: str) -> str:
    """Omit the value, which the message of the union's first branch contains."""
    return problem.partition(" should be ")[2] or problem
