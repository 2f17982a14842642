"""Our own modules on disk, and what a name in them stands for."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from numerai_kedro.cache import normal_form, source
from numerai_kedro.cache.source import PERHAPS, STAR, Module, parse_module
from numerai_kedro.files import digest_bytes, digest_json
from numerai_kedro.files.kept_json import find_kept, write_kept

# If the way sources are parsed changes, the cache starts anew.
_TAKEN_APART = digest_json(
    [Path(module.__file__ or "").read_text("utf-8") for module in (source, normal_form)]
)
_PYTHON = [_TAKEN_APART, *sys.version_info[:2]]
INSTALLED = {"site-packages", "dist-packages"}
# In place of a definition's number: the non-module files of a package, such as templates.
DATA = -1
# What this process has parsed: two data folders have a cache each, but the same sources.
_PARSED: dict[str, Any] = {}
# Module and number of a definition.
Place = tuple[str, int]


class Sources:
    """Reads sources once: those of a package, and of its neighbours that are not installed.

    Parameters
    ----------
    root
        Folder of the package.
    cache
        File that caches parsed modules by the digest of their bytes; None for no cache.
    """

    def __init__(self, root: Path, cache: Path | None = None) -> None:
        self._roots: dict[str, Path | None] = {root.name: root}
        self._cache = cache
        self._modules: dict[str, Module | None] = {}
        self._paths: dict[str, Path | None] = {}
        self._acting: dict[str, dict[Place, list[Place]]] = {}
        self._known = _read_cache(cache)
        self._fresh = False

    def save(self) -> None:
        """Store parsed modules for the next run."""
        if self._cache is not None and self._fresh:
            write_kept(self._cache, {"python": _PYTHON, "modules": self._known})

    def module(self, name: str) -> Module | None:
        """One of our own modules; None for a library's, or if there is none."""
        if name not in self._modules:
            self._modules[name] = self._read(name)
        return self._modules[name]

    def path(self, name: str) -> Path | None:
        """File of one of our own modules."""
        if name not in self._paths:
            self._paths[name] = self._find(name)
        return self._paths[name]

    def shown(self, name: str) -> str:
        """File of a module as a fingerprint names it, relative to its package."""
        path, root = self.path(name), self._root_of(name)
        assert path is not None
        assert root is not None
        main = next(iter(self._roots.values()))
        return path.relative_to(root if root == main else root.parent).as_posix()

    def data(self, name: str) -> Iterator[tuple[str, Path]]:
        """Non-module files below a package's folder, each by its name."""
        path, root = self.path(name), self._root_of(name)
        if path is None or root is None or path.stem != "__init__":
            return
        for file in sorted(path.parent.rglob("*")):
            if file.is_file() and file.suffix not in (".py", ".pyc"):
                yield file.relative_to(root).as_posix(), file

    def resolve(self, module: str, used: str, libraries: set[str]) -> list[Place]:
        """Definitions that a dotted name, as read in a module, stands for.

        What it stands for in a library is added to `libraries`, as ``module:member.member``.
        """
        parsed = self.module(module)
        if parsed is None:
            libraries.add(f"{module}:{used}")
            return []
        first, *rest = used.split(".")
        if numbers := parsed.defining(first):
            return [(module, number) for number in numbers]
        if first in parsed.imported:
            return self.imported(parsed.imported[first], rest, libraries)
        stars = [
            module_name for name, module_name in parsed.imported.items() if name.startswith(STAR)
        ]
        for star in stars:
            if places := self.imported(f"{star.partition(':')[0]}:{first}", rest, libraries):
                return places
        return []

    def imported(self, imported: str, rest: list[str], libraries: set[str]) -> list[Place]:
        """Definitions behind an import, ``module:member``; of a module the member is empty."""
        module, _, member = imported.partition(":")
        perhaps, module = module.startswith(PERHAPS), module.removeprefix(PERHAPS)
        if self._root_of(module) is None:
            if not perhaps:
                libraries.add(f"{module}:{'.'.join(part for part in [member, *rest] if part)}")
            return []
        path = [part for part in [member, *rest] if part]
        while path and self.module(f"{module}.{path[0]}") is not None:
            module = f"{module}.{path.pop(0)}"
        parsed = self.module(module)
        if parsed is None:
            return []
        if path:
            places = self.resolve(module, ".".join(path), libraries)
            is_defined = places or path[0] in parsed.imported
            # A module that makes its attributes on demand, by ``__getattr__``.
            return places if is_defined else [(module, n) for n in parsed.defining("__getattr__")]
        return [(module, number) for number in [*range(len(parsed.definitions)), DATA]]

    def effects(self, module: str) -> list[Place]:
        """What importing a module, and the packages that it is in, executes."""
        parts = module.split(".")
        names = [".".join(parts[:end]) for end in range(1, len(parts) + 1)]
        modules = [(name, self.module(name)) for name in names]
        return [(name, number) for name, parsed in modules if parsed for number in parsed.effects()]

    def acting_on(self, place: Place) -> list[Place]:
        """Definitions elsewhere that add to what is defined here: a registry's entries."""
        package = place[0].partition(".")[0]
        if package not in self._acting:
            self._acting[package] = self._all_acting(package)
        return self._acting[package].get(place, [])

    def _all_acting(self, package: str) -> dict[Place, list[Place]]:
        acting: dict[Place, list[Place]] = {}
        for name in self._names(package):
            module = self.module(name)
            assert module is not None
            for number, definition in enumerate(module.definitions):
                for used in definition.acts_on:
                    for place in self.resolve(name, used, set()):
                        if place != (name, number):
                            acting.setdefault(place, []).append((name, number))
        return acting

    def _names(self, package: str) -> Iterator[str]:
        """Every module of a package."""
        root = self._root_of(package)
        if root is None or root.is_file():
            yield package
            return
        for path in sorted(root.rglob("*.py")):
            parts = path.relative_to(root.parent).with_suffix("").parts
            name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
            if self.path(name) == path:
                yield name

    def _root_of(self, module: str) -> Path | None:
        first = module.partition(".")[0]
        if first not in self._roots:
            self._roots[first] = _not_installed(first)
        return self._roots[first]

    def _read(self, name: str) -> Module | None:
        path = self.path(name)
        if path is None:
            return None
        content = path.read_bytes()
        key = f"{name} {digest_bytes(content)}"
        if key not in self._known:
            self._known = {k: v for k, v in self._known.items() if k.partition(" ")[0] != name}
            if key not in _PARSED:
                _PARSED[key] = parse_module(content.decode(), name, path.stem).as_json()
            self._known[key] = _PARSED[key]
            self._fresh = True
        return Module.from_json(self._known[key])

    def _find(self, name: str) -> Path | None:
        root = self._root_of(name)
        _, *rest = name.split(".")
        if root is None or root.is_file():
            return None if rest else root
        base = root.joinpath(*rest)
        for path in (base / "__init__.py", base.with_suffix(".py")):
            if path.is_file() and (rest or path.stem == "__init__"):
                return path
        return None


def _not_installed(package: str) -> Path | None:
    """Folder or file of a package that is not installed; None for any other."""
    if package in sys.stdlib_module_names or package == "__main__":
        return None
    try:
        spec = importlib.util.find_spec(package)
    except (ImportError, ValueError):
        return None
    if spec is None or not spec.origin or not spec.origin.endswith(".py"):
        return None
    path = Path(spec.origin)
    if INSTALLED & set(path.parts) or path.is_relative_to(Path(sys.prefix, "lib")):
        return None
    return path.parent if path.stem == "__init__" else path


def _read_cache(path: Path | None) -> dict[str, Any]:
    cached = find_kept(path) if path else None
    return dict(cached["modules"]) if cached and cached.get("python") == _PYTHON else {}
