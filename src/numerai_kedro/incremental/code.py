"""Which code computes a node: the definitions that its function reaches, as digests by module.

Followed by name from the node's own definition through the package: what it uses, what those use,
and so on. Comments, docstrings and the place of a definition do not count. A module named in a
string (``"numerai_kedro.models.lightgbm"``) counts whole, which covers registries; a package named
so counts with the files in its folder that are no modules. What no static look can see: names made
at run time, and classes that reach a node only inside an object; a node that gets such an object
names its class.
"""

from __future__ import annotations

import ast
import dataclasses
import importlib.metadata
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import CodeType
from typing import Any

from numerai_kedro.files import atomic_write, digest_bytes, digest_json
from numerai_kedro.incremental.content import UnknownContentError

FORMAT = 2
# Libraries whose import has another name than their package; a test holds that none is missing.
DISTRIBUTIONS = {
    "yaml": ("PyYAML",),
    "graphql": ("graphql-core",),
    "xgboost": ("xgboost-cpu", "xgboost"),  # one of two, by the extra that was installed
}
DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
BLOCKS = (ast.If, ast.Try, ast.For, ast.While, ast.With)
SIMPLE = (*DEFINITIONS, ast.Assign, ast.AnnAssign)
# Of the digests of definitions: enough to tell a few thousand apart.
DIGITS = 16
# In place of a definition's number: files of a package that are no modules, such as templates.
DATA = -1


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
        ``"numerai_kedro.files:fetch"``.
    acts
        It does more than bind a name, so it belongs to whatever of its module is used.
    """

    names: tuple[str, ...]
    digest: str
    uses: tuple[str, ...]
    imports: tuple[str, ...]
    acts: bool


@dataclass
class Module:
    """A module's definitions, and what it imports at its top level: name -> ``module:member``."""

    definitions: list[Definition] = field(default_factory=list)
    imported: dict[str, str] = field(default_factory=dict)

    def defining(self, name: str) -> list[int]:
        """Numbers of the definitions that bind a name."""
        return [i for i, one in enumerate(self.definitions) if name in one.names]

    def effects(self) -> list[int]:
        """Numbers of the statements that do more than bind a name."""
        return [i for i, one in enumerate(self.definitions) if one.acts]


@dataclass(frozen=True)
class Code:
    """What computes a node.

    Parameters
    ----------
    modules
        File of a module, relative to the package -> digest of the definitions reached in it.
    versions
        Library -> its version, of those that the definitions name.
    """

    modules: Mapping[str, str]
    versions: Mapping[str, str]


