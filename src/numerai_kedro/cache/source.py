"""A module's source, parsed: its definitions, what they use, and what they import."""

from __future__ import annotations

import ast
import re
from collections.abc import Container, Iterator
from dataclasses import dataclass, field
from typing import Any

from numerai_kedro.cache.normal_form import is_said, is_text, normal_form
from numerai_kedro.files import digest_bytes

DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
BLOCKS = (ast.If, ast.Try, ast.For, ast.While, ast.With)
# Length of definitions' digests: enough to tell a few thousand apart.
DIGITS = 16
# Marks an import of all names among a module's imports.
STAR = "*"
# Marks a string that may name a module among imports.
PERHAPS = "?"
MODULE_NAME = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+")
# Methods that add to a registry.
ADDING = {"add", "append", "extend", "insert", "register", "setdefault", "update"}
# Functions whose strings name attributes.
BY_NAME = {"getattr", "hasattr", "setattr", "attrgetter", "methodcaller"}


@dataclass(frozen=True)
class Piece:
    """A statement, a class without its methods, or a method: the part that results depend on.

    Parameters
    ----------
    digest
        Of its normal form.
    uses, imports
        As in `Definition`, but without log lines, errors and the annotations of functions.
    attributes
        Names of attributes that it reads, of any object.
    annotations
        Dotted names in the annotations of functions.
    """

    digest: str
    uses: tuple[str, ...]
    imports: tuple[str, ...]
    attributes: tuple[str, ...]
    annotations: tuple[str, ...]


@dataclass(frozen=True)
class Definition:
    """One statement of a module's top level.

    Parameters
    ----------
    names
        What it binds.
    digest
        Of its syntax tree without docstrings.
    uses
        Dotted names that it reads, such as ``"np.asarray"``.
    imports
        Modules and members that it imports inside its body, such as ``"lightgbm:"`` or
        ``"numerai_kedro.files:fetch"``; with a question mark before it, a string that may name one.
    acts
        It does more than bind a name, so it counts as soon as anything of its module is used.
    acts_on
        Names that it adds to, such as a registry, and its decorators.
    bases
        Of a class.
    result
        What results depend on; of a class, without its methods.
    methods
        Of a class: name and piece of each.
    """

    names: tuple[str, ...]
    digest: str
    uses: tuple[str, ...]
    imports: tuple[str, ...]
    acts: bool
    acts_on: tuple[str, ...]
    bases: tuple[str, ...]
    result: Piece
    methods: tuple[tuple[str, Piece], ...]


@dataclass
class Module:
    """A module's definitions, and what it imports at its top level: name -> ``module:member``."""

    definitions: list[Definition] = field(default_factory=list)
    imported: dict[str, str] = field(default_factory=dict)

    def defining(self, name: str) -> list[int]:
        """Numbers of the definitions that bind a name."""
        return [i for i, definition in enumerate(self.definitions) if name in definition.names]

    def effects(self) -> list[int]:
        """Numbers of the statements that do more than bind a name."""
        return [i for i, definition in enumerate(self.definitions) if definition.acts]

    def as_json(self) -> dict[str, Any]:
        """As nested lists."""
        return {
            "definitions": [_as_list(definition) for definition in self.definitions],
            "of": self.imported,
        }

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> Module:
        """Make a module from what `as_json` returned."""
        return cls(
            [_from_list(*definition) for definition in content["definitions"]], content["of"]
        )


def _as_list(definition: Definition) -> list[Any]:
    result, methods = (
        vars(definition.result),
        [[name, list(vars(piece).values())] for name, piece in definition.methods],
    )
    return [*list(vars(definition).values())[:-2], list(result.values()), methods]


def _from_list(
    names: list[str],
    digest: str,
    uses: list[str],
    imports: list[str],
    acts: bool,
    acts_on: list[str],
    bases: list[str],
    result: list[Any],
    methods: list[Any],
) -> Definition:
    pieces = tuple((name, _piece(*piece)) for name, piece in methods)
    bound = tuple(names), digest, tuple(uses), tuple(imports), acts, tuple(acts_on), tuple(bases)
    return Definition(*bound, _piece(*result), pieces)


def _piece(digest: str, *names: list[str]) -> Piece:
    return Piece(digest, *map(tuple, names))


