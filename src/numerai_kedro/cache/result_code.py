"""The digest of the code that a kept result depends on, for its key."""

from __future__ import annotations

from pathlib import Path

from numerai_kedro.cache.code import CodeReader, Root, name_of
from numerai_kedro.files import digest_bytes, digest_json
from numerai_kedro.files.kept_json import find_kept, write_kept

PACKAGE = Path(__file__).parents[1]
# Packages that carry values but compute none: digests ensure that values arrive unchanged.
CARRIERS = ("cache", "compute", "errors", "files", "progress", "strict")
# Libraries of that kind, and Optuna, which only proposes trials: an upgrade refits nothing.
CARRYING_LIBRARIES = frozenset({"optuna", "pandas", "pyarrow", "pydantic", "safetensors"})


class ResultCode:
    """Digests of code, each computed once per run.

    Parameters
    ----------
    reader
        Sources as they are when the run begins.
    path
        File with the digests of earlier runs; None for none.
    keeps
        Use the digests of earlier runs instead of those of the current code, so that results made
        under them are found, and new ones are kept with them.
    """

    def __init__(self, reader: CodeReader, path: Path | None = None, keeps: bool = False) -> None:
        self._reader, self._path, self._keeps = reader, path, keeps
        self._kept: dict[str, str] = (find_kept(path) if path else None) or {}
        self._now: dict[str, str] = {}

    def of(self, roots: tuple[Root, ...], reads: tuple[str, ...]) -> str:
        """See `code_of`."""
        name = self._name(roots, reads)
        if name not in self._now:
            without = tuple(f"{PACKAGE.name}.{carrier}" for carrier in CARRIERS)
            digests, versions = self._reader.results(roots, reads, without)
            counted = {k: v for k, v in versions.items() if k not in CARRYING_LIBRARIES}
            self._now[name] = digest_json([digests, counted])[:16]
        return self._kept.get(name, self._now[name]) if self._keeps else self._now[name]

    def is_kept(self, roots: tuple[Root, ...], reads: tuple[str, ...]) -> bool:
        """Whether a digest is that of code other than the current one."""
        return self.of(roots, reads) != self._now[self._name(roots, reads)]

    def save(self) -> None:
        """Store the digests for the next run."""
        # With `keeps`, this run stores its results under the earlier digests, which have to stay.
        digests = self._now | self._kept if self._keeps else self._kept | self._now
        if self._path is not None and digests != self._kept:
            write_kept(self._path, digests)

    @staticmethod
    def _name(roots: tuple[Root, ...], reads: tuple[str, ...]) -> str:
        return digest_bytes(" ".join([*map(name_of, roots), "", *reads]).encode())


_current: list[ResultCode] = []


def activate(codes: ResultCode) -> None:
    """Use a run's own digests for all keys from now on."""
    _current[:] = [codes]


def code_of(*roots: Root, reads: tuple[str, ...] = ()) -> str:
    """Digest of the code that results of functions and classes depend on, and of its libraries.

    Unaffected by changes of comments, docstrings, annotations, names of local variables, log lines
    and texts of errors, and by moving code between modules; any other change gives another digest,
    and so do the first two numbers of a library's version.

    Parameters
    ----------
    roots
        Where to begin.
    reads
        Methods that are called on the classes among them.
    """
    return _codes().of(roots, reads)


def is_of_other_code(*roots: Root, reads: tuple[str, ...] = ()) -> bool:
    """Whether `code_of` is the digest of other code (`incremental.keep_fits_of_other_code`)."""
    return _codes().is_kept(roots, reads)


def _codes() -> ResultCode:
    if not _current:
        activate(ResultCode(CodeReader(PACKAGE)))
    return _current[0]
