"""The digest of the code that a kept result hangs on, for its key."""

from __future__ import annotations

from pathlib import Path

from numerai_kedro.files import digest_json
from numerai_kedro.incremental.code import CodeReader, Root

PACKAGE = Path(__file__).parents[1]
# What carries values and makes none: digests hold that they arrive as they were.
CARRIERS = ("errors", "files", "incremental", "progress", "resilience", "strict")
# Libraries that do so, and Optuna, which proposes what is then tried: an upgrade refits nothing.
CARRYING_LIBRARIES = frozenset({"optuna", "pandas", "pyarrow", "pydantic", "safetensors"})


class ResultCode:
    """Digests of code, each found once.

    Parameters
    ----------
    reader
        Sources as they are when the run begins.
    """

    def __init__(self, reader: CodeReader) -> None:
        self._reader = reader
        self._known: dict[tuple[tuple[Root, ...], tuple[str, ...]], str] = {}

    def of(self, roots: tuple[Root, ...], reads: tuple[str, ...]) -> str:
        """See `code_of`."""
        if (roots, reads) not in self._known:
            without = tuple(f"{PACKAGE.name}.{room}" for room in CARRIERS)
            digests, versions = self._reader.results(roots, reads, without)
            counted = {k: v for k, v in versions.items() if k not in CARRYING_LIBRARIES}
            self._known[roots, reads] = digest_json([digests, counted])[:16]
        return self._known[roots, reads]


_current: list[ResultCode] = []


def read_by(reader: CodeReader) -> None:
    """Let a run's own reader find digests from now on: it has parsed the sources already."""
    _current[:] = [ResultCode(reader)]


def code_of(*roots: Root, reads: tuple[str, ...] = ()) -> str:
    """Digest of the code that results of functions and classes hang on, and of its libraries.

    Equal after a change of comments, docstrings, annotations, names of local variables, lines of
    logs, texts of errors, and of the modules in which code lies; another one after every other
    change, and where the first two numbers of a library's version change.

    Parameters
    ----------
    roots
        Where to begin.
    reads
        Methods that are called of the classes among them.
    """
    if not _current:
        read_by(CodeReader(PACKAGE))
    return _current[0].of(roots, reads)