def parse_module(source: str, name: str, stem: str = "") -> Module:
    """Parse a module's top level.

    Parameters
    ----------
    name
        Such as ``"numerai_kedro.files.atomic"``.
    stem
        ``"__init__"`` for a package.
    """
    module = Module()
    package = name if stem == "__init__" else name.rpartition(".")[0]
    for top_level in ast.parse(source).body:
        for statement in _statements(top_level):
            for inner in ast.walk(statement) if isinstance(statement, BLOCKS) else [statement]:
                if isinstance(inner, ast.Import | ast.ImportFrom):
                    module.imported.update(imports_of(inner, package))
            plain_import = isinstance(statement, ast.Import | ast.ImportFrom) and not _is_star(
                statement
            )
            if not plain_import and not is_text(statement):
                module.definitions.append(_definition(statement, package))
    return module


def _statements(statement: ast.stmt) -> Iterator[ast.stmt]:
    """A statement, or those inside ``if TYPE_CHECKING:``."""
    guarded = isinstance(statement, ast.If) and "TYPE_CHECKING" in ast.dump(statement.test)
    if guarded and isinstance(statement, ast.If):
        yield from [*statement.body, *statement.orelse]
    else:
        yield statement


def _definition(statement: ast.stmt, package: str) -> Definition:
    _strip_docstrings(statement)
    digest = digest_bytes(ast.dump(statement).encode())[:DIGITS]
    uses, imports, _ = _read(statement, package)
    names, acts = _bound(statement)
    methods: list[tuple[str, Piece]] = []
    bases: tuple[str, ...] = ()
    if isinstance(statement, ast.ClassDef):
        bases = tuple(_dotted(_inner(base)) or "?" for base in statement.bases)
        functions = [member for member in statement.body if isinstance(member, FUNCTIONS)]
        methods = [(member.name, _result(member, package)) for member in functions]
        statement.body = [member for member in statement.body if member not in functions]
    result = _result(statement, package)
    acts_on = tuple(sorted(_acted_on(statement)))
    return Definition(names, digest, uses, imports, acts, acts_on, bases, result, tuple(methods))


def _inner(base: ast.expr) -> ast.expr:
    """``Generic`` of ``Generic[T]``."""
    return _inner(base.value) if isinstance(base, ast.Subscript) else base


def _strip_docstrings(statement: ast.stmt) -> None:
    for node in ast.walk(statement):
        if isinstance(node, DEFINITIONS):
            node.body = [child for child in node.body if not is_text(child)] or [ast.Pass()]


def _result(statement: ast.stmt, package: str) -> Piece:
    digest = digest_bytes(normal_form(statement).encode())[:DIGITS]
    annotations = list(_annotations(statement))
    read = _read(statement, package, {id(annotation) for annotation in annotations})
    names = [name for annotation in annotations for name in _read(annotation, package)[0]]
    return Piece(digest, *read, tuple(sorted(set(names))))


def _annotations(statement: ast.AST) -> Iterator[ast.expr]:
    """Annotations of functions, and of variables inside them."""
    for function in ast.walk(statement):
        if isinstance(function, FUNCTIONS):
            for node in ast.walk(function):
                annotation = getattr(node, "annotation", None) or getattr(node, "returns", None)
                if isinstance(annotation, ast.expr):
                    yield annotation


