"""Execution of a GraphQL query on the demo's schema, the way Numerai's server does it.

It differs from graphql-core in three ways. A name may be spelt in snake case or in camel case, and
the answer spells it like the query. A String is accepted in place of an ID. And messages quote
names with ".
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from importlib import resources
from typing import Any

from graphql import (
    ArgumentNode,
    ExecutionResult,
    FieldNode,
    GraphQLError,
    GraphQLNamedType,
    GraphQLObjectType,
    GraphQLScalarType,
    GraphQLSchema,
    NameNode,
    OperationDefinitionNode,
    VariablesInAllowedPositionRule,
    Visitor,
    build_schema,
    execute,
    parse,
    specified_rules,
    validate,
    visit,
)

from numerai_kedro.demo.answers import Answer
from numerai_kedro.demo.tournament import Refusal

# Longest query that is accepted: numerapi's longest has 4,000 characters.
MAX_QUERY_CHARACTERS = 100_000
TOO_LONG = "Query is too long"
INTERNAL_ERROR = "Internal server error"
# Parts of a name in graphql-core's messages.
_QUOTED = re.compile(r"'([^'\s]+)'")
# Arguments that would hide a builtin, a module, or graphql-core's own `source`.
_TAKEN = {"id", "round", "source", "date", "filter"}
_STRING_FOR_ID = re.compile(r"of type 'String!?' used in position expecting type 'ID!?'")

# As `answers.utc` writes them.
TIME, DATE = "%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%d"
NO_SHIFT = timedelta(0)

Resolver = Callable[..., Any]


class VariablesFit(VariablesInAllowedPositionRule):
    """The rule of GraphQL, except that a String is accepted in place of an ID."""

    def report_error(self, error: GraphQLError) -> None:
        """Keep every other error."""
        if not _STRING_FOR_ID.search(error.message):
            super().report_error(error)


RULES = [
    VariablesFit if rule is VariablesInAllowedPositionRule else rule for rule in specified_rules
]


@functools.lru_cache
def schema(shift: timedelta = NO_SHIFT) -> GraphQLSchema:
    """The typed schema, read once; resolvers get its arguments in Python's spelling.

    Parameters
    ----------
    shift
        What is added to every time and date that is shown.
    """
    text = resources.files(__package__).joinpath("schema.graphql").read_text(encoding="utf-8")
    built = build_schema(text)
    for root in (built.query_type, built.mutation_type):
        assert root is not None, "schema.graphql has both roots"
        for field in root.fields.values():
            for name, argument in field.args.items():
                argument.out_name = snake_case(name) + ("_" if name in _TAKEN else "")
    for scalar, form in (("Time", TIME), ("Date", DATE)):
        kind = built.type_map[scalar]
        assert isinstance(kind, GraphQLScalarType), "schema.graphql has both scalars"
        kind.serialize = functools.partial(_shifted, form=form, shift=shift)  # type: ignore[method-assign]
    return built


def _shifted(value: str, form: str, shift: timedelta) -> str:
    try:
        return (datetime.strptime(value, form) + shift).strftime(form)
    except ValueError:  # the name of the tournament, which is published as a time
        return value


def snake_case(name: str) -> str:
    """``modelId`` as ``model_id``."""
    return re.sub("(?<!^)([A-Z])", lambda match: f"_{match[1].lower()}", name)


def operations_of(query: str) -> list[str]:
    """Names of the root fields of a query as they were spelt; empty if it is no GraphQL."""
    if len(query) > MAX_QUERY_CHARACTERS:
        return []
    try:
        document = parse(query, no_location=True)
    except GraphQLError:
        return []
    return [
        selection.name.value
        for definition in document.definitions
        if isinstance(definition, OperationDefinitionNode)
        for selection in definition.selection_set.selections
        if isinstance(selection, FieldNode)
    ]


def answer(
    root: Mapping[str, Resolver],
    query: str,
    variables: dict[str, Any] | None = None,
    operation: str | None = None,
    shift: timedelta = NO_SHIFT,
) -> Answer:
    """Execute a query; refusals are in ``errors``, as in a GraphQL answer with status 200.

    Parameters
    ----------
    root
        Resolvers by name of the root field, in camel case.
    operation
        Which of several operations; None if there is one.
    shift
        What is added to every time and date that is shown.

    Raises
    ------
    Exception
        A resolver failed: a bug, not an answer.
    """
    if len(query) > MAX_QUERY_CHARACTERS:
        return {"errors": [{"message": TOO_LONG}]}
    try:
        document = visit(parse(query), _Spelling())
    except GraphQLError as error:
        return _refused([error])
    errors = validate(schema(), document, RULES)
    if errors:
        return _refused(errors)
    result = execute(
        schema(shift),
        document,
        dict(root),
        variable_values=variables or {},
        operation_name=operation,
    )
    assert isinstance(result, ExecutionResult), "no resolver is asynchronous"
    for failed in result.errors or []:
        cause = failed.original_error
        # What graphql-core raises itself is about the query: a variable of another type, say.
        if cause is not None and not isinstance(cause, Refusal | GraphQLError):
            raise cause
    if not result.errors:
        return {"data": result.data}  # numerapi takes even an empty `errors` for a failure
    refused = [_message(error) for error in result.errors]
    return {"errors": refused} if result.data is None else {"data": result.data, "errors": refused}


class _Spelling(Visitor):
    """Renames what is spelt in snake case, and keeps that spelling in the answer."""

    def enter_field(self, node: FieldNode, *_: Any) -> FieldNode | None:
        name = _published(node.name.value)
        if name == node.name.value:
            return None
        return FieldNode(
            alias=node.alias or node.name,
            name=NameNode(value=name, loc=node.name.loc),
            arguments=node.arguments,
            directives=node.directives,
            selection_set=node.selection_set,
            loc=node.loc,
        )

    def enter_argument(self, node: ArgumentNode, *_: Any) -> ArgumentNode | None:
        name = _published(node.name.value)
        if name == node.name.value:
            return None
        return ArgumentNode(
            name=NameNode(value=name, loc=node.name.loc), value=node.value, loc=node.loc
        )


def _published(name: str) -> str:
    return _spellings().get(name.replace("_", ""), name) if "_" in name.strip("_") else name


@functools.cache
def _spellings() -> dict[str, str]:
    """Names of fields and arguments, by their spelling without underscores and in lower case."""
    types: list[GraphQLNamedType] = list(schema().type_map.values())
    fields = [
        field_name
        for kind in types
        if isinstance(kind, GraphQLObjectType)
        for field_name in kind.fields
    ]
    arguments = [
        argument
        for root in (schema().query_type, schema().mutation_type)
        if root is not None
        for field in root.fields.values()
        for argument in field.args
    ]
    names = [name for name in [*fields, *arguments] if not name.startswith("__")]
    return {name: name for name in names} | {name.lower(): name for name in names}


def _refused(errors: list[GraphQLError]) -> Answer:
    return {"errors": [_message(error) for error in errors]}


def _message(error: GraphQLError) -> Answer:
    formatted: Answer = dict(error.formatted)
    formatted["message"] = _QUOTED.sub(r'"\1"', formatted["message"])
    return formatted
