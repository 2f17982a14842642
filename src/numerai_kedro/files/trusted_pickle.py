"""Pickles that only this project wrote, and only of classes that are expected.

A pickle can run any code when it is read. So a file is read only if the manifest next to it holds
its SHA-256, and the reader refuses every class outside a short list: even a foreign file with a
manifest of its own runs nothing.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import pickle
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

from numerai_kedro.errors import StoreError
from numerai_kedro.files.atomic import atomic_folder

CONTENT, MANIFEST = "content.pkl", "manifest.json"
TRUSTED_PACKAGES = ("numerai_kedro.models.", "numerai_kedro.features.fitted_transform")
TRUSTED_NAMES = {
    ("collections", "OrderedDict"),
    ("numpy", "dtype"),
    ("numpy", "ndarray"),
    ("numpy._core.multiarray", "_reconstruct"),
    ("numpy._core.multiarray", "scalar"),
    ("numpy._core.numeric", "_frombuffer"),
}

# Modules of the user's own models, and packages (with a dot at the end) of their regressors; in
# the environment, so that child processes know them.
TRUSTED_VARIABLE = "NUMERAI_KEDRO_TRUSTED"

UNTRUSTED = (
    "a saved model {name}, which this project does not write; delete the file and run the command "
    "again to make it anew."
)


class _Untrusted(StoreError):
    """A pickle names a class, or does something, that is not allowed."""

    def __init__(self, problem: str) -> None:
        super().__init__(UNTRUSTED.format(name=problem))
        self.problem = problem


# The stubs of `pickle` know neither its stack nor its opcodes.
_PurePython: Any = pickle._Unpickler


class _TrustedUnpickler(_PurePython):  # type: ignore[misc]
    """The pure-Python reader: only there can the opcode that sets attributes be checked."""

    def load_build(self) -> None:
        """Set the state of an instance; refused for a class, a function or a module."""
        target = self.stack[-2]
        if isinstance(target, type | ModuleType | FunctionType):
            raise _Untrusted(f"sets attributes of {target!r}")
        super().load_build()

    dispatch = {**_PurePython.dispatch, pickle.BUILD[0]: load_build}  # noqa: RUF012

    def find_class(self, module: str, name: str) -> Any:
        # A dotted name walks attributes, which would lead from our modules to whatever they import.
        ours = module.startswith(TRUSTED_PACKAGES) and "." not in name
        if ours or (module, name) in TRUSTED_NAMES:
            member = super().find_class(module, name)
            if (module, name) in TRUSTED_NAMES or getattr(member, "__module__", None) == module:
                return member
        if "." not in name and _is_the_users(module):
            member = super().find_class(module, name)
            # Classes alone: a function of a library could be called with anything.
            if isinstance(member, type) and member.__module__ == module:
                return member
        raise _Untrusted(f"names {module}.{name}")


def trust(module: str) -> None:
    """Allow classes of a module; with a dot at the end, of all modules of a package."""
    names = {*os.environ.get(TRUSTED_VARIABLE, "").split(), module}
    os.environ[TRUSTED_VARIABLE] = " ".join(sorted(names))


def _is_the_users(module: str) -> bool:
    """Whether the configuration names a module, or its package."""
    names = os.environ.get(TRUSTED_VARIABLE, "").split()
    return any(module == name or (name[-1] == "." and module.startswith(name)) for name in names)


def write_trusted(folder: str | os.PathLike[str], value: object) -> None:
    """Replace `folder` by the value's pickle and the manifest that vouches for it."""
    content = pickle.dumps(value, protocol=5)
    manifest = {
        "sha256": hashlib.sha256(content).hexdigest(),
        "bytes": len(content),
        "class": f"{type(value).__module__}.{type(value).__qualname__}",
        "data_version": getattr(value, "data_version", ""),
    }
    with atomic_folder(folder) as partial:
        (partial / CONTENT).write_bytes(content)
        (partial / MANIFEST).write_text(json.dumps(manifest, indent=1))


def check_readable(value: object) -> None:
    """Refuse a value that `read_trusted` would not read back, such as one of a library's class.

    Raises
    ------
    StoreError
        Names the function or the class.
    """
    try:
        _TrustedUnpickler(io.BytesIO(pickle.dumps(value, protocol=5))).load()
    except _Untrusted as refused:
        raise StoreError(f"it {refused.problem}, which is not read back from a file.") from None


def version_of(manifest: Path) -> str:
    """Data version that a fit learned from, without opening it; empty if unknown."""
    try:
        return str(json.loads(manifest.read_text())["data_version"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def read_trusted(folder: str | os.PathLike[str]) -> Any:
    """Read back what `write_trusted` wrote.

    Raises
    ------
    StoreError
        The content is not what the manifest vouches for, or names a class that is not trusted.
    """
    folder = Path(folder)
    try:
        content = (folder / CONTENT).read_bytes()
        expected_digest = json.loads((folder / MANIFEST).read_text())["sha256"]
    except (OSError, ValueError, KeyError, TypeError):
        raise StoreError(
            f"{folder}: the saved model is incomplete; delete the folder and run again."
        ) from None
    if hashlib.sha256(content).hexdigest() != expected_digest:
        raise StoreError(
            f"{folder}: the saved model was changed or damaged; delete the folder and run again."
        )
    try:
        return _TrustedUnpickler(io.BytesIO(content)).load()
    # A class of the user's own may have been renamed, moved or removed since.
    except (
        *(LookupError, EOFError, ValueError, TypeError, AttributeError, ImportError),
        pickle.UnpicklingError,
    ) as broken:
        raise StoreError(
            f"{folder}: the saved model cannot be read ({type(broken).__name__}); delete the "
            "folder and run again."
        ) from None
