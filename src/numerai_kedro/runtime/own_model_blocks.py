"""Blocks of parameters of the user's own models, completed before anybody reads them."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import packages_distributions, version
from pathlib import Path
from typing import Any

from numerai_kedro.files import digest_file, digest_json
from numerai_kedro.own_code import DOTTED

OWN_MODEL = "own_model"  # the block of defaults
# Parameters of an ensemble that may name a function, and where the digest of its code goes.
OWN_FUNCTIONS = {"scheme": "source", "neutralise_to": "neutral_source"}
OWN_TRANSFORMS = "own_transforms"  # digests of the code of own feature transformations
# Files that a block may name: other predictions are another model.
DATA = (".parquet", ".csv")
# Folders of a project in which a user's modules lie.
FOLDERS = ("src", "plugins")


def is_own_model(block: Any) -> bool:
    """Whether a block of parameters names a class of the user's own."""
    return isinstance(block, Mapping) and "type" in block


def with_defaults(parameters: Mapping[str, Any], project: Path) -> dict[str, Any]:
    """Parameters whose blocks of own models say all that a model's block says.

    They, and an ensemble that is weighed or neutralised by a function of the user's own, get a
    digest of the code behind their paths; ``own_transforms`` has one for each feature
    transformation of the user's own.
    """
    completed = dict(parameters)
    for name, block in parameters.items():
        if is_own_model(block):
            defaults = parameters.get(OWN_MODEL, {})
            completed[name] = {**defaults, **block, "source": source_of(block, project)}
        elif name == "ensemble":
            sources = {
                source: source_of({key: block[key]}, project)
                for key, source in OWN_FUNCTIONS.items()
                if DOTTED.fullmatch(str(block.get(key)))
            }
            completed[name] = {**block, **sources}
    paths = sorted({path for block in completed.values() for path in _own_transforms(block)})
    completed[OWN_TRANSFORMS] = {path: source_of({"type": path}, project) for path in paths}
    return completed


def _own_transforms(block: Any) -> Iterator[str]:
    """Dotted paths among the ``features`` of a model's block and of its options."""
    if not isinstance(block, Mapping):
        return
    options = block.get("options")
    for part in (block, *(options.values() if isinstance(options, Mapping) else ())):
        names = part.get("features") if isinstance(part, Mapping) else None
        if isinstance(names, list | tuple):
            yield from (name for name in names if DOTTED.fullmatch(str(name)))


def make_importable(project: Path) -> None:
    """Let modules of the project's folders be imported, here and in child processes."""
    for folder in (str(project / name) for name in FOLDERS if (project / name).is_dir()):
        if folder not in sys.path:
            sys.path.append(folder)


def source_of(block: Mapping[str, Any], project: Path) -> str:
    """Digest of the code behind all dotted paths of a block, so that a change of it is seen.

    Of modules of the user's the statements count, without comments and docstrings, with all modules
    of a package and the modules of the project that they import; of installed packages the version;
    of files of predictions the content.
    """
    tops = sorted({text.partition(".")[0] for text in _texts(block) if DOTTED.fullmatch(text)})
    files = [project / text for text in _texts(block) if text.endswith(DATA)]
    digests = [digest_file(path) if path.is_file() else "" for path in files]
    return digest_json([_sources(tops, project), digests])[:16]


def _sources(packages: Sequence[str], project: Path) -> list[list[str]]:
    """Of packages, and of the project's own modules that they import, directly or not."""
    own = [project / name for name in FOLDERS]
    sources: dict[str, list[str]] = {}
    pending = list(packages)
    while pending:
        package = pending.pop()
        installed = packages_distributions().get(package, [])
        files = [] if installed else _files_of(package, [*own, *map(Path, sys.path)])
        versions = [f"{name} {version(name)}" for name in installed]
        sources[package] = versions or [statements_of(path) for path in files]
        imported = {name for path in files for name in _imports_of(path)}
        pending += [name for name in imported - {*sources, *pending} if _files_of(name, own)]
    return [[package, *sources[package]] for package in sorted(sources)]


def _files_of(package: str, folders: Sequence[Path]) -> list[Path]:
    """A module's file, or all files of a package, in the first folder that has it."""
    for folder in folders:
        files = [folder / f"{package}.py"] if (folder / f"{package}.py").is_file() else []
        files = files or sorted((folder / package).rglob("*.py"))
        if files:
            return files
    return []


def _imports_of(path: Path) -> set[str]:
    """Names of the packages that a module imports; none if it is broken."""
    try:
        tree = ast.parse(path.read_text(encoding="utf-8", errors="replace"))
    except SyntaxError:
        return set()
    names = [
        name
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
        )
    ]
    return {name.partition(".")[0] for name in names} - {""}


def statements_of(path: Path) -> str:
    """A module's statements in one form, without comments and docstrings; as it is if broken."""
    text = path.read_text(encoding="utf-8", errors="replace")
    try:
        tree = ast.parse(text)
    except SyntaxError:
        return text
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            node.body = [line for line in node.body if not _is_text(line)] or [ast.Pass()]
    return ast.unparse(tree)


def _is_text(line: ast.stmt) -> bool:
    return isinstance(line, ast.Expr) and isinstance(line.value, ast.Constant)


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from _texts(inner)
