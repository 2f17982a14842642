"""Names under which results are kept: what they were made of, and apart from it by which code.

Apart, so that a person who knows that a change of the code does not matter can go on with what
other code has made (`incremental.keep_fits_of_other_code`).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from numerai_kedro.files import digest_json

Key = Mapping[str, Any]
# What a key calls the digest of code, `result_code.code_of`, at any depth.
CODE = "code"
CODE_DIGITS = 16


def name_of(key: Key) -> str:
    """Digest of what a key holds; then a dash, and the digest of all code that it names."""
    code: list[str] = []
    made_of = digest_json(_without_code(key, code))
    return f"{made_of}-{digest_json(code)[:CODE_DIGITS]}" if code else made_of


def path_of(folder: Path, key: Key, suffix: str = "") -> Path:
    """Where what was made under a key lies."""
    return folder / f"{name_of(key)}{suffix}"


class OtherCode:
    """Finds what was made of the same by other code; a folder is listed once."""

    def __init__(self) -> None:
        self._listed: dict[Path, dict[str, Path]] = {}

    def path_of(self, folder: Path, key: Key, suffix: str = "") -> Path | None:
        """The newest; None where there is none, or the key names no code."""
        if folder not in self._listed:
            oldest_first = sorted(folder.glob("*-*"), key=_age)
            self._listed[folder] = {one.name.partition("-")[0]: one for one in oldest_first}
        made_of, dash, _ = name_of(key).partition("-")
        found = self._listed[folder].get(made_of) if dash else None
        return found if found is not None and found.name.endswith(suffix) else None


def _age(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except FileNotFoundError:  # let go in between
        return 0


def _without_code(value: Any, code: list[str]) -> Any:
    if isinstance(value, Mapping):
        code += [one for name, one in value.items() if name == CODE]
        return {k: _without_code(one, code) for k, one in value.items() if k != CODE}
    if isinstance(value, list | tuple):
        return [_without_code(one, code) for one in value]
    return value
