"""A statement's syntax without what changes no result.

Left out are docstrings, annotations of functions, the names of local variables, imports inside
functions (what they bring is followed instead), lines of logs, and the texts of errors.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from typing import Any

FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
# Calls that only say something: of what, and, where not all of its methods do, which.
LOGGERS = {"logger": None, "logging": None, "warnings": {"warn"}}
# Where one of these is called, a local name may be more than a name.
BY_TEXT = {"locals", "vars", "eval", "exec"}
# What only says where a node stands, or what a type checker reads.
SILENT_FIELDS = {"ctx", "type_comment", "kind", "returns", "type_params"}
# What in a line of a log may do more than say something.
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
    """Whether a statement is a line of a log."""
    call = statement.value if isinstance(statement, ast.Expr) else None
    function = call.func if isinstance(call, ast.Call) else None
    if not (isinstance(function, ast.Attribute) and isinstance(function.value, ast.Name)):
        return False
    if function.value.id not in LOGGERS:
        return False
    assert isinstance(call, ast.Call)
    methods = LOGGERS[function.value.id]
    told = [*call.args, *(one.value for one in call.keywords)]
    # Drawing a random number for a log line changes those that follow.
    draws = any(isinstance(one, STATEFUL) for part in told for one in ast.walk(part))
    return (methods is None or function.attr in methods) and not draws


def _write(node: ast.AST, names: Mapping[str, str] | None, parts: list[str]) -> None:
    """Write a node; `names` are numbers of local variables, None outside of functions."""
    if isinstance(node, FUNCTIONS) and names is None:
        names = _local_names(node)
    if isinstance(node, ast.Raise):
        parts.append(_without_words(node, names))
        return
    if isinstance(node, ast.AnnAssign) and names is not None:
        node = ast.Assign([node.target], node.value or ast.Constant(None))
    parts.append(f"({type(node).__name__}")
    for name, value in _counted_fields(node, names is not None):
        if isinstance(value, list):
            parts.append("[")
            for one in value:
                if not _is_nothing(one):
                    _write_value(one, names, parts)
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


def _without_words(node: ast.Raise, names: Mapping[str, str] | None) -> str:
    """A raised error: its class and what it is told, texts aside."""
    parts: list[str] = []
    for one in _unspoken(node):
        parts.append(f"({type(one).__name__}")
        if isinstance(one, ast.Name):
            parts.append((names or NO_NAMES).get(one.id, one.id))
        elif isinstance(one, ast.Attribute):
            parts.append(one.attr)
        elif isinstance(one, ast.Constant):
            parts.append(repr(one.value))
        elif isinstance(one, ast.keyword):
            parts.append(one.arg or "**")
    return "".join(parts)


def _unspoken(node: ast.AST) -> Iterator[ast.AST]:
    """A node and those below it that are no part of a text."""
    if isinstance(node, ast.JoinedStr | ast.expr_context):
        return
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return
    yield node
    for child in ast.iter_child_nodes(node):
        yield from _unspoken(child)


def _is_nothing(statement: Any) -> bool:
    nothing = isinstance(statement, ast.Pass | ast.Import | ast.ImportFrom)
    return nothing or is_text(statement) or is_said(statement)


def _local_names(function: ast.AST) -> dict[str, str]:
    """Local variable -> number in order of appearance.

    Parameters keep their names, by which others may give them, and so does all that shares its
    name with one, with what is global, or with an inner function.
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
    """Names that a node binds otherwise than by assigning."""
    if isinstance(node, ast.arg):
        return {node.arg}
    if isinstance(node, ast.Global | ast.Nonlocal):
        return set(node.names)
    if isinstance(node, ast.MatchAs | ast.MatchStar | ast.FunctionDef | ast.ClassDef):
        return {node.name or ""}
    return {node.rest or ""} if isinstance(node, ast.MatchMapping) else set()