class CodeReader:
    """Reads a package's sources once.

    Parameters
    ----------
    root
        Folder of the package.
    cache
        File in which parsed modules are found again by the digest of their bytes; None for none.
    """

    def __init__(self, root: Path, cache: Path | None = None) -> None:
        self._root, self._package, self._cache = root, root.name, cache
        self._modules: dict[str, Module | None] = {}
        self._paths: dict[str, Path | None] = {}
        self._used: dict[tuple[str, int], tuple[set[tuple[str, int]], set[str]]] = {}
        # Nodes of a kind, one for each model, reach the same definitions.
        self._digested: dict[frozenset[tuple[str, int]], dict[str, str]] = {}
        self._known = _read_cache(cache)
        self._fresh = False
        self._versions: dict[str, str] = {}

    def of(self, functions: Iterable[Callable[..., Any] | type | str]) -> Code:
        """Follow functions and classes through the package; a string is a dotted name.

        What comes from another package counts by its own body and by that package's version.

        Raises
        ------
        UnknownContentError
            Something is defined in a notebook or a script, where nothing says what it uses.
        """
        reached: set[tuple[str, int]] = set()
        libraries: set[str] = set()
        elsewhere: dict[str, str] = {}
        for function in functions:
            module, name = _place(function)
            if module == "__main__":
                raise UnknownContentError(f"{name} is defined in a notebook or a script")
            found = self._resolve(module, name, libraries)
            for place in found:
                self._follow(place, reached, libraries)
            if not found:
                elsewhere |= _own_code(_unwrapped(function))
        key = frozenset(reached)
        if key not in self._digested:
            self._digested[key] = self._digests(reached)
        return Code(self._digested[key] | elsewhere, self._versions_of(libraries))

    def save(self) -> None:
        """Keep what was parsed for the next run."""
        if self._cache is not None and self._fresh:
            with atomic_write(self._cache) as handle:
                handle.write(json.dumps({"python": _PYTHON, "modules": self._known}).encode())

    def _follow(
        self, start: tuple[str, int], reached: set[tuple[str, int]], libraries: set[str]
    ) -> None:
        waiting = [start]
        while waiting:
            place = waiting.pop()
            if place in reached:
                continue
            reached.add(place)
            if place not in self._used:
                self._used[place] = self._used_by(*place)
            places, named = self._used[place]
            waiting += places
            libraries |= named

    def _used_by(self, name: str, number: int) -> tuple[set[tuple[str, int]], set[str]]:
        """Definitions that one definition names itself, and libraries."""
        module = self._module(name)
        assert module is not None
        libraries: set[str] = set()
        if number == DATA:
            return set(), libraries
        places = [place for parent in _with_parents(name) for place in self._effects(parent)]
        definition = module.definitions[number]
        for used in definition.uses:
            places += self._resolve(name, used, libraries)
        for imported in definition.imports:
            places += self._imported(*imported.split(":"), [], libraries)
        return set(places), libraries

    def _effects(self, name: str) -> list[tuple[str, int]]:
        module = self._module(name)
        return [(name, number) for number in module.effects()] if module else []

    def _resolve(self, module: str, used: str, libraries: set[str]) -> list[tuple[str, int]]:
        """Definitions that a dotted name, as read in a module, stands for."""
        parsed = self._module(module)
        if parsed is None:
            libraries.add(module.partition(".")[0])
            return []
        first, *rest = used.split(".")
        if numbers := parsed.defining(first):
            return [(module, number) for number in numbers]
        if first in parsed.imported:
            return self._imported(*parsed.imported[first].split(":"), rest, libraries)
        return []

    def _imported(
        self, module: str, member: str, rest: list[str], libraries: set[str]
    ) -> list[tuple[str, int]]:
        """Definitions behind an import of a module or of a member of one."""
        if module.partition(".")[0] != self._package:
            libraries.add(module.partition(".")[0])
            return []
        path = [part for part in [member, *rest] if part]
        while path and self._module(f"{module}.{path[0]}") is not None:
            module = f"{module}.{path.pop(0)}"
        if path:
            return self._resolve(module, ".".join(path), libraries)
        parsed = self._module(module)
        numbers = [*range(len(parsed.definitions)), DATA] if parsed else []
        return [(module, number) for number in numbers]

    def _module(self, name: str) -> Module | None:
        if name not in self._modules:
            self._modules[name] = self._read(name)
        return self._modules[name]

    def _read(self, name: str) -> Module | None:
        path = self._path(name)
        if path is None:
            return None
        content = path.read_bytes()
        key = f"{name} {digest_bytes(content)}"
        if key not in self._known:
            self._known = {k: v for k, v in self._known.items() if k.partition(" ")[0] != name}
            self._known[key] = _as_json(parse_module(content.decode(), name, path.stem))
            self._fresh = True
        return _from_json(self._known[key])

    def _path(self, name: str) -> Path | None:
        if name not in self._paths:
            self._paths[name] = self._find(name)
        return self._paths[name]

    def _find(self, name: str) -> Path | None:
        first, *rest = name.split(".")
        if first != self._package:
            return None
        base = self._root.joinpath(*rest)
        for path in (base / "__init__.py", base.with_suffix(".py")):
            if path.is_file() and (rest or path.stem == "__init__"):
                return path
        return None

    def _digests(self, reached: set[tuple[str, int]]) -> dict[str, str]:
        by_module: dict[str, list[str]] = {}
        digests = {}
        for name, number in sorted(reached):
            module = self._module(name)
            assert module is not None
            if number == DATA:
                digests |= self._data(name)
                continue
            by_module.setdefault(name, []).append(module.definitions[number].digest)
        for name, found in by_module.items():
            path = self._path(name)
            assert path is not None
            digests[path.relative_to(self._root).as_posix()] = digest_json(sorted(found))[:DIGITS]
        return digests

    def _data(self, name: str) -> dict[str, str]:
        """Digests of the files below a package's folder that are no modules."""
        path = self._path(name)
        if path is None or path.stem != "__init__":
            return {}
        found = [one for one in path.parent.rglob("*") if one.is_file() and not _is_python(one)]
        return {
            one.relative_to(self._root).as_posix(): digest_bytes(one.read_bytes())[:DIGITS]
            for one in sorted(found)
        }

    def _versions_of(self, libraries: set[str]) -> dict[str, str]:
        for library in libraries - self._versions.keys():
            self._versions[library] = _version(library)
        return {name: self._versions[name] for name in sorted(libraries) if self._versions[name]}


