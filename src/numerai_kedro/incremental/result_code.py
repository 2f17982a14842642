"""The digest of the code that a kept result hangs on, for its key."""

from __future__ import annotations

from pathlib import Path

from numerai_kedro.files import digest_bytes, digest_json
from numerai_kedro.files.kept_json import find_kept, write_kept
from numerai_kedro.incremental.code import CodeReader, Root, name_of

PACKAGE = Path(__file__).parents[1]
# What carries values and makes none: digests hold that they arrive as they were.
CARRIERS = ("errors", "files", "incremental", "progress", "resilience", "strict")
# Libraries that do so, and Optuna, which proposes what is then tried: an upgrade refits nothing.
CARRYING_LIBRARIES = frozenset({"optuna", "pandas", "pyarrow", "pydantic", "safetensors"})


class ResultCode:
    """Digests of code, each found once a run.

    Parameters
    ----------
    reader
        Sources as they are when the run begins.
    kept
        File of the digests of runs before; None for none.
    keeps
        Digests of runs before stand for those of the code as it is now, so that all that was made
        under them is found, and what is made meanwhile is kept beside it.
    """

    def __init__(self, reader: CodeReader, kept: Path | None = None, keeps: bool = False) -> None:
        self._reader, self._path, self._keeps = reader, kept, keeps
        self._kept: dict[str, str] = (find_kept(kept) if kept else None) or {}
        self._now: dict[str, str] = {}

    def of(self, roots: tuple[Root, ...], reads: tuple[str, ...]) -> str:
        """See `code_of`."""
        name = self._name(roots, reads)
        if name not in self._now:
            without = tuple(f"{PACKAGE.name}.{room}" for room in CARRIERS)
            digests, versions = self._reader.results(roots, reads, without)
            counted = {k: v for k, v in versions.items() if k not in CARRYING_LIBRARIES}
            self._now[name] = digest_json([digests, counted])[:16]
        return self._kept.get(name, self._now[name]) if self._keeps else self._now[name]

    def is_kept(self, roots: tuple[Root, ...], reads: tuple[str, ...]) -> bool:
        """Whether a digest is that of other code than there is now."""
        return self.of(roots, reads) != self._now[self._name(roots, reads)]

    def save(self) -> None:
        """Keep the digests for the next run."""
        known = self._now | self._kept if self._keeps else self._kept | self._now
        if self._path is not None and known != self._kept:
            write_kept(self._path, known)

    @staticmethod
    def _name(roots: tuple[Root, ...], reads: tuple[str, ...]) -> str:
        return digest_bytes(" ".join([*map(name_of, roots), "", *reads]).encode())


_current: list[ResultCode] = []


def in_force(codes: ResultCode) -> None:
    """Let a run's own digests be those of all keys from now on."""
    _current[:] = [codes]


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
    return _codes().of(roots, reads)


def is_of_other_code(*roots: Root, reads: tuple[str, ...] = ()) -> bool:
    """Whether `code_of` is what other code had (`incremental.keep_fits_of_other_code`)."""
    return _codes().is_kept(roots, reads)


def _codes() -> ResultCode:
    if not _current:
        in_force(ResultCode(CodeReader(PACKAGE)))
    return _current[0]
