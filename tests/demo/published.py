"""The demo's types against the published ones, fact by fact.

A fact is one line, such as ``Round.number: Int`` or ``enum RoundStatus: OPEN RESOLVED``. The
published ones were typed off a third party's listing of July 2026, not off the demo's schema.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from graphql import (
    GraphQLArgument,
    GraphQLEnumType,
    GraphQLObjectType,
    GraphQLScalarType,
    GraphQLSchema,
    Undefined,
)

PUBLISHED = Path(__file__).with_name("published_types.txt")
BUILT_IN = {"Boolean", "Float", "ID", "Int", "String"}

NEWER = "newer than the published introspection; numerapi 3.1 selects it"
NULL = "would be null: a simulated service does not know it"
PERSONAL = "personal, or of an account's money"
ELSEWHERE = "of the tournaments Signals and Crypto"
STAKING = "moves a stake, or belongs to one that is about to move"
# Difference -> reason. A type covers all its fields that only one side has.
MORE = {
    "PayoutMultiplier": NEWER,
    "Round": NEWER,
    "RoundScoreConfig": NEWER,
    "V2RoundModelPerformance": NEWER,
}
LESS = {
    "Account": PERSONAL,
    "AccountProfile": PERSONAL,
    "ComputePickleUpload": "uploaded models are kept, never run, so that nothing triggers them",
    "Model": f"{ELSEWHERE}; returns {NULL}",
    "ModelData": f"other scores than the paid ones: {NULL}",
    "ModelProfile": f"other scores than the paid ones: {NULL}",
    "RoundDetails": NULL,
    "V2LeaderboardEntry": NULL,
    "V2Stake": STAKING,
    "V2Submission": f"{ELSEWHERE}, and validation figures of years ago: {NULL}",
    "V3UserProfile": NULL,
}


@dataclass(frozen=True)
class Difference:
    """Where the demo and the published types differ.

    Parameters
    ----------
    more, less
        Facts of the demo alone, and published ones alone, by type.
    other
        Name of a field, an enum or a scalar -> the demo's fact and the published one.
    """

    more: Mapping[str, list[str]]
    less: Mapping[str, list[str]]
    other: Mapping[str, tuple[str, str]]


def difference(ours: list[str], published: list[str]) -> Difference:
    """Compare two lists of facts; `more` and `less` include types that only one side has."""
    by_name, theirs = (_by_name(facts) for facts in (ours, published))
    both = by_name.keys() & theirs.keys()
    other = {name: (by_name[name], theirs[name]) for name in both if by_name[name] != theirs[name]}
    return Difference(
        _by_type(by_name.keys() - theirs.keys()), _by_type(theirs.keys() - by_name.keys()), other
    )


def published() -> list[str]:
    """The published facts."""
    lines = PUBLISHED.read_text(encoding="utf-8").splitlines()
    return [line for line in lines if not line.startswith("#")]


def facts_of(schema: GraphQLSchema) -> list[str]:
    """The facts of a schema, as a client finds them by introspection."""
    facts = []
    for name, kind in schema.type_map.items():
        if name.startswith("__") or name in BUILT_IN:
            continue
        if isinstance(kind, GraphQLObjectType):
            for field, definition in kind.fields.items():
                arguments = ", ".join(_argument(*item) for item in definition.args.items())
                signature = f"({arguments})" if arguments else ""
                facts.append(f"{name}.{field}{signature}: {definition.type}")
        elif isinstance(kind, GraphQLEnumType):
            facts.append(f"enum {name}: {' '.join(sorted(kind.values))}")
        elif isinstance(kind, GraphQLScalarType):
            facts.append(f"scalar {name}")
    return facts


def _argument(name: str, argument: GraphQLArgument) -> str:
    if argument.default_value is Undefined:
        return f"{name}: {argument.type}"
    value = argument.default_value
    shown = f'"{value}"' if isinstance(value, str) else str(value).lower()
    return f"{name}: {argument.type} = {shown}"


def _by_name(facts: list[str]) -> dict[str, str]:
    return {fact.partition(":")[0].partition("(")[0]: fact for fact in facts}


def _by_type(names: set[str]) -> dict[str, list[str]]:
    by_type: dict[str, list[str]] = {}
    for name in sorted(names):
        kind, _, field = name.partition(".")
        by_type.setdefault(kind, []).append(field)
    return by_type