def _read(
    statement: ast.AST, package: str, without: Container[int] | None = None
) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
    """Dotted names, imports and attributes that a statement reads.

    Parameters
    ----------
    without
        Nodes that do not count, by their `id`; if given, log lines and errors do not count either.
    """
    uses: set[str] = set()
    imports: set[str] = set()
    attributes: set[str] = set()
    waiting: list[ast.AST] = [statement]
    while waiting:
        node = waiting.pop()
        if without is not None and (
            id(node) in without or is_said(node) or isinstance(node, ast.Raise)
        ):
            continue  # a log line, or an error
        dotted = _dotted(node)
        if dotted:
            uses.add(dotted)
            attributes |= set(dotted.split(".")[1:])
            continue  # the `a` in `a.b` would stand for all of a
        waiting += ast.iter_child_nodes(node)
        if isinstance(node, ast.Attribute):
            attributes.add(node.attr)
        elif isinstance(node, ast.Call) and (_dotted(node.func) or "").split(".")[-1] in BY_NAME:
            attributes |= {name for name in map(_text, node.args) if name.isidentifier()}
        elif isinstance(node, ast.MatchClass):
            attributes |= set(node.kwd_attrs)
        elif isinstance(node, ast.Import):
            imports |= {f"{alias.name}:" for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            imports |= set(imports_of(node, package).values())
        elif isinstance(node, ast.Constant):
            imports |= _named_module(node.value)
    return tuple(sorted(uses)), tuple(sorted(imports)), tuple(sorted(attributes))


def _text(node: ast.expr) -> str:
    value = node.value if isinstance(node, ast.Constant) else None
    return value if isinstance(value, str) else ""


def _named_module(value: object) -> set[str]:
    """What a string may name, as in ``"numerai_kedro.models.lightgbm:LightGBM"``."""
    if not isinstance(value, str):
        return set()
    module = value.partition(":")[0]
    return {f"{PERHAPS}{module}:"} if MODULE_NAME.fullmatch(module) else set()


def _bound(statement: ast.stmt) -> tuple[tuple[str, ...], bool]:
    """Names that a statement binds, and whether it does more than that."""
    if isinstance(statement, DEFINITIONS):
        return (statement.name,), False
    nodes = list(ast.walk(statement))
    stored = [node for node in nodes if isinstance(node, ast.Name)]
    named = {node.id for node in stored if isinstance(node.ctx, ast.Store)}
    named |= {node.name for node in nodes if isinstance(node, DEFINITIONS)}
    if isinstance(statement, ast.Assign | ast.AnnAssign):
        targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
        parts = [part for target in targets for part in _parts(target)]
        return tuple(sorted(named)), not all(isinstance(part, ast.Name) for part in parts)
    return tuple(sorted(named)), True


def _acted_on(statement: ast.stmt) -> Iterator[str]:
    """Dotted names that a statement adds to when its module is imported, or when it is called."""
    own: set[str] = set()
    if isinstance(statement, DEFINITIONS):
        for decorator in statement.decorator_list:
            yield from filter(None, [_dotted(_called(decorator))])
        nodes = list(ast.walk(statement))
        stored = [node for node in nodes if isinstance(node, ast.Name)]
        own = {node.id for node in stored if isinstance(node.ctx, ast.Store)}
        own |= {node.arg for node in nodes if isinstance(node, ast.arg)}
    else:
        nodes = list(ast.walk(statement) if isinstance(statement, BLOCKS) else [statement])
    for node in nodes:
        for name in _changed_by(node, called=not isinstance(statement, DEFINITIONS)):
            if name.partition(".")[0] not in own:
                yield name


def _changed_by(node: ast.AST, called: bool) -> Iterator[str]:
    """What a statement adds to: ``REGISTRY["name"] = …``, ``REGISTRY.append(…)``.

    Parameters
    ----------
    called
        Whether what is called counts, too: ``register(…)`` of a module's top level.
    """
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
        function = _called(node.value)
        if called:
            yield from filter(None, [_dotted(function)])
        if isinstance(function, ast.Attribute) and (called or function.attr in ADDING):
            yield from filter(None, [_dotted(function.value)])
    elif isinstance(node, ast.Assign | ast.AugAssign):
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        for part in (part for target in targets for part in _parts(target)):
            if isinstance(part, ast.Subscript | ast.Attribute):
                yield from filter(None, [_dotted(part.value)])


def _called(node: ast.expr) -> ast.expr:
    return _called(node.func) if isinstance(node, ast.Call) else node


def _parts(target: ast.expr) -> list[ast.expr]:
    """``a`` and ``b[0]`` of ``a, b[0] = …``."""
    if isinstance(target, ast.Starred):
        return _parts(target.value)
    if isinstance(target, ast.Tuple | ast.List):
        return [part for element in target.elts for part in _parts(element)]
    return [target]


def _is_star(statement: ast.Import | ast.ImportFrom) -> bool:
    return any(alias.name == "*" for alias in statement.names)


def _dotted(node: ast.AST) -> str | None:
    """``a.b.c`` of an attribute or a name; None for all else, such as ``f().b``."""
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    if not isinstance(node, ast.Name):
        return None
    return ".".join([node.id, *reversed(parts)])


def imports_of(node: ast.Import | ast.ImportFrom, package: str) -> dict[str, str]:
    """Name that an import binds -> ``module:member``."""
    if isinstance(node, ast.Import):
        # `import a.b` binds a; `import a.b as c` binds the module a.b to c.
        return {
            alias.asname or alias.name.partition(".")[0]: (
                f"{alias.name if alias.asname else alias.name.partition('.')[0]}:"
            )
            for alias in node.names
        }
    parents = package.split(".")[: len(package.split(".")) - node.level + 1]
    start = ".".join(parents) if node.level else ""
    module = ".".join(part for part in (start, node.module) if part)
    return {
        # Names behind a star are looked for in its module.
        (f"{STAR} {module}" if alias.name == "*" else alias.asname or alias.name): (
            f"{module}:{alias.name.removesuffix('*')}"
        )
        for alias in node.names
    }
