"""Which code computes a node: the definitions that its function reaches, as digests by module.

Names are followed from the node's own definition through this package and its neighbours that are
not installed: what it uses, what those use, and so on. Comments, docstrings and the position of a
definition do not count. A module named in a string (``"numerai_kedro.models.lightgbm"``) counts as
a whole, which covers registries; a package named that way counts with the non-module files in its
folder. What adds to a registry on import counts wherever the registry does. Static analysis cannot
see names made at run time, or classes that reach a node only inside an object; a node that gets
such an object names its class.

Results that are kept from one week to the next depend on less: see `CodeReader.results`.
"""

from __future__ import annotations

import importlib.metadata
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import CodeType
from typing import Any

from numerai_kedro.cache.content import UnknownContentError
from numerai_kedro.cache.source import DIGITS, Definition, Piece
from numerai_kedro.cache.sources import DATA, Place, Sources
from numerai_kedro.files import digest_bytes, digest_json

# Libraries imported by another name than their package's; a test checks that none is missing.
DISTRIBUTIONS = {
    "yaml": ("PyYAML",),
    "graphql": ("graphql-core",),
    "xgboost": ("xgboost-cpu", "xgboost"),  # one of the two, depending on the installed extra
}
Root = Callable[..., Any] | type | str


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
    """Follows code through sources that are read once.

    Parameters
    ----------
    root
        Folder of the package.
    cache
        File that caches parsed modules by the digest of their bytes; None for no cache.
    """

    def __init__(self, root: Path, cache: Path | None = None) -> None:
        self._sources = Sources(root, cache)
        # What a definition itself names: other definitions, and parts of libraries.
        self._used: dict[Place, tuple[set[Place], set[str]]] = {}
        # Nodes of the same kind, one for each model, reach the same definitions.
        self._digested: dict[frozenset[Place], dict[str, str]] = {}
        self._versions: dict[str, str] = {}

    def of(self, functions: Iterable[Root]) -> Code:
        """Follow functions and classes through the package; a string is a dotted name.

        What comes from another package counts by its own body and by that package's version.

        Raises
        ------
        UnknownContentError
            Something is defined in a notebook or a script, so what it uses cannot be known.
        """
        reached: set[Place] = set()
        libraries: set[str] = set()
        elsewhere: dict[str, str] = {}
        for function in functions:
            places = self._places(function, libraries)
            for place in places:
                self._follow(place, reached, libraries)
            if not places:
                elsewhere |= _own_code(_unwrapped(function))
        key = frozenset(reached)
        if key not in self._digested:
            self._digested[key] = self._digests(reached)
        return Code(self._digested[key] | elsewhere, self._versions_of(libraries))

    def results(
        self, roots: Iterable[Root], reads: Iterable[str] = (), without: tuple[str, ...] = ()
    ) -> tuple[list[str], dict[str, str]]:
        """Digests of the code that results of functions and classes depend on, wherever it lies.

        Statements count in their normal form (`normal_form`), each with what its names stand for;
        so do statements that a reached module executes on import. Of a class, the methods count
        whose names are read as attributes anywhere in the reached code; of a class that inherits
        from a library, all, because the library calls them.

        Parameters
        ----------
        roots
            As in `of`.
        reads
            Methods that are called on the classes among them.
        without
            Modules, with all inside them, that carry results but compute none.

        Returns
        -------
        list of str, dict
            Digests, sorted; and versions of libraries, the first two numbers of each.
        """
        reached = _Reached(self._sources, without)
        reached.mention(reads)
        elsewhere: list[str] = []
        for root in roots:
            places = self._sources.resolve(*_place(root), reached.libraries)
            reached.visit(places)
            if not places:
                elsewhere += _own_code(_unwrapped(root)).values()
        reached.follow()
        versions = self._versions_of(reached.libraries)
        # A patch release of a library makes no result stale.
        shortened = {name: ".".join(version.split(".")[:2]) for name, version in versions.items()}
        return sorted([*reached.digests(), *elsewhere]), shortened

    def save(self) -> None:
        """Store parsed modules for the next run."""
        self._sources.save()

    def _places(self, root: Root, libraries: set[str]) -> list[Place]:
        module, name = _place(root)
        if module == "__main__":
            raise UnknownContentError(f"{name} is defined in a notebook or a script")
        return self._sources.resolve(module, name, libraries)

    def _follow(self, start: Place, reached: set[Place], libraries: set[str]) -> None:
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

    def _used_by(self, name: str, number: int) -> tuple[set[Place], set[str]]:
        """Definitions and libraries that one definition itself names."""
        module = self._sources.module(name)
        assert module is not None
        libraries: set[str] = set()
        if number == DATA:
            return set(), libraries
        definition = module.definitions[number]
        places = [*self._sources.effects(name), *self._sources.acting_on((name, number))]
        places += _used(self._sources, name, definition.uses, definition.imports, libraries)
        return set(places), libraries

    def _digests(self, reached: set[Place]) -> dict[str, str]:
        by_module: dict[str, list[str]] = {}
        digests: dict[str, str] = {}
        for name, number in sorted(reached):
            module = self._sources.module(name)
            assert module is not None
            if number == DATA:
                files = self._sources.data(name)
                digests |= {
                    file_name: digest_bytes(path.read_bytes())[:DIGITS] for file_name, path in files
                }
                continue
            _, of_libraries = self._used[name, number]
            entry = [module.definitions[number].digest, sorted(of_libraries)]
            by_module.setdefault(name, []).append(digest_json(entry))
        for name, entries in by_module.items():
            digests[self._sources.shown(name)] = digest_json(sorted(entries))[:DIGITS]
        return digests

    def _versions_of(self, named: set[str]) -> dict[str, str]:
        libraries = {re.split(r"[.:]", qualified)[0] for qualified in named}
        for library in libraries - self._versions.keys():
            self._versions[library] = _version(library)
        return {name: self._versions[name] for name in sorted(libraries) if self._versions[name]}


