"""What a node's outputs are made from, and what of it changed, in one line."""

from __future__ import annotations

import dataclasses
import datetime
import math
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from pathlib import PurePath
from typing import Any

import numpy as np
from kedro.pipeline.node import Node
from pydantic import BaseModel

from numerai_kedro.cache.code import CodeReader
from numerai_kedro.cache.content import Contents, Digests, UnknownContentError, contents_of

# Settings of a catalog entry that do not change its value: path, keys, and notes for Kedro-Viz.
NO_CONTENT = {"filepath", "credentials", "metadata"}
SHOWN = 3  # changes named in one line; the rest are counted
LONGEST = 40  # characters of a value in such a line


def fingerprint(node: Node, catalog: Any, code: CodeReader, digests: Digests) -> dict[str, Any]:
    """Everything that determines a node's outputs, as a JSON value.

    Raises
    ------
    UnknownContentError
        Names what cannot be compared.
    """
    entries = {name: _entry(catalog, name) for name in {*node.inputs, *node.outputs}}
    entries = {name: entry for name, entry in entries.items() if entry is not None}
    classes = [type(catalog.get(name)) for name in sorted(entries)]
    computed_by = code.of([node.func, *classes, *_types_in(entries)])
    return {
        "code": dict(computed_by.modules),
        "versions": dict(computed_by.versions),
        "bound": _bound(node.func),
        "parameters": {
            name.partition(":")[2]: plain(catalog.load(name))
            for name in node.inputs
            if is_parameter(name)
        },
        "inputs": {
            name: _contents(catalog, name, digests)
            for name in node.inputs
            if not is_parameter(name)
        },
        "entries": entries,
        "wiring": plain([node._inputs, node._outputs]),
    }


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """What changed from one fingerprint to another, most informative first."""
    changes = [f"parameter {change}" for change in _changes(old["parameters"], new["parameters"])]
    for name in sorted({*old["inputs"], *new["inputs"]}):
        changes += content_changes(name, old["inputs"].get(name, {}), new["inputs"].get(name, {}))
    changes += [f"catalog entry {change}" for change in _changes(old["entries"], new["entries"])]
    changes += _changes(old["bound"], new["bound"])
    modules = sorted(_keys_that_differ(old["code"], new["code"]))
    changes += [f"code of {name} changed" for name in modules]
    changes += [f"version of {change}" for change in _changes(old["versions"], new["versions"])]
    return changes or ["it is wired differently"]


def content_changes(name: str, old: Contents, new: Contents) -> list[str]:
    """What changed in an entry's parts: ``history_panel: era 0388 is new, era 0375 changed``."""
    if old == new:
        return []
    if set(old) | set(new) == {""}:
        return [f"{name} {'changed' if old and new else 'is new' if new else 'is missing'}"]
    if old.keys() == new.keys() and all(old[part] != new[part] for part in new):
        return [f"{name} changed"]
    kinds = {
        "is new": [part for part in new if part not in old],
        "changed": [part for part in new if part in old and old[part] != new[part]],
        "is gone": [part for part in old if part not in new],
    }
    spans = [f"{_span(parts)} {kind}" for kind, parts in kinds.items() if parts]
    return [f"{name}: {', '.join(spans)}"]


def one_line(reasons: Iterable[str]) -> str:
    """Join reasons; those beyond a few are counted."""
    reasons = list(reasons)
    rest = f"; and {len(reasons) - SHOWN} more" if len(reasons) > SHOWN else ""
    return "; ".join(reasons[:SHOWN]) + rest


def plain(value: Any) -> Any:
    """A JSON value that is equal for equal values, whatever the hash seed.

    Raises
    ------
    UnknownContentError
        Equality of values of this type is not known.
    """
    if isinstance(value, BaseModel):
        return plain(value.model_dump(mode="python"))
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in sorted(value.items(), key=_by_text)}
    if isinstance(value, set | frozenset):
        return sorted((plain(item) for item in value), key=str)
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return plain(dataclasses.asdict(value))
    return _scalar(value.item() if isinstance(value, np.generic) else value)


def _scalar(value: Any) -> Any:
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, PurePath):
        return value.as_posix()
    if isinstance(value, datetime.date):  # datetimes as well
        return value.isoformat()
    if callable(value) and hasattr(value, "__qualname__"):
        return f"{value.__module__}.{value.__qualname__}"
    raise UnknownContentError(f"a value of type {type(value).__qualname__} cannot be compared")


def _contents(catalog: Any, name: str, digests: Digests) -> Contents:
    contents = contents_of(catalog.get(name), digests)
    if contents is None:
        raise UnknownContentError(f"input {name} has no content that could be compared")
    return contents


def _entry(catalog: Any, name: str) -> Any:
    """Settings of a catalog entry that may change its value; None for parameters."""
    if is_parameter(name):
        return None
    resolver = catalog.config_resolver
    return _settings(resolver.config.get(name) or resolver.resolve_pattern(name))


def _types_in(settings: Any) -> Iterator[str]:
    """Dotted class names in an entry, including those of entries inside it."""
    if isinstance(settings, Mapping):
        for key, value in settings.items():
            if key == "type" and isinstance(value, str):
                yield value
            yield from _types_in(value)


def _settings(settings: Any) -> Any:
    if isinstance(settings, Mapping):
        return {
            str(key): _settings(value) for key, value in settings.items() if key not in NO_CONTENT
        }
    return plain(settings)


def _bound(function: Any) -> dict[str, Any]:
    """Values that a partial or a closure carries."""
    bound: dict[str, Any] = {}
    while isinstance(function, partial):
        bound |= {f"argument {number}": plain(a) for number, a in enumerate(function.args)}
        bound |= {name: plain(value) for name, value in function.keywords.items()}
        function = function.func
    # A closure over another value is another function, although its code is the same.
    names = function.__code__.co_freevars if hasattr(function, "__code__") else ()
    for name, cell in zip(names, function.__closure__ or (), strict=True):
        bound[name] = plain(cell.cell_contents)
    return bound


def is_parameter(name: str) -> bool:
    """Whether an input is a parameter, which has no file."""
    return name == "parameters" or name.startswith("params:")


def _changes(old: Any, new: Any, place: str = "") -> list[str]:
    """Leaves that differ: ``lightgbm.seed 0 -> 1``."""
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        changes = []
        for key in sorted({*old, *new}):
            inner = f"{place}.{key}" if place else str(key)
            changes += _changes(old.get(key), new.get(key), inner)
        return changes
    return [] if old == new else [f"{place} {_shown(old)} -> {_shown(new)}"]


def _shown(value: Any) -> str:
    text = "none" if value is None else str(value)
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"


def _keys_that_differ(old: Mapping[str, Any], new: Mapping[str, Any]) -> set[str]:
    return {key for key in {*old, *new} if old.get(key) != new.get(key)}


def _span(parts: list[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{parts[0]} to {parts[-1]} ({len(parts)})"


def _by_text(item: tuple[Any, Any]) -> str:
    return str(item[0])