def parse_module(source: str, name: str, stem: str = "") -> Module:
    """Take a module's top level apart.

    Parameters
    ----------
    name
        Such as ``"numerai_kedro.files.atomic"``; with it, strings that name a sibling are found.
    stem
        ``"__init__"`` for a package.
    """
    module = Module()
    package = name if stem == "__init__" else name.rpartition(".")[0]
    for statement in ast.parse(source).body:
        for one in _statements(statement):
            for inner in ast.walk(one) if isinstance(one, BLOCKS) else [one]:
                if isinstance(inner, ast.Import | ast.ImportFrom):
                    module.imported.update(_imports(inner, package))
            plain_import = isinstance(one, ast.Import | ast.ImportFrom) and not _is_star(one)
            if not plain_import and not _is_docstring(one):
                module.definitions.append(_definition(one, package, name.partition(".")[0]))
    return module


def _statements(statement: ast.stmt) -> Iterator[ast.stmt]:
    """A statement, or those inside ``if TYPE_CHECKING:``."""
    guarded = isinstance(statement, ast.If) and "TYPE_CHECKING" in ast.dump(statement.test)
    if guarded and isinstance(statement, ast.If):
        yield from [*statement.body, *statement.orelse]
    else:
        yield statement


def _definition(statement: ast.stmt, package: str, root: str) -> Definition:
    uses: set[str] = set()
    imports: set[str] = set()
    _strip_docstrings(statement)
    waiting: list[ast.AST] = [statement]
    while waiting:
        node = waiting.pop()
        dotted = _dotted(node)
        if dotted:
            uses.add(dotted)
            continue  # the `a` in `a.b` would stand for all of a
        waiting += ast.iter_child_nodes(node)
        if isinstance(node, ast.Import):
            imports |= {f"{alias.name}:" for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            imports |= {one.removesuffix("*") for one in _imports(node, package).values()}
        elif isinstance(node, ast.Constant):
            imports |= _named_module(node.value, root)
    digest = digest_bytes(ast.dump(statement).encode())[:DIGITS]
    names, acts = _bound(statement)
    return Definition(names, digest, tuple(sorted(uses)), tuple(sorted(imports)), acts)


def _named_module(value: object, root: str) -> set[str]:
    """The module that a string names, as in ``"numerai_kedro.models.lightgbm:LightGBM"``."""
    if not isinstance(value, str) or not value.startswith(f"{root}."):
        return set()
    module = value.partition(":")[0]
    return {f"{module}:"} if module.replace(".", "").isidentifier() else set()


def _bound(statement: ast.stmt) -> tuple[tuple[str, ...], bool]:
    """Names that a statement binds, and whether it does more than that."""
    if isinstance(statement, DEFINITIONS):
        return (statement.name,), False
    if isinstance(statement, BLOCKS):
        inner = [_bound(one) for one in ast.walk(statement) if isinstance(one, SIMPLE)]
        return tuple(sorted({name for names, _ in inner for name in names})), True
    if isinstance(statement, ast.Assign | ast.AnnAssign):
        targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
        parts = [part for target in targets for part in _parts(target)]
        names = sorted(part.id for part in parts if isinstance(part, ast.Name))
        return tuple(names), not all(isinstance(part, ast.Name) for part in parts)
    return (), True


def _parts(target: ast.expr) -> list[ast.expr]:
    """``a`` and ``b[0]`` of ``a, b[0] = …``."""
    if isinstance(target, ast.Tuple | ast.List):
        return [part for element in target.elts for part in _parts(element)]
    return [target]


def _is_python(path: Path) -> bool:
    return path.suffix in (".py", ".pyc")


def _is_star(statement: ast.Import | ast.ImportFrom) -> bool:
    return any(alias.name == "*" for alias in statement.names)


def _with_parents(module: str) -> list[str]:
    """``a``, ``a.b`` and ``a.b.c``: importing the last runs all three."""
    parts = module.split(".")
    return [".".join(parts[:end]) for end in range(1, len(parts) + 1)]


def _dotted(node: ast.AST) -> str | None:
    """``a.b.c`` of an attribute or a name; None for all else, such as ``f().b``."""
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    if not isinstance(node, ast.Name):
        return None
    return ".".join([node.id, *reversed(parts)])


def _imports(node: ast.Import | ast.ImportFrom, package: str) -> dict[str, str]:
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
    return {alias.asname or alias.name: f"{module}:{alias.name}" for alias in node.names}


def _strip_docstrings(statement: ast.stmt) -> None:
    for node in ast.walk(statement):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            body = [one for one in node.body if not _is_docstring(one)]
            node.body = body or [ast.Pass()]


def _is_docstring(statement: ast.stmt) -> bool:
    return (
        isinstance(statement, ast.Expr)
        and isinstance(statement.value, ast.Constant)
        and isinstance(statement.value.value, str)
    )


def _place(function: Any) -> tuple[str, str]:
    """Module and top-level name of a function, a class, or a dotted name."""
    if isinstance(function, str):
        module, _, name = function.rpartition(".")
        return module, name
    function = _unwrapped(function)
    return function.__module__, function.__qualname__.partition(".")[0]


def _unwrapped(function: Any) -> Any:
    while isinstance(function, partial):
        function = function.func
    return function


def _own_code(function: Any) -> dict[str, str]:
    """Digest of a function's compiled body; nothing for a class."""
    code = getattr(function, "__code__", None)
    return {} if code is None else {function.__qualname__: digest_json(_compiled(code))[:DIGITS]}


def _compiled(code: CodeType) -> list[Any]:
    constants = [
        _compiled(one) if isinstance(one, CodeType) else repr(one) for one in code.co_consts
    ]
    return [code.co_code.hex(), list(code.co_names), constants]


def _version(library: str) -> str:
    """Version of an installed library; empty for the standard library."""
    if library in sys.stdlib_module_names:
        return ""
    names = DISTRIBUTIONS.get(library, (library,))
    for name in names:
        with suppress(importlib.metadata.PackageNotFoundError):
            return importlib.metadata.version(name)
    return ""


_PYTHON = [FORMAT, *sys.version_info[:2]]


def _read_cache(path: Path | None) -> dict[str, Any]:
    try:
        kept = json.loads(path.read_text(encoding="utf-8")) if path else {}
        return dict(kept["modules"]) if kept.get("python") == _PYTHON else {}
    except (OSError, ValueError, KeyError, AttributeError):
        return {}


def _as_json(module: Module) -> dict[str, Any]:
    definitions = [dataclasses.astuple(one) for one in module.definitions]
    return {"definitions": definitions, "imported": module.imported}


def _from_json(kept: dict[str, Any]) -> Module:
    definitions = [
        Definition(tuple(names), digest, tuple(uses), tuple(imports), acts)
        for names, digest, uses, imports, acts in kept["definitions"]
    ]
    return Module(definitions, kept["imported"])
