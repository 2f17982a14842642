"""A statement's syntax without what cannot change a result.

Left out are docstrings, annotations of functions, the names of local variables, imports inside
functions (what they import is followed instead), log lines, and the texts of errors.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from typing import Any

FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
# Calls that only log: on which name, and by which methods (None for all).
LOGGERS = {"logger": None, "logging": None, "warnings": {"warn"}}
# A function that uses one of these may read its local variables by name.
BY_TEXT = {"locals", "vars", "eval", "exec"}
# Fields that repeat a node's context, or that only a type checker reads.
SILENT_FIELDS = {"ctx", "type_comment", "kind", "returns", "type_params"}
# Expressions in a log line that may do more than log.
STATEFUL = (ast.NamedExpr, ast.Await, ast.Yield, ast.YieldFrom)
NO_NAMES: Mapping[str, str] = {}


def normal_form(statement: ast.stmt) -> str:
    """The normal form as text: equal for statements that give equal results."""
    parts: list[str] = []
    _write(statement, None, parts)
    return "".join(parts)


def is_text(statement: ast.AST) -> bool:
    """Whether a statement is a docstring, or a text in its place."""
    return (
        isinstance(statement, ast.Expr)
        and isinstance(statement.value, ast.Constant)
        and isinstance(statement.value.value, str)
    )


def is_said(statement: ast.AST) -> bool:
    """Whether a statement is a log line."""
    call = statement.value if isinstance(statement, ast.Expr) else None
    function = call.func if isinstance(call, ast.Call) else None
    if not (isinstance(function, ast.Attribute) and isinstance(function.value, ast.Name)):
        return False
    if function.value.id not in LOGGERS:
        return False
    assert isinstance(call, ast.Call)
    methods = LOGGERS[function.value.id]
    arguments = [*call.args, *(keyword.value for keyword in call.keywords)]
    # Drawing a random number for a log line changes those that follow.
    draws = any(isinstance(node, STATEFUL) for argument in arguments for node in ast.walk(argument))
    return (methods is None or function.attr in methods) and not draws


def _write(node: ast.AST, names: Mapping[str, str] | None, parts: list[str]) -> None:
    """Write a node; `names` are numbers of local variables, None outside of functions."""
    if isinstance(node, FUNCTIONS) and names is None:
        names = _local_names(node)
    if isinstance(node, ast.Raise):
        parts.append(_error_form(node, names))
        return
    # Python does not evaluate annotations of local variables.
    if isinstance(node, ast.AnnAssign) and names is not None:
        node = ast.Assign([node.target], node.value or ast.Constant(None))
    parts.append(f"({type(node).__name__}")
    for name, value in _counted_fields(node, names is not None):
        if isinstance(value, list):
            parts.append("[")
            for item in value:
                if not _is_irrelevant(item):
                    _write_value(item, names, parts)
            parts.append("]")
        else:
            _write_value(value, names, parts, of_name=name in ("id", "name"))
    parts.append(")")


def _counted_fields(node: ast.AST, in_function: bool) -> Iterator[tuple[str, Any]]:
    for name, value in ast.iter_fields(node):
        annotates = name == "annotation" and in_function
        text_of_assert = name == "msg" and isinstance(node, ast.Assert)
        if name not in SILENT_FIELDS and not annotates and not text_of_assert:
            yield name, value


def _write_value(
    value: object, names: Mapping[str, str] | None, parts: list[str], of_name: bool = False
) -> None:
    if isinstance(value, ast.AST):
        _write(value, names, parts)
    elif of_name and names:
        parts.append(f" {names.get(str(value), repr(value))}")
    else:
        parts.append(f" {value!r}")


def _error_form(node: ast.Raise, names: Mapping[str, str] | None) -> str:
    """A raised error: its class and its arguments, without texts."""
    parts: list[str] = []
    for part in _without_texts(node):
        parts.append(f"({type(part).__name__}")
        if isinstance(part, ast.Name):
            parts.append((names or NO_NAMES).get(part.id, part.id))
        elif isinstance(part, ast.Attribute):
            parts.append(part.attr)
        elif isinstance(part, ast.Constant):
            parts.append(repr(part.value))
        elif isinstance(part, ast.keyword):
            parts.append(part.arg or "**")
    return "".join(parts)


def _without_texts(node: ast.AST) -> Iterator[ast.AST]:
    """A node and its descendants, without texts."""
    if isinstance(node, ast.JoinedStr | ast.expr_context):
        return
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return
    yield node
    for child in ast.iter_child_nodes(node):
        yield from _without_texts(child)


def _is_irrelevant(statement: Any) -> bool:
    nothing = isinstance(statement, ast.Pass | ast.Import | ast.ImportFrom)
    return nothing or is_text(statement) or is_said(statement)


def _local_names(function: ast.AST) -> dict[str, str]:
    """Local variable -> number in order of appearance.

    Parameters keep their names, because callers may use them as keywords; so does a variable that
    shares its name with a parameter, a global, or an inner function.
    """
    bound: dict[str, None] = {}
    fixed: set[str] = set()
    for node in ast.walk(function):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            bound[node.id] = None
        elif isinstance(node, ast.Name) and node.id in BY_TEXT:
            return {}
        elif isinstance(node, ast.ExceptHandler) and node.name:
            bound[node.name] = None
        else:
            fixed |= _fixed_names(node)
    names = [name for name in bound if name not in fixed]
    return {name: f"local{number}" for number, name in enumerate(names)}


def _fixed_names(node: ast.AST) -> set[str]:
    """Names that a node binds other than by assignment."""
    if isinstance(node, ast.arg):
        return {node.arg}
    if isinstance(node, ast.Global | ast.Nonlocal):
        return set(node.names)
    if isinstance(node, ast.MatchAs | ast.MatchStar | ast.FunctionDef | ast.ClassDef):
        return {node.name or ""}
    return {node.rest or ""} if isinstance(node, ast.MatchMapping) else set()