class _Reached:
    """Pieces of code that results depend on, followed until none is added."""

    def __init__(self, sources: Sources, without: tuple[str, ...]) -> None:
        self.libraries: set[str] = set()
        self._sources, self._without = sources, without
        self._read: set[str] = set()  # names of attributes
        self._places: set[Place] = set()
        self._methods: dict[str, list[_Owned]] = {}  # not read so far, by name
        self._waiting: list[_Owned] = []
        self._digests: list[str] = []

    def visit(self, places: Iterable[Place]) -> None:
        """Reach definitions; of classes, the methods that are read."""
        waiting = list(places)
        while waiting:
            place = waiting.pop()
            name, number = place
            is_excluded = any(
                name == module or name.startswith(f"{module}.") for module in self._without
            )
            if place in self._places or is_excluded:
                continue
            self._places.add(place)
            if number == DATA:
                files = self._sources.data(name)
                self._digests += [digest_bytes(path.read_bytes()) for _, path in files]
                continue
            waiting += [*self._sources.acting_on(place), *self._sources.effects(name)]
            self._reach(name, self._definition(place))

    def mention(self, attributes: Iterable[str]) -> None:
        """Reach the methods with these names of all classes that are reached, or will be."""
        for attribute in set(attributes) - self._read:
            self._read.add(attribute)
            self._waiting += self._methods.pop(attribute, [])

    def follow(self) -> None:
        """Follow what is used, until nothing is added."""
        while self._waiting:
            owned = self._waiting.pop()
            piece = owned.piece
            self.mention(piece.attributes)
            edges: list[list[Any]] = []
            for name in piece.uses:
                places = self._sources.resolve(owned.module, name, libraries := set[str]())
                edges += self._edge(name.rpartition(".")[2], places, libraries)
            for imported in piece.imports:
                places = self._sources.imported(imported, [], libraries := set[str]())
                edges += self._edge("", places, libraries)
            for name in piece.annotations:  # say which class's methods are called
                self.visit(self._sources.resolve(owned.module, name, set()))
            entry = [owned.owner, piece.digest, sorted(edges, key=str)]
            self._digests.append(digest_json(entry)[:DIGITS])

    def _edge(self, name: str, places: list[Place], libraries: set[str]) -> list[list[Any]]:
        """Visit what a name stands for; returns its digests, or nothing if it is unknown."""
        self.visit(places)
        self.libraries |= libraries
        targets = [self._definition(place).result.digest for place in places if place[1] != DATA]
        return [[name, sorted(targets), sorted(libraries)]] if targets or libraries else []

    def digests(self) -> list[str]:
        """Digests of all pieces, each with its class and what its names stand for."""
        return self._digests

    def _definition(self, place: Place) -> Definition:
        module = self._sources.module(place[0])
        assert module is not None
        return module.definitions[place[1]]

    def _reach(self, module: str, definition: Definition) -> None:
        owner = definition.names[0] if definition.methods else ""
        self._waiting.append(_Owned(module, owner, definition.result))
        called_by_library = not all(
            base == "object" or self._sources.resolve(module, base, set())
            for base in definition.bases
        )
        # The body of a class may bind a method by its name: ``predict = _predict``.
        self.mention(definition.result.uses if definition.methods else ())
        for method, piece in definition.methods:
            special = method.startswith("__") and method.endswith("__")
            if called_by_library or special or method in self._read:
                self._waiting.append(_Owned(module, owner, piece))
            else:
                self._methods.setdefault(method, []).append(_Owned(module, owner, piece))


@dataclass(frozen=True)
class _Owned:
    """A piece, its module, and its class if it is a method."""

    module: str
    owner: str
    piece: Piece


def _used(
    sources: Sources,
    module: str,
    uses: Iterable[str],
    imports: Iterable[str],
    libraries: set[str],
) -> list[Place]:
    """Definitions behind the names and imports of a definition in a module."""
    places = [place for used in uses for place in sources.resolve(module, used, libraries)]
    for imported in imports:
        places += sources.imported(imported, [], libraries)
    return places


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
    """Digest of the compiled body of a function, or of each method of a class."""
    members = vars(function).values() if isinstance(function, type) else [function]
    codes = [
        (member.__qualname__, member.__code__) for member in members if hasattr(member, "__code__")
    ]
    return {name: digest_json(_compiled(code))[:DIGITS] for name, code in codes}


def name_of(root: Root) -> str:
    """Dotted name of a root."""
    return ".".join(_place(root))


def _compiled(code: CodeType) -> list[Any]:
    constants = [
        _compiled(constant) if isinstance(constant, CodeType) else repr(constant)
        for constant in code.co_consts
    ]
    return [code.co_code.hex(), list(code.co_names), constants]


def _version(library: str) -> str:
    """Version of an installed library; empty for the standard library."""
    if library in sys.stdlib_module_names:
        return ""
    for name in DISTRIBUTIONS.get(library, (library,)):
        with suppress(importlib.metadata.PackageNotFoundError):
            return importlib.metadata.version(name)
    # A library whose distribution has another name, such as sklearn.
    for name in importlib.metadata.packages_distributions().get(library, ()):
        return importlib.metadata.version(name)
    return ""
